
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The behaviours of the bus, over SNS and SQS.
 *
 * Each of BEYOND asserts something that SQS cannot promise; the words say
 * what, and ngx_comms_bus_aws.h says what becomes of it.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Backend, DECLINED, ERROR, pause, unique }
    from '../backend/backend.mjs';
import { behaviours } from '../backend/bus.mjs';
import { until } from '../lib/nginx.mjs';
import { Emulators, ENVIRONMENT, PREFIX, TOPIC } from './emulators.mjs';

const NEXT = 'nobody tells when an invisible message will be visible';
const COPY = 'standard queues keep no ids for deduplication';
const ABOUT = 'figures are approximate, and some seconds old';

const BEYOND = {
    'a received message is invisible, and next_at says until when': NEXT,
    'extend makes it stay invisible': NEXT,
    'a delayed message is not visible before its time': NEXT,
    'what is given back with a delay waits': NEXT,
    'a delay of any length is at most a week': NEXT,
    'a dedupe_id works once for a queue, and outlives its message': COPY,
    'the same dedupe_id 64 times at once gives one message': COPY,
    'publish gives a copy to each channel, once for each id': COPY,
    'a message that was received max_receives times is dead': ABOUT,
    'a buried message is dead': ABOUT,
    'depths count what is ready, in flight and delayed': ABOUT,
};


/* the store's sweeper may ask for its own at any time */
function ofBus({ service }) {
    return service !== 'dynamodb';
}


/* what the suite's nginx is told; "wait" is that of a long poll, seconds */
function directives(url, wait) {
    return `
        comms_store dynamodb table=comms-threads layout=single;
        comms_journal off;
        comms_aws region=${ENVIRONMENT.AWS_REGION} endpoint=${url};
        comms_bus aws topic=${TOPIC} queue_prefix=${PREFIX} wait=${wait};`;
}


