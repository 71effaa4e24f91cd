
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Providers that fail in every way they know.  Whatever happens: nothing is
 * lost, nothing that may have been taken is sent again, and what cannot be
 * done has a reason.
 */

import assert from 'node:assert/strict';

import { message } from '../standins/openai.mjs';
import * as openai from '../standins/openai.mjs';
import * as twilio from '../standins/twilio.mjs';
import { AI_KEY, SID, TOKEN, person, reason, scenario, status, until }
    from '../lib/world.mjs';

const QUICK = { readTimeout: '1s', visibility: '5s', leaseTerm: '5s' };
const SETTLED = ['sent', 'failed', 'unknown', 'cancelled'];
const MISTAKE = (code, words) => ({
    code, message: words, more_info: 'https://www.twilio.com/docs', status: 400,
});


/* name: [the fault, states it may end in, requests it may cost] */
const sends = {
    'rate limited': [{ status: 429, body: MISTAKE(20429, 'Too Many') },
        ['sent'], 2],
    'rate limited in HTML': [{ status: 429, body: '<html>' }, ['sent'], 2],
    '503': [{ status: 503, body: '' }, ['sent', 'unknown'], 2],
    '500 with the message taken': [{ status: 500, body: '{}', taken: true },
        ['unknown'], 1],
    '502 page of a proxy': [{ status: 502, body: '<html>' },
        ['sent', 'unknown'], 2],
    'invalid number': [{ status: 400, body: MISTAKE(21211, 'Invalid') },
        ['failed'], 1],
    'unknown code': [{ status: 400, body: MISTAKE(29999, 'What') },
        ['failed'], 1],
    'slow but in time': [{ delay: 400 }, ['sent'], 1],
    'too slow': [{ delay: 2500 }, ['unknown'], 1],
    'never answers': [{ stall: true }, ['unknown'], 1],
    'cut answer': [{ cut: 20 }, ['unknown', 'sent'], 1],
    'no answer, taken': [{ drop: true, taken: true }, ['unknown'], 1],
    'no answer, not taken': [{ drop: true }, ['unknown'], 1],
    'reset': [{ reset: true, taken: true }, ['unknown'], 1],
    'empty answer': [{ empty: true }, ['unknown', 'sent'], 1],
    'not JSON': [{ garbage: true }, ['unknown', 'sent'], 1],
    'huge answer': [{ huge: 3_000_000 }, ['unknown', 'sent'], 1],
    'redirect': [{ status: 302, headers: { location: 'http://127.0.0.1:1/' },
        body: '' }, ['failed', 'unknown'], 1],
    'X-Accel-Redirect': [{ change: (a) => ({ ...a, headers: { ...a.headers,
        'x-accel-redirect': '/comms-status' } }) }, ['sent'], 1],
};


scenario('what Twilio may do to a send', { nginx: QUICK, timeout: 180_000 },
    async (w) => {
        const cases = Object.entries(sends);

        await Promise.all(cases.map(async ([name, expected], n) => {
            const [fault, states, cost] = expected;
            const p = person(n);
            const to = encodeURIComponent(p.recipient_tel);
            const mine = (r) => r.method === 'POST'
                && r.body.includes(`To=${to}`);

            w.twilio.fault({ ...fault, match: mine });

            const begun = await w.begin({ channels: ['sms'], person: p });
            const shown = await w.sentOn(begun.thread_id, ['sms'], SETTLED,
                60_000);
            const state = status(shown, 'sms');
            const taken = w.received('sms', { tel: p.recipient_tel }).length;
            const asked = w.twilio.requests.filter(mine).length;

            assert.ok(states.includes(state), `${name}: ${state}, `
                + `${reason(shown, 'sms')}`);
            assert.ok(asked <= cost, `${name}: ${asked} requests`);
            assert.ok(taken <= 1, `${name}: sent ${taken} times`);
            assert.ok(state !== 'sent' || taken === 1, `${name}: ${taken}`);
            assert.ok(state === 'sent' || reason(shown, 'sms'),
                `${name}: no reason`);
        }));
        await w.idle(60_000);
    });


