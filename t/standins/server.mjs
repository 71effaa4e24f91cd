
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The ground under the stand-ins: an HTTP server that records what it was
 * asked, and that fails on demand.
 *
 * A fault is put into the queue with fault({...}) and meets the next request
 * that it fits; "times" says how many.  Its members:
 *
 *   match(request)  which requests it is for; all when absent
 *   times           how many requests it meets (default 1; Infinity)
 *   taken           whether the provider does its work nevertheless, so that
 *                   only the answer suffers (default: see each kind)
 *   delay           milliseconds before the answer is given
 *   hold            a promise: the answer waits for it
 *   status, headers, body   an answer instead of the real one; not taken
 *   drop            the connection is cut without an answer; not taken
 *   reset           the same, with a TCP reset
 *   cut             the answer is cut off after so many bytes; taken
 *   garbage         a 2xx whose body is no JSON; taken
 *   empty           a 2xx with an empty body; taken
 *   huge            a 2xx with a body of so many bytes; taken
 *   stall           headers, then nothing more; taken
 *   change(answer)  the real answer is changed; taken
 */

import http from 'node:http';
import { once } from 'node:events';

const KINDS_TAKEN = [
    'delay', 'hold', 'cut', 'garbage', 'empty', 'huge', 'stall', 'change',
];


export async function serve({ port = 0, host = '127.0.0.1', handle,
    onrequest = null, limit = 32 * 1024 * 1024 }) {
    const requests = [];
    const faults = [];
    const open = new Set();
    let n = 0;

    const server = http.createServer(async (req, res) => {
        const chunks = [];
        let size = 0;

        try {
            for await (const chunk of req) {
                size += chunk.length;

                if (size > limit) {
                    req.destroy();
                    return;
                }

                chunks.push(chunk);
            }
        } catch {
            return;
        }

        const url = new URL(req.url, 'http://stand-in');
        const request = {
            n: n++,
            at: Date.now(),
            method: req.method,
            path: url.pathname,
            query: url.searchParams,
            headers: req.headers,
            rawHeaders: req.rawHeaders,
            body: Buffer.concat(chunks),
            gone: false,
        };

        res.on('close', () => { request.gone = !res.writableFinished; });
        requests.push(request);
        onrequest?.(request);

        const fault = take(faults, request);
        request.fault = fault ?? null;

        try {
            await answer(request, res, fault, handle);
        } catch (err) {
            request.error = err;

            if (!res.headersSent) {
                res.writeHead(500, { 'content-type': 'text/plain' });
            }

            res.end(String(err.stack ?? err));
        }
    });

    server.keepAliveTimeout = 60_000;
    server.maxHeadersCount = 0;
    server.on('connection', (socket) => {
        open.add(socket);
        socket.on('close', () => open.delete(socket));
    });

    server.listen(port, host);
    await once(server, 'listening');

    const bound = server.address().port;

    return {
        url: `http://${host}:${bound}`,
        port: bound,
        requests,
        faults,
        fault(f) {
            faults.push({ times: 1, ...f });
        },
        async close() {
            server.close();

            for (const socket of open) {
                socket.destroy();
            }

            if (server.listening) {
                await once(server, 'close');
            }
        },
    };
}


/* a request on a connection of its own: what a provider's webhook is */
export async function post(url, { method = 'POST', headers = {}, body = '',
    timeout = 30_000 } = {}) {
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body);
    const req = http.request(url, {
        method,
        agent: false,
        timeout,
        headers: {
            ...headers,
            ...bytes.length > 0 || method === 'POST'
                ? { 'content-length': bytes.length } : {},
        },
    });

    req.on('timeout', () => req.destroy(new Error(`no answer in ${timeout} `
        + `ms: ${method} ${url}`)));
    req.end(bytes);

    const [res] = await once(req, 'response');
    const chunks = [];

    for await (const chunk of res) {
        chunks.push(chunk);
    }

    return {
        status: res.statusCode,
        headers: res.headers,
        body: Buffer.concat(chunks).toString('utf8'),
    };
}


/* an answer as JSON */
export function json(status, document, headers = {}) {
    return {
        status,
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(document),
    };
}


