
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * An AI that is slow, limited, locked or down: attempts within the turn, the
 * second choice, the breaker, and what people who wait are told.
 */

import assert from 'node:assert/strict';

import * as openai from '../standins/openai.mjs';
import { person, project, scenario, until } from '../lib/world.mjs';

const SECOND_KEY = 'sk-second-choice-key';
const ASKS = (r) => r.path === '/v1/responses';
const error = (status, code, type = code, headers = {}) => ({
    status, headers, body: { error: { message: code, type, code } },
});


/* a project whose ai_config says more */
const thinking = (changes) => ({
    ai_config: { ...project().ai_config, ...changes },
});

/* and the second AI, with a location of its own */
function second(changes = {}) {
    return {
        project: thinking({
            fallback: {
                provider: 'other', model: 'model-two',
                api_key_reference: 'openai-second', ...changes,
            },
        }),
        secrets: {
            'openai-second': { provider: 'openai', api_key: SECOND_KEY },
        },
        prepare: async (w) => {
            w.second = await openai.start({ keys: [SECOND_KEY] });

            return { server: `
                location /comms/other/ {
                    comms_provider openai name=other;
                    proxy_pass ${w.second.url}/v1/;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                }` };
        },
    };
}


const asked = (ai) => ai.requests.filter(ASKS);
const sent = (w) => w.twilio.messages.length;
const texts = (request) => JSON.stringify(JSON.parse(request.body).input);


scenario('a failure that passes is met within the turn', {}, async (w) => {
    const begun = await w.opened({ channels: ['sms'] });

    for (const fault of [
        error(429, 'rate_limit_exceeded', 'requests',
            { 'retry-after-ms': '200' }),
        error(400, 'conversation_locked', 'invalid_request_error'),
        error(503, 'server_is_overloaded', 'service_unavailable_error'),
    ]) {
        const before = w.received('sms').length;
        const jobs = (await w.status()).counters.jobs_retried_total;

        w.ai.fault({ ...fault, match: ASKS });

        await w.sms(`and now ${fault.status}?`);
        await until(() => w.received('sms').length === before + 1, 15_000);
        assert.equal((await w.status()).counters.jobs_retried_total, jobs,
            'the queue was not needed');
    }

    const conversation = w.ai.conversations.get(
        (await w.conversation(begun.thread_id)).ai_conversation_id);

    assert.equal(conversation.items.filter((i) => i.role === 'user').length,
        4, 'the first question and three more, each once');

    const [, late] = asked(w.ai).filter((r) => texts(r).includes('now 429'));
    const [early] = asked(w.ai).filter((r) => texts(r).includes('now 429'));

    assert.ok(late.at - early.at >= 200, 'the provider named the time');
});


scenario('what was tried is in the message\'s account', {}, async (w) => {
    await w.opened({ channels: ['sms'] });

    w.ai.fault({ ...error(500, 'server_error'), match: ASKS });
    await w.sms('hello?');
    await until(() => w.received('sms').length === 2, 15_000);
    await w.idle();

    const row = w.sql(`SELECT outcome FROM effects
        WHERE kind = 'ai' AND effect_id <> 'ai:first'`)[0];
    const { attempts } = JSON.parse(row.outcome);

    assert.deepEqual(attempts.map((a) => a.label),
        ['server_error', 'answered']);
    assert.ok(attempts.every((a) => a.provider === 'openai'));
    assert.match(attempts[1].request_id, /^req_/);
    assert.ok(attempts[1].ai_total_tokens > 0);
});


scenario('an empty account is not hammered; the second AI answers', {
    ...second(),
}, async (w) => {
    w.ai.fault({ ...error(429, 'insufficient_quota'), times: Infinity });

    const people = [...Array(10).keys()].map(person);
    const begun = await Promise.all(people.map((p) => w.begin({
        channels: ['sms'], person: p,
    })));

    await Promise.all(begun.map((b) => w.sentOn(b.thread_id, ['sms'])));

    assert.equal(sent(w), 10);
    assert.ok(w.ai.requests.length <= 10, `${w.ai.requests.length} calls`);
    assert.equal(asked(w.second).length, 10);

    for (const p of people) {
        await w.sms('and the second question?', { from: p.recipient_tel });
    }

    await until(() => sent(w) === 20, 30_000);
    assert.ok(w.ai.requests.length <= 10,
        'nobody asked it again while the breaker was open');

    const status = await w.status();

    assert.ok(status.breakers.some((b) => b.state === 'open'
        && b.key.startsWith('openai#')));
    assert.ok(status.counters.ai_second_choice_total >= 10);
});


scenario('memory survives the switch, and the switch back', {
    ...second(),
}, async (w) => {
    const begun = await w.opened({ channels: ['sms'] });

    await w.sms('My name is Nightingale.');
    await until(() => w.received('sms').length === 2);

    /* five failures in a row open the breaker; the turn changes AI earlier */
    w.ai.fault({ ...error(401, 'invalid_api_key'), match: ASKS });
    await w.sms('Which day was it?');
    await until(() => w.received('sms').length === 3, 15_000);

    const [elsewhere] = asked(w.second);

    assert.match(texts(elsewhere), /Nightingale/);
    assert.match(texts(elsewhere), /Which day was it/);

    await w.sms('And the hour?');
    await until(() => w.received('sms').length === 4, 15_000);

    const back = asked(w.ai).at(-1);
    const shown = await w.conversation(begun.thread_id);

    assert.match(texts(back), /Which day was it/,
        'the first AI is told what the second was asked');
    assert.equal(JSON.parse(back.body).conversation,
        shown.ai_conversation_id);

    await w.sms('Thank you.');
    await until(() => w.received('sms').length === 5, 15_000);
    assert.doesNotMatch(texts(asked(w.ai).at(-1)), /Which day was it/,
        'and remembers it from then on');
});


