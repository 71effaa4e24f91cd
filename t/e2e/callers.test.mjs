
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Callers: repeated, forged, proxied, malformed.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import net from 'node:net';
import { once } from 'node:events';
import twilioPackage from 'twilio';

import { multipart, parseFields, replyTo } from '../standins/sendgrid.mjs';
import { inboundFields, newSid, sign } from '../standins/twilio.mjs';
import { ADA, API_KEY, COMPANY, INBOUND, MAIL_KEY, REPLY_KEY, SID, TOKEN, post,
    request, scenario, until } from '../lib/world.mjs';


scenario('a repeated request is answered alike and sends nothing', {
    nginx: { workers: 2 },
}, async (w) => {
    const document = request();
    const all = await Promise.all([...Array(8)].map(() =>
        w.initiate(document)));

    for (const res of all) {
        assert.equal(res.status, 202, res.body);
        assert.deepEqual(res.json, all[0].json);
    }

    await w.sentOn(all[0].json.thread_id, all[0].json.channels);
    assert.deepEqual((await w.initiate(document)).json, all[0].json);

    const other = structuredClone(document);

    other.project_data.jobRole = 'Nurse';

    const refused = await w.initiate(other);

    assert.equal(refused.status, 409);
    assert.equal(refused.json.error_code, 'REQUEST_ID_REUSED');
    await w.idle();
    assert.equal(w.ai.calls.length, 1);
    assert.equal(w.twilio.messages.length, 2);
    assert.equal(w.sendgrid.mails.length, 1);
});


scenario('forged webhooks are refused and leave nothing', {}, async (w) => {
    await w.opened();

    const mail = replyTo(w.mailTo(), { text: 'Forged' });
    const tries = [
        w.whatsapp('Forged', { signature: 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }),
        w.whatsapp('Forged', { token: 'x'.repeat(32) }),
        w.whatsapp('Forged', { signUrl: 'https://elsewhere.example/x' }),
        w.whatsapp('Forged', { headers: { 'x-twilio-signature': '' } }),
        post(w.twilioHook, { headers: { 'content-type':
            'application/x-www-form-urlencoded' }, body: 'Body=Forged' }),
        w.email(mail, { url: `${w.url}/webhooks/sendgrid/${'x'.repeat(24)}` }),
        w.email(mail, { url: `${w.url}/webhooks/sendgrid/` }),
        w.email(mail, { url: `${w.url}/webhooks/sendgrid/${
            INBOUND.slice(0, -1)}` }),
    ];

    for (const [i, res] of (await Promise.all(tries)).entries()) {
        assert.equal(res.status, 403, `try ${i}: ${res.body}`);
    }

    const figures = await w.idle();

    assert.ok(!JSON.stringify(figures.threads ?? {}).includes('Forged'));
    assert.equal(w.ai.calls.length, 1);
    await w.sms('Real');
    await until(() => w.received('sms').length === 2);
    assert.equal(w.ai.calls.length, 2);
});


scenario('a mail signed with a security policy', (() => {
    const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', {
        namedCurve: 'prime256v1',
    });

    return {
        key: privateKey,
        secrets: {
            'sendgrid-acme': {
                provider: 'sendgrid', api_key: MAIL_KEY,
                inbound_tokens: [INBOUND], reply_keys: [REPLY_KEY],
                inbound_public_key: publicKey.export({
                    type: 'spki', format: 'der',
                }).toString('base64'),
            },
        },
    };
})(), async (w) => {
    await w.opened({ channels: ['email'] });

    const mail = replyTo(w.mailTo(), { text: 'Signed' });

    assert.equal((await w.email(mail)).status, 403, 'not signed');

    const { privateKey } = crypto.generateKeyPairSync('ec', {
        namedCurve: 'prime256v1',
    });

    assert.equal((await w.email(mail, { key: privateKey })).status, 403,
        'signed by somebody else');
    assert.equal((await w.email(mail, { key: w.options.key })).status, 200);
    await until(() => w.received('email').length === 2);
});


scenario('behind a proxy the public URL counts', {
    nginx: { publicBaseUrl: 'https://comms.example.org' },
}, async (w) => {
    await w.opened({ channels: ['sms'] });

    const signUrl = 'https://comms.example.org/webhooks/twilio';
    const fields = inboundFields({
        account: SID, from: ADA.tel, to: COMPANY.sms, body: 'Hi', sid: newSid(),
    });

    assert.ok(twilioPackage.validateRequest(TOKEN, sign(TOKEN, signUrl, fields),
        signUrl, Object.fromEntries(fields)));
    assert.equal((await w.sms('Through the proxy', { signUrl })).status, 200);
    await until(() => w.received('sms').length === 2);
    assert.equal((await w.sms('With a port', {
        signUrl: 'https://comms.example.org:443/webhooks/twilio',
    })).status, 200);
    await until(() => w.received('sms').length === 3);
    assert.equal((await w.sms('With a query', {
        url: `${w.twilioHook}?a=b%20c&d`, signUrl: `${signUrl}?a=b%20c&d`,
    })).status, 200);
    await until(() => w.received('sms').length === 4);
    assert.equal((await w.sms('Another host', {
        signUrl: 'https://evil.example.org/webhooks/twilio',
    })).status, 403);
});


