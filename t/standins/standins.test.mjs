
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The stand-ins against the providers' own packages: a stand-in that agreed
 * with nobody but us would prove nothing.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';

import OpenAI from 'openai';
import twilioPackage from 'twilio';
import sendgridMail from '@sendgrid/mail';
import { EventWebhook } from '@sendgrid/eventwebhook';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { simpleParser } from 'mailparser';

import * as openai from './openai.mjs';
import * as twilio from './twilio.mjs';
import * as sendgrid from './sendgrid.mjs';

const SID = `AC${'0123456789abcdef'.repeat(2)}`;
const TOKEN = '12345678901234567890123456789012';


async function withOpenai(t, options = {}) {
    const ai = await openai.start({ keys: ['sk-test'], ...options });

    t.after(() => ai.close());

    return [ai, new OpenAI({
        apiKey: 'sk-test', baseURL: `${ai.url}/v1`, maxRetries: 0,
    })];
}


test('openai: the official client talks to it', async (t) => {
    const [ai, client] = await withOpenai(t);
    const c = await client.conversations.create({
        metadata: { thread_id: 'th_1' },
    });

    assert.match(c.id, /^conv_/);
    assert.equal(c.metadata.thread_id, 'th_1');

    const r = await client.responses.create({
        model: 'gpt-test',
        conversation: c.id,
        input: [{
            role: 'user',
            content: '{"recipient_first_name": "Ada", "jobRole": "Nurse"}',
        }],
        text: {
            format: {
                type: 'json_schema',
                name: 'first',
                strict: true,
                schema: {
                    type: 'object',
                    additionalProperties: false,
                    required: ['sms', 'email'],
                    properties: {
                        sms: {
                            type: 'object',
                            additionalProperties: false,
                            required: ['message'],
                            properties: { message: { type: 'string' } },
                        },
                        email: {
                            type: 'object',
                            additionalProperties: false,
                            required: ['subject', 'message'],
                            properties: {
                                subject: { type: 'string' },
                                message: { type: 'string' },
                            },
                        },
                    },
                },
            },
        },
    });
    const first = JSON.parse(r.output_text);

    assert.match(first.sms.message, /Ada.*Nurse/);
    assert.match(first.email.subject, /Nurse/);
    assert.equal(r.conversation.id, c.id);
    assert.ok(r.usage.total_tokens > 0);

    const listed = await client.conversations.items.list(c.id, {
        order: 'asc',
    });

    assert.deepEqual(listed.data.map((i) => i.role), ['user', 'assistant']);
    assert.deepEqual(ai.strange, []);
    assert.equal((await client.conversations.delete(c.id)).deleted, true);
    await assert.rejects(client.conversations.retrieve(c.id),
        OpenAI.NotFoundError);
});


test('openai: it remembers over channels', async (t) => {
    const [, client] = await withOpenai(t);
    const c = await client.conversations.create({});

    await client.responses.create({
        model: 'm',
        conversation: c.id,
        input: [{ role: 'user', content: '[WhatsApp] I can start Monday' }],
    });

    const r = await client.responses.create({
        model: 'm',
        conversation: { id: c.id },
        input: [{ role: 'user', content: '[email] After 2 pm, please' }],
    });

    assert.match(r.output_text,
        /on WhatsApp: "I can start Monday".*by email: "After 2 pm, please"/);
});


test('openai: a conversation is locked while a response runs', async (t) => {
    const [ai, client] = await withOpenai(t, { think: () => 100 });
    const c = await client.conversations.create({});
    const ask = () => client.responses.create({
        model: 'm', conversation: c.id, input: 'hello',
    });
    const both = await Promise.allSettled([ask(), ask()]);
    const refused = both.find((b) => b.status === 'rejected');

    assert.equal(both.filter((b) => b.status === 'fulfilled').length, 1);
    assert.equal(refused.reason.status, 400);
    assert.equal(refused.reason.code, 'conversation_locked');
    assert.equal(ai.overlaps.length, 1);
    assert.equal(ai.conversations.get(c.id).items.length, 2);
    await ask();
});


test('openai: errors have the official shapes', async (t) => {
    const [ai, client] = await withOpenai(t);
    const stranger = new OpenAI({
        apiKey: 'sk-wrong', baseURL: `${ai.url}/v1`, maxRetries: 0,
    });

    await assert.rejects(stranger.conversations.create({}),
        OpenAI.AuthenticationError);
    await assert.rejects(client.responses.create({
        model: 'm', conversation: 'conv_unknown', input: 'x',
    }), OpenAI.NotFoundError);

    ai.fault({ status: 429, headers: { 'retry-after': '1' },
        body: { error: { message: 'slow', type: 'rate_limit_error',
            param: null, code: 'rate_limit_exceeded' } } });
    await assert.rejects(client.conversations.create({}),
        OpenAI.RateLimitError);

    ai.fault({ drop: true });
    await assert.rejects(client.conversations.create({}),
        OpenAI.APIConnectionError);

    ai.fault({ cut: 10 });
    await assert.rejects(client.conversations.create({}));
    assert.equal(ai.conversations.size, 1);
});


