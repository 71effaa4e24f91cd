
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A stand-in for Meta's WhatsApp Cloud API: takes messages the way
 * graph.facebook.com does, keeps them, holds files, and posts what people
 * write, and what became of messages, as signed webhooks.
 *
 *   const meta = await start({ numbers: { '1000…': {
 *       token: '…', secret: '…', display: '15550783881' } } });
 *   meta.messages              taken, oldest first; "text" is what the person
 *                              reads: templates = { 'hi/en_US': 'Hi {{1}}' }
 *   meta.lost                  taken with 200 and never delivered, as the real
 *                              one does with a user's id in "to"
 *   meta.fault({ ... })        see server.mjs
 *   await meta.deliver({ url, from, body })
 *   await meta.report({ url, message, status, code })
 *   await meta.post({ url, document }) or ({ url, body: raw bytes })
 *   await meta.subscribe({ url, token })
 *
 * Alone: node meta.mjs --port 9104 --number 1000… --token … --secret …
 */

import crypto from 'node:crypto';
import { json, options, post, run, serve } from './server.mjs';

const WORDS = {
    33: [400, 'Unsupported post request. Object does not exist'],
    100: [400, 'Invalid parameter'],
    131008: [400, 'Required parameter is missing'],
    131009: [400, 'Parameter value is not valid'],
    131021: [400, 'Recipient cannot be sender'],
    131047: [400, 'Re-engagement message'],
    131051: [400, 'Unsupported message type'],
    131056: [400, 'Pair rate limit hit'],
    130429: [429, 'Rate limit hit'],
    132000: [400, 'Number of parameters does not match'],
    132001: [404, 'Template name does not exist in the translation'],
    133010: [400, 'Phone number not registered'],
    190: [401, 'Error validating access token'],
};

/* what the API takes, so that a misspelt name is noticed */
const MEMBERS = new Set([
    'messaging_product', 'recipient_type', 'to', 'recipient', 'type',
    'context', 'biz_opaque_callback_data', 'text', 'template', 'image',
    'audio', 'video', 'document', 'sticker', 'location', 'contacts',
    'reaction', 'interactive',
]);

const BSUID = /^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$/;


export async function start({ port = 0, numbers, refuse = {}, templates = {},
    files = {}, onmessage = null } = {}) {
    const messages = [];
    const lost = [];
    const strange = [];

    const server = await serve({ port, handle });

    function handle(request) {
        const m = /^\/v\d+\.\d+\/(\d+)(\/messages)?$/.exec(request.path);
        const bearer = /^Bearer (.+)$/.exec(
            request.headers.authorization ?? '')?.[1];
        const owner = Object.values(numbers).find((n) => n.token === bearer);

        if (request.path.startsWith('/files/')) {
            return file(files[request.path.slice('/files/'.length)], owner);
        }

        if (m === null) {
            return problem(100);
        }

        if (owner === undefined) {
            return problem(190);
        }

        if (request.method === 'GET') {
            return described(m[1], files[m[1]], server.url);
        }

        return numbers[m[1]] === owner && m[2] !== undefined
            ? take(request, m[1], owner) : problem(33);
    }

    function take(request, number, owner) {
        let document;

        try {
            document = JSON.parse(request.body.toString());
        } catch {
            return problem(100);
        }

        strange.push(...Object.keys(document).filter((k) => !MEMBERS.has(k)));

        const to = document.to ?? document.recipient;
        const code = refuse[to] ?? check(document, owner, templates);

        if (code !== 0) {
            return problem(code);
        }

        const message = accept(document, number, request, templates);

        /* the trap: taken, named, and gone */

        if (document.to !== undefined && BSUID.test(document.to)) {
            lost.push(message);
        } else {
            messages.push(message);
            onmessage?.(message);
        }

        return json(200, {
            messaging_product: 'whatsapp',
            contacts: [{ input: to, wa_id: to }],
            messages: [{ id: message.id, message_status: 'accepted' }],
        });
    }

    const first = Object.keys(numbers)[0];
    const send = (what) => postSigned({
        secret: numbers[what.number ?? first].secret, ...what,
    });
    const value = (number, content) => envelope({
        messaging_product: 'whatsapp',
        metadata: {
            display_phone_number: numbers[number ?? first].display,
            phone_number_id: number ?? first,
        },
        ...content,
    });

    return {
        ...server,
        messages,
        lost,
        strange,
        refuse,
        post: send,
        deliver: ({ number, ...what }) => send({
            number, ...what, body: undefined,
            document: value(number, inbound(what)),
        }),
        report: ({ number, ...what }) => send({
            number, ...what, document: value(number, statuses(what)),
        }),
        subscribe,
    };
}


