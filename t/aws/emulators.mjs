
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * AWS on this machine alone: fauxqs for SNS and SQS, dynalite for DynamoDB,
 * and the front before them.
 */

import dynalite from 'dynalite';
import { startFauxqs } from 'fauxqs';
import { ACCOUNT, Front, KEYS, REGION } from './front.mjs';
import { createTables } from './tables.mjs';

const INNER = ['open', 'reply', 'status', 'later'];
const QUEUES = [...INNER, 'whatsapp', 'sms', 'email'];

export const TOPIC = `arn:aws:sns:${REGION}:${ACCOUNT}:comms-channels`;
export const PREFIX = 'comms-';
export const ENVIRONMENT = {
    AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    AWS_REGION: REGION,
    AWS_EC2_METADATA_DISABLED: 'true',
};


export class Emulators {
    static async start({ generous = true, queues = {}, fifo = false } = {}) {
        const all = new Emulators();

        all.visibility = queues;
        all.suffix = fifo ? '.fifo' : '';
        all.others = [];

        all.queues = await startFauxqs({ host: '127.0.0.1', port: 0,
            logger: false, defaultRegion: REGION });
        all.queues.createTopic(`comms-channels${all.suffix}`, fifo
            ? { attributes: { FifoTopic: 'true' } } : undefined);
        all.made = new Set();

        QUEUES.forEach((name) => all.make(name));

        all.tables = dynalite({ createTableMs: 0, deleteTableMs: 0,
            updateTableMs: 0 });
        await new Promise((resolve) => {
            all.tables.listen(0, '127.0.0.1', resolve);
        });

        const sqs = `http://127.0.0.1:${all.queues.port}`;

        all.front = await new Front({
            targets: { sqs, sns: sqs,
                dynamodb: `http://127.0.0.1:${all.tables.address().port}` },
            generous: generous && ((...args) => all.generous(...args)),
        }).start();

        return all;
    }

    /* what a second client is told: no front before it */
    get options() {
        return { region: REGION, credentials: KEYS, endpoint:
            `http://127.0.0.1:${this.tables.address().port}` };
    }

    async makeTables(layout, names = {}, change = undefined) {
        this.names = { table: 'comms-threads', inbound: 'comms-inbound',
            consent: 'comms-consent', locks: 'comms-locks', ...names };
        await createTables(this.options, layout, this.names, change);
    }

    /* how many messages each queue has, those of the dead letters too */
    depths() {
        return Object.fromEntries([...this.made].flatMap((name) =>
            [name, `${name}-dlq`]).map((name) => {
            const { ready, delayed, inflight } = this.queues
                .inspectQueue(PREFIX + name + this.suffix).messages;

            return [name, ready.length + delayed.length + inflight.length];
        }));
    }

    /* [{ queue, body }]: the dead letters */
    dead() {
        return [...this.made].flatMap((queue) => {
            const { ready, delayed, inflight } = this.queues.inspectQueue(
                `${PREFIX}${queue}-dlq${this.suffix}`).messages;

            return [...ready, ...delayed,
                ...inflight.map((m) => m.message ?? m)]
                .map((m) => ({ queue, body: JSON.parse(m.body).body }));
        });
    }

    make(name) {
        if (this.made.has(name)) {
            return;
        }

        this.made.add(name);
        const seconds = this.visibility[name];
        const kind = this.suffix ? { FifoQueue: 'true' } : {};

        this.queues.createQueue(`${PREFIX}${name}-dlq${this.suffix}`,
            { attributes: kind });
        this.queues.createQueue(`${PREFIX}${name}${this.suffix}`,
            { attributes: { ...kind, ...seconds
                ? { VisibilityTimeout: String(seconds) } : {} } });

        if (INNER.includes(name)) {
            return;
        }

        this.queues.subscribe({ topic: `comms-channels${this.suffix}`,
            queue: `${PREFIX}${name}${this.suffix}`, attributes: {
                RawMessageDelivery: 'true',
                FilterPolicy: JSON.stringify({ channel: [name] }) } });
    }

    /* as if nobody had made it */
    drop(name) {
        const { url } = this.queues.inspectQueue(PREFIX + name);

        return fetch(`http://127.0.0.1:${this.queues.port}`, { method: 'POST',
            headers: { 'X-Amz-Target': 'AmazonSQS.DeleteQueue',
                'Content-Type': 'application/x-amz-json-1.0' },
            body: JSON.stringify({ QueueUrl: url }) });
    }

    generous(operation, body) {
        if (operation === 'GetQueueUrl') {
            this.make(body.QueueName.slice(PREFIX.length)
                .replace(/-dlq$/, ''));
        }

        if (operation === 'Publish') {
            JSON.parse(body['MessageAttributes.entry.1.Value.StringValue'])
                .forEach((name) => this.make(name));
        }
    }

    async stop() {
        await this.front.stop();
        await Promise.all(this.others.map((one) => one.stop()));
        await this.queues.stop();
        await new Promise((resolve) => { this.tables.close(resolve); });
    }
}
