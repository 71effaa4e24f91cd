
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A backend under test: an nginx with two workers, the module, and the
 * test-only module through which store and bus are asked.
 *
 * To add a backend: add a row to BACKENDS.  The behaviours are the same for
 * all; whatever one backend does differently is a mistake of it, or a promise
 * that ngx_comms_store.h and ngx_comms_bus.h must not make.
 *
 *   COMMS_BACKENDS       names, separated by commas; default: those that
 *                        need nothing installed
 *   COMMS_BACKEND_TEST   default build/backend-test/....so
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { MODULE, Nginx, TOP, freePort } from '../lib/nginx.mjs';

const DRIVER = path.resolve(TOP, process.env.COMMS_BACKEND_TEST
    ?? 'build/backend-test/ngx_http_comms_backend_test_module.so');
const run = promisify(execFile);

export const OK = 0;
export const ERROR = -1;
export const DECLINED = -5;
export const ABORT = -6;


export const BACKENDS = {
    embedded: {
        directives: `
            comms_store sqlite path=comms.db retention=30;
            comms_bus sqlite;`,

        /* the file's own opinion; null: nobody here can ask it */
        async integrity(nginx) {
            try {
                const { stdout } = await run('sqlite3',
                    [nginx.file('comms.db'), 'PRAGMA integrity_check']);

                return stdout.trim();
            } catch (err) {
                if (err.code === 'ENOENT') {
                    return null;
                }

                throw err;
            }
        },
    },

    dynamodb_single: dynamodb('single'),
    dynamodb_per_channel: dynamodb('per_channel'),
};


/*
 * The store over dynalite, in this process, with the embedded bus.  It is
 * asked for by name: dynalite and the SDK need not be installed for the rest.
 */
function dynamodb(layout) {
    return {
        layout,
        byName: true,

        async prepare() {
            const { DynamoDBClient, createTables, dynalite }
                = await import('../aws/tables.mjs');
            const server = dynalite({ createTableMs: 0 });
            const port = await freePort();
            const options = { endpoint: `http://127.0.0.1:${port}`,
                region: 'us-east-1',
                credentials: { accessKeyId: 'A', secretAccessKey: 'B' } };

            await new Promise((resolve) => {
                server.listen(port, '127.0.0.1', resolve);
            });
            await createTables(options, layout, { table: 'threads',
                inbound: 'inbound', consent: 'consent',
                effects: layout === 'single' ? null : 'effects' });

            process.env.AWS_ACCESS_KEY_ID = 'A';
            process.env.AWS_SECRET_ACCESS_KEY = 'B';

            return {
                client: new DynamoDBClient(options),
                server,
                directives: `
                    comms_aws region=us-east-1 dynamodb=${options.endpoint};
                    comms_store dynamodb table=threads layout=${layout}
                        inbound_table=inbound consent_table=consent
                        ${layout === 'single' ? '' : 'effects_table=effects'};
                    comms_bus sqlite path=comms.db;`,
            };
        },

        finish({ client, server }) {
            client.destroy();
            server.close();
        },
    };
}


export function chosen() {
    const names = process.env.COMMS_BACKENDS?.split(',')
        ?? Object.keys(BACKENDS).filter((name) => !BACKENDS[name].byName);

    return names.map((name) => [name, BACKENDS[name]]);
}


class Driven extends Nginx {
    static async start(options) {
        const nginx = new Driven(options);

        nginx.port = await freePort();
        nginx.url = `http://127.0.0.1:${nginx.port}`;
        nginx.configure();
        await nginx.start();

        return nginx;
    }

    configure() {
        const { directives, workers = 2 } = this.options;

        fs.writeFileSync(this.file('nginx.conf'), `
daemon off;
master_process on;
worker_processes ${workers};
${process.getuid?.() === 0 ? 'user root;' : ''}
pid logs/nginx.pid;
error_log logs/error.log info;
load_module ${MODULE};
load_module ${DRIVER};

events {
    worker_connections 1024;
}

http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;

    comms_zone comms:4m;
    comms_workers off;
    ${directives}

    server {
        listen 127.0.0.1:${this.port};
        client_body_buffer_size 1m;

        location / {
            comms_backend_test;
        }
    }
}
`);
    }
}


export class Backend {
    static async start(spec, options = {}) {
        const backend = new Backend();

        backend.spec = { ...spec, ...await spec.prepare?.() };
        backend.nginx = await Driven.start({ ...backend.spec, ...options });
        backend.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

        return backend;
    }

    /* asks; rejects when the worker process is gone before it answered */
    ask(room, op, input, agent = this.agent) {
        const text = JSON.stringify({ room, op, in: input });

        return new Promise((resolve, reject) => {
            const request = http.request(this.nginx.url, {
                method: 'POST', agent,
                headers: { 'Content-Length': Buffer.byteLength(text) },
            }, (response) => {
                const chunks = [];

                response.on('data', (chunk) => chunks.push(chunk));
                response.on('error', reject);
                response.on('end', () => {
                    const body = Buffer.concat(chunks).toString();

                    if (response.statusCode !== 200) {
                        reject(new Error(`${op}: ${response.statusCode}`));
                        return;
                    }

                    const answer = JSON.parse(body);

                    assert.equal(answer.early, false,
                        `${op} was finished before its start returned`);
                    resolve(answer);
                });
            });

            request.on('error', reject);
            request.end(text);
        });
    }