const mailFaults = {
    'rate limited': [{ status: 429, headers: { 'x-ratelimit-reset':
        String(Math.floor(Date.now() / 1000) + 1) },
    body: { errors: [{ message: 'too many requests', field: null }] } },
    ['sent']],
    '413 in HTML': [{ status: 413, body: '<html>' }, ['failed']],
    '400': [{ status: 400, body: { errors: [{ message: 'x', field: 'y' }] } },
        ['failed']],
    '503': [{ status: 503, body: '' }, ['sent', 'unknown']],
    'no answer': [{ drop: true, taken: true }, ['unknown']],
    'too slow': [{ delay: 2500 }, ['unknown']],
    'no X-Message-Id': [{ change: (a) => ({ ...a, headers: {} }) },
        ['sent', 'unknown']],
};


scenario('what SendGrid may do to a send', { nginx: QUICK, timeout: 180_000 },
    async (w) => {
        const cases = Object.entries(mailFaults);

        await Promise.all(cases.map(async ([name, [fault, states]], n) => {
            const p = person(n);

            w.sendgrid.fault({
                ...fault, match: (r) => r.body.includes(p.recipient_email),
            });

            const begun = await w.begin({ channels: ['email'], person: p });
            const shown = await w.sentOn(begun.thread_id, ['email'], SETTLED,
                60_000);
            const state = status(shown, 'email');
            const taken = w.received('email',
                { email: p.recipient_email }).length;

            assert.ok(states.includes(state), `${name}: ${state}, `
                + `${reason(shown, 'email')}`);
            assert.ok(taken <= 1, `${name}: sent ${taken} times`);
            assert.ok(state !== 'sent' || taken === 1, `${name}: ${taken}`);
        }));
    });


const error = (status, code, type = 'server_error', headers = {}) => ({
    status, headers: { 'content-type': 'application/json', ...headers },
    body: { error: { message: 'for the test', type, param: null, code } },
});

/* all of them pass: the AI is asked again, or its answer is found */
const thoughts = {
    '500': error(500, 'server_error'),
    '503': error(503, 'server_is_overloaded'),
    '429': error(429, 'rate_limit_exceeded', 'requests',
        { 'retry-after': '1' }),
    locked: error(400, 'conversation_locked', 'invalid_request_error'),
    'no answer': { drop: true },
    'no answer, but it ran': { drop: true, taken: true },
    'cut answer': { cut: 100 },
    'empty answer': { empty: true },
    'not JSON': { garbage: true },
    'huge answer': { huge: 3_000_000 },
    'too slow': { delay: 2500 },
    'never answers': { stall: true },
    'failed in a 200': {
        taken: false, status: 200, body: {
            id: 'resp_1', object: 'response', status: 'failed',
            error: { code: 'server_error', message: 'x' }, output: [],
            created_at: 1, model: 'm',
        },
    },
};


scenario('what OpenAI may do to a question', {
    nginx: { ...QUICK, maxReceives: 8 }, timeout: 240_000,
}, async (w) => {
    const cases = Object.entries(thoughts);

    await Promise.all(cases.map(async ([name, fault], n) => {
        const p = person(n);

        w.ai.fault({
            ...fault,
            match: (r) => r.path === '/v1/responses'
                && r.body.includes(`\\"${p.recipient_first_name}\\"`),
        });

        const begun = await w.begin({ channels: ['sms'], person: p });
        const shown = await w.sentOn(begun.thread_id, ['sms'], SETTLED,
            120_000);

        assert.equal(status(shown, 'sms'), 'sent', `${name}: `
            + reason(shown, 'sms'));
        assert.equal(w.received('sms', { tel: p.recipient_tel }).length, 1,
            name);

        const conversation = w.ai.conversations.get(shown.ai_conversation_id);

        assert.equal(conversation.items.filter((i) => i.role === 'user')
            .length, 1, `${name}: the AI was paid once`);
    }));
    assert.equal(w.ai.faults.length, 0, 'every fault was met');
});


