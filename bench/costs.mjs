/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Figures that are costs: an AI call's time, a turn's memory, a lease, a
 * start of nginx.
 */

import fs from 'node:fs';
import path from 'node:path';

import { BINARY, HERE, LUA, MODULE, NDK, OURS, Plain, cpu, end, engine,
    freePort, listens, median, project, providers, resident, said, seed,
    sleep, status, until, wrk } from './world.mjs';
import { manyThreads, pattern } from './fill.mjs';

const TOP = path.resolve(HERE, '..');
const SCRATCH = path.join(TOP, 'build/bench');


/* builds bench/call against the nginx of this machine */
async function callModule() {
    await said('bash', ['-c', `mkdir -p ${SCRATCH}/call
        cd /usr/share/nginx/src && . ./conf_flags && bash ./configure \
            --with-cc-opt='-g -O2 -fPIC -Wno-unused-parameter' \
            --with-ld-opt=-fPIC "\${NGX_CONF_FLAGS[@]}" \
            --builddir=${SCRATCH}/call --add-dynamic-module=${HERE}/call \
            > ${SCRATCH}/call/configure.log
        make -s -f ${SCRATCH}/call/Makefile -C /usr/share/nginx/src modules`]);

    return `${SCRATCH}/call/ngx_http_comms_bench_call_module.so`;
}


/* (1) what comes on top of the provider's own time, as wrk sees it */
export async function aiCall({ rounds, seconds }) {
    const module = await callModule();
    const stub = await providers();
    const nginx = await engine({
        at: stub.port, main: `load_module ${module};`, consume: false,
        server: `
        location = /call {
            comms_bench_call;
        }

        location = /proxy {
            proxy_pass http://providers/v1/responses;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }`,
    });
    const added = { p50: [[], []], p99: [[], []] };
    const how = { seconds, connections: 1, body: '{"input":"x"}' };

    for (let i = 0; i < rounds; i++) {
        const direct = await wrk('same',
            `http://127.0.0.1:${stub.port}/v1/responses`, how);
        const ours = await wrk('same', `${nginx.url}/call`, how);
        const proxy = await wrk('same', `${nginx.url}/proxy`, how);

        for (const p of ['p50', 'p99']) {
            added[p][0].push((ours[p] - direct[p]) / 1000);
            added[p][1].push((proxy[p] - direct[p]) / 1000);
        }
    }

    await end(nginx);
    await stub.stop();

    return [
        { figure: 'time added to one AI call, p50', against: 'plain proxy_pass',
            ours: added.p50[0], others: added.p50[1], unit: 'ms', budget: 2,
            better: 'low',
            note: 'job, subrequest, building and reading; no store' },
        { figure: 'time added to one AI call, p99', against: 'plain proxy_pass',
            ours: added.p99[0], others: added.p99[1], unit: 'ms', budget: 2,
            limit: 0.5, better: 'low', note: 'and at most 0.5 ms' },
    ];
}


/* (5) */
export async function memory({ inFlight }) {
    const from = await pattern();
    const file = await manyThreads(from, inFlight + 1);
    const stub = await providers({ hold: 30 });
    const nginx = await engine({
        at: stub.port, from: file, connections: Math.max(4096, inFlight * 4),
        jobs: inFlight + 100, concurrency: Math.min(inFlight + 100, 10_000),
    });
    const [pid] = nginx.workers();

    await sleep(1000);

    const before = resident(pid);

    await wrk('webhook', `${nginx.url}/webhooks/twilio`,
        { count: inFlight, first: 2, people: inFlight, seed: seed() });

    const held = await most(nginx, inFlight, 'jobs_in_flight', 20_000);
    const after = resident(pid);

    /* more messages of the same people wait for the turns to end */
    const more = await parked(nginx, inFlight, pid);

    await until(async () => (await status(nginx)).gauges.jobs_in_flight === 0,
        180_000, 'the turns are over');
    await end(nginx);
    await stub.stop();
    fs.rmSync(path.dirname(from), { recursive: true });

    return [
        { figure: 'memory per turn in flight', against: 'budget, absolute',
            ours: [(after - before) / held / 1024], others: [], unit: 'KB',
            budget: 32, better: 'low',
            note: `resident set, ${held} turns with the AI at work; `
                + 'connection slots are allocated before' },
        more,
    ];
}


/* the highest value that a gauge reaches */
async function most(nginx, wanted, gauge, ms) {
    const deadline = Date.now() + ms;
    let top = 0;

    while (top < wanted && Date.now() < deadline) {
        top = Math.max(top, (await status(nginx)).gauges[gauge]);
        await sleep(100);
    }

    return top;
}


async function parked(nginx, inFlight, pid) {
    const wanted = Math.min(inFlight, 2000);
    const before = resident(pid);

    await wrk('webhook', `${nginx.url}/webhooks/twilio`,
        { count: wanted, first: 2, people: inFlight, seed: seed() });

    const held = await most(nginx, wanted, 'parked', 5000);

    return {
        figure: 'memory per parked message', against: 'budget, absolute',
        ours: held === 0 ? [] : [(resident(pid) - before) / held / 1024],
        others: [], unit: 'KB', budget: 1, better: 'low',
        note: `${held} messages parked behind turns in flight`,
    };
}


