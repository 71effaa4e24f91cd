/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Mails made by nodemailer, see make.py.
 */

import crypto from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MailComposer = createRequire(import.meta.url)(
    'nodemailer/lib/mail-composer');

const MAIL = join(dirname(fileURLToPath(import.meta.url)), 'mail');
const THREAD = '01k9z8v7w6x5y4t3s2r1q0p9n8';
const OURS = `<th_${THREAD}.01k9z8v7w6x5y4t3s2r1q0p9n9@acme.example>`;
const TO = `reply+${THREAD}-abcdefgh01234567@in.acme.example`;
const PDF = Buffer.from('%PDF-1.4\n%%EOF\n');
const PHOTO = Buffer.alloc(9000, 'photo');

mkdirSync(MAIL, { recursive: true });

const medium = (content_type, filename, data) => ({
    content_type, filename,
    sha256: crypto.createHash('sha256').update(data).digest('hex'),
});

const ATTACHMENTS = [
    { filename: 'Zeugnis – Übersetzung.pdf', content: PDF,
        contentType: 'application/pdf' },
    { filename: `${'long '.repeat(20)}name.pdf`, content: PDF,
        contentType: 'application/pdf' },
];

const PLAIN = 'Yes, on Monday.';

const mails = {
    'nodemailer-text': [{ text: PLAIN }, PLAIN],
    'nodemailer-base64': [{ text: 'Gr\u00fc\u00dfe \u{1f44d}',
        encoding: 'base64' }, 'Gr\u00fc\u00dfe \u{1f44d}'],
    'nodemailer-alternative': [{ text: PLAIN,
        html: `<p>${PLAIN}</p>` }, PLAIN],
    'nodemailer-html-only': [{
        html: '<div>Yes,<br>on <b>Monday</b>.</div><ul><li>early</li>'
            + '<li>late</li></ul>' }, 'Yes,\non Monday.\n- early\n- late'],
    'nodemailer-attachments': [{ text: PLAIN, attachments: ATTACHMENTS },
        PLAIN, ATTACHMENTS.map((a) => medium(a.contentType, a.filename,
            a.content))],
    'nodemailer-inline': [{ text: PLAIN,
        html: '<p>Yes, on Monday.</p><img src="cid:p1">',
        attachments: [{ filename: 'p.jpg', content: PHOTO, cid: 'p1',
            contentType: 'image/jpeg' }] }, PLAIN,
    [medium('image/jpeg', 'p.jpg', PHOTO)]],
    'nodemailer-wrapped': [{ text: `${'word '.repeat(60)}end` },
        `${'word '.repeat(60)}end`],
    'nodemailer-long-subject': [{ text: PLAIN,
        subject: `Re: ${'sehr \u00fcber '.repeat(12)}lang` }, PLAIN,
    undefined, { subject: `Re: ${'sehr \u00fcber '.repeat(12)}lang` }],
    'nodemailer-many-references': [{ text: PLAIN,
        references: [OURS, '<a1@example.org>', '<a2@example.org>'],
        inReplyTo: '<a2@example.org>' }, PLAIN, undefined,
    { message_ids: ['<a2@example.org>', '<a1@example.org>', OURS],
        references: `${OURS} <a1@example.org> <a2@example.org> `
            + '<nodemailer-many-references@mail.example.org>' }],
    'nodemailer-name': [{ text: PLAIN,
        from: { name: 'Byron, "Ada" \u010c.', address: 'ada@example.org' } },
    PLAIN, undefined, { person_name: 'Byron, "Ada" \u010c.' }],
    'nodemailer-vacation': [{ text: 'Away',
        headers: { 'Auto-Submitted': 'auto-replied' } }, null],
};

for (const [name, [mail, content, media, more]] of Object.entries(mails)) {
    const id = `<${name}@mail.example.org>`;
    const raw = await new MailComposer({
        from: 'Ada Byron <ada@example.org>',
        to: TO,
        subject: 'Re: Your application',
        date: new Date('2026-11-22T11:46:00Z'),
        messageId: id,
        inReplyTo: OURS,
        references: [OURS],
        baseBoundary: name,
        newline: 'windows',
        ...mail,
    }).compile().build();

    writeFileSync(join(MAIL, `${name}.eml`), raw);

    const event = content === null
        ? { kind: 'ignored', reason: 'auto-submitted' }
        : {
            kind: 'message', channel: 'email', content,
            company_address: 'mailto:reply@in.acme.example',
            person_address: 'mailto:ada@example.org',
            person_name: 'Ada Byron', subject: 'Re: Your application',
            email_message_id: id, message_ids: [OURS],
            references: `${OURS} ${id}`, ...more,
        };

    writeFileSync(join(MAIL, `${name}.json`), `${JSON.stringify({
        envelope: { from: 'ada@example.org', to: TO }, event,
        absent: media === undefined ? ['media'] : [], media,
    }, null, 1)}\n`);
}