/* application/x-www-form-urlencoded, strictly; null when it is not */
export function form(request) {
    const type = request.headers['content-type'] ?? '';

    if (!/^application\/x-www-form-urlencoded\b/i.test(type)) {
        return null;
    }

    const text = request.body.toString('latin1');

    if (!/^[A-Za-z0-9*\-._+%&=]*$/.test(text)) {
        return null;
    }

    try {
        text.split(/[&=]/).forEach((p) => decodeURIComponent(p));
    } catch {
        return null;
    }

    return new URLSearchParams(text);
}


/* "Basic" credentials, or null */
export function basic(request) {
    const m = /^Basic ([A-Za-z0-9+/]+=*)$/.exec(
        request.headers.authorization ?? '');

    if (m === null) {
        return null;
    }

    const text = Buffer.from(m[1], 'base64').toString('utf8');
    const colon = text.indexOf(':');

    return colon < 0 ? null
        : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}


/* "Bearer" token, or null */
export function bearer(request) {
    return /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
        ?? null;
}


/* "--name value" pairs of the command line */
export function options(argv = process.argv.slice(2)) {
    const found = {};

    for (let i = 0; i < argv.length; i += 2) {
        const name = /^--([a-z][a-z-]*)$/.exec(argv[i])?.[1];

        if (name === undefined || argv[i + 1] === undefined) {
            throw new Error(`expected "--name value", got "${argv[i]}"`);
        }

        found[name] = argv[i + 1];
    }

    return found;
}


/* runs a stand-in until it is told to stop */
export async function run(start, wanted) {
    const standin = await start(wanted);

    console.log(`listening on ${standin.url}`);

    const stop = async () => {
        await standin.close();
        process.exit(0);
    };

    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
}


function take(faults, request) {
    const i = faults.findIndex((f) => f.match?.(request) ?? true);

    if (i < 0) {
        return null;
    }

    const fault = faults[i];

    fault.times -= 1;

    if (fault.times <= 0) {
        faults.splice(i, 1);
    }

    return fault;
}


async function answer(request, res, fault, handle) {
    const taken = fault === null || (fault.taken
        ?? KINDS_TAKEN.some((kind) => fault[kind] !== undefined));

    if (fault?.delay) {
        await new Promise((resolve) => { setTimeout(resolve, fault.delay); });
    }

    const real = taken ? await handle(request) : json(500, {});

    request.answer = taken ? real : null;

    if (fault === null) {
        send(res, real);
        return;
    }

    if (fault.hold) {
        await fault.hold;
    }

    fail(res, fault, real);
}


function fail(res, fault, real) {
    if (fault.drop) {
        res.destroy();

    } else if (fault.reset) {
        res.socket.resetAndDestroy();

    } else if (fault.status !== undefined) {
        send(res, {
            status: fault.status,
            headers: fault.headers ?? { 'content-type': 'application/json' },
            body: typeof fault.body === 'object' && fault.body !== null
                && !Buffer.isBuffer(fault.body)
                ? JSON.stringify(fault.body) : fault.body ?? '',
        });

    } else if (fault.cut !== undefined) {
        const body = Buffer.from(real.body ?? '');

        res.writeHead(real.status, {
            ...real.headers,
            'content-length': Math.max(body.length, fault.cut + 1),
        });
        res.write(body.subarray(0, fault.cut), () => res.destroy());

    } else if (fault.garbage) {
        send(res, {
            ...real,
            body: '<html>\u0000{"id": "not json at all"',
        });

    } else if (fault.empty) {
        send(res, { ...real, body: '' });

    } else if (fault.huge !== undefined) {
        send(res, {
            ...real,
            body: Buffer.alloc(fault.huge, 0x20),
        });

    } else if (fault.stall) {
        const body = Buffer.from(real.body ?? '');

        res.writeHead(real.status, {
            ...real.headers, 'content-length': body.length + 1,
        });
        res.flushHeaders();

    } else if (fault.change) {
        send(res, fault.change(real) ?? real);

    } else {
        send(res, real);
    }
}


function send(res, { status, headers = {}, body = '' }) {
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body);

    res.writeHead(status, { ...headers, 'content-length': bytes.length });
    res.end(bytes);
}
