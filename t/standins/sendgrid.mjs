
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A stand-in for SendGrid: takes mails as POST /v3/mail/send does, and
 * delivers what people wrote as Inbound Parse does, parsed or raw, signed on
 * request.
 *
 *   const sendgrid = await start({ keys: ['SG.…'] });
 *   sendgrid.mails             taken, oldest first
 *   await sendgrid.deliver({ url, mail: replyTo(mails[0], { text }) })
 *
 *   await sendgrid.report({ url, list: [[mails[0], 'delivered']], key })
 *                              the Event Webhook, in any order; what is
 *                              signed with is first verified by SendGrid's
 *                              own library
 *
 * Alone: node sendgrid.mjs --port 9103 --key SG.…
 */

import crypto from 'node:crypto';
import { bearer, json, options, post, run, serve } from './server.mjs';

const FORBIDDEN = new Set([
    'x-sg-id', 'x-sg-eid', 'received', 'dkim-signature', 'content-type',
    'content-transfer-encoding', 'to', 'from', 'subject', 'reply-to', 'cc',
    'bcc',
]);

const MEMBERS = new Set([
    'personalizations', 'from', 'reply_to', 'reply_to_list', 'subject',
    'content', 'attachments', 'template_id', 'headers', 'categories',
    'custom_args', 'send_at', 'batch_id', 'asm', 'ip_pool_name',
    'mail_settings', 'tracking_settings',
]);