scenario('creating the AI conversation may fail too', {
    nginx: { ...QUICK, maxReceives: 8 }, timeout: 120_000,
}, async (w) => {
    for (const fault of [error(500, 'server_error'), { drop: true },
        { garbage: true }, { empty: true }])
    {
        w.ai.fault({
            ...fault, match: (r) => r.path === '/v1/conversations',
        });

        const begun = await w.begin({ channels: ['sms'] });

        await w.sentOn(begun.thread_id, ['sms'], ['sent'], 60_000);
    }

    assert.equal(w.received('sms').length, 4);
});


scenario('an AI conversation that was lost is made anew', {
    nginx: { ...QUICK, maxReceives: 8 },
}, async (w) => {
    const begun = await w.opened({ channels: ['sms'] });

    w.ai.conversations.clear();
    await w.sms('Are you still there?');
    await until(() => w.received('sms').length === 2, 30_000);
    assert.match(w.received('sms')[1].text, /still there/);
    await w.idle();
    assert.ok(w.ai.conversations.has(
        (await w.conversation(begun.thread_id)).ai_conversation_id));
});


scenario('providers that are down: everything waits for them', {
    nginx: { ...QUICK, maxReceives: 20 }, timeout: 180_000,
}, async (w) => {
    const { port: aiPort } = w.ai;
    const { port: smsPort } = w.twilio;

    await w.ai.close();
    await w.twilio.close();

    const begun = await Promise.all([1, 2, 3].map((n) =>
        w.begin({ channels: ['sms'], person: person(n) })));

    w.ai = await openai.start({ port: aiPort, keys: [AI_KEY] });
    await until(() => w.ai.calls.length >= 3, 60_000);
    w.twilio = await twilio.start({
        port: smsPort, accounts: { [SID]: { token: TOKEN } },
    });
    await Promise.all(begun.map((b) =>
        w.sentOn(b.thread_id, ['sms'], ['sent'], 90_000)));
    assert.equal(w.twilio.messages.length, 3);
});


scenario('after max_receives a start is a dead letter, with its reason', {
    nginx: { ...QUICK, maxReceives: 2 }, timeout: 120_000,
}, async (w) => {
    w.ai.fault({
        ...error(500, 'server_error'), times: Infinity,
        match: (r) => r.path === '/v1/responses'
            && r.body.includes('\\"P1\\"'),
    });

    const bad = await w.begin({ channels: ['sms'], person: person(1) });
    const good = await w.begin({ channels: ['sms'], person: person(2) });

    await w.sentOn(good.thread_id, ['sms']);

    const figures = await until(async () => {
        const { json } = await w.call('GET', '/comms-status', { key: null });

        return json.queues.open.dead === 1 ? json : null;
    }, 60_000, 'a dead letter');

    assert.equal(figures.queues.open.ready, 0);

    const shown = await w.conversation(bad.thread_id);

    assert.equal(shown.conversation_status, 'failed');
    assert.equal(w.received('sms', { tel: person(1).recipient_tel }).length,
        0);
    assert.equal((await w.conversation(good.thread_id)).conversation_status,
        'active');
});


scenario('one channel that fails does not hold the others', {
    nginx: QUICK,
}, async (w) => {
    const p = person(1);

    w.twilio.refuse[p.recipient_tel] = 21211;

    const begun = await w.begin({ person: p });
    const shown = await w.sentOn(begun.thread_id, begun.channels, SETTLED);

    assert.equal(status(shown, 'sms'), 'failed');
    assert.equal(status(shown, 'whatsapp'), 'sent');
    assert.equal(status(shown, 'email'), 'sent');
    assert.equal(shown.conversation_status, 'active');
});


scenario('an answer that is not what was asked for never goes out', {
    nginx: { ...QUICK, maxReceives: 2 },
}, async (w) => {
    const odd = ['', '{}', '{"sms":{"message":""}}', '{"sms":"x"}', 'plain',
        '{"sms":{"message":"ok"'];

    for (const [n, text] of odd.entries()) {
        const p = person(n);
        const calls = w.ai.calls.length;

        w.ai.script = () => ({ output: [message(text)] });

        const begun = await w.begin({ channels: ['sms'], person: p });

        await until(async () => (await w.conversation(begun.thread_id))
            .conversation_status === 'failed', 40_000, `failed: ${text}`);
        assert.ok(w.ai.calls.length > calls);
        assert.equal(w.twilio.messages.length, 0, text);
    }
});
