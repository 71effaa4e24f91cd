
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What became of our messages, as the providers say it: late, twice, in any
 * order, about messages of others, and signed by others.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { post } from '../standins/server.mjs';
import { newSid } from '../standins/twilio.mjs';
import { reason, request, scenario, status, until }
    from '../lib/world.mjs';

const PUBLIC = 'https://comms.acme.example';
const REPORTING = { reports: PUBLIC };


function message(conversation, channel) {
    return conversation.messages.find((m) => m.channel === channel
        && m.role === 'assistant');
}


async function counters(w) {
    return (await w.call('GET', '/comms-status')).json.counters;
}


scenario('sent, delivered, read: message and channel', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['whatsapp', 'sms'] });
        const [chat] = w.received('whatsapp');
        const [text] = w.received('sms');

        assert.equal(new URL(chat.statusCallback).origin, PUBLIC);
        assert.notEqual(chat.statusCallback, text.statusCallback);

        await w.report(chat, 'queued');
        await w.report(chat, 'sent');
        await w.report(chat, 'delivered');
        await w.sentOn(begun.thread_id, ['whatsapp'], ['delivered']);
        await w.report(chat, 'read');
        await w.report(text, 'delivered');

        const shown = await w.sentOn(begun.thread_id, ['whatsapp'], ['read']);

        await w.sentOn(begun.thread_id, ['sms'], ['delivered']);
        assert.equal(message(shown, 'whatsapp').status, 'read');
        assert.match(message(shown, 'whatsapp').status_at,
            /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d/);
        assert.equal(shown.conversation_status, 'active');
    });


scenario('read, then what came before it', REPORTING, async (w) => {
    const begun = await w.opened({ channels: ['whatsapp'] });
    const [chat] = w.received('whatsapp');

    await w.report(chat, 'read');

    const read = message(await w.sentOn(begun.thread_id, ['whatsapp'],
        ['read']), 'whatsapp');

    for (const late of ['delivered', 'sent', 'failed', 'undelivered']) {
        await w.report(chat, late, late === 'failed' ? { code: 30008 } : {});
    }

    await w.idle();

    const shown = await w.conversation(begun.thread_id);

    assert.equal(status(shown, 'whatsapp'), 'read');
    assert.equal(message(shown, 'whatsapp').status, 'read');
    assert.equal(message(shown, 'whatsapp').status_at, read.status_at);
    assert.ok(!message(shown, 'whatsapp').reason);
    assert.ok(!reason(shown, 'whatsapp'));
});


scenario('failed with a reason, then delivered after all', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['sms', 'whatsapp'] });
        const [text] = w.received('sms');

        await w.report(text, 'undelivered', { code: 30003 });

        const failed = await w.sentOn(begun.thread_id, ['sms'], ['failed']);

        assert.ok(message(failed, 'sms').reason);
        assert.equal(message(failed, 'sms').reason_code, '30003');
        assert.equal(failed.channel_reasons.sms, message(failed, 'sms').reason);
        assert.equal(failed.conversation_status, 'active');

        await w.report(text, 'delivered');

        const shown = await w.sentOn(begun.thread_id, ['sms'],
            ['delivered']);

        assert.ok(!message(shown, 'sms').reason);
        assert.ok(!shown.channel_reasons?.sms);
    });


scenario('no channel is left: the thread has failed', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['sms', 'email'] });

        await w.report(w.received('sms')[0], 'failed', { code: 30005 });
        await w.sentOn(begun.thread_id, ['sms'], ['failed']);
        assert.equal((await w.events([[w.mailTo(), 'bounce', {
            type: 'bounce', status: '5.1.1', reason: '550 no such user',
        }]])).status, 200);

        const shown = await w.sentOn(begun.thread_id, ['email'], ['bounced']);

        await until(async () => (await w.conversation(begun.thread_id))
            .conversation_status === 'failed');
        assert.ok(message(shown, 'email').reason);
    });


