/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SNS as an HTTP endpoint sees it: messages that are signed, the certificate
 * to verify them by, and the address that confirms a subscription.
 *
 *   const sns = await new Sns().start();
 *   sns.sign({ Type: 'Notification', ... }, '2')   a message
 *   sns.agrees(message)    what the npm package sns-validator says of it
 *   sns.deliver(url, message, headers)             as SNS posts it
 *   sns.url, sns.bundle    its HTTPS server, and who vouches for that
 *   sns.asked              what was fetched there, paths with arguments
 */

import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import Validator from 'sns-validator';

import { post } from '../standins/server.mjs';

export const HOST = 'sns.eu-west-1.amazonaws.com';
export const PEM = '/SimpleNotificationService-0123abcd.pem';

const SIGNED = ['Message', 'MessageId', 'Subject', 'SubscribeURL',
    'Timestamp', 'Token', 'TopicArn', 'Type'];


/* one pair for the process: sns-validator keeps certificates for good */
let pair = null;


function makePair(dir) {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes',
        '-keyout', path.join(dir, 'key'), '-out', path.join(dir, 'cert'),
        '-days', '2', '-subj', '/CN=sns.amazonaws.com',
        '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });

    return { key: fs.readFileSync(path.join(dir, 'key')),
        pem: fs.readFileSync(path.join(dir, 'cert'), 'utf8') };
}


export class Sns {
    constructor() {
        this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sns-'));
        this.bundle = path.join(this.dir, 'bundle');
        pair ??= makePair(this.dir);
        Object.assign(this, pair);
        fs.writeFileSync(this.bundle, this.pem);
        this.asked = [];
        this.away = false;
    }

    async start() {
        this.server = https.createServer({ key: this.key, cert: this.pem },
            (request, response) => {
                this.asked.push(request.url);

                if (this.away) {
                    response.destroy();
                    return;
                }

                const found = request.url === PEM
                    || request.url.startsWith('/?Action=ConfirmSubscription&');

                response.writeHead(found ? 200 : 404);
                response.end(request.url === PEM ? this.pem : '<xml/>');
            });
        await new Promise((resolve) => {
            this.server.listen(0, '127.0.0.1', resolve);
        });
        this.url = `https://127.0.0.1:${this.server.address().port}`;

        return this;
    }

    async stop() {
        this.server.closeAllConnections();
        await new Promise((resolve) => { this.server.close(resolve); });
        fs.rmSync(this.dir, { recursive: true });
    }

    sign(changes, version = '2') {
        const message = {
            MessageId: crypto.randomUUID(),
            Timestamp: new Date().toISOString(),
            ...changes,
        };
        const signed = SIGNED.filter((name) => name in message)
            .map((name) => `${name}\n${message[name]}\n`).join('');

        return { SigningCertURL: `https://${HOST}${PEM}`, ...message,
            SignatureVersion: version,
            Signature: crypto.sign(version === '1' ? 'sha1' : 'sha256',
                Buffer.from(signed), this.key).toString('base64') };
    }

    confirmation(topic, changes = {}) {
        return this.sign({ Type: 'SubscriptionConfirmation', TopicArn: topic,
            Message: 'You have chosen to subscribe', Token: '2336412f37',
            SubscribeURL: `https://${HOST}/?Action=ConfirmSubscription`
                + `&TopicArn=${topic}&Token=2336412f37`, ...changes });
    }

    /* it fetches the certificate from the address in the message */
    async agrees(message) {
        const real = https.get;

        https.get = (url, done) => {
            const response = new EventEmitter();

            response.statusCode = 200;
            process.nextTick(() => {
                done(response);
                response.emit('data', this.pem);
                response.emit('end');
            });

            return new EventEmitter();
        };

        try {
            return await new Promise((resolve) => {
                new Validator().validate(message,
                    (err) => resolve(err === null));
            });
        } finally {
            https.get = real;
        }
    }

    deliver(url, message, headers = {}) {
        return post(url, { method: 'POST',
            headers: {
                'content-type': 'text/plain; charset=UTF-8',
                'x-amz-sns-message-type': message.Type ?? 'Notification',
                ...headers,
            },
            body: typeof message === 'string' ? message
                : JSON.stringify(message) });
    }
}
