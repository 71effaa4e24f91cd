
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What survives: mistakes of ours, restarts, and the sudden death of workers
 * and of all of nginx.
 */

import assert from 'node:assert/strict';
import { DECLINED, ERROR, OK, message, phone, start, thread, unique }
    from './backend.mjs';
import { until } from '../lib/nginx.mjs';


/* accepts until "kill" has been done; what was answered, what was not */
async function load(b, n, kill) {
    const made = Array.from({ length: n }, () => start());
    const answered = [];
    const unheard = [];
    let done = 0;

    await Promise.all(made.map(async (one, i) => {
        try {
            const { rc } = await b.ask('store', 'accept', one.input);

            (rc === OK ? answered : unheard).push(one.input);
        } catch {
            unheard.push(one.input);
        }

        if (++done === Math.floor(n / 4)) {
            kill();
        }
    }));

    return { answered, unheard };
}


/* is there the thread, and its queue entry? */
async function whole(b, input) {
    const { rc } = await b.ask('store', 'load',
        { thread_id: input.record.thread_id, messages: 1 });
    const { messages } = await b.receive(input.queue);

    return [rc === OK, messages.length];
}


/* what was answered is there, what was not is there whole or not at all */
async function verify(b, t, { answered, unheard }) {
    assert.ok(answered.length > 0, 'some were answered before the end');

    for (const input of answered) {
        assert.deepEqual(await whole(b, input), [true, 1]);
    }

    for (const input of unheard) {
        const [there, queued] = await whole(b, input);

        assert.equal(queued, there ? 1 : 0);
    }

    t.diagnostic(`${answered.length} answered, ${unheard.length} not`);

    const opinion = await b.spec.integrity?.(b.nginx) ?? null;

    if (opinion === null) {
        t.diagnostic('nothing here can check the integrity');
    } else {
        assert.equal(opinion, 'ok');
    }
}


