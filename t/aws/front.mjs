
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What stands before the emulators: it checks each request's signature with
 * AWS's own code, which the emulators do not, and does what is asked of it to
 * the answers.
 *
 *   front.fault({ operation, match, times, kind })   kind: "503", "throttle",
 *       "denied", "lose" (carried out, and the connection cut), "reset" (not
 *       carried out); "match" sees operation and body
 *   front.chance = { share, random, kinds }   the same, by lot: share of 100
 *   front.away       true: every connection is cut
 *   front.skew       ms by which the services' clock is ahead of ours
 *   front.seen       [{ service, operation, body, token }]; of the session
 *   front.refused    what was wrong with requests, in words
 *
 * With "generous" the queues that are asked for, their dead letters and their
 * subscriptions come to be on demand, since the behaviours of the bus use a
 * queue of its own each.
 */

import http from 'node:http';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

export const KEYS = { accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
export const REGION = 'us-east-1';
export const ACCOUNT = '000000000000';

const SKEW = 300_000;
const SKEWED = 'Signature expired';
const KINDS = {
    503: [503, 'ServiceUnavailable'],
    throttle: [400, 'ThrottlingException'],
    denied: [400, 'AccessDeniedException'],
};


function parts(authorization = '') {
    const match = authorization.match(new RegExp('^AWS4-HMAC-SHA256 '
        + 'Credential=([^/]+)/(\\d{8})/([^/]+)/([^/]+)/aws4_request, ?'
        + 'SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$'));

    return match && { id: match[1], region: match[3], service: match[4],
        signed: match[5].split(';'), signature: match[6] };
}


export class Front {
    constructor({ targets, generous = null }) {
        this.targets = targets;
        this.generous = generous;
        this.seen = [];
        this.refused = [];
        this.faults = [];
        this.made = new Map();
        this.chance = null;
        this.away = false;
        this.skew = 0;
        this.server = http.createServer((request, response) => {
            this.take(request, response).catch((err) => {
                this.refused.push(String(err.stack));
                response.destroy();
            });
        });
    }

    async start() {
        await new Promise((resolve) => {
            this.server.listen(0, '127.0.0.1', resolve);
        });
        this.port = this.server.address().port;
        this.url = `http://127.0.0.1:${this.port}`;

        return this;
    }

    async stop() {
        this.server.closeAllConnections();
        await new Promise((resolve) => { this.server.close(resolve); });
    }

    fault(fault) {
        this.faults.push({ times: 1, ...fault });
    }

    /* the words of what is wrong, or null */
    async wrong(request, body, auth) {
        if (!auth) {
            return 'no signature';
        }

        if (auth.id !== KEYS.accessKeyId || auth.region !== REGION) {
            return 'unknown key or region';
        }

        const { headers } = request;
        const stamp = headers['x-amz-date'] ?? '';
        const date = new Date(stamp.replace(
            /^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));

        if (!(Math.abs(date - Date.now() - this.skew) < SKEW)) {
            return this.skew ? SKEWED : `bad X-Amz-Date "${stamp}"`;
        }

        for (const name of ['host', 'x-amz-date', 'content-type',
            ...(headers['x-amz-target'] ? ['x-amz-target'] : [])]) {
            if (!auth.signed.includes(name)) {
                return `${name} is not signed`;
            }
        }

        const signer = new SignatureV4({ credentials: KEYS, region: REGION,
            service: auth.service, sha256: Sha256, applyChecksum:
                auth.signed.includes('x-amz-content-sha256') });
        const again = await signer.sign({
            method: request.method, protocol: 'http:', hostname: '127.0.0.1',
            path: request.url, query: {}, body,
            headers: Object.fromEntries(auth.signed.map(
                (name) => [name, headers[name]])),
        }, { signingDate: date,
            unsignableHeaders: new Set(),
            signableHeaders: new Set(auth.signed) });

        return parts(again.headers.authorization).signature === auth.signature
            ? null : 'the signature does not match';
    }

    /* the fault that this request meets, or undefined */
    meets(operation, body) {
        const fault = this.faults.find((f) => f.times > 0
            && (f.operation ?? operation) === operation
            && (f.match?.(operation, body) ?? true));

        if (fault) {
            fault.times--;
            return fault;
        }

        const { share, random, kinds } = this.chance ?? { share: 0 };

        return share > 0 && random(100) < share
            ? { kind: kinds[random(kinds.length)] } : undefined;
    }

    async take(request, response) {
        if (this.away) {
            response.destroy();
            return;
        }

        response.setHeader('Date',
            new Date(Date.now() + this.skew).toUTCString());

        const chunks = [];

        for await (const chunk of request) {
            chunks.push(chunk);
        }

        const body = Buffer.concat(chunks);
        const auth = parts(request.headers.authorization);
        const wrong = await this.wrong(request, body, auth);

        if (wrong) {
            if (wrong !== SKEWED) {
                this.refused.push(wrong);
            }

            this.answer(response, auth?.service, 403,
                'InvalidSignatureException', wrong);
            return;
        }

        const form = new URLSearchParams(body.toString());
        const operation = request.headers['x-amz-target']?.split('.').at(-1)
            ?? form.get('Action');
        const json = request.headers['x-amz-target']
            ? JSON.parse(body.toString() || '{}')
            : Object.fromEntries(form);

        this.seen.push({ service: auth.service, operation, body: json,
            token: request.headers['x-amz-security-token'] });

        const fault = this.meets(operation, json);

        if (fault) {
            if (fault.kind === 'reset') {
                response.destroy();
                return;
            }

            if (fault.kind !== 'lose') {
                this.answer(response, auth.service,
                    ...(KINDS[fault.kind] ?? KINDS.throttle), fault.kind);
                return;
            }
        }

        if (this.generous) {
            await this.generous(operation, json, this.made);
        }

        const texts = this.pieces(operation, form) ?? [body];

        for (const text of texts.slice(0, -1)) {
            await fetch(this.targets[auth.service], { method: 'POST',
                body: text, headers: { 'Content-Type':
                    request.headers['content-type'] } });
        }

        await this.forward(request, Buffer.from(texts.at(-1)), auth.service,
            response, fault?.kind === 'lose');
    }

    /*
     * fauxqs 1.9 knows no attributes of the type String.Array in its filters:
     * it gets one request for each element.
     */
    pieces(operation, form) {
        const value = 'MessageAttributes.entry.1.Value';

        if (operation !== 'Publish'
            || form.get(`${value}.DataType`) !== 'String.Array') {
            return null;
        }

        return JSON.parse(form.get(`${value}.StringValue`)).map((name) => {
            const piece = new URLSearchParams(form);

            piece.set(`${value}.DataType`, 'String');
            piece.set(`${value}.StringValue`, name);

            return piece.toString();
        });
    }

    answer(response, service, status, code, message) {
        const text = service === 'sns'
            ? `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code>`
              + `<Message>${message}</Message></Error></ErrorResponse>`
            : JSON.stringify({ __type: code, message });

        response.writeHead(status, { 'Content-Type': service === 'sns'
            ? 'text/xml' : 'application/x-amz-json-1.0' });
        response.end(text);
    }

    forward(request, body, service, response, lose) {
        const target = new URL(this.targets[service]);

        return new Promise((resolve, reject) => {
            const out = http.request({ host: target.hostname,
                port: target.port, method: request.method, path: request.url,
                headers: { ...request.headers,
                    'content-length': body.length } }, (got) => {
                if (lose) {
                    got.resume();
                    got.on('end', () => { response.destroy(); resolve(); });
                    return;
                }

                response.writeHead(got.statusCode, got.headers);
                got.pipe(response);
                got.on('end', resolve);
                got.on('error', reject);
            });

            out.on('error', reject);
            response.on('close', () => { out.destroy(); resolve(); });
            out.end(body);
        });
    }
}
