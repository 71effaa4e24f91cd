/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Mails that we compose, read by mailparser and by Python's email package.
 * t/unit/test_channel_smtp.c, which must have been built, writes them.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import mailparser from 'mailparser';

const PYTHON = `
import email, email.policy, json, sys
m = email.message_from_binary_file(open(sys.argv[1], 'rb'),
                                   policy=email.policy.default)
print(json.dumps({
    'defects': [str(d) for p in m.walk() for d in p.defects],
    'subject': m['Subject'], 'from': m['From'].addresses[0].display_name,
    'to': m['To'].addresses[0].display_name, 'id': m['Message-ID'],
    'references': m['References'], 'auto': m['Auto-Submitted'],
    'unsubscribe': m['List-Unsubscribe'],
    'one_click': m['List-Unsubscribe-Post'],
    'text': m.get_body(('plain',)).get_content(),
    'files': [[p.get_filename(), p.get_content_type(),
               p.get_content().decode()] for p in m.iter_attachments()],
}))
`;

const TEXTS = ['Hello\n.\nFrom here = there \n\u2713',
    '\u6708\u66dc\u65e5\n\n\u306f\u3044',
    'Hello\n.\nFrom here = there \n\u2713'];
const PDF = ['F\u00fchrung \u2013 sehr lang und noch l\u00e4nger als eine '
    + 'Zeile.pdf', 'application/pdf', '%PDF-1.4\n%%EOF\n'];

test('what we write is what others read', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'comms-mails-'));

    try {
        execFileSync('build/unit/test_channel_smtp',
            { env: { ...process.env, COMMS_MAILS: dir }, stdio: 'ignore' });

        for (let n = 0; n < 3; n++) {
            const path = join(dir, `${n}.eml`);
            const raw = readFileSync(path);
            const files = n === 2 ? [PDF] : [];
            const name = n === 1 ? '\u00c4cme, "Care"' : 'Acme Care';

            assert.ok(raw.toString('latin1').split('\r\n').every((line) =>
                line.length <= 78 && /^[\t\x20-\x7e]*$/.test(line)), path);

            const js = await mailparser.simpleParser(raw);
            const py = JSON.parse(execFileSync('/usr/bin/python3',
                ['-c', PYTHON, path]));

            assert.deepEqual(py.defects, []);

            for (const [subject, from, to, id, text] of [
                [js.subject, js.from.value[0].name, js.to.value[0].name,
                    js.messageId, js.text],
                [py.subject, py.from, py.to, py.id, py.text],
            ]) {
                assert.equal(subject, 'Gr\u00fc\u00dfe Bcc: e@x.example');
                assert.equal(from, name);
                assert.equal(to, 'Ada "A" Byron Bcc: x@y.example');
                assert.equal(id, '<th_1.e1@acme.example>');
                assert.equal(text.replace(/\r\n/g, '\n').trimEnd(), TEXTS[n]);
            }

            assert.deepEqual(js.attachments.map((a) => [a.filename,
                a.contentType, a.content.toString()]), files);
            assert.deepEqual(py.files, files);
            assert.equal(js.inReplyTo, '<m3@example.org>');
            assert.deepEqual(js.references,
                ['<m1@acme.example>', '<m3@example.org>']);
            assert.equal(py.auto, 'auto-generated');
            assert.equal(py.unsubscribe, '<https://acme.example/u/1>');
            assert.equal(py.one_click, 'List-Unsubscribe=One-Click');
            assert.equal(js.bcc, undefined);
        }
    } finally {
        rmSync(dir, { recursive: true });
    }
});