/* (6) */
export async function lease({ rounds }) {
    const program = await leaseProgram();
    const plain = await Plain.start(OURS, {
        main: `load_module ${NDK};\nload_module ${LUA};`,
        http: 'lua_shared_dict locks 16m;',
        server: `
        location = / {
            content_by_lua_block {
                local ffi = require "ffi"
                local locks = ngx.shared.locks
                local n = 300000
                local keys = {}

                for i = 0, 999 do
                    keys[i] = string.format("th_01ARYZ6S41%016d", i)
                end

                ngx.update_time()
                local began = ngx.now()

                for i = 1, n do
                    local key = keys[i % 1000]
                    if not locks:add(key, true, 60) then
                        ngx.exit(500)
                    end
                    locks:delete(key)
                end

                ngx.update_time()
                ngx.print((ngx.now() - began) * 1e9 / n)
            }
        }`,
    });
    const ours = [];
    const others = [];

    await (await fetch(plain.url)).text();

    for (let i = 0; i < rounds; i++) {
        ours.push(Number(await said('taskset', ['-c', OURS, program, '1',
            '1000000'])) / 1000);
        others.push(Number(await (await fetch(plain.url)).text()) / 1000);
    }

    await plain.stop();

    return [
        { figure: 'lease take + release, faster by',
            against: 'ngx.shared.DICT:add + delete', ours, others, unit: 'us',
            budget: 10, better: 'faster', note: 'uncontended, 1,000 keys' },
        { figure: 'lease take + release', against: 'budget, absolute',
            ours, others: [], unit: 'us', budget: 0.5, better: 'low',
            note: '' },
    ];
}


/* the room "guard" with -O2, as the module has it */
async function leaseProgram() {
    const unit = `${TOP}/build/unit`;

    await said('bash', ['-c', `cd ${TOP} && mkdir -p ${SCRATCH}
        make -s -f t/unit/unit.mk ${unit}/libcomms.a >&2
        gcc -O2 -g -o ${SCRATCH}/lease bench/lease.c t/unit/nginx_env.c \
            src/guard/*.c -Isrc -It/unit -isystem build/nginx-src/src/core \
            -isystem build/nginx-src/src/event \
            -isystem build/nginx-src/src/event/modules \
            -isystem build/nginx-src/src/os/unix -isystem ${unit}/nginx \
            $(pkg-config --cflags --libs jansson sqlite3 libcrypto \
                gmime-3.0 cmocka) ${unit}/libcomms.a ${unit}/libnginx.a \
            $(pkg-config --libs jansson sqlite3 libcrypto gmime-3.0 cmocka) \
            -lssl -lcrypt -lpthread -ldl`]);

    return `${SCRATCH}/lease`;
}


/* (10) seconds from the start of nginx to its first answer */
export async function startUp({ rounds, projects: n }) {
    const projects = {};

    for (let i = 0; i < n; i++) {
        const one = project({ company_id: `ci-${i % 1000}`,
            project_id: `pi-${i}` });

        one.channel_config.sms.company_sms_number =
            `+4478${String(i).padStart(8, '0')}`;
        one.channel_config.whatsapp.company_whatsapp_number =
            `+4479${String(i).padStart(8, '0')}`;
        one.channel_config.email.company_email = `jobs${i}@acme.example`;
        projects[`p${i}`] = one;
    }

    const ours = [];
    const others = [];
    const nginx = await engine({ at: 9, projects });

    await nginx.stop();

    for (let i = 0; i < rounds; i++) {
        ours.push(await answers(nginx.port, () => nginx.start()));
        await nginx.stop();

        let plain;
        const port = await freePort();

        others.push(await answers(port, async () => {
            plain = await bare(nginx, port);
        }));
        await plain.stop();
    }

    await end(nginx);

    return [{
        figure: `start with ${n.toLocaleString('en')} projects, added`,
        against: 'bare nginx', ours: ours.map((s, i) => s - others[i]),
        others: [], unit: 's', budget: 1, better: 'low',
        note: `bare ${median(others).toFixed(3)} s`,
    }];
}


async function answers(port, start) {
    const began = performance.now();
    const started = start();
    let open = false;

    while (!open) {
        open = await listens(port);
        await sleep(1);
    }

    const took = (performance.now() - began) / 1000;

    await started;

    return took;
}


async function bare(nginx, port) {
    const file = nginx.file('bare.conf');

    fs.writeFileSync(file, `
daemon off;
worker_processes 1;
pid logs/bare.pid;
events {
}
http {
    access_log off;
    server {
        listen 127.0.0.1:${port};
    }
}
`);

    const { Program } = await import('./world.mjs');

    return Program.start(OURS, BINARY, ['-p', `${nginx.prefix}/`, '-e',
        'logs/bare.log', '-c', 'bare.conf'], { port });
}