test('twilio: the official client sends and lists', async (t) => {
    const tw = await twilio.start({ accounts: { [SID]: { token: TOKEN } } });

    t.after(() => tw.close());

    const client = at(tw.url, TOKEN);
    const m = await client.messages.create({
        from: 'whatsapp:+447700900001', to: 'whatsapp:+447700900123',
        contentSid: `HX${'a'.repeat(32)}`,
        contentVariables: JSON.stringify({ 1: 'Ada' }),
    });

    assert.match(m.sid, /^SM[0-9a-f]{32}$/);
    assert.equal(m.status, 'queued');
    assert.ok(m.dateCreated instanceof Date && !isNaN(m.dateCreated));
    assert.deepEqual(tw.strange, []);

    const listed = await client.messages.list({
        to: 'whatsapp:+447700900123',
    });

    assert.deepEqual(listed.map((l) => l.sid), [m.sid]);

    for (const [what, code] of [
        [{ from: '+447700900001', to: 'whatsapp:+447700900123', body: 'x' },
            21910],
        [{ from: '+447700900001', to: '+44', body: 'x'.repeat(1601) }, 21617],
        [{ from: '+447700900001', to: 'ada', body: 'x' }, 21211],
        [{ from: '+447700900001', to: '+447700900123' }, 21602],
    ]) {
        await assert.rejects(client.messages.create(what), { code });
    }

    await assert.rejects(at(tw.url, 'wrong').messages.list(), { code: 20003 });
});


test('twilio: its signatures are the official ones', () => {
    for (const [url, params] of [
        ['https://example.org/webhooks/twilio', { Body: 'hi', From: '+1' }],
        ['http://127.0.0.1:8080/w?a=b&c=%20', { Body: 'é ✓ + & =', A: '' }],
    ]) {
        assert.equal(twilio.sign(TOKEN, url, new URLSearchParams(params)),
            twilioPackage.getExpectedTwilioSignature(TOKEN, url, params));
    }

    assert.equal(twilio.sign('12345',
        'https://mycompany.com/myapp.php?foo=1&bar=2', new URLSearchParams({
            CallSid: 'CA1234567890ABCDE', Caller: '+12349013030',
            From: '+12349013030', Digits: '1234', To: '+18005551212',
        })), '0/KCTR6DLpKmkAf8muzZqo1nDgQ=');
});


test('sendgrid: the official client sends', async (t) => {
    const sg = await sendgrid.start({ keys: ['SG.test'] });

    t.after(() => sg.close());
    sendgridMail.setApiKey('SG.test');
    sendgridMail.client.setDefaultRequest('baseUrl', sg.url);

    const [res] = await sendgridMail.send({
        to: 'ada@example.org', from: { email: 'jobs@acme.example',
            name: 'Acme' },
        replyTo: 'reply+x@inbound.acme.example',
        subject: 'Hello', text: 'Dear Ada',
        headers: { 'Message-ID': '<1@acme.example>' },
    });

    assert.equal(res.statusCode, 202);
    assert.equal(res.headers['x-message-id'].length, 22);
    assert.equal(sg.mails[0].messageId, '<1@acme.example>');
    assert.equal(sg.mails[0].replyTo, 'reply+x@inbound.acme.example');

    await assert.rejects(sendgridMail.send({
        to: 'ada@example.org', from: 'jobs@acme.example', subject: 'x',
        text: 'y', headers: { Subject: 'no' },
    }), { code: 400 });

    sendgridMail.setApiKey('SG.wrong');
    sendgridMail.client.setDefaultRequest('baseUrl', sg.url);
    await assert.rejects(sendgridMail.send({
        to: 'ada@example.org', from: 'jobs@acme.example', subject: 'x',
        text: 'y',
    }), { code: 401 });
});


test('sendgrid: its signatures are the official ones', () => {
    const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', {
        namedCurve: 'prime256v1',
    });
    const body = Buffer.from('--x\r\n\r\n--x--\r\n');
    const headers = sendgrid.signed(privateKey, body);
    const hook = new EventWebhook();

    assert.ok(hook.verifySignature(
        hook.convertPublicKeyToECDSA(publicKey.export({
            type: 'spki', format: 'der',
        }).toString('base64')), body,
        headers['x-twilio-email-event-webhook-signature'],
        headers['x-twilio-email-event-webhook-timestamp']));
});


test('sendgrid: its mails are mails', async () => {
    const taken = {
        from: 'jobs@acme.example', to: 'ada@example.org', subject: 'Grüße',
        text: 'Dear Ada', messageId: '<1@acme.example>',
        replyTo: 'reply+t@inbound.acme.example',
    };
    const mail = sendgrid.replyTo(taken, {
        text: 'After 2 pm ✓', html: '<p>After 2 pm ✓</p>',
    });
    const read = await simpleParser(sendgrid.mime(mail));

    assert.equal(read.subject, 'Re: Grüße');
    assert.equal(read.inReplyTo, '<1@acme.example>');
    assert.equal(read.from.value[0].address, 'ada@example.org');
    assert.match(read.text, /^After 2 pm ✓/);

    const composed = await new MailComposer({
        from: 'a@b.example', to: 'c@d.example', text: 'x',
    }).compile().build();

    assert.match(composed.toString(), /^From: a@b.example/m);
});


/* the official client, its API moved to the stand-in */
function at(url, token) {
    class Client {
        constructor() {
            this.inner = new twilioPackage.RequestClient();
        }

        request(opts) {
            return this.inner.request({
                ...opts,
                uri: opts.uri.replace('https://api.twilio.com', url),
            });
        }
    }

    return twilioPackage(SID, token, { httpClient: new Client() });
}