    /* asks on a connection of its own, so that any worker may take it */
    askAny(room, op, input) {
        return this.ask(room, op, input, false);
    }

    /* asks and expects an rc; gives the answer */
    async expect(rc, room, op, input) {
        const got = await this.ask(room, op, input);

        assert.equal(got.rc, rc, `${room}.${op}: ${JSON.stringify(got)}`);

        return got.answer;
    }

    store(op, input, rc = OK) {
        return this.expect(rc, 'store', op, input);
    }

    bus(op, input, rc = OK) {
        return this.expect(rc, 'bus', op, input);
    }

    /* receives with parameters that most behaviours do not care about */
    receive(queue, changes = {}) {
        return this.bus('receive', {
            queue, max: 10, visibility: 60_000, max_receives: 5, ...changes,
        });
    }

    /* the same question n times at once, over all workers; the rcs */
    async atOnce(n, room, op, input) {
        const answers = await Promise.all(Array.from({ length: n },
            (_, i) => this.askAny(room, op,
                typeof input === 'function' ? input(i) : input)));

        assert.ok(new Set(answers.map((a) => a.pid)).size >= 1);

        return answers;
    }

    async stop() {
        this.agent.destroy();
        await this.nginx.stop();
    }

    complaints() {
        return this.nginx.complaints();
    }

    remove() {
        this.spec.finish?.(this.spec);
        this.nginx.remove();
    }
}


/* what behaviours are made of */

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
let count = 0;


export function ulid() {
    let time = Date.now();
    let text = '';

    for (let i = 0; i < 10; i++) {
        text = ALPHABET[time % 32] + text;
        time = Math.floor(time / 32);
    }

    let n = ++count;
    let tail = '';

    for (let i = 0; i < 16; i++) {
        tail = (i < 8 ? ALPHABET[n % 32]
            : ALPHABET[Math.floor(Math.random() * 32)]) + tail;
        n = Math.floor(n / 32);
    }

    return text + tail;
}


/* a name that no other behaviour uses */
export function unique(word) {
    return `${word}-${ulid().toLowerCase()}`;
}


export function phone() {
    return `tel:+4477${String(Date.now() % 1e4).padStart(4, '0')}`
        + `${String(++count).padStart(6, '0')}`;
}


/* an accept; "changes" of the record, "others" of the rest */
export function start(changes = {}, others = {}) {
    const person = others.person ?? phone();
    const mail = others.mail ?? `mailto:${unique('p')}@example.org`;
    const company = changes.company_id ?? unique('ci');
    const project = changes.project_id ?? 'pi-1';
    const request = unique('r');

    return {
        person,
        mail,
        input: {
            record: {
                thread_id: `th_${ulid()}`,
                conversation_id: `${company}#${project}#${request}`,
                company_id: company,
                project_id: project,
                request_id: request,
                channel_method: ['whatsapp', 'email'],
                recipient_first_name: 'Ada',
                project_data: { jobRole: 'Nurse', deep: { list: [1, 'é'] } },
                ai_config: { model: 'm' },
                channel_config: { sms: {} },
                task_complete: 0,
                ...changes,
            },
            request_hash: 'h'.repeat(64),
            queue_timestamp: '2026-11-22T11:45:32.789Z',
            pairs: [
                { channel: 'whatsapp', company_address: 'tel:+15550001',
                    person_address: person },
                { channel: 'email',
                    company_address: 'mailto:jobs@example.com',
                    person_address: mail },
            ],
            queue: others.queue ?? unique('open'),
            body: others.body ?? { kind: 'open' },
        },
    };
}


/* starts a thread; what was given to accept */
export async function thread(b, changes = {}, others = {}) {
    const made = start(changes, others);

    await b.store('accept', made.input);

    return { ...made, id: made.input.record.thread_id,
        company: made.input.record.company_id };
}


/* a keep from a person on WhatsApp */
export function message(person, changes = {}, others = {}) {
    return {
        inbound: {
            kind: 'message', channel: 'whatsapp', provider: 'twilio',
            inbound_id: `in_${ulid()}`, dedupe_id: unique('twilio:SM'),
            provider_message_id: unique('SM'),
            company_address: 'tel:+15550001', person_address: person,
            content: 'hello \u{1F600}', received_at: Date.now(),
            credentials_id: 'twilio-1', ...changes,
        },
        queue: others.queue ?? unique('reply'),
        body: { kind: 'reply' },
    };
}


export function pause(ms) {
    return new Promise((resolve) => { setTimeout(resolve, ms); });
}
