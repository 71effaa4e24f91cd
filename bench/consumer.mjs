/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Messages of SQS that a consumer takes and deletes, for each second of its
 * CPU: the module's beside npm's sqs-consumer, on the same emulator.
 *
 * Ours are queue messages of a reply that has been set aside, so that the
 * flow ends at its first row.  Besides the call that deletes it, each one costs
 * a read of the store; one of the others reads the same item, the bare ones do
 * nothing but parse.
 */

import path from 'node:path';

import { PREFIX, ENVIRONMENT } from '../t/aws/emulators.mjs';
import { make, close, idle } from '../t/aws/cloud.mjs';
import { HERE, OURS, Program, cpu, freePort, until } from './world.mjs';

const BATCH = 10;


async function ask(emulators, operation, body) {
    const res = await fetch(`http://127.0.0.1:${emulators.queues.port}`, {
        method: 'POST', body: JSON.stringify(body),
        headers: { 'content-type': 'application/x-amz-json-1.0',
            'x-amz-target': `AmazonSQS.${operation}` } });

    if (res.status !== 200) {
        throw new Error(`${operation}: ${await res.text()}`);
    }

    return res.json();
}


/* n messages, then CPU seconds of the processes until the queue is empty */
async function drain(w, queue, n, pids, body) {
    const { QueueUrl } = await ask(w.emulators, 'GetQueueUrl',
        { QueueName: PREFIX + queue });
    const used = cpu(pids);
    const MessageBody = JSON.stringify({ body });

    for (let i = 0; i < n; i += BATCH) {
        await ask(w.emulators, 'SendMessageBatch', { QueueUrl,
            Entries: Array.from({ length: BATCH }, (_, k) =>
                ({ Id: String(k), MessageBody })) });
    }

    await until(() => w.emulators.depths()[queue] === 0, 300_000,
        `${queue} is empty`);

    return n / (cpu(pids) - used);
}


/* the id of a message from somebody without a thread, and how it is read */
async function orphan(w) {
    await w.sms('hello', { from: '+447700900999' });
    await idle(w);

    const { body } = w.front.seen.find(({ operation, body: b }) =>
        operation === 'SendMessage' && /reply$/.test(b.QueueUrl));

    const id = JSON.parse(body.MessageBody).body.inbound_id;
    const read = w.front.seen.find(({ operation, body: b }) =>
        operation === 'GetItem' && JSON.stringify(b.Key).includes(id));

    return { id, read: read.body };
}


async function rival(w, { batch, read }) {
    const port = await freePort();
    const queue = `bench-${port}`;

    w.emulators.make(queue);

    const { QueueUrl } = await ask(w.emulators, 'GetQueueUrl',
        { QueueName: PREFIX + queue });
    const program = await Program.start(OURS, process.execPath,
        ['--no-warnings', path.join(HERE, 'others/consumer.mjs')], { port,
            env: { ...ENVIRONMENT, BENCH_PORT: String(port),
                BENCH_QUEUE: QueueUrl, BENCH_BATCH: batch ? '1' : '0',
                BENCH_READ: read ? JSON.stringify(read) : '',
                BENCH_ENDPOINT: w.front.url } });

    return { queue, program };
}


export async function consumer({ rounds, messages }) {
    const w = await make({ layout: 'single', nginx: {
        before: ['taskset', '-c', OURS], logLevel: 'error' } });
    const ours = [];
    const others = [[], [], []];

    try {
        const { id, read } = await orphan(w);
        const body = { kind: 'reply', inbound_id: id };
        const rivals = [await rival(w, { read }), await rival(w, {}),
            await rival(w, { batch: true })];

        /* the first round is for warming up */
        for (let i = 0; i <= rounds; i++) {
            const one = await drain(w, 'reply', messages, w.nginx.workers(),
                body);

            if (i > 0) {
                ours.push(one);
            }

            for (const [k, { queue, program }] of rivals.entries()) {
                const other = await drain(w, queue, messages,
                    [program.child.pid], body);

                if (i > 0) {
                    others[k].push(other);
                }
            }
        }

        await Promise.all(rivals.map(({ program }) =>
            program.stop('SIGKILL')));
    } finally {
        await close(w);
        w.nginx.remove();
    }

    const figure = 'queue messages for a second of CPU';

    return [
        { figure, against: 'sqs-consumer, reading the same item', ours,
            others: others[0], unit: '/s', budget: 5, better: 'high',
            note: '' },
        { figure, against: 'bare sqs-consumer', ours, others: others[1],
            unit: '/s', budget: 5, better: 'high',
            note: 'ours also reads the store for each message' },
        { figure, against: 'bare sqs-consumer, deleting by tens', ours,
            others: others[2], unit: '/s', budget: 5, better: 'high',
            note: 'ours deletes them one by one, and reads the store' },
    ];
}
