/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What every figure needs: who runs on which core, nginx with the module,
 * nginx without it, providers that answer at once, and wrk.
 *
 * Core 0 is the measured side's.  The last core is the load generator's and
 * the providers'.
 */

import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { BINARY, MODULE, Nginx, freePort, listens, until }
    from '../t/lib/nginx.mjs';
import { API_KEY, COMPANY, SID, TOKEN, project, secrets }
    from '../t/lib/world.mjs';

export { API_KEY, COMPANY, SID, TOKEN, BINARY, MODULE, freePort, listens,
    project, until };

export const HERE = path.dirname(fileURLToPath(import.meta.url));
export const CORES = os.cpus().length;
export const OURS = '0';
export const THEIRS = String(Math.max(CORES - 1, 0));
export const LUA = '/usr/lib/nginx/modules/ngx_http_lua_module.so';
export const NDK = '/usr/lib/nginx/modules/ndk_http_module.so';
export const TICK = Number(await said('getconf', ['CLK_TCK']));

const FILES = Math.min(65_536,
    Number(await said('bash', ['-c', 'ulimit -Hn | sed s/unlimited/65536/'])));
const living = new Set();


/* runs a program to its end; what it wrote */
export async function said(command, args, { input, env, allow = false } = {}) {
    const child = spawn(command, args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { ...process.env, ...env },
    });
    let out = '';
    let err = '';

    child.stdout.on('data', (data) => { out += data; });
    child.stderr.on('data', (data) => { err += data; });
    child.stdin.on('error', () => { /* it may not read */ });
    child.stdin.end(input ?? '');

    const code = await new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', resolve);
    });

    if (code !== 0 && !allow) {
        throw new Error(`${command} ended with ${code}: ${err}${out}`);
    }

    return out;
}


export function sleep(ms) {
    return new Promise((resolve) => { setTimeout(resolve, ms); });
}


/* a program that runs until it is stopped */
export class Program {
    static async start(core, command, args, { port, env, cwd } = {}) {
        const p = new Program();

        p.words = '';
        p.child = spawn('taskset', ['-c', core, command, ...args], {
            stdio: ['ignore', 'pipe', 'pipe'],
            env: { ...process.env, ...env },
            cwd,
        });
        p.gone = new Promise((resolve) => {
            p.child.on('exit', (code) => { p.over = true; resolve(code); });
        });

        for (const stream of [p.child.stdout, p.child.stderr]) {
            stream.on('data', (data) => { p.words += data; });
        }

        living.add(p);

        await until(async () => {
            if (p.over) {
                throw new Error(`${command} did not start: ${p.words}`);
            }

            return listens(port);
        }, 20_000, `${command} listens`);

        return p;
    }

    async stop(signal = 'SIGTERM') {
        living.delete(this);

        if (!this.over) {
            this.child.kill(signal);
            await this.gone;
        }
    }
}


/* an nginx without the module, one worker, on a core */
export class Plain {
    static async start(core, { http = '', server = '', main = '',
        connections = 4096 })
    {
        const n = new Plain();

        n.prefix = fs.mkdtempSync(path.join(os.tmpdir(), 'comms-bench-'));
        n.port = await freePort();
        n.url = `http://127.0.0.1:${n.port}`;

        fs.writeFileSync(path.join(n.prefix, 'nginx.conf'), `
daemon off;
worker_processes 1;
worker_rlimit_nofile ${FILES};
pid nginx.pid;
error_log error.log error;
${process.getuid() === 0 ? 'user root;' : ''}
${main}
events {
    worker_connections ${connections};
}

http {
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    client_body_buffer_size 64k;
    keepalive_requests 100000000;
    ${http}
    server {
        listen 127.0.0.1:${n.port} backlog=4096;

        ${server}
    }
}
`);
        n.program = await Program.start(core, BINARY, ['-p', `${n.prefix}/`,
            '-e', 'error.log', '-c', 'nginx.conf'], { port: n.port });

        return n;
    }

    async stop() {
        await this.program.stop('SIGQUIT');
        fs.rmSync(this.prefix, { recursive: true, force: true });
    }
}


/* the first messages and an answer alike: one text does for both */
const WORDS = JSON.stringify({
    whatsapp: { message: 'Hello Ada, would you like an interview?' },
    sms: { message: 'Hello Ada, would you like an interview?' },
    email: { subject: 'Interview', message: 'Hello Ada, would you?' },
});

const CONVERSATION = JSON.stringify({
    id: 'conv_0123456789abcdef0123456789abcdef0123456789abcdef',
    object: 'conversation', created_at: 1763812800, metadata: {},
});

const RESPONSE = JSON.stringify({
    id: 'resp_$request_id', object: 'response', created_at: 1763812800,
    status: 'completed', error: null, incomplete_details: null,
    model: 'gpt-scenario',
    output: [{
        id: 'msg_$request_id', type: 'message', status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', annotations: [], logprobs: [],
            text: WORDS }],
    }],
    usage: { input_tokens: 300, output_tokens: 40, total_tokens: 340 },
});

const MESSAGE = JSON.stringify({
    sid: 'SM$request_id', account_sid: SID, api_version: '2010-04-01',
    body: 'Hello Ada, would you like an interview?', direction: 'outbound-api',
    error_code: null, error_message: null, num_media: '0', num_segments: '1',
    status: 'queued', from: COMPANY.sms, to: '+447700000000',
});


/* a string for nginx's "return" */
function quoted(text) {
    return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}


/*
 * The providers, one nginx that answers with constant documents.  "hold": the
 * AI takes so many seconds.
 */
