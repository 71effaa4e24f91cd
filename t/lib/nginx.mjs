
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * An nginx of its own for each scenario: a temporary prefix, a configuration
 * made from options, start, reload, stop, kill, and its error.log read at the
 * end, where an [alert] or a sanitizer's word fails the scenario.
 *
 *   NGINX_BINARY   default /usr/sbin/nginx
 *   COMMS_MODULE   default build/module/ngx_http_comms_module.so; empty for an
 *                  nginx that the module is linked into
 */

import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const TOP = path.resolve(
    path.dirname(fileURLToPath(import.meta.url)), '../..');
export const BINARY = process.env.NGINX_BINARY ?? '/usr/sbin/nginx';
const wanted = process.env.COMMS_MODULE
    ?? 'build/module/ngx_http_comms_module.so';

/* null: the module is linked into nginx */
export const MODULE = wanted === '' ? null : path.resolve(TOP, wanted);

const QUEUES = ['open', 'reply', 'status', 'later', 'whatsapp', 'sms',
    'email'];
const PROTOCOLS = ['openai', 'twilio', 'meta', 'sendgrid'];
const PATHS = { openai: '/v1/', twilio: '/', meta: '/', sendgrid: '/' };
const run = promisify(execFile);


/* waits for a condition: fn returns (a promise of) something true */
export async function until(fn, ms = 10_000, what = String(fn)) {
    const end = Date.now() + ms;

    for ( ;; ) {
        const found = await fn();

        if (found) {
            return found;
        }

        if (Date.now() > end) {
            throw new Error(`did not come true in ${ms} ms: ${what}`);
        }

        await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
}


/* a port of 127.0.0.1 that nobody uses */
export async function freePort() {
    const server = net.createServer();

    await new Promise((resolve, reject) => {
        server.on('error', reject);
        server.listen(0, '127.0.0.1', resolve);
    });

    const { port } = server.address();

    await new Promise((resolve) => { server.close(resolve); });

    return port;
}


export async function listens(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1');

        socket.on('connect', () => { socket.destroy(); resolve(true); });
        socket.on('error', () => resolve(false));
    });
}


/*
 * nginx.conf; "upstreams" are URLs of the providers, "backends" the directives
 * that say where everything is kept
 */
export function configuration({
    port, upstreams, workers = 1, connections = 1024, zone = '16m',
    store = 'comms.db', visibility = '10s', heartbeat = null,
    maxReceives = 5, concurrency = 64, leaseTerm = '10s',
    turnTimeout = '30s', readTimeout = '5s', logLevel = 'info',
    publicBaseUrl = null, waitMax = '20s', waitingFor = {}, main = '',
    http = '', server = '', provider = {}, webhooks = null,
    paths = {}, module = MODULE, root = process.getuid?.() === 0,
    backends = `comms_store sqlite path=${store};
    comms_projects projects;
    comms_secrets secrets.json;`,
}) {
    const worker = (queue) => `    comms_worker ${queue} `
        + `concurrency=${waitingFor[queue]?.concurrency ?? concurrency} `
        + said('visibility', waitingFor[queue]?.visibility ?? visibility)
        + said('heartbeat', waitingFor[queue]?.heartbeat ?? heartbeat)
        + `max_receives=${maxReceives};`;

    function said(name, value) {
        return value === null ? '' : `${name}=${value} `;
    }

    const location = (name) => `
        location /comms/${name}/ {
            comms_provider ${name};
            proxy_pass ${upstreams[name]}${paths[name] ?? PATHS[name]};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 2s;
            proxy_send_timeout ${readTimeout};
            proxy_read_timeout ${readTimeout};
            ${provider[name] ?? ''}
        }`;

    return `
daemon off;
master_process on;
worker_processes ${workers};
${root ? 'user root;' : ''}
pid logs/nginx.pid;
error_log logs/error.log ${logLevel};
${module === null ? '' : `load_module ${module};`}
${main}
events {
    worker_connections ${connections};
}

http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    client_max_body_size 1m;

    comms_zone comms:${zone};
    ${backends}
    comms_lease_term ${leaseTerm};
    comms_turn_timeout ${turnTimeout};
    comms_wait_max ${waitMax};
${QUEUES.map(worker).join('\n')}
    ${publicBaseUrl === null ? '' : `comms_public_base_url ${publicBaseUrl};`}
    ${http}
    server {
        listen 127.0.0.1:${port};
        server_name localhost;

        location = /initiate-conversation {
            comms_initiate;
        }

        location /conversations {
            comms_conversations;
        }

        location /unsubscribe/ {
            comms_unsubscribe;
        }

        ${webhooks ?? `location /webhooks/twilio {
            comms_webhook twilio;
        }

        location /webhooks/meta {
            comms_webhook meta;
        }

        location /webhooks/sendgrid/ {
            comms_webhook sendgrid;
        }`}

        location = /comms-status {
            comms_status;
        }

        location = /metrics {
            comms_status prometheus;
        }

        location /comms/jobs {
            internal;
            comms_jobs;
        }
${PROTOCOLS.filter((name) => upstreams[name] !== undefined).map(location)
        .join('\n')}
        ${server}
    }
}
`;
}


export class Nginx {
    constructor(options) {
        this.options = options;
        this.prefix = fs.mkdtempSync(path.join(
            options.parent ?? os.tmpdir(), 'comms-'));
        this.allow = [];
        this.read = 0;

        for (const dir of ['logs', 'temp', 'projects']) {
            fs.mkdirSync(path.join(this.prefix, dir));
        }
    }

