
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What ngx_comms_bus.h promises.
 */

import assert from 'node:assert/strict';
import { until } from '../lib/nginx.mjs';
import { DECLINED, unique } from './backend.mjs';

const GONE = 'no-such-receipt';


/* puts one message and receives it */
async function held(b, queue, changes = {}) {
    await b.bus('put', { queue, body: { n: 1 }, group: 'g' });

    const { messages } = await b.receive(queue, changes);

    assert.equal(messages.length, 1);

    return messages[0];
}


async function depth(b, queue) {
    const { queues } = await b.bus('depths', {});

    return queues[queue]
        ?? { ready: 0, in_flight: 0, delayed: 0, dead: 0,
            oldest_ready_age: 0 };
}


export const behaviours = {
    'a message that was put is received as it was': async (b) => {
        const queue = unique('q');
        const body = { text: 'é \u{1F600} "\\', n: [1, null, true, 1.5],
            deep: { a: {} } };
        const before = Date.now();

        await b.bus('put', { queue, body, group: 'th_1' });

        const { messages, dead } = await b.receive(queue);

        assert.equal(messages.length, 1);
        assert.deepEqual(messages[0].body, body);
        assert.equal(messages[0].group, 'th_1');
        assert.equal(messages[0].receive_count, 1);
        assert.equal(typeof messages[0].message_id, 'string');
        assert.equal(typeof messages[0].receipt, 'string');
        assert.ok(messages[0].sent_at >= before - 1000);
        assert.ok(messages[0].sent_at <= Date.now() + 1000);
        assert.equal(dead, 0);
    },

    'an empty queue gives nothing, and no next_at': async (b) => {
        assert.deepEqual(await b.receive(unique('q')),
            { messages: [], next_at: null, dead: 0, visibility: 60_000 });
    },

    'queues do not see each other': async (b) => {
        const queue = unique('q');

        await held(b, queue);
        assert.equal((await b.receive(unique('q'))).messages.length, 0);
    },

    'no more than max are received, the oldest first': async (b) => {
        const queue = unique('q');

        for (let n = 0; n < 5; n++) {
            await b.bus('put', { queue, body: { n }, group: 'g' });
        }

        const first = await b.receive(queue, { max: 3 });
        const second = await b.receive(queue, { max: 3 });

        assert.deepEqual(first.messages.map((m) => m.body.n), [0, 1, 2]);
        assert.deepEqual(second.messages.map((m) => m.body.n), [3, 4]);
        assert.ok(first.next_at <= Date.now() + 1000, 'more is waiting now');
    },

    'a received message is invisible, and next_at says until when':
    async (b) => {
        const queue = unique('q');
        const before = Date.now();

        await held(b, queue, { visibility: 30_000 });

        const { messages, next_at: next } = await b.receive(queue);

        assert.equal(messages.length, 0);
        assert.ok(next >= before + 29_000 && next <= Date.now() + 31_000);
    },

    'a receive that names no visibility says which one holds':
    async (b) => {
        const queue = unique('q');

        await b.bus('put', { queue, body: { n: 1 }, group: 'g' });

        const before = Date.now();
        const { messages, visibility } = await b.bus('receive',
            { queue, max: 1, max_receives: 5 });

        assert.equal(messages.length, 1);
        assert.ok(visibility >= 1000 && visibility <= 12 * 3600_000);

        const { next_at: next, visibility: said } = await b.receive(queue,
            { visibility: 45_000 });

        assert.equal(said, 45_000);
        assert.ok(next === null || next > before + visibility / 2);
    },

    'it comes back when its time is over, and the old receipt is stale':
    async (b) => {
        const queue = unique('q');
        const first = await held(b, queue, { visibility: 150 });
        const again = await until(async () =>
            (await b.receive(queue)).messages[0], 5000, 'it comes back');

        assert.equal(again.message_id, first.message_id);
        assert.equal(again.receive_count, 2);
        assert.notEqual(again.receipt, first.receipt);

        const stale = { queue, receipt: first.receipt };

        await b.bus('remove', stale, DECLINED);
        await b.bus('bury', { ...stale, reason: 'x' }, DECLINED);
        await b.bus('give_back', { ...stale, delay: 0, counted: true },
            DECLINED);
        assert.deepEqual(await b.bus('extend', { queue, visibility: 1000,
            receipts: [first.receipt, again.receipt, GONE] }),
        { lost: [first.receipt, GONE] });

        await b.bus('remove', { queue, receipt: again.receipt });
    },

    'extend makes it stay invisible': async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue, { visibility: 200 });

        assert.deepEqual(await b.bus('extend', { queue,
            receipts: [receipt], visibility: 60_000 }), { lost: [] });

        const { next_at: next } = await b.receive(queue);

        assert.ok(next > Date.now() + 50_000);
    },

    'a removed message is gone; removing it again is declined':
    async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue);

        await b.bus('remove', { queue, receipt });
        await b.bus('remove', { queue, receipt }, DECLINED);
        await b.bus('remove', { queue, receipt: GONE }, DECLINED);
        assert.equal((await b.receive(queue)).next_at, null);
    },

    'a receipt is good for its own queue only': async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue);

        await b.bus('remove', { queue: unique('q'), receipt }, DECLINED);
        await b.bus('remove', { queue, receipt });
    },

    'a delayed message is not visible before its time': async (b) => {
        const queue = unique('q');

        await b.bus('put', { queue, body: {}, group: 'g', delay: 300 });

        const before = Date.now();
        const first = await b.receive(queue);

        assert.equal(first.messages.length, 0);
        assert.ok(first.next_at > before - 100);

        const { messages: [late] } = await until(async () => {
            const got = await b.receive(queue);
            return got.messages.length ? got : null;
        }, 5000, 'the delay is over');

        assert.equal(late.receive_count, 1);
        assert.ok(Date.now() >= first.next_at - 5);
    },

    'a dedupe_id works once for a queue, and outlives its message':
    async (b) => {
        const queue = unique('q');
        const put = { queue, body: {}, group: 'g', dedupe_id: unique('d') };

        await b.bus('put', put);
        await b.bus('put', { ...put, body: { other: 1 } });

        const { messages } = await b.receive(queue);

        assert.equal(messages.length, 1);
        assert.deepEqual(messages[0].body, {});
        await b.bus('remove', { queue, receipt: messages[0].receipt });
        await b.bus('put', put);
        assert.equal((await b.receive(queue)).next_at, null);

        const other = unique('q');

        await b.bus('put', { ...put, queue: other });
        assert.equal((await b.receive(other)).messages.length, 1);
    },

    'the same dedupe_id 64 times at once gives one message': async (b) => {
        const queue = unique('q');

        await b.atOnce(64, 'bus', 'put',
            { queue, body: {}, group: 'g', dedupe_id: 'd' });
        assert.equal((await b.receive(queue)).messages.length, 1);
    },

    'publish gives a copy to each channel, once for each id': async (b) => {
        const channels = [unique('whatsapp'), unique('sms')];
        const id = unique('p');
        const publish = { publish_id: id, channels, group: 'th_1',
            body: { thread_id: 'th_1' } };

        await b.bus('publish', publish);
        await b.bus('publish', publish);

        for (const queue of channels) {
            const { messages } = await b.receive(queue);

            assert.equal(messages.length, 1);
            assert.deepEqual(messages[0].body, publish.body);
            assert.equal(messages[0].group, 'th_1');
            await b.bus('remove', { queue, receipt: messages[0].receipt });
        }

        await b.bus('publish', publish);

        for (const queue of channels) {
            assert.equal((await b.receive(queue)).next_at, null);
        }
    },

    'a message given back is visible at once, and was counted': async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue);

        await b.bus('give_back', { queue, receipt, delay: 0, counted: true,
            reason: 'no slot' });
        await b.bus('remove', { queue, receipt }, DECLINED);

        const { messages: [again] } = await b.receive(queue);

        assert.equal(again.receive_count, 2);
        assert.notEqual(again.receipt, receipt);
    },

    'what is given back uncounted was not received': async (b) => {
        const queue = unique('q');
        let { receipt } = await held(b, queue, { max_receives: 1 });
        const seen = new Set([receipt]);

        for (let i = 0; i < 3; i++) {
            await b.bus('give_back',
                { queue, receipt, delay: 0, counted: false });

            const { messages: [again] } = await b.receive(queue,
                { max_receives: 1 });

            assert.equal(again.receive_count, 1);
            assert.ok(!seen.has(again.receipt), 'no receipt comes twice');
            ({ receipt } = again);
            seen.add(receipt);
        }
    },

    'what is given back with a delay waits': async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue);

        await b.bus('give_back', { queue, receipt, delay: 30_000,
            counted: true });

        const got = await b.receive(queue);

        assert.equal(got.messages.length, 0);
        assert.ok(got.next_at > Date.now() + 20_000);
        assert.equal((await depth(b, queue)).delayed, 1);
    },

    'a delay of any length is at most a week': async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue);
        const week = 7 * 86400 * 1000;

        await b.bus('give_back', { queue, receipt, counted: true,
            delay: Number.MAX_SAFE_INTEGER });
        await b.bus('put', { queue, body: {}, group: 'g',
            delay: Number.MAX_SAFE_INTEGER });

        const { next_at: next } = await b.receive(queue);

        assert.ok(next > Date.now() + week - 60_000);
        assert.ok(next < Date.now() + week + 1000);
    },

    'a message that was received max_receives times is dead': async (b) => {
        const queue = unique('q');

        for (let i = 0; i < 3; i++) {
            const { receipt } = i === 0 ? await held(b, queue)
                : (await b.receive(queue)).messages[0];

            await b.bus('give_back', { queue, receipt, delay: 0,
                counted: true, reason: 'it fails' });
        }

        await b.bus('put', { queue, body: { n: 2 }, group: 'g' });

        const got = await b.receive(queue, { max: 1, max_receives: 3 });

        assert.equal(got.dead, 1);
        assert.deepEqual(got.messages.map((m) => m.body.n), [2],
            'the one behind it is not held up');
        assert.equal((await depth(b, queue)).dead, 1);
    },

    'a buried message is dead': async (b) => {
        const queue = unique('q');
        const { receipt } = await held(b, queue);

        await b.bus('bury', { queue, receipt, reason: 'bad body' });
        await b.bus('bury', { queue, receipt, reason: 'bad body' }, DECLINED);
        assert.equal((await b.receive(queue)).next_at, null);
        assert.deepEqual(await depth(b, queue), { ready: 0, in_flight: 0,
            delayed: 0, dead: 1, oldest_ready_age: 0 });
    },

    'depths count what is ready, in flight and delayed': async (b) => {
        const queue = unique('q');

        for (const delay of [0, 0, 0, 60_000]) {
            await b.bus('put', { queue, body: {}, group: 'g', delay });
        }

        await b.receive(queue, { max: 1 });
        await until(async () =>
            (await depth(b, queue)).oldest_ready_age >= 20, 5000, 'it ages');

        const got = await depth(b, queue);

        assert.equal(got.ready, 2);
        assert.equal(got.in_flight, 1);
        assert.equal(got.delayed, 1);
        assert.equal(got.dead, 0);
        assert.ok(got.oldest_ready_age < 60_000);
    },

    'receivers at once never get the same message': async (b) => {
        const queue = unique('q');

        await b.atOnce(200, 'bus', 'put',
            (n) => ({ queue, body: { n }, group: 'g' }));

        const answers = await b.atOnce(60, 'bus', 'receive',
            { queue, max: 7, visibility: 60_000, max_receives: 5 });
        const got = answers.flatMap((a) => a.answer.messages)
            .map((m) => m.body.n);

        assert.equal(got.length, 200);
        assert.equal(new Set(got).size, 200);
    },

    'all workers are told when a message comes, and when one is given back':
    async (b) => {
        const queue = unique('q');
        const told = async (n) => {
            const pids = new Map();

            for (let i = 0; i < 200 && pids.size < 2; i++) {
                const { pid, answer } = await b.askAny('notices', 'queue',
                    { key: queue });

                pids.set(pid, answer.seen);
            }

            return pids.size === 2
                && [...pids.values()].every((seen) => seen >= n);
        };

        await b.bus('put', { queue, body: {}, group: 'g' });
        await until(() => told(1), 10_000, 'both know of the put');

        const { messages: [{ receipt }] } = await b.receive(queue);

        await b.bus('give_back', { queue, receipt, delay: 0,
            counted: false });
        await until(() => told(2), 10_000, 'both know it was given back');
    },
};