scenario('SendGrid: many events at once, in disorder', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['email'] });
        const mail = w.mailTo();
        const others = Array.from({ length: 200 }, () => [
            { ...mail, customArgs: {} }, 'delivered',
        ]);
        const res = await w.events([
            [mail, 'open'], ...others, [mail, 'delivered'],
            [mail, 'processed'],
        ]);

        assert.equal(res.status, 200, res.body);

        const shown = await w.sentOn(begun.thread_id, ['email'], ['read']);

        assert.equal(message(shown, 'email').status, 'read');
        await w.idle();
        assert.equal(status(await w.conversation(begun.thread_id), 'email'),
            'read');
    });


scenario('the same report many times at once is one', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['sms'] });
        const [text] = w.received('sms');

        await Promise.all(Array.from({ length: 40 }, () =>
            w.report(text, 'delivered')));
        await w.sentOn(begun.thread_id, ['sms'], ['delivered']);
        await w.idle();
        await w.report(text, 'delivered');
        await w.idle();

        assert.equal((await counters(w)).delivered_total, 1);
    });


scenario('the same message of a person many times at once is one',
    REPORTING, async (w) => {
        await w.opened({ channels: ['sms'] });

        const sid = newSid();
        const all = await Promise.all(Array.from({ length: 40 }, () =>
            w.sms('Is Tuesday fine?', { sid })));

        assert.ok(all.every((r) => r.status === 200));
        await until(() => w.received('sms').length === 2);
        await w.idle();
        assert.equal((await w.sms('Is Tuesday fine?', { sid })).status, 200);
        await w.idle();
        assert.equal(w.received('sms').length, 2);
        assert.equal((await counters(w)).inbound_total, 1);
    });


scenario('a report that comes before our own record of the send', REPORTING,
    async (w) => {
        let release;

        w.twilio.fault({
            hold: new Promise((resolve) => { release = resolve; }),
            match: (r) => r.method === 'POST',
        });

        const begun = await w.begin({ channels: ['sms'] });

        await until(() => w.received('sms').length === 1);
        await w.report(w.received('sms')[0], 'delivered');
        await w.sentOn(begun.thread_id, ['sms'], ['delivered']);
        release();
        await w.idle();

        const shown = await w.conversation(begun.thread_id);

        assert.equal(status(shown, 'sms'), 'delivered');
        assert.equal(message(shown, 'sms').status, 'delivered');
        assert.equal(message(shown, 'sms').provider_message_id,
            w.received('sms')[0].sid);
    });


scenario('a send whose answer was lost: the report tells what became of it',
    REPORTING, async (w) => {
        w.twilio.fault({
            match: (r) => r.method === 'POST', drop: true, taken: true,
        });

        const begun = await w.begin({ channels: ['sms'] });

        await w.sentOn(begun.thread_id, ['sms'], ['unknown']);
        await w.report(w.received('sms')[0], 'delivered');

        const shown = await w.sentOn(begun.thread_id, ['sms'],
            ['delivered']);

        assert.equal(message(shown, 'sms').provider_message_id,
            w.received('sms')[0].sid);
    });


scenario('without a marker the provider\'s id is enough, also when it is '
    + 'early', REPORTING, async (w) => {
    let release;

    w.twilio.fault({
        hold: new Promise((resolve) => { release = resolve; }),
        match: (r) => r.method === 'POST',
    });

    const begun = await w.begin({ channels: ['sms'] });

    await until(() => w.received('sms').length === 1);
    await w.report(w.received('sms')[0], 'delivered', {
        url: `${PUBLIC}/webhooks/twilio`,
    });
    await until(async () => (await counters(w)).jobs_retried_total > 0);
    release();
    await w.sentOn(begun.thread_id, ['sms'], ['delivered']);
});


scenario('about no message of ours: forgotten after a while', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['sms'] });
        const [text] = w.received('sms');

        await w.report({ ...text, sid: newSid() }, 'failed', {
            code: 30003, url: `${PUBLIC}/webhooks/twilio`,
        });
        await until(async () => (await counters(w)).status_unknown_total
            === 1, 30_000);
        await w.idle();

        const { queues } = (await w.call('GET', '/comms-status')).json;

        assert.equal(queues.status?.dead ?? 0, 0);
        assert.equal(status(await w.conversation(begun.thread_id), 'sms'),
            'sent');
    });


