
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A mail server of Debian (aiosmtpd) as the relay of a scenario.
 *
 *   const relay = await start({ certificate, key, username, password });
 *   await relay.mode('greylisted');
 *   relay.mails                what came whole, accepted or not
 *   relay.connections, .logins, .accepted, .quits
 */

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./smtp.py', import.meta.url));
const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';


/* an authority of its own, and a certificate for the names given */
export function certificates(names = 'DNS:localhost,IP:127.0.0.1') {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'comms-ca-'));
    const at = (name) => path.join(dir, name);
    const openssl = (...args) => execFileSync('openssl', args,
        { stdio: 'ignore' });

    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
        'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('ca.key'), '-out',
        at('ca.pem'), '-subj', '/CN=ca', '-days', '2');
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
        '-nodes', '-keyout', at('server.key'), '-out', at('server.csr'),
        '-subj', '/CN=mail');
    fs.writeFileSync(at('ext'), `subjectAltName=${names}\n`);
    openssl('x509', '-req', '-in', at('server.csr'), '-CA', at('ca.pem'),
        '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile',
        at('ext'), '-out', at('server.pem'));

    return {
        ca: at('ca.pem'),
        certificate: at('server.pem'),
        key: at('server.key'),
        remove: () => fs.rmSync(dir, { recursive: true, force: true }),
    };
}


export async function start(options = {}) {
    const child = spawn(PYTHON, [SCRIPT, JSON.stringify(options)],
        { stdio: ['pipe', 'pipe', 'inherit'] });
    const relay = { mails: [], connections: 0, logins: 0, accepted: 0,
        quits: 0 };
    const waiting = [];
    let began;
    const port = new Promise((resolve, reject) => {
        began = resolve;
        child.on('error', reject);
        child.on('exit', (code) => reject(
            new Error(`the mail server exited with ${code}`)));
    });

    readline.createInterface({ input: child.stdout }).on('line', (line) => {
        const said = JSON.parse(line);

        if (said.port) {
            began(said.port);
        } else if (said.connected) {
            relay.connections += 1;
        } else if (said.login) {
            relay.logins += 1;
        } else if (said.accepted) {
            relay.accepted += 1;
        } else if (said.quit) {
            relay.quits += 1;
        } else if (said.mode) {
            waiting.shift()?.();
        } else if (said.mail) {
            relay.mails.push({
                ...said.mail,
                content: Buffer.from(said.mail.content, 'base64'),
            });
        }
    });

    relay.port = await port;

    relay.mode = (mode) => new Promise((resolve) => {
        waiting.push(resolve);
        child.stdin.write(`${JSON.stringify({ mode })}\n`);
    });

    relay.close = () => new Promise((resolve) => {
        if (child.exitCode !== null) {
            resolve();
            return;
        }

        child.removeAllListeners('exit');
        child.on('exit', resolve);
        child.stdin.end();
        child.kill();
    });

    return relay;
}