export const behaviours = {
    'a restart loses nothing': async (b) => {
        const made = await thread(b);
        const kept = message(made.person);

        await b.store('keep', kept);
        await b.store('claim', { thread_id: made.id, history: 0 });
        await b.bus('put', { queue: 'q', body: { a: 1 }, group: 'g' });

        const { messages: [{ receipt }] } = await b.receive('q');

        await b.nginx.stop();
        await b.nginx.start();

        const again = await b.store('claim',
            { thread_id: made.id, history: 0 });

        assert.equal(again.fence, 2);
        assert.deepEqual(again.inbound, [kept.inbound]);
        await b.bus('remove', { queue: 'q', receipt });
    },

    'kill -9 of a worker under load': async (b, t) => {
        let dead = 0;
        const got = await load(b, 2000,
            () => { dead = b.nginx.killWorker(); });

        b.nginx.allow.push(/exited on signal 9/);
        await until(() => b.nginx.workers().length === 2
            && !b.nginx.workers().includes(dead), 10_000, 'a new worker');
        await verify(b, t, got);
    },

    'kill -9 of everything under load': async (b, t) => {
        let killed = null;
        const got = await load(b, 2000,
            () => { killed = b.nginx.slaughter(); });

        await killed;
        await b.nginx.start();
        await verify(b, t, got);
    },

    'a message in the hands of a worker that dies comes back': async (b) => {
        await b.bus('put', { queue: 'q', body: {}, group: 'g' });

        const held = await b.ask('bus', 'receive', { queue: 'q', max: 1,
            visibility: 500, max_receives: 5 });

        b.nginx.allow.push(/exited on signal 9/);
        process.kill(held.pid, 'SIGKILL');
        await until(async () => {
            try {
                return (await b.askAny('bus', 'receive', { queue: 'q',
                    max: 1, visibility: 60_000, max_receives: 5 }))
                    .answer.messages[0]?.receive_count === 2;
            } catch {
                return false;
            }
        }, 10_000, 'it is received again');
    },

    'an input that is wrong is an error, said in the log, and writes nothing':
    async (b) => {
        b.nginx.allow.push(/comms "[a-z_ ]+" was (asked|given) /);

        const made = await thread(b);
        const fine = start();
        const wrong = [
            ['store', 'admit', {}],
            ['store', 'accept', {}],
            ['store', 'accept', { ...fine.input, queue: '' }],
            ['store', 'accept', { ...fine.input, body: null }],
            ['store', 'accept', { ...fine.input, pairs: [{}] }],
            ['store', 'accept', { ...fine.input, record:
                { ...fine.input.record, channel_method: 'all' } }],
            ['store', 'accept', { ...fine.input, record:
                { ...fine.input.record, thread_id: made.id } }],
            ['store', 'keep', {}],
            ['store', 'keep', { ...message(phone()), body: 1 }],
            ['store', 'find', { channel: 'sms' }],
            ['store', 'find', { channel: 'sms', company_address: 'tel:+1',
                person_address: 'tel:+2', aliases: [''] }],
            ['store', 'link', { thread_id: made.id }],
            ['store', 'link', { thread_id: made.id, pairs: [{}] }],
            ['store', 'sent_as', {}],
            ['store', 'ledger', { company_id: 'c' }],
            ['store', 'claim', { thread_id: made.id, history: -1 }],
            ['store', 'intend', { thread_id: made.id }],
            ['store', 'intend', { thread_id: made.id, effect_id: 'e',
                kind: 'send', owner: 'nobody' }],
            ['store', 'intend', { thread_id: made.id, effect_id: 'e',
                kind: 'send', newest_inbound_id: 1 }],
            ['store', 'withdraw', {}],
            ['store', 'record', { thread_id: '' }],
            ['store', 'record', { thread_id: made.id, channel_state:
                { channel: 'sms', status: 'sent', only_pending: 'yes' } }],
            ['store', 'record', { thread_id: made.id,
                set: { newest_inbound_id: 'in_1' } }],
            ['store', 'record', { thread_id: made.id,
                messages: [{ entry_id: 'a' }, { role: 'user' }] }],
            ['store', 'record', { thread_id: made.id,
                messages: [{ entry_id: 'a' }], set: { fence: 9 } }],
            ['store', 'record', { thread_id: made.id,
                effect: { effect_id: 'e', state: 'maybe' } }],
            ['store', 'orphan', {}],
            ['store', 'inbound', { inbound_id: 1 }],
            ['store', 'consent', { company_id: 'c', opted_out: 'yes' }],
            ['store', 'load', { thread_id: made.id, messages: 'all' }],
            ['store', 'list', { company_id: 'c', limit: 201 }],
            ['store', 'list', { company_id: 'c', limit: 0 }],
            ['bus', 'put', { queue: 'q' }],
            ['bus', 'put', { queue: 'q', body: {}, delay: -1 }],
            ['bus', 'publish', { publish_id: 'p', channels: ['a', ''],
                body: {} }],
            ['bus', 'receive', { queue: 'q', max: 0, visibility: 1,
                max_receives: 1 }],
            ['bus', 'extend', { queue: 'q', visibility: 1 }],
            ['bus', 'remove', { queue: 'q' }],
            ['bus', 'give_back', { queue: 'q', receipt: '1:1', delay: 0 }],
            ['bus', 'bury', { queue: 'q', receipt: '1:1' }],
        ];

        for (const [room, op, input] of wrong) {
            const before = b.nginx.log().length;

            await b.expect(ERROR, room, op, input);
            assert.match(b.nginx.log().slice(before), /\[alert\]/, op);
        }

        const { record } = await b.store('load',
            { thread_id: made.id, messages: 10 });

        assert.deepEqual(record.messages, []);
        assert.equal(record.version, 1);
        assert.equal((await b.receive('a')).messages.length, 0);
        await b.store('load', { thread_id: fine.input.record.thread_id,
            messages: 1 }, DECLINED);
        assert.doesNotMatch(b.nginx.log(), /4477|example\.org|STOP/);
    },

    'one that fails does not take others of its commit with it':
    async (b) => {
        b.nginx.allow.push(/comms "[a-z_ ]+" was asked /);

        const { id } = await thread(b);
        const answers = await b.atOnce(100, 'store', 'record', (i) => ({
            thread_id: id, messages: i % 2
                ? [{ entry_id: unique('e') }]
                : [{ entry_id: unique('lost') }, {}] }));

        assert.equal(answers.filter((a) => a.rc === OK).length, 50);
        assert.equal(answers.filter((a) => a.rc === ERROR).length, 50);

        const { record } = await b.store('load',
            { thread_id: id, messages: 1000 });

        assert.equal(record.messages.length, 50);
        assert.ok(record.messages.every((m) => m.entry_id[0] === 'e'));
        assert.equal(record.version, 51);
    },
};