export async function providers({ hold = 0 } = {}) {
    const ask = hold === 0 ? `return 200 ${quoted(RESPONSE)};`
        : `content_by_lua_block {
            ngx.sleep(${hold})
            ngx.print((ngx.var.answer))
        }`;

    return Plain.start(THEIRS, {
        main: hold === 0 ? '' : `load_module ${NDK};\nload_module ${LUA};`,
        connections: 32768,
        http: `default_type application/json;`,
        server: `
        set $answer '';

        location = /v1/responses {
            ${hold === 0 ? '' : `set $answer ${quoted(RESPONSE)};`}
            ${ask}
        }

        location ~ ^/v1/conversations/.+/items$ {
            return 200 '{"object":"list","data":[],"has_more":false}';
        }

        location /v1/conversations {
            return 200 ${quoted(CONVERSATION)};
        }

        location /2010-04-01/ {
            return 201 ${quoted(MESSAGE)};
        }

        location / {
            return 404 '{}';
        }`,
    });
}


/*
 * nginx with the module.  "at": where the providers are; "cores": where its
 * processes run; "from": a database to begin with.
 */
export async function engine({ at, cores = OURS, consume = true, workers = 1,
    connections = 8192, jobs = 2048, concurrency = 128, from = null,
    projects = null, http = '', server = '', main = '', turn = '300s' })
{
    const nginx = new Nginx({
        projects: projects ?? { acme: project() },
        secrets: secrets(),
        upstreams: { openai: 'http://providers', twilio: 'http://providers',
            sendgrid: 'http://providers' },
        before: ['taskset', '-c', cores],
        workers, connections, concurrency, visibility: '120s',
        leaseTerm: '60s', turnTimeout: turn, readTimeout: '60s',
        logLevel: 'error', zone: '64m',
        main: `worker_rlimit_nofile ${FILES};\n${main}`,
        http: `
    comms_workers ${consume ? 'on' : 'off'};
    comms_max_jobs ${jobs};
    keepalive_requests 100000000;
    upstream providers {
        server 127.0.0.1:${at};
        keepalive 1024;
        keepalive_requests 100000000;
    }
    ${http}`,
        server: `
        location = /return {
            return 200;
        }

        location = /bench-none {
            return 204;
        }
        ${server}`,
    });

    nginx.port = await freePort();
    nginx.url = `http://127.0.0.1:${nginx.port}`;
    nginx.configure();

    if (from !== null) {
        fs.copyFileSync(from, nginx.file('comms.db'));
    }

    living.add(nginx);
    await nginx.start();

    return nginx;
}


export async function end(nginx, { keep = false } = {}) {
    living.delete(nginx);
    await nginx.stop();

    const complaints = nginx.complaints();

    if (complaints.length > 0) {
        throw new Error(`error.log: ${complaints.slice(0, 5).join('\n')}`);
    }

    if (!keep) {
        nginx.remove();
    }
}


/* whatever still runs when the program fails */
export async function endAll() {
    for (const one of living) {
        await one.stop('SIGTERM');
        one.remove?.();
    }
}


export async function status(nginx) {
    const res = await fetch(`${nginx.url}/comms-status`);

    if (res.status !== 200) {
        throw new Error(`the status page says ${res.status}`);
    }

    return res.json();
}


/* load by wrk from the other core */
export async function wrk(mode, url, { connections = 64, seconds = 3,
    count = 0, seed = 0, first = 0, people = 90_000_000, number = COMPANY.sms,
    body = '', signed = url, fine = false } = {})
{
    const out = await said('taskset', ['-c', THEIRS, 'wrk', '-t1',
        `-c${connections}`, `-d${count > 0 ? 120 : seconds}s`,
        '--timeout', '30s', '-s', path.join(HERE, 'load.lua'), url], {
        env: {
            BENCH_MODE: mode, BENCH_COUNT: String(count),
            BENCH_SEED: String(seed), BENCH_FIRST: String(first),
            BENCH_PEOPLE: String(people), BENCH_TOKEN: TOKEN,
            BENCH_SID: SID, BENCH_NUMBER: number, BENCH_URL: signed,
            BENCH_KEY: API_KEY, BENCH_BODY: body,
        },
    });
    const result = JSON.parse(out.trim().split('\n').at(-1));

    if (!fine && (result.failed > 0 || result.broken > 0)) {
        throw new Error(`${url}: ${result.failed} of ${result.requests} were `
            + `refused, ${result.broken} connections failed`);
    }

    return { ...result, rate: result.requests / result.us * 1e6 };
}


/* CPU seconds that processes have used */
export function cpu(pids) {
    return pids.reduce((sum, pid) => {
        const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
            .replace(/^.*\) /, '').split(' ');

        return sum + (Number(fields[11]) + Number(fields[12])) / TICK;
    }, 0);
}


/* resident bytes of a process */
export function resident(pid) {
    const line = /^Rss:\s+(\d+) kB/m.exec(
        fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));

    return Number(line[1]) * 1024;
}


export function median(list) {
    const sorted = [...list].sort((a, b) => a - b);
    const half = sorted.length >> 1;

    return sorted.length % 2 === 1 ? sorted[half]
        : (sorted[half - 1] + sorted[half]) / 2;
}


export function percentile(list, p) {
    const sorted = [...list].sort((a, b) => a - b);

    return sorted[Math.min(sorted.length - 1,
        Math.floor(sorted.length * p / 100))];
}


/* a seed that no other run has */
export function seed() {
    return crypto.randomBytes(4).readUInt32BE();
}
