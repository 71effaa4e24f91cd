
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A world on AWS: the emulators with the tables of one layout, and any number
 * of machines, each an nginx with a zone and files of its own, between the
 * same providers.
 *
 *   cloud('name', { layout, machines, ... }, async (w, t) => { ... })
 *
 * w is the world by way of the first machine, w.machines has all of them.
 * "queues" has the visibility of queues by name, in seconds; "faults" is what
 * the front does from the first request on.  "tables" are further names of
 * tables, "change" makes other definitions of them, "kept" is where projects
 * and credentials are, and "prepare" is done before nginx starts.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';

import { MODULE } from '../lib/nginx.mjs';
import { World, until } from '../lib/world.mjs';
import { Emulators, ENVIRONMENT, PREFIX, TOPIC } from './emulators.mjs';

export const LAYOUTS = ['single', 'per_channel'];

/* of a world on FIFO topic and queues, which keep turns apart by themselves */
export const FIFO = { topic: `${TOPIC}.fifo` };

/* short enough for tests; SQS counts in whole seconds */
const TERMS = {
    visibility: '4s', heartbeat: '1s', leaseTerm: '3s', maxReceives: 100,
};


/* what an nginx is told of them */
export function backends(emulators, { layout, more = '', topic = TOPIC,
    bus = `aws topic=${topic} queue_prefix=${PREFIX}`
        + `${/\.fifo$/.test(topic) ? ' serialise=queue' : ''}`,
    journal = 'journal.db', kept = `comms_projects projects;
    comms_secrets secrets.json;` }) {
    const { url } = emulators.front;

    return `comms_aws region=${ENVIRONMENT.AWS_REGION} endpoint=${url};
    comms_store dynamodb table=${emulators.names.table} layout=${layout}
        inbound_table=${emulators.names.inbound}
        consent_table=${emulators.names.consent}
        lock_table=${emulators.names.locks};
    comms_bus ${bus};
    ${journal ? `comms_journal ${journal};` : ''}
    ${kept}
    ${more}`;
}


export async function make({ layout = 'single', machines = 1, more, topic,
    queues, faults = [], tables, change, kept, prepare, ...options }) {
    const emulators = await Emulators.start({ generous: false, queues,
        fifo: /\.fifo$/.test(topic) });
    let w;

    try {
        await emulators.makeTables(layout, tables, change);
        await prepare?.(emulators);
        faults.forEach((fault) => emulators.front.fault(fault));
        w = await World.make({ ...options, nginx: { ...TERMS,
            backends: backends(emulators, { layout, more, topic, kept }),
            env: ENVIRONMENT, ...options.nginx } });
        w.machines = [w];

        while (w.machines.length < machines) {
            w.machines.push(await w.beside());
        }
    } catch (err) {
        await Promise.all((w?.machines ?? []).slice(1)
            .map((m) => m.nginx.stop()));
        await w?.close();
        await emulators.stop();
        throw err;
    }

    w.emulators = emulators;
    w.front = emulators.front;

    return w;
}


/*
 * Until every queue is empty, asked directly, since what SQS tells of them is
 * approximate and old.  The figures of the status page are exact unless
 * machines die: then those of one that was about to count are missing, and a
 * send that stays in doubt is among the dead letters.
 */
export async function idle(w, { exact = true, ms = 60_000 } = {}) {
    let last;

    await until(async () => {
        last = { queues: w.emulators.depths() };

        if (Object.entries(last.queues).some(([name, n]) => n > 0
            && (exact || !name.endsWith('-dlq')))) {
            return false;
        }

        last.figures = (await w.call('GET', '/comms-status')).json?.figures;

        return !exact || (last.figures?.inbound_waiting === 0
            && last.figures.effects_unfinished === 0);
    }, ms, 'nothing is left to do').catch((err) => {
        throw new Error(`${err.message}: ${JSON.stringify(last)}`);
    });
}


export async function close(w) {
    await Promise.all(w.machines.slice(1).map((m) => m.nginx.stop()));
    await w.close();
    await w.emulators.stop();
}


export function cloud(name, options, body) {
    test(name, { timeout: options.timeout ?? 120_000,
        skip: !fs.existsSync(MODULE) || options.skip }, async (t) => {
        const w = await make(options);
        let over = false;

        try {
            await body(w, t);
            await close(w);
            w.machines.forEach((m) => m.finish());
            assert.deepEqual(w.front.refused, []);
            over = true;
        } finally {
            if (!over) {
                w.machines.forEach((m, i) => m.nginx.said().split('\n')
                    .slice(-40).forEach((line) => t.diagnostic(
                        `machine ${i}: ${line}`)));
                w.front.refused.slice(0, 5).forEach((line) =>
                    t.diagnostic(line));
                await close(w);
            }

            if (over || !process.env.COMMS_KEEP) {
                w.machines.forEach((m) => m.nginx.remove());
            }
        }
    });
}
