
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What only the embedded store does: it has the queues in its file, and
 * removes what is old by itself.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { OK, message, thread } from './backend.mjs';
import { lived } from './erase.mjs';
import { until } from '../lib/nginx.mjs';

const run = promisify(execFile);
const DAY = 86_400_000;


/* asks the file itself */
async function sql(b, ...words) {
    return (await run('sqlite3', ['-cmd', '.timeout 10000',
        b.nginx.file('comms.db'), ...words],
    { maxBuffer: 1 << 28 })).stdout;
}


export const behaviours = {
    'erase: nothing of the person is in the file, but for consent':
    async (b) => {
        const all = await lived(b, { recipient_first_name: 'Zebulon' });
        const words = [all.made.person, all.made.mail, all.bsuid, 'Zebulon',
            ...Object.values(all.kept).map((k) => k.inbound.inbound_id),
            all.sent, all.mail];
        const left = async () => {
            const dump = (await sql(b, '.dump')).split('\n')
                .filter((line) => !line.includes('INTO consent VALUES'));

            return words.filter((word) =>
                dump.some((line) => line.includes(word)));
        };

        assert.deepEqual(await left(), words, 'all of it is there');
        await b.store('erase', { thread_id: all.made.id });

        /* the guard against a webhook that comes twice is of the message */
        assert.deepEqual(await left(), []);
    },

    'erase: what waits in a queue for the thread goes with it':
    async (b) => {
        const made = await thread(b);
        const other = await thread(b);
        const kept = message(made.person);

        await b.store('keep', { ...kept, body: { kind: 'reply',
            inbound_id: kept.inbound.inbound_id } });
        await b.bus('publish', { publish_id: made.id, channels: ['sms'],
            group: made.id, body: {} });
        await b.bus('put', { queue: 'buried', body: {}, group: made.id });

        const { messages: [{ receipt }] } = await b.receive('buried');

        await b.bus('bury', { queue: 'buried', receipt, reason: 'x' });
        await b.store('erase', { thread_id: made.id });

        for (const queue of [made.input.queue, kept.queue, 'sms']) {
            assert.deepEqual((await b.receive(queue)).messages, []);
        }

        assert.equal(await sql(b, 'SELECT count(*) FROM dead_letters'),
            '0\n');
        assert.equal((await b.receive(other.input.queue)).messages.length,
            1);
    },

    'retention: threads at rest go by themselves': async (b) => {
        const old = await lived(b);
        const { id } = await thread(b);
        const there = async (one) => (await b.ask('store', 'load',
            { thread_id: one, messages: 1 })).rc === OK;

        for (const kept of [old.kept.bound, old.kept.waiting,
            old.kept.linked]) {
            await b.store('orphan', {
                inbound_id: kept.inbound.inbound_id, reason: 'x' });
        }

        await b.store('withdraw',
            { thread_id: old.made.id, effect_id: 'open' });
        await b.receive(old.made.input.queue).then(({ messages }) =>
            b.bus('remove', { queue: old.made.input.queue,
                receipt: messages[0].receipt }));

        /* all began 31 days ago, and one rests since */
        await sql(b, `UPDATE threads SET created_at = created_at - ${31 * DAY};
            UPDATE threads SET updated_at = updated_at - ${31 * DAY}
            WHERE thread_id = '${old.made.id}';
            UPDATE retention SET due_at = 0, behind = ''`);
        assert.equal(await there(old.made.id), true);

        /* the workers have rested since their start: let them begin again */
        await b.nginx.stop();
        await b.nginx.start();
        await until(async () => !await there(old.made.id), 20_000,
            'it is gone');
        assert.equal(await there(id), true);
        assert.match(b.nginx.log(), /1 threads were removed by retention/);
    },
};