const OTHER = `AC${'f'.repeat(32)}`;
const OTHER_TOKEN = 'token-of-another-company-0123456';

scenario('another company\'s signature moves nothing', {
    ...REPORTING,
    secrets: {
        'twilio-other': {
            provider: 'twilio', account_sid: OTHER, auth_token: OTHER_TOKEN,
        },
    },
}, async (w) => {
    const begun = await w.opened({ channels: ['sms'] });
    const [text] = w.received('sms');
    const res = await w.report({ ...text, account: OTHER }, 'failed', {
        code: 30003, token: OTHER_TOKEN,
    });

    assert.equal(res.status, 200, 'it is a webhook of a company of ours');
    await until(async () => (await counters(w)).status_unknown_total === 1);
    await w.idle();
    assert.equal(status(await w.conversation(begun.thread_id), 'sms'),
        'sent');

    const forged = await w.report(text, 'failed', { token: 'x'.repeat(32) });

    assert.equal(forged.status, 403);
});


scenario('events with another key, and with none', REPORTING, async (w) => {
    const begun = await w.opened({ channels: ['email'] });
    const pair = crypto.generateKeyPairSync('ec', {
        namedCurve: 'prime256v1',
    });
    const forged = await w.events([[w.mailTo(), 'bounce']], {
        key: pair.privateKey, publicKey: pair.publicKey,
    });

    assert.equal(forged.status, 403);

    const bare = await post(`${w.url}/webhooks/sendgrid/`, {
        headers: { 'content-type': 'application/json' }, body: '[]',
    });

    assert.equal(bare.status, 403);
    await w.idle();
    assert.equal(status(await w.conversation(begun.thread_id), 'email'),
        'sent');
});


scenario('the carrier knows of a STOP', REPORTING, async (w) => {
    await w.opened({ channels: ['sms'] });
    await w.report(w.received('sms')[0], 'undelivered', { code: 21610 });
    await until(async () => (await w.initiate(request({
        channels: ['sms'],
    }))).status === 403);
});


scenario('unsubscribed by mail, in again, and out again', REPORTING,
    async (w) => {
        await w.opened({ channels: ['email'] });

        const may = async () => (await w.initiate(request({
            channels: ['email'],
        }))).status;
        const [mail] = w.received('email');

        await w.events([[mail, 'group_unsubscribe', { asm_group_id: 1 }]]);
        await until(async () => await may() === 403);
        await w.events([[mail, 'group_resubscribe', { asm_group_id: 1 }]]);
        await until(async () => await may() === 202);
        await w.events([[mail, 'group_unsubscribe', { asm_group_id: 1 }]]);
        await until(async () => await may() === 403);
        assert.equal((await counters(w)).opt_out_total, 2);
    });


scenario('reports survive kill -9', {
    ...REPORTING,
    nginx: { visibility: '2s', heartbeat: '500ms', leaseTerm: '2s' },
}, async (w) => {
    w.nginx.allow.push(/exited on signal 9/, /was locked by/);

    const begun = await w.opened({ channels: ['sms'] });
    const [text] = w.received('sms');

    assert.equal((await w.report(text, 'delivered')).status, 200);
    await w.nginx.slaughter();
    await w.nginx.start();
    await w.sentOn(begun.thread_id, ['sms'], ['delivered']);
});


scenario('the AI is told which of its first messages arrived', REPORTING,
    async (w) => {
        const begun = await w.opened({ channels: ['whatsapp', 'sms'] });

        await w.report(w.received('whatsapp')[0], 'read');
        await w.report(w.received('sms')[0], 'undelivered', { code: 30003 });
        await w.sentOn(begun.thread_id, ['whatsapp'], ['read']);
        await w.sentOn(begun.thread_id, ['sms'], ['failed']);
        await w.whatsapp('Yes');
        await until(() => w.received('whatsapp').length === 2);

        const { instructions } = JSON.parse(w.ai.requests
            .filter((r) => r.path === '/v1/responses').at(-1).body);

        assert.match(instructions, /whatsapp was read; sms did not arrive\./);
    });
