
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A stand-in for Twilio's Programmable Messaging: takes messages the way
 * api.twilio.com does, keeps them, lists them, and delivers what people write
 * as signed webhooks.
 *
 *   const twilio = await start({ accounts: { 'AC…': { token: '…' } } });
 *   twilio.messages            taken, oldest first; "text" is what the person
 *                              reads: templates = { 'HX…': 'Hi {{1}}' }
 *   twilio.window = false      no WhatsApp window is open: templates alone
 *   twilio.fault({ ... })      see server.mjs
 *   await twilio.deliver({ url, from, to, body })
 *   await twilio.report({ base, message: messages[0], status: 'delivered' })
 *                              what became of it, to its StatusCallback, in
 *                              any order, signed by Twilio's own library
 *
 * Alone: node twilio.mjs --port 9102 --account AC… --token …
 */

import crypto from 'node:crypto';
import { basic, form, json, options, post, run, serve } from './server.mjs';

const WORDS = {
    20003: [401, 'Authenticate'],
    20404: [404, 'The requested resource was not found'],
    20405: [405, 'Method not allowed'],
    20429: [429, 'Too Many Requests'],
    21211: [400, "Invalid 'To' Phone Number"],
    21212: [400, "Invalid 'From' Phone Number"],
    21408: [403, 'Permission to send an SMS has not been enabled'],
    21602: [400, 'Message body is required'],
    21603: [400, "A 'From' phone number is required"],
    21604: [400, "A 'To' phone number is required"],
    21610: [400, 'Attempt to send to unsubscribed recipient'],
    21617: [400, 'The concatenated message body exceeds the 1600 character '
        + 'limit'],
    21655: [400, 'The ContentSid is invalid'],
    21656: [400, 'The ContentVariables parameter is invalid'],
    21910: [400, "Invalid From and To pair. From and To should be of the "
        + 'same channel'],
    63016: [400, 'Failed to send freeform message because you are outside '
        + 'the allowed window'],
};

/* what the API takes, so that a misspelt name is noticed */
const PARAMETERS = new Set([
    'To', 'From', 'MessagingServiceSid', 'Body', 'MediaUrl', 'ContentSid',
    'ContentVariables', 'StatusCallback', 'ApplicationSid', 'MaxPrice',
    'ProvideFeedback', 'Attempt', 'ValidityPeriod', 'ForceDelivery',
    'ContentRetention', 'AddressRetention', 'SmartEncoded',
    'PersistentAction', 'TrafficType', 'ShortenUrls', 'ScheduleType',
    'SendAt', 'SendAsMms', 'RiskCheck',
]);


export async function start({ port = 0, accounts, refuse = {}, templates = {},
    onmessage = null } = {}) {
    const messages = [];
    const strange = [];
    const self = { window: true };

    const server = await serve({ port, handle });

    function handle(request) {
        const m = /^\/2010-04-01\/Accounts\/(AC[0-9a-f]{32})\/Messages\.json$/
            .exec(request.path);

        if (m === null) {
            return problem(20404);
        }

        if (!authentic(accounts, m[1], basic(request))) {
            return problem(20003);
        }

        if (request.method === 'GET') {
            return json(200, list(messages, m[1], request.query));
        }

        if (request.method !== 'POST') {
            return problem(20405);
        }

        const fields = form(request);

        if (fields === null) {
            return problem(21604);
        }

        for (const name of fields.keys()) {
            if (!PARAMETERS.has(name)) {
                strange.push(name);
            }
        }

        const code = refuse[fields.get('To')]
            ?? (check(fields) || (windowless(fields) ? 63016 : 0));

        if (code !== 0) {
            return problem(code);
        }

        const message = accept(m[1], fields, request, templates);

        messages.push(message);
        onmessage?.(message);

        return json(201, shown(message), {
            'twilio-request-id': `RQ${crypto.randomBytes(16)
                .toString('hex')}`,
        });
    }

    /* a person who wrote nothing on WhatsApp in the last 24 hours */
    function windowless(fields) {
        return !self.window && fields.get('To').startsWith('whatsapp:')
            && !fields.has('ContentSid');
    }

    return Object.assign(self, {
        ...server,
        messages,
        strange,
        refuse,
        accounts,
        deliver: (what) => deliver(accounts, what),
        report: (what) => report(accounts, what),
    });
}