scenario('an AI that is down is left alone, and nothing is lost', {
    nginx: { workers: 2 }, timeout: 120_000,
}, async (w) => {
    const people = [...Array(20).keys()].map(person);

    w.ai.fault({ ...error(500, 'server_error'), times: Infinity });

    const begun = await Promise.all(people.map((p) => w.begin({
        channels: ['sms'], person: p,
    })));

    await until(async () => (await w.status()).breakers.some(
        (b) => b.state === 'open'), 20_000);

    /* what was under way when it opened has come home */
    await until(async () => (await w.status()).counters.breaker_refused_total
        > 20, 30_000);

    const calls = w.ai.requests.length;

    await until(async () => (await w.status()).counters.breaker_refused_total
        > 40, 60_000);
    assert.ok(w.ai.requests.length - calls <= 8,
        `${w.ai.requests.length - calls} calls while it was open`);

    w.ai.faults.length = 0;

    await Promise.all(begun.map((b) => w.sentOn(b.thread_id, ['sms'],
        ['sent'], 90_000)));
    assert.equal(sent(w), 20);

    await until(async () => (await w.status()).breakers.every(
        (b) => b.state === 'closed'));
});


scenario('who waits for an AI that is down is told so, once', {
    project: thinking({ holding_message: 'We will be with you shortly.' }),
    timeout: 120_000,
}, async (w) => {
    await w.opened({ channels: ['sms'] });
    w.ai.fault({ ...error(429, 'insufficient_quota'), times: 1 });

    /* the first question finds it out, the second meets an open breaker */
    await w.sms('Hello?');
    await until(() => w.received('sms').length === 2, 30_000);
    assert.equal(w.received('sms')[1].text, 'We will be with you shortly.');

    await w.sms('Anybody?');
    await until(async () => (await w.status()).counters.breaker_refused_total
        >= 2, 30_000);
    assert.equal(w.received('sms').length, 2);
});


scenario('or goes to a human, where the project says so', {
    project: thinking({ on_outage: 'hand_off' }),
}, async (w) => {
    const begun = await w.opened({ channels: ['sms'] });

    w.ai.fault({ ...error(429, 'insufficient_quota'), times: 1 });
    await w.sms('Hello?');

    const shown = await until(async () => {
        const c = await w.conversation(begun.thread_id);

        return c.hand_off_to_human ? c : null;
    }, 90_000);

    assert.equal(shown.hand_off_to_human_reason, 'ai_unavailable');
    assert.equal(shown.messages.at(-1).content, 'Hello?');
    await w.idle();
    assert.equal(w.received('sms').length, 1);
});


scenario('at the rate that the provider names, whoever asks', {
    nginx: { workers: 2 }, timeout: 120_000,
}, async (w) => {
    const headers = {
        'x-ratelimit-limit-requests': '600',
        'x-ratelimit-remaining-requests': '599',
        'x-ratelimit-reset-requests': '100ms',
    };

    w.ai.fault({
        match: ASKS, times: Infinity,
        change: (a) => ({ ...a, headers: { ...a.headers, ...headers } }),
    });

    await w.opened({ channels: ['sms'] });

    const people = [...Array(60).keys()].map(person);
    const begun = await Promise.all(people.map((p) => w.begin({
        channels: ['sms'], person: p,
    })));

    await Promise.all(begun.map((b) => w.sentOn(b.thread_id, ['sms'],
        ['sent'], 90_000)));

    /* ten a second, and what the provider lets pass at once */
    const times = asked(w.ai).map((r) => r.at).sort((a, b) => a - b);

    for (let i = 0, j = 0; i < times.length; i++) {
        while (times[i] - times[j] >= 1000) {
            j++;
        }

        assert.ok(i - j + 1 <= 10 + 2 * 10 + 1,
            `${i - j + 1} in a second`);
    }

    assert.equal(sent(w), 61);
});


scenario('three failures in ten, and slow: everybody is answered', {
    nginx: { workers: 2, maxReceives: 20 }, timeout: 180_000,
}, async (w) => {
    const people = [...Array(40).keys()].map(person);
    let n = 0;

    w.ai.fault({
        match: (r) => ASKS(r) && n++ % 10 < 3, times: Infinity,
        ...error(500, 'server_error'),
    });
    w.ai.fault({ match: ASKS, times: Infinity, delay: 2000 });

    const begun = await Promise.all(people.map((p) => w.begin({
        channels: ['sms'], person: p,
    })));

    await Promise.all(begun.map((b) => w.sentOn(b.thread_id, ['sms'],
        ['sent'], 120_000)));

    for (const p of people) {
        await w.sms('When?', { from: p.recipient_tel });
    }

    await until(() => sent(w) === 80, 120_000);
    await w.idle();

    for (const p of people) {
        assert.equal(w.received('sms', { tel: p.recipient_tel }).length, 2);
    }
});