    static async start(options) {
        const nginx = new Nginx(options);

        nginx.port = options.port ?? await freePort();
        nginx.url = `http://127.0.0.1:${nginx.port}`;
        nginx.configure(options);
        await nginx.start();

        return nginx;
    }

    file(name) {
        return path.join(this.prefix, name);
    }

    /* writes nginx.conf, the projects and the secrets */
    configure(changes = {}) {
        Object.assign(this.options, changes);

        const { projects, secrets } = this.options;

        fs.writeFileSync(this.file('nginx.conf'), configuration({
            ...this.options, port: this.port,
        }));

        for (const [name, project] of Object.entries(projects)) {
            fs.writeFileSync(this.file(`projects/${name}.json`),
                typeof project === 'string' ? project
                    : JSON.stringify(project, null, 2));
        }

        fs.writeFileSync(this.file('secrets.json'),
            JSON.stringify(secrets, null, 2), { mode: 0o600 });
    }

    args() {
        return ['-p', `${this.prefix}/`, '-e', 'logs/error.log', '-c',
            'nginx.conf'];
    }

    /* nginx -t; what it said, or null when all is well */
    async test() {
        try {
            /* nginx leaves its first pool to the end of such a process */
            await run(BINARY, [...this.args(), '-t'], { env: { ...process.env,
                ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}`
                    + ':detect_leaks=0' } });
            return null;
        } catch (err) {
            return err.stderr;
        }
    }

    async start() {
        const out = fs.openSync(this.file('logs/stderr.log'), 'a');
        const { before = [] } = this.options;
        const [command, ...args] = [...before, BINARY, ...this.args()];

        this.child = spawn(command, args, {
            stdio: ['ignore', out, out],
            env: {
                ...process.env,
                ...this.options.env,
                ASAN_OPTIONS: 'detect_odr_violation=0:abort_on_error=1:'
                    + `log_path=${this.file('logs/asan')}`
                    + `${process.env.ASAN_OPTIONS
                        ? `:${process.env.ASAN_OPTIONS}` : ''}`,
                UBSAN_OPTIONS: 'print_stacktrace=1',
            },
        });
        fs.closeSync(out);
        this.exited = new Promise((resolve) => {
            this.child.on('exit', (code, signal) => {
                this.gone = { code, signal };
                resolve(this.gone);
            });
        });
        this.gone = null;

        await until(async () => {
            if (this.gone !== null) {
                throw new Error('nginx did not start:\n' + this.said());
            }

            return await listens(this.port) && this.workers().length > 0;
        }, 20_000, 'nginx listens');
    }

    /* process ids of the workers */
    workers() {
        const { pid } = this.child;

        try {
            return fs.readFileSync(`/proc/${pid}/task/${pid}/children`,
                'latin1').trim().split(' ').filter(Boolean).map(Number);
        } catch {
            return [];
        }
    }

    /* SIGHUP; resolves when new workers took over, or when it was refused */
    async reload() {
        const before = this.workers();
        const at = this.log().length;

        this.child.kill('SIGHUP');

        await until(() => /\[emerg\]/.test(this.log().slice(at))
            || (this.workers().some((pid) => !before.includes(pid))
                && /start worker process/.test(this.log().slice(at))),
        20_000, 'the reload is done');

        return { before, words: this.log().slice(at) };
    }

    async stop(signal = 'SIGQUIT') {
        if (this.gone !== null || this.child === undefined) {
            return;
        }

        this.child.kill(signal);

        const late = setTimeout(() => this.slaughter(), 30_000);

        await this.exited;
        clearTimeout(late);
    }

    /* kill -9 of one worker */
    killWorker(i = 0) {
        const pids = this.workers();
        const pid = pids[i % pids.length];

        kill(pid);

        return pid;
    }

    /* kill -9 of all of it, as a power cut would */
    async slaughter() {
        const pids = this.workers();

        kill(this.child.pid);
        pids.forEach(kill);
        await this.exited;
        await until(() => pids.every((pid) => !alive(pid)), 10_000,
            'the workers are gone');
    }

    log() {
        return read(this.file('logs/error.log'));
    }

    said() {
        return read(this.file('logs/stderr.log')) + this.log();
    }

    /* lines that must not be there */
    complaints() {
        const reports = fs.readdirSync(this.file('logs'))
            .filter((f) => f.startsWith('asan.'))
            .map((f) => read(this.file(`logs/${f}`)));
        const lines = [...this.said().split('\n'), ...reports];

        return lines.filter((line) =>
            /\[alert\]|\[emerg\]|\[crit\]|Sanitizer|runtime error:/.test(line)
            && !this.allow.some((fine) => fine.test(line)));
    }

    remove() {
        fs.rmSync(this.prefix, { recursive: true, force: true });
    }
}


function kill(pid) {
    try {
        process.kill(pid, 'SIGKILL');
    } catch (err) {
        if (err.code !== 'ESRCH') {
            throw err;
        }
    }
}


/* a process that nobody has reaped yet is gone all the same */
function alive(pid) {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');

        return !/^\d+ \(.*\) [ZX]/.test(stat);
    } catch {
        return false;
    }
}


function read(file) {
    try {
        return fs.readFileSync(file, 'utf8');
    } catch {
        return '';
    }
}
