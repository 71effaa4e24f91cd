
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Makes the vectors of t/unit/test_bus_sns.h: messages signed as SNS signs
 * them, all but one accepted by the npm package sns-validator before they
 * are printed.  The key exists for the time of the run alone.
 *
 *   node t/aws/sns-vectors.mjs > t/unit/test_bus_sns.h
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import Validator from 'sns-validator';

const URL_PEM = 'https://sns.eu-west-1.amazonaws.com/Simple-0123abcd.pem';
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sns-'));
const file = (name) => path.join(dir, name);

execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes',
    '-keyout', file('key'), '-out', file('cert'), '-days', '36500',
    '-subj', '/CN=sns.amazonaws.com'], { stdio: 'ignore' });

const key = fs.readFileSync(file('key'));
const cert = fs.readFileSync(file('cert'), 'utf8');

fs.rmSync(dir, { recursive: true });

/* the validator fetches the certificate from the address in the message */
https.get = (url, done) => {
    assert.equal(String(url.href ?? url), URL_PEM);

    const response = new EventEmitter();

    response.statusCode = 200;
    process.nextTick(() => {
        done(response);
        response.emit('data', cert);
        response.emit('end');
    });

    return new EventEmitter();
};

const SIGNED = ['Message', 'MessageId', 'Subject', 'SubscribeURL',
    'Timestamp', 'Token', 'TopicArn', 'Type'];

function sign(message, version) {
    const signed = SIGNED.filter((name) => name in message)
        .map((name) => `${name}\n${message[name]}\n`).join('');

    return { ...message, SignatureVersion: version,
        Signature: crypto.sign(version === '1' ? 'sha1' : 'sha256',
            Buffer.from(signed), key).toString('base64'),
        SigningCertURL: URL_PEM };
}

const base = {
    MessageId: '165545c9-2a5c-472c-8df2-7ff2be2b3b1b',
    TopicArn: 'arn:aws:sns:eu-west-1:123456789012:comms',
    Timestamp: '2026-11-22T11:45:32.789Z',
};
const told = { ...base, Type: 'Notification', Message: 'héllo\nworld "x"' };
const confirm = { ...base, Type: 'SubscriptionConfirmation',
    Message: 'You have chosen to subscribe', Token: '2336412f37',
    SubscribeURL: 'https://sns.eu-west-1.amazonaws.com/?Action=Confirm' };

const vectors = {
    NOTIFICATION_1: sign(told, '1'),
    NOTIFICATION_2: sign(told, '2'),
    WITH_SUBJECT: sign({ ...told, Subject: 'a subject' }, '2'),
    CONFIRMATION: sign(confirm, '2'),
    GOODBYE: sign({ ...confirm, Type: 'UnsubscribeConfirmation' }, '2'),
};

const validator = new Validator();

function literal(text) {
    return text.match(/[^]{1,36}/gu).map((piece) =>
        `    ${JSON.stringify(piece)}`).join(' \\\n');
}

console.log(`
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Made by t/aws/sns-vectors.mjs; the npm package sns-validator agrees.
 */


#define SNS_CERTIFICATE                                                       \\
${literal(cert)}`);

for (const [name, message] of Object.entries(vectors)) {
    /*
     * It leaves the token of an unsubscription out, which AWS's description
     * of the signature and its package for PHP have in.
     */
    if (name !== 'GOODBYE') {
        await new Promise((resolve, reject) => {
            validator.validate(message,
                (err) => (err ? reject(err) : resolve()));
        });
    }

    console.log(`\n#define SNS_${name} \\\n`
        + literal(JSON.stringify(message)));
}