/* "sha256=" and the hex of HMAC-SHA256 over the raw bytes */
export function sign(secret, bytes) {
    return `sha256=${crypto.createHmac('sha256', secret).update(bytes)
        .digest('hex')}`;
}


/* Meta writes what is not ASCII, and slashes, as escapes */
export function serialise(document) {
    return JSON.stringify(document)
        .replaceAll('/', '\\/')
        .replace(/[^\x20-\x7e]/g, (c) => '\\u'
            + c.charCodeAt(0).toString(16).padStart(4, '0'));
}


export function newWamid() {
    return `wamid.${crypto.randomBytes(30).toString('base64')}`;
}


/* what Meta sends when a person wrote; "message" replaces the text */
export function inbound({ from, userId, body, id = newWamid(), repliedTo,
    name = 'Ada', at = Date.now(), message = {} }) {
    const who = {
        ...from === undefined ? {} : { from: from.replace('+', '') },
        ...userId === undefined ? {} : { from_user_id: userId },
    };

    return {
        contacts: [{
            profile: { name },
            ...who.from === undefined ? {} : { wa_id: who.from },
            ...userId === undefined ? {} : { user_id: userId },
        }],
        messages: [{
            ...who,
            id,
            timestamp: String(Math.floor(at / 1000)),
            ...body === undefined ? {} : { type: 'text', text: { body } },
            ...repliedTo === undefined ? {} : { context: { id: repliedTo } },
            ...message,
        }],
    };
}


/* what became of a message that was taken */
export function statuses({ message, status, code, at = Date.now() }) {
    return {
        statuses: [{
            id: message.id,
            status,
            timestamp: String(Math.floor(at / 1000)),
            ...message.to === undefined ? {} : { recipient_id: message.to },
            ...message.recipient === undefined ? {}
                : { recipient_user_id: message.recipient },
            ...message.marker === undefined ? {}
                : { biz_opaque_callback_data: message.marker },
            ...code === undefined ? {} : {
                errors: [{
                    code, title: WORDS[code]?.[1] ?? 'Failed',
                    error_data: { details: 'as it was asked for' },
                }],
            },
        }],
    };
}


export function envelope(value, field = 'messages') {
    return {
        object: 'whatsapp_business_account',
        entry: [{ id: '200000000000002', changes: [{ value, field }] }],
    };
}


async function postSigned({ url, document, body, secret, signature,
    headers = {} }) {
    const bytes = Buffer.from(body ?? serialise(document));
    const res = await post(url, {
        headers: {
            'content-type': 'application/json',
            'user-agent': 'facebookexternalua',
            'x-hub-signature-256': signature ?? sign(secret, bytes),
            ...headers,
        },
        body: bytes,
    });

    return {
        status: res.status,
        body: res.body,
        id: document?.entry?.[0]?.changes?.[0]?.value?.messages?.[0]?.id,
    };
}


/* the GET by which Meta asks whether the address is ours */
async function subscribe({ url, token, challenge = '1158201444' }) {
    const args = new URLSearchParams({
        'hub.mode': 'subscribe',
        'hub.challenge': challenge,
        'hub.verify_token': token,
    });

    return post(`${url}?${args}`, { method: 'GET' });
}