/* base64(HMAC-SHA1(token, URL + sorted names and values)) */
export function sign(token, url, params) {
    const names = [...new Set(params.keys())].sort(bytewise);
    let text = url;

    for (const name of names) {
        for (const value of [...new Set(params.getAll(name))].sort(bytewise)) {
            text += name + value;
        }
    }

    return crypto.createHmac('sha1', token).update(text, 'utf8')
        .digest('base64');
}


/* what Twilio sends when a person wrote; fields as 2026's API has them */
export function inboundFields({ account, from, to, body, sid, repliedTo,
    name = 'Ada', extra = {} }) {
    const whatsapp = from.startsWith('whatsapp:');
    const fields = new URLSearchParams({
        SmsMessageSid: sid,
        NumMedia: '0',
        SmsSid: sid,
        SmsStatus: 'received',
        Body: body,
        To: to,
        NumSegments: '1',
        MessageSid: sid,
        AccountSid: account,
        From: from,
        ApiVersion: '2010-04-01',
    });

    if (whatsapp) {
        fields.set('ProfileName', name);
        fields.set('MessageType', 'text');
        fields.set('WaId', from.replace('whatsapp:+', ''));
        fields.set('ChannelMetadata', JSON.stringify({
            type: 'whatsapp', data: { context: { ProfileName: name } },
        }));
    } else {
        fields.set('FromCountry', 'GB');
        fields.set('FromCity', '');
        fields.set('ToCountry', 'GB');
    }

    if (repliedTo) {
        fields.set('OriginalRepliedMessageSid', repliedTo);
        fields.set('OriginalRepliedMessageSender', to);
    }

    for (const [key, value] of Object.entries(extra)) {
        fields.set(key, value);
    }

    return fields;
}


export function newSid(kind = 'SM') {
    return kind + crypto.randomBytes(16).toString('hex');
}


/* url: where it goes; signUrl: what Twilio believes it asked for */
async function deliver(accounts, { url, signUrl = url, account, sid, token,
    signature, headers = {}, ...what }) {
    const id = account ?? Object.keys(accounts)[0];
    const fields = inboundFields({
        account: id, sid: sid ?? newSid(), ...what,
    });

    const res = await post(url, {
        headers: {
            'content-type': 'application/x-www-form-urlencoded; '
                + 'charset=UTF-8',
            'user-agent': 'TwilioProxy/1.1',
            'i-twilio-idempotency-token': crypto.randomUUID(),
            'x-twilio-signature': signature
                ?? sign(token ?? accounts[id].token, signUrl, fields),
            ...headers,
        },
        body: fields.toString(),
    });

    return {
        status: res.status,
        type: res.headers['content-type'],
        body: res.body,
        sid: fields.get('MessageSid'),
        fields,
    };
}


/* what Twilio sends when a message has come further */
export function statusFields({ message, status, code, extra = {} }) {
    const whatsapp = message.to.startsWith('whatsapp:');

    return new URLSearchParams({
        ...whatsapp ? {
            ChannelToAddress: message.to.replace('whatsapp:', ''),
            ChannelPrefix: 'whatsapp',
            ...status === 'read' ? { EventType: 'READ' } : {},
        } : {},
        ...code === undefined ? {} : {
            ErrorCode: String(code), ErrorMessage: 'as the carrier says',
        },
        SmsSid: message.sid,
        SmsStatus: status,
        MessageStatus: status,
        To: message.to,
        MessageSid: message.sid,
        AccountSid: message.account,
        From: message.from,
        ApiVersion: '2010-04-01',
        ...extra,
    });
}


