/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * serialise=queue: groups of FIFO queues keep the turns of a thread apart.
 */

import assert from 'node:assert/strict';

import { person, until } from '../lib/world.mjs';
import { FIFO, cloud, idle } from './cloud.mjs';


cloud('a turn that takes long holds up its own thread alone', { ...FIFO,
    layout: 'single', machines: 2 }, async (w) => {
    const [slow, quick] = [person(1), person(2)];
    const thinking = new Map();

    for (const who of [slow, quick]) {
        await w.opened({ person: who, channels: ['sms', 'whatsapp'] });
    }

    await idle(w);
    w.front.seen.length = 0;
    w.ai.think = (call) => {
        const long = JSON.stringify(call.body).includes('take your time');

        thinking.set(long ? 'slow' : 'quick', Date.now());

        return long ? 3000 : 0;
    };

    assert.equal((await w.sms('take your time',
        { from: slow.recipient_tel })).status, 200);
    await until(() => thinking.has('slow'), 10_000, 'the long turn runs');

    /* to the other machine, on the other channel, while the turn runs */
    const [, other] = w.machines;

    assert.equal((await other.whatsapp('and this', { from:
        `whatsapp:${slow.recipient_tel}` })).status, 200);
    assert.equal((await other.sms('no time', { from: quick.recipient_tel }))
        .status, 200);
    await until(() => w.received('sms', { tel: quick.recipient_tel })
        .length === 2, 10_000, 'the other thread is answered');
    assert.equal(w.received('sms', { tel: slow.recipient_tel }).length, 1);

    await until(() => w.received('sms', { tel: slow.recipient_tel })
        .length === 2 && w.received('whatsapp', { tel: slow.recipient_tel })
        .length === 2, 20_000, 'both are answered');
    await idle(w);
    assert.deepEqual(w.ai.overlaps, []);

    /* no lock was taken, and each reply came to be in its thread's group */
    assert.ok(!w.front.seen.some(({ body }) =>
        body.TableName === w.emulators.names.locks));

    const sent = w.front.seen.filter(({ operation, body }) =>
        operation === 'SendMessage' && /reply\.fifo$/.test(body.QueueUrl))
        .map(({ body }) => [JSON.parse(body.MessageBody).group,
            body.MessageGroupId]);

    assert.equal(sent.filter(([group]) => group === undefined).length, 3);
    assert.equal(sent.filter(([group, id]) => group === id).length, 3);
    assert.equal(new Set(sent.map(([, id]) => id)).size, 5);
});