const ADDRESS = /^[^\s@<>",;]+@[^\s@<>",;]+\.[^\s@<>",;]+$/;


export async function start({ port = 0, keys, refuse = {},
    onmail = null } = {}) {
    const mails = [];

    const server = await serve({ port, handle });

    function handle(request) {
        if (request.path !== '/v3/mail/send') {
            return problem(404, 'not found');
        }

        if (request.method !== 'POST') {
            return problem(405, 'method not allowed');
        }

        if (!keys.includes(bearer(request))) {
            return problem(401, 'The provided authorization grant is '
                + 'invalid, expired, or revoked');
        }

        if (!/^application\/json\b/.test(
            request.headers['content-type'] ?? ''))
        {
            return problem(415, 'Content-Type should be application/json.');
        }

        let mail;

        try {
            mail = JSON.parse(new TextDecoder('utf-8', { fatal: true })
                .decode(request.body));
        } catch {
            return problem(400, 'Bad Request');
        }

        const wrong = check(mail);

        if (wrong !== null) {
            return problem(400, wrong[1], wrong[0]);
        }

        const to = mail.personalizations[0].to[0].email;

        if (refuse[to] !== undefined) {
            return problem(refuse[to], 'refused for the test');
        }

        const taken = accept(mail, request);

        mails.push(taken);
        onmail?.(taken);

        return {
            status: 202,
            headers: { 'x-message-id': taken.id },
            body: '',
        };
    }

    return { ...server, mails, refuse, keys, deliver, report };
}


/* a person's answer to a mail that was taken, as mail software writes it */
export function replyTo(mail, { text, html, from = mail.to,
    to = mail.replyTo ?? mail.from, identified = true, name = 'Ada Byron',
    messageId = newMessageId(), headers = {}, quote = true,
    charset = 'utf-8' }) {
    const references = [mail.references, mail.messageId].filter(Boolean)
        .join(' ');
    const quoted = quote
        ? `\r\n\r\nOn Sun, 22 Nov 2026 at 11:46, ${mail.fromName ?? 'Acme'} `
            + `<${mail.from}> wrote:\r\n\r\n`
            + mail.text.replace(/^/gm, '> ') + '\r\n'
        : '';

    return {
        from,
        name,
        to,
        subject: /^re:/i.test(mail.subject) ? mail.subject
            : `Re: ${mail.subject}`,
        text: typeof text === 'string' ? text + quoted : text,
        html,
        charset,
        messageId,
        headers: {
            ...identified ? {
                'In-Reply-To': mail.messageId,
                References: references,
            } : {},
            ...headers,
        },
    };
}


export function newMessageId(domain = 'mail.example.org') {
    return `<${crypto.randomBytes(12).toString('hex')}@${domain}>`;
}


/* the header block of a mail */
export function headerBlock(mail) {
    const lines = [
        `Received: from mail.example.org (mail.example.org [203.0.113.7]) by `
            + 'mx0047p1mdw1.sendgrid.net with ESMTP id 7kd2A; '
            + 'Sun, 22 Nov 2026 11:46:02 +0000 (UTC)',
        `From: ${mail.name} <${mail.from}>`,
        `To: <${mail.to}>`,
        `Subject: ${encoded(mail.subject)}`,
        'Date: Sun, 22 Nov 2026 11:46:00 +0000',
        ...mail.messageId === null ? [] : [`Message-ID: ${mail.messageId}`],
        ...Object.entries(mail.headers ?? {}).map(([k, v]) => `${k}: ${v}`),
        'MIME-Version: 1.0',
    ];

    return lines.join('\r\n') + '\r\n';
}


/* the mail as one MIME message */
export function mime(mail) {
    const part = (type, text) => `Content-Type: ${type}; charset=utf-8\r\n`
        + 'Content-Transfer-Encoding: base64\r\n\r\n'
        + Buffer.from(text, 'utf8').toString('base64')
            .replace(/.{76}/g, '$&\r\n') + '\r\n';

    if (mail.html === undefined || mail.text === undefined) {
        return headerBlock(mail) + part(
            mail.html === undefined ? 'text/plain' : 'text/html',
            mail.html ?? mail.text);
    }

    return headerBlock(mail)
        + 'Content-Type: multipart/alternative; boundary="b1"\r\n\r\n'
        + `--b1\r\n${part('text/plain', mail.text)}`
        + `--b1\r\n${part('text/html', mail.html)}--b1--\r\n`;
}


/* the fields of an Inbound Parse POST, in SendGrid's order */
export function parseFields(mail, mode = 'parsed') {
    const envelope = JSON.stringify({
        to: [mail.envelopeTo ?? mail.to],
        from: mail.envelopeFrom ?? mail.from,
    });
    const after = [
        ['sender_ip', '203.0.113.7'],
        ['envelope', envelope],
        ['SPF', 'pass'],
        ['dkim', `{@${mail.from.split('@')[1]} : pass}`],
    ];

    if (mode === 'raw') {
        return [
            ['email', mail.raw ?? mime(mail)],
            ['to', `<${mail.to}>`],
            ['from', `${mail.name} <${mail.from}>`],
            ['subject', mail.subject],
            ...after,
            ['charsets', '{"to":"UTF-8","from":"UTF-8","subject":"UTF-8"}'],
        ];
    }

    const { files = [] } = mail;
    const charsets = { to: 'UTF-8', from: 'UTF-8', subject: 'UTF-8' };
    const fields = [
        ['headers', headerBlock(mail)],
        ...after.slice(3),
        ['to', `<${mail.to}>`],
        ['from', `${mail.name} <${mail.from}>`],
        ['subject', mail.subject],
    ];

    if (mail.text !== undefined) {
        charsets.text = mail.charset ?? 'utf-8';
        fields.push(['text', bytes(mail.text, charsets.text)]);
    }

    if (mail.html !== undefined) {
        charsets.html = 'utf-8';
        fields.push(['html', mail.html]);
    }

    return [
        ...fields,
        ...after.slice(0, 3),
        ['attachments', String(files.length)],
        ...files.length === 0 ? [] : [['attachment-info', JSON.stringify(
            Object.fromEntries(files.map((f, i) => [`attachment${i + 1}`, {
                filename: f.name, name: f.name, type: f.type,
            }])))]],
        ...files.map((f, i) => [`attachment${i + 1}`, f.bytes, f]),
        ['charsets', JSON.stringify(charsets)],
    ];
}


export function multipart(fields, boundary = 'xYzZY') {
    const parts = [];

    for (const [name, value, file] of fields) {
        parts.push(Buffer.from(`--${boundary}\r\nContent-Disposition: `
            + `form-data; name="${name}"`
            + (file === undefined ? '\r\n\r\n'
                : `; filename="${file.name}"\r\nContent-Type: ${file.type}`
                    + '\r\n\r\n')));
        parts.push(Buffer.isBuffer(value) ? value : Buffer.from(value));
        parts.push(Buffer.from('\r\n'));
    }

    parts.push(Buffer.from(`--${boundary}--\r\n`));

    return {
        type: `multipart/form-data; boundary=${boundary}`,
        body: Buffer.concat(parts),
    };
}


/* the headers of a signed webhook; "key" is a private EC key */
export function signed(key, body, timestamp = Math.floor(Date.now() / 1000)) {
    const sign = crypto.createSign('sha256');

    sign.update(String(timestamp));
    sign.update(body);

    return {
        'x-twilio-email-event-webhook-timestamp': String(timestamp),
        'x-twilio-email-event-webhook-signature': sign.sign(key, 'base64'),
    };
}


async function deliver({ url, mail, mode = 'parsed', key, headers = {} }) {
    const { type, body } = multipart(parseFields(mail, mode));

    const res = await post(url, {
        headers: {
            'content-type': type,
            'user-agent': 'Sendlib/1.0 server.sendgrid.net',
            ...key === undefined ? {} : signed(key, body),
            ...headers,
        },
        body,
    });

    return {
        status: res.status,
        body: res.body,
        messageId: mail.messageId,
    };
}


/* one event of the Event Webhook, with the mail's custom_args beside it */
export function event(mail, name, members = {}) {
    return {
        email: mail.to,
        timestamp: Math.floor(Date.now() / 1000),
        event: name,
        sg_event_id: crypto.randomBytes(16).toString('base64url'),
        sg_message_id: `${mail.id}.recvd-7c5c4f5b-1-0`,
        'smtp-id': mail.messageId,
        ...mail.customArgs,
        ...members,
    };
}


async function report({ url, list, key, publicKey, headers = {} }) {
    const { EventWebhook } = await import('@sendgrid/eventwebhook');
    const body = Buffer.from(JSON.stringify(list.map(
        ([mail, name, members]) => event(mail, name, members))));
    const signature = signed(key, body);

    if (publicKey !== undefined && !new EventWebhook().verifySignature(
        new EventWebhook().convertPublicKeyToECDSA(publicKey.export(
            { type: 'spki', format: 'der' }).toString('base64')), body,
        signature['x-twilio-email-event-webhook-signature'],
        signature['x-twilio-email-event-webhook-timestamp']))
    {
        throw new Error('SendGrid would not believe this signature');
    }

    return post(url, {
        headers: {
            'content-type': 'application/json;charset=utf-8',
            'user-agent': 'SendGrid Event API',
            ...signature,
            ...headers,
        },
        body,
    });
}


/* what is wrong: [field, message], or null */
function check(mail) {
    if (mail === null || typeof mail !== 'object' || Array.isArray(mail)) {
        return [null, 'Bad Request'];
    }

    const strange = Object.keys(mail).find((k) => !MEMBERS.has(k));

    if (strange !== undefined) {
        return [strange, 'Additional property is not allowed'];
    }

    const people = mail.personalizations;

    if (!Array.isArray(people) || people.length < 1 || people.length > 1000) {
        return ['personalizations', 'The personalizations field is required '
            + 'and must have at least one personalization.'];
    }

    for (const p of people) {
        if (!Array.isArray(p.to) || p.to.length < 1
            || !p.to.every((t) => ADDRESS.test(t.email ?? '')))
        {
            return ['personalizations.0.to', 'Does not contain a valid '
                + 'address.'];
        }
    }

    if (!ADDRESS.test(mail.from?.email ?? '')) {
        return ['from.email', 'The from email does not contain a valid '
            + 'address.'];
    }

    if (mail.reply_to !== undefined
        && !ADDRESS.test(mail.reply_to?.email ?? ''))
    {
        return ['reply_to.email', 'Does not contain a valid address.'];
    }

    return checkContent(mail) ?? checkHeaders(mail, people);
}


function checkContent(mail) {
    if (mail.template_id !== undefined) {
        return null;
    }

    if (typeof mail.subject !== 'string' || mail.subject === '') {
        return ['subject', 'The subject is required.'];
    }

    if (!Array.isArray(mail.content) || mail.content.length < 1
        || !mail.content.every((c) => typeof c.type === 'string'
            && typeof c.value === 'string' && c.value !== ''))
    {
        return ['content', 'The content value must be a string at least one '
            + 'character in length.'];
    }

    const plain = mail.content.findIndex((c) => c.type === 'text/plain');

    return plain > 0 ? ['content', 'text/plain must come first.'] : null;
}


function checkHeaders(mail, people) {
    const all = [mail.headers ?? {}, ...people.map((p) => p.headers ?? {})];

    for (const headers of all) {
        for (const [name, value] of Object.entries(headers)) {
            if (FORBIDDEN.has(name.toLowerCase())) {
                return ['headers', `The header ${name} is not allowed.`];
            }

            if (typeof value !== 'string' || /[\r\n]/.test(value)) {
                return ['headers', 'Header values must be strings.'];
            }
        }
    }

    const args = { ...mail.custom_args, ...people[0].custom_args };

    return Object.values(args).some((v) => typeof v !== 'string')
        ? ['custom_args', 'Must be strings.'] : null;
}


function accept(mail, request) {
    const person = mail.personalizations[0];
    const headers = new Map(Object.entries({
        ...mail.headers, ...person.headers,
    }).map(([k, v]) => [k.toLowerCase(), v]));

    return {
        id: crypto.randomBytes(16).toString('base64url'),
        at: request.at,
        to: person.to[0].email,
        toName: person.to[0].name,
        from: mail.from.email,
        fromName: mail.from.name,
        replyTo: mail.reply_to?.email,
        subject: person.subject ?? mail.subject,
        text: mail.content?.find((c) => c.type === 'text/plain')?.value ?? '',
        html: mail.content?.find((c) => c.type === 'text/html')?.value,
        headers,
        messageId: headers.get('message-id'),
        inReplyTo: headers.get('in-reply-to'),
        references: headers.get('references'),
        customArgs: { ...mail.custom_args, ...person.custom_args },
        document: mail,
        request,
    };
}


function problem(status, message, field = null) {
    return json(status, { errors: [{ message, field, help: null }] });
}


function encoded(text) {
    return /^[\x20-\x7e]*$/.test(text) ? text
        : `=?UTF-8?B?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}


function bytes(text, charset) {
    return Buffer.isBuffer(text) ? text
        : Buffer.from(text, /^(utf-?8)$/i.test(charset) ? 'utf8' : 'latin1');
}


if (import.meta.url === `file://${process.argv[1]}`) {
    const o = options();

    await run(start, {
        port: Number(o.port ?? 0),
        keys: [o.key],
        onmail: (m) => console.log(`${m.from} -> ${m.to}: ${m.text}`),
    });
}