function check(document, owner, templates) {
    const to = document.to ?? document.recipient;

    if (document.messaging_product !== 'whatsapp' || to === undefined) {
        return 131008;
    }

    if (document.to === owner.display) {
        return 131021;
    }

    if (!/^\+?[1-9][0-9]{1,14}$/.test(to) && !BSUID.test(to)) {
        return 131009;
    }

    const content = document[document.type];

    if (typeof content !== 'object') {
        return 131008;
    }

    switch (document.type) {
    case 'text':
        return typeof content.body === 'string' && content.body !== ''
            && [...content.body].length <= 4096 ? 0 : 100;

    case 'template':
        return checkTemplate(content, templates);

    case 'image': case 'audio': case 'video': case 'document': case 'sticker':
        return /^https?:\/\//.test(content.link ?? '') ? 0 : 131009;

    default:
        return 131051;
    }
}


function checkTemplate(template, templates) {
    const text = templates[`${template.name}/${template.language?.code}`];
    const given = parameters(template);

    if (Object.keys(templates).length > 0 && text === undefined) {
        return 132001;
    }

    if (given.some((p) => p.type !== 'text' || typeof p.text !== 'string'
        || p.text === '' || /[\n\t]| {5}/.test(p.text)))
    {
        return 100;
    }

    const wanted = text?.match(/\{\{\w+\}\}/g)?.length ?? given.length;

    return wanted === given.length ? 0 : 132000;
}


function parameters(template) {
    return template.components?.find((c) => c.type === 'body')?.parameters
        ?? [];
}


function accept(document, number, request, templates) {
    return {
        id: newWamid(),
        number,
        at: request.at,
        to: document.to,
        recipient: document.recipient,
        type: document.type,
        document,
        marker: document.biz_opaque_callback_data,
        repliedTo: document.context?.message_id,
        text: document.text?.body ?? document[document.type].caption
            ?? render(document.template, templates),
        request,
    };
}


/* the template's text, or all that was put into it */
function render(template, templates) {
    if (template === undefined) {
        return '';
    }

    const given = parameters(template);
    const named = Object.fromEntries(given.map((p, i) => [
        p.parameter_name ?? String(i + 1), p.text,
    ]));

    return templates[`${template.name}/${template.language.code}`]
        ?.replace(/\{\{(\w+)\}\}/g, (all, name) => named[name] ?? '')
        ?? given.map((p) => p.text).join(' ');
}


function described(id, known, url) {
    return known === undefined ? problem(100) : json(200, {
        messaging_product: 'whatsapp',
        url: `${url}/files/${id}`,
        mime_type: known.type,
        sha256: crypto.createHash('sha256').update(known.bytes).digest('hex'),
        file_size: String(known.bytes.length),
        id,
    });
}


function file(known, owner) {
    if (known === undefined || owner === undefined) {
        return { status: 404, body: '' };
    }

    return {
        status: 200,
        headers: { 'content-type': known.type },
        body: known.bytes,
    };
}


function problem(code) {
    const [status, message] = WORDS[code] ?? [400, 'Something went wrong'];

    return json(status, {
        error: {
            message: `(#${code}) ${message}`,
            type: 'OAuthException',
            code,
            error_data: { messaging_product: 'whatsapp', details: message },
            fbtrace_id: crypto.randomBytes(12).toString('base64url'),
        },
    });
}


if (import.meta.url === `file://${process.argv[1]}`) {
    const o = options();

    await run(start, {
        port: Number(o.port ?? 0),
        numbers: {
            [o.number]: {
                token: o.token, secret: o.secret,
                display: o.display ?? '15550783881',
            },
        },
        onmessage: (m) => console.log(`-> ${m.to ?? m.recipient}: ${m.text}`),
    });
}