/* base: where the host of the StatusCallback really is */
async function report(accounts, { base, message, status, code, extra, token,
    url = message.statusCallback.replace(/#.*/, ''), headers = {} }) {
    const fields = statusFields({ message, status, code, extra });
    const { pathname, search } = new URL(url);
    const { default: official } = await import('twilio');

    const res = await post(base + pathname + search, {
        headers: {
            'content-type': 'application/x-www-form-urlencoded; '
                + 'charset=UTF-8',
            'user-agent': 'TwilioProxy/1.1',
            'i-twilio-idempotency-token': crypto.randomUUID(),
            'x-twilio-signature': official.getExpectedTwilioSignature(
                token ?? accounts[message.account].token, url,
                Object.fromEntries(fields)),
            ...headers,
        },
        body: fields.toString(),
    });

    if (res.status !== 200 && token === undefined) {
        throw new Error(`${res.status}: ${res.body}`);
    }

    return { status: res.status, type: res.headers['content-type'],
        body: res.body };
}


function authentic(accounts, sid, login) {
    const account = accounts[sid];

    if (account === undefined || login === null) {
        return false;
    }

    return (login.user === sid && login.password === account.token)
        || (account.key !== undefined && login.user === account.key.sid
            && login.password === account.key.secret);
}


function check(fields) {
    const to = fields.get('To') ?? '';
    const from = fields.get('From') ?? '';

    if (to === '') {
        return 21604;
    }

    if (from === '' && !fields.has('MessagingServiceSid')) {
        return 21603;
    }

    if (!/^(whatsapp:)?\+[1-9][0-9]{1,14}$/.test(to)) {
        return 21211;
    }

    if (from !== '' && !/^(whatsapp:)?\+[1-9][0-9]{1,14}$/.test(from)) {
        return 21212;
    }

    if (to.startsWith('whatsapp:') !== from.startsWith('whatsapp:')) {
        return 21910;
    }

    if (fields.has('ContentSid')) {
        return checkTemplate(fields);
    }

    if ((fields.get('Body') ?? '') === '') {
        return 21602;
    }

    return [...fields.get('Body')].length > 1600 ? 21617 : 0;
}


function checkTemplate(fields) {
    if (!/^HX[0-9a-f]{32}$/.test(fields.get('ContentSid'))) {
        return 21655;
    }

    if (fields.has('ContentVariables')) {
        try {
            const vars = JSON.parse(fields.get('ContentVariables'));

            if (vars === null || typeof vars !== 'object'
                || Array.isArray(vars)
                || Object.values(vars).some((v) => typeof v !== 'string'
                    || v === ''))
            {
                return 21656;
            }
        } catch {
            return 21656;
        }
    }

    return 0;
}


function accept(account, fields, request, templates) {
    const vars = fields.has('ContentVariables')
        ? JSON.parse(fields.get('ContentVariables')) : null;

    return {
        sid: newSid(),
        account,
        at: request.at,
        date: new Date(request.at),
        to: fields.get('To'),
        from: fields.get('From'),
        body: fields.get('Body') ?? '',
        contentSid: fields.get('ContentSid'),
        contentVariables: vars,
        text: fields.get('Body')
            ?? render(templates[fields.get('ContentSid')], vars ?? {}),
        statusCallback: fields.get('StatusCallback'),
        fields,
        request,
    };
}


/* the template's text, or all that was put into it */
function render(template, vars) {
    return template?.replace(/\{\{(\w+)\}\}/g, (all, name) => vars[name] ?? '')
        ?? Object.values(vars).join(' ');
}


function shown(message) {
    return {
        account_sid: message.account,
        api_version: '2010-04-01',
        body: message.body,
        date_created: message.date.toUTCString().replace('GMT', '+0000'),
        date_sent: null,
        date_updated: message.date.toUTCString().replace('GMT', '+0000'),
        direction: 'outbound-api',
        error_code: null,
        error_message: null,
        from: message.from,
        messaging_service_sid: null,
        num_media: '0',
        num_segments: '1',
        price: null,
        price_unit: null,
        sid: message.sid,
        status: 'queued',
        subresource_uris: {
            media: `/2010-04-01/Accounts/${message.account}/Messages/`
                + `${message.sid}/Media.json`,
        },
        to: message.to,
        uri: `/2010-04-01/Accounts/${message.account}/Messages/`
            + `${message.sid}.json`,
    };
}


function list(messages, account, query) {
    const size = Math.min(Number(query.get('PageSize') ?? 50) || 50, 1000);
    const found = messages.filter((m) => m.account === account
        && (!query.has('To') || m.to === query.get('To'))
        && (!query.has('From') || m.from === query.get('From')))
        .reverse().slice(0, size);
    const uri = `/2010-04-01/Accounts/${account}/Messages.json`
        + `?PageSize=${size}&Page=0`;

    return {
        messages: found.map(shown),
        first_page_uri: uri,
        next_page_uri: null,
        previous_page_uri: null,
        page: 0,
        page_size: size,
        start: 0,
        end: Math.max(found.length - 1, 0),
        uri,
    };
}


function problem(code) {
    const [status, message] = WORDS[code] ?? [400, 'Bad request'];

    return json(status, {
        code,
        message,
        more_info: `https://www.twilio.com/docs/errors/${code}`,
        status,
    });
}


function bytewise(a, b) {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
}


if (import.meta.url === `file://${process.argv[1]}`) {
    const o = options();

    await run(start, {
        port: Number(o.port ?? 0),
        accounts: { [o.account]: { token: o.token } },
        onmessage: (m) => console.log(`${m.from} -> ${m.to}: ${m.text}`),
    });
}