describe('aws: bus', () => {
    let all;
    let backend;

    before(async () => {
        all = await Emulators.start();
        await all.makeTables('single');
        Object.assign(process.env, ENVIRONMENT);
        backend = await Backend.start({ directives:
            directives(all.front.url, 0) });
    });

    after(async () => {
        await backend.stop();
        await all.stop();
        assert.deepEqual(all.front.refused, []);
        assert.deepEqual(backend.complaints(), []);
        backend.remove();
    });

    for (const [what, behave] of Object.entries(behaviours)) {
        if (!(what in BEYOND)) {
            it(what, { timeout: 60_000 }, () => behave(backend));
        }
    }

    const put = (queue, changes = {}) => backend.bus('put',
        { queue, body: { n: 1 }, group: 'th_1', ...changes });
    const one = async (queue, changes) =>
        (await backend.receive(queue, changes)).messages[0];

    it('publishes once, and the topic gives a copy to each channel',
        async () => {
            const channels = [unique('whatsapp'), unique('sms')];
            const body = { thread_id: 'th_1', text: 'é \u{1F600}' };

            all.front.seen.length = 0;
            await backend.bus('publish', { publish_id: unique('p'), channels,
                group: 'th_1', body });
            assert.equal(all.front.seen.filter(({ operation }) =>
                operation === 'Publish').length, 1);

            for (const queue of channels) {
                const got = await until(() => one(queue), 5000,
                    'the copy');

                assert.deepEqual(got.body, body);
                assert.equal(got.group, 'th_1');
            }
        });

    it('does not send what is too large for the topic', async () => {
        const queue = unique('sms');

        all.front.seen.length = 0;

        const answer = await backend.bus('publish', { publish_id: 'x',
            channels: [queue], group: 'g',
            body: { text: 'a'.repeat(262_144) } }, DECLINED);

        assert.equal(answer.message, 'too large');
        assert.deepEqual(all.front.seen.filter(ofBus),
            []);
    });

    it('a delayed message comes after its time', async () => {
        const queue = unique('q');
        const before = Date.now();

        await put(queue, { delay: 1200 });
        assert.equal(await one(queue), undefined);

        const late = await until(() => one(queue), 8000, 'it comes');

        assert.ok(Date.now() - before >= 1200);
        assert.equal(late.receive_count, 1);
    });

    it('extend keeps it from others', async () => {
        const queue = unique('q');

        await put(queue);

        const { receipt } = await one(queue, { visibility: 1000 });

        assert.deepEqual(await backend.bus('extend', { queue,
            receipts: [receipt], visibility: 5000 }), { lost: [] });
        await pause(1500);
        assert.equal(await one(queue), undefined);
    });

    it('extends more than SQS takes at once', async () => {
        const queue = unique('q');
        const receipts = [];

        await Promise.all(Array.from({ length: 25 }, () => put(queue)));

        const { messages } = await backend.receive(queue, { max: 25 });

        assert.equal(messages.length, 25);
        receipts.push(...messages.map((m) => m.receipt));
        all.front.seen.length = 0;
        assert.deepEqual(await backend.bus('extend', { queue, receipts,
            visibility: 60_000 }), { lost: [] });
        assert.deepEqual(all.front.seen.filter(ofBus).map(({ body }) =>
            body.Entries.length), [10, 10, 5]);
    });

    it('buries in the dead letters, before it deletes', async () => {
        const queue = unique('q');

        await put(queue);

        const { receipt } = await one(queue);

        all.front.seen.length = 0;
        await backend.bus('bury', { queue, receipt, reason: 'bad body' });

        const order = all.front.seen.filter(ofBus).map(({ operation }) => operation)
            .filter((name) => name !== 'GetQueueUrl');

        assert.deepEqual(order, ['SendMessage', 'DeleteMessage']);
        assert.equal(await one(queue), undefined);
        assert.deepEqual((await one(`${queue}-dlq`)).body, { n: 1 });
    });

    it('buries what was received too often', async () => {
        const queue = unique('q');

        await put(queue);

        const { receipt } = await one(queue, { max_receives: 1 });

        await backend.bus('give_back', { queue, receipt, delay: 0,
            counted: true });

        const got = await backend.receive(queue, { max_receives: 1 });

        assert.equal(got.dead, 1);
        assert.deepEqual(got.messages, []);
        await until(() => one(`${queue}-dlq`), 5000, 'it is dead');
    });

    it('tells depths as far as SQS does', async () => {
        const queue = unique('q');

        for (const delay of [0, 0, 60_000]) {
            await put(queue, { delay });
        }

        await one(queue, { max: 1 });

        const got = await until(async () =>
            (await backend.bus('depths', {})).queues[queue], 8000, 'asked');

        assert.deepEqual(got, { ready: 1, in_flight: 1, delayed: 1,
            dead: 0 });
    });

    for (const kind of ['503', 'throttle', 'reset', 'lose']) {
        it(`gets over an answer that goes wrong: ${kind}`, async () => {
            const queue = unique('q');

            await put(queue);
            all.front.fault({ operation: 'ReceiveMessage', kind });

            const { receipt } = await until(() => one(queue,
                { visibility: 1000 }), 8000, 'it comes');

            all.front.fault({ operation: 'DeleteMessage', kind });
            await backend.bus('remove', { queue, receipt });
            await pause(1100);
            assert.equal(await one(queue), undefined);
        });
    }

    it('says so when the service stays away', async () => {
        const queue = unique('q');

        await put(queue);
        all.front.fault({ operation: 'SendMessage', kind: '503', times: 9 });
        await backend.bus('put', { queue, body: {}, group: 'g' }, ERROR);
        all.front.faults.length = 0;
    });
});


describe('aws: bus, long polls', () => {
    it('bring what comes, and end with their worker', async () => {
        const all = await Emulators.start();

        await all.makeTables('single');
        Object.assign(process.env, ENVIRONMENT);

        const backend = await Backend.start({ directives:
            directives(all.front.url, 20) });
        const poll = () => backend.receive('q', { visibility: 120_000 });

        try {
            const first = poll();

            await pause(500);
            await backend.bus('put', { queue: 'q', body: { n: 1 },
                group: 'g' });
            assert.deepEqual((await first).messages.map((m) => m.body),
                [{ n: 1 }]);

            const second = poll();

            await pause(500);

            const before = Date.now();

            await backend.nginx.stop();
            assert.ok(Date.now() - before < 3000, 'it exits at once');
            assert.deepEqual((await second).messages, []);
        } finally {
            await backend.stop();
            await all.stop();
        }

        assert.deepEqual(all.front.refused, []);
        assert.deepEqual(backend.complaints(), []);
        backend.remove();
    });
});