scenario('a token that was rotated away still verifies', {
    secrets: {
        'twilio-acme': {
            provider: 'twilio', account_sid: SID, auth_token: TOKEN,
            previous_auth_tokens: ['old56789012345678901234567890123'],
        },
    },
}, async (w) => {
    await w.opened({ channels: ['sms'] });
    assert.equal((await w.sms('Old', {
        token: 'old56789012345678901234567890123',
    })).status, 200);
    await until(() => w.received('sms').length === 2);
});


scenario('a webhook that cannot be kept is not acknowledged', {
    nginx: { workers: 1 },
}, async (w) => {
    const res = await post(w.twilioHook, { method: 'GET' });

    assert.ok(res.status === 405 || res.status === 403, String(res.status));

    const api = await w.call('GET', '/initiate-conversation');

    assert.equal(api.status, 405);
});


scenario('garbage is refused, stored nowhere, and hurts no worker', {},
    async (w) => {
        await w.opened({ channels: ['sms'] });

        const [pid] = w.nginx.workers();
        const valid = JSON.stringify(request());
        const bodies = [
            '', '{', 'null', '[]', '"x"', '1e999', valid.slice(0, -1),
            `${valid}x`, '['.repeat(100_000), '{"a":'.repeat(50_000),
            Buffer.from([0xff, 0xfe, 0x7b]),
            valid.replace('Ada', '\\u0000'),
            Buffer.from(valid.replace('Ada', 'A\u0000')),
            Buffer.concat([Buffer.from(valid.slice(0, 200)),
                Buffer.from([0xc3, 0x28]), Buffer.from(valid.slice(200))]),
            valid.replace('"company_data"', '"company_data":1,"company_data"'),
            valid.replace('"Ada"', `"${'x'.repeat(2_000_000)}"`),
        ];

        for (const [i, body] of bodies.entries()) {
            const res = await w.call('POST', '/initiate-conversation', {
                body,
                headers: { 'content-type': 'application/json' },
            });

            assert.ok(res.status >= 400 && res.status < 500,
                `body ${i}: ${res.status}`);

            if (res.status === 400) {
                assert.equal(res.json.status, 'error', `body ${i}`);
            }
        }

        await headers(w);
        await mails(w);
        await forms(w);
        assert.deepEqual(w.nginx.workers(), [pid]);
        await w.idle();
        assert.equal(w.ai.calls.length, 1);

        const listed = await w.call('GET', '/conversations?company_id='
            + 'ci-aaa-001&project_id=pi-aaa-001');

        assert.equal(listed.json.conversations.length, 1);
    });


/* 10,000 headers of noise */
async function headers(w) {
    const socket = net.connect(w.nginx.port, '127.0.0.1');
    let answer = '';

    socket.setEncoding('latin1');
    socket.on('data', (d) => { answer += d; });
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write('POST /initiate-conversation HTTP/1.1\r\nHost: x\r\n');

    for (let i = 0; i < 10_000 && !socket.destroyed; i++) {
        socket.write(`X-${crypto.randomBytes(4).toString('hex')}: ${
            crypto.randomBytes(12).toString('hex')}\r\n`);
    }

    socket.end(`x-api-key: ${API_KEY}\r\nContent-Length: 2\r\n\r\n{}`);
    await new Promise((resolve) => { socket.on('close', resolve); });
    assert.match(answer, /^HTTP\/1\.1 4\d\d|^$/);
}


/* multipart bodies that end too early, and worse */
async function mails(w) {
    const mail = {
        from: ADA.email, name: 'Ada', to: COMPANY.reply, subject: 'x',
        text: 'garbage', messageId: '<g@example.org>', headers: {},
    };
    const { type, body } = multipart(parseFields(mail));
    const send = (b, t = type) => post(w.sendgridHook, {
        headers: { 'content-type': t }, body: b,
    });
    const bad = [
        [body.subarray(0, 40)],
        [body.subarray(0, body.length - 30)],
        [Buffer.alloc(0)],
        [Buffer.alloc(5000, 0)],
        [body, 'multipart/form-data'],
        [body, 'multipart/form-data; boundary='],
        [body, `multipart/form-data; boundary=${'x'.repeat(500)}`],
        [body, 'application/json'],
        [multipart([['envelope', '{}']]).body],
        [multipart([['envelope', 'not json'], ['headers', 'x']]).body],
        [multipart([...parseFields(mail).filter(([n]) => n !== 'envelope'),
            ['envelope', '{"to":["a"],"from":"\u0000"}']]).body],
        [multipart([...Array(20_000).keys()].map((i) => [`n${i}`, ''])).body],
    ];

    for (const [i, [b, t]] of bad.entries()) {
        const res = await send(b, t);

        assert.ok(res.status >= 400 && res.status < 500,
            `mail ${i}: ${res.status}`);
    }
}


/* signed forms that make no sense: the signature is right, the rest is not */
async function forms(w) {
    const send = (text) => post(w.twilioHook, {
        headers: {
            'content-type': 'application/x-www-form-urlencoded',
            'x-twilio-signature': sign(TOKEN, w.twilioHook,
                new URLSearchParams(text)),
        },
        body: text,
    });

    for (const text of ['', 'x', '%zz=1', '=&=&==', `AccountSid=${SID}`,
        `AccountSid=${SID}&MessageSid=&From=&To=&Body=`])
    {
        const res = await send(text);

        assert.ok(res.status >= 400 && res.status < 500,
            `form ${text}: ${res.status}`);
    }

    /* a sender of a kind that nobody knows yet: taken note of, not kept */
    assert.equal((await w.sms('x', { from: 'ada' })).status, 200);
}
