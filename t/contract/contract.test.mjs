
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Prism stands between nginx and each stand-in with the provider's official
 * API description: a request of ours, or an answer of a stand-in, that does
 * not fit it turns into an error and the story does not happen.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { TOP, freePort, listens } from '../lib/nginx.mjs';
import { World, until } from '../lib/world.mjs';
import { replyTo } from '../standins/sendgrid.mjs';
import { post } from '../standins/server.mjs';
import { FILES, patch } from './patch.mjs';

const SPECS = path.resolve(TOP, process.env.COMMS_API_SPECS
    ?? '../shared/specs');
const PRISM = path.join(TOP, 't/contract/node_modules/@stoplight/prism-cli/'
    + 'dist/index.js');


class Prism {
    static async start(name, upstream, dir) {
        const prism = new Prism();

        prism.name = name;
        prism.port = await freePort();
        prism.url = `http://127.0.0.1:${prism.port}`;
        prism.said = '';
        prism.child = spawn(process.execPath, [PRISM, 'proxy',
            patch(name, SPECS, dir), upstream, '--errors', '--port',
            String(prism.port), '--host', '127.0.0.1'],
        { stdio: ['ignore', 'pipe', 'pipe'] });
        prism.child.stdout.on('data', (d) => { prism.said += d; });
        prism.child.stderr.on('data', (d) => { prism.said += d; });
        await until(async () => {
            assert.equal(prism.child.exitCode, null, prism.said);

            return listens(prism.port);
        }, 60_000, `Prism listens for ${name}`);

        return prism;
    }

    violations() {
        return this.said.split('\n')
            .filter((l) => /violation|UNPROCESSABLE|NO_PATH|error/i.test(l));
    }

    async stop() {
        if (this.child.exitCode === null) {
            this.child.kill();
            await once(this.child, 'exit');
        }
    }
}


function absent() {
    for (const file of Object.values(FILES)) {
        if (!fs.existsSync(path.join(SPECS, file))) {
            return `no API description ${file} in ${SPECS}`;
        }
    }

    return fs.existsSync(PRISM) ? false
        : 'Prism is not installed: npm ci in t/contract';
}


test('a conversation with replies fits the official API descriptions', {
    skip: absent(), timeout: 180_000,
}, async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'comms-prism-'));
    const prisms = [];
    let w = null;

    try {
        w = await World.make({
            nginx: { readTimeout: '20s', waitMax: '30s' },
            between: async (name, url) => {
                const prism = await Prism.start(name,
                    name === 'openai' ? `${url}/v1` : url, dir);

                prisms.push(prism);

                return prism.url;
            },
            paths: { openai: '/' },
        });
        await refuses(prisms);
        await story(w);

        for (const prism of prisms) {
            assert.deepEqual(prism.violations(), [], prism.name);
        }

        assert.ok(w.ai.requests.length >= 4);
        await w.close();
        w.finish();
    } catch (err) {
        prisms.forEach((p) => t.diagnostic(`${p.name}:\n${p.said}`));
        throw err;
    } finally {
        await w?.close();
        w?.nginx.remove();
        await Promise.all(prisms.map((p) => p.stop()));
        fs.rmSync(dir, { recursive: true });
    }
});


/* a judge that lets everything through would prove nothing */
async function refuses(prisms) {
    const wrong = {
        openai: ['/conversations', 'application/json', '{"metadata": 7}'],
        twilio: [`/2010-04-01/Accounts/AC${'0'.repeat(32)}/Messages.json`,
            'application/x-www-form-urlencoded', 'Body=x'],
        sendgrid: ['/v3/mail/send', 'application/json', '{}'],
    };

    for (const prism of prisms) {
        const [at, type, body] = wrong[prism.name];
        const res = await post(prism.url + at, {
            headers: {
                'content-type': type,
                authorization: prism.name === 'twilio' ? 'Basic eDp5'
                    : 'Bearer x',
            },
            body,
        });

        assert.equal(res.status, 422, `${prism.name}: ${res.body}`);

        /* the line that ends it: what it says before comes piece by piece */
        await until(() => /terminated with error.*\n/.test(prism.said));
        prism.said = '';
    }
}


async function story(w) {
    const begun = await w.opened();

    await w.whatsapp('I can start Monday');
    await until(() => w.received('whatsapp').length === 2, 20_000);
    await w.email(replyTo(w.mailTo(), { text: 'Mornings suit me' }));
    await until(() => w.received('email').length === 2, 20_000);
    await w.sms('Thank you');
    await until(() => w.received('sms').length === 2, 20_000);
    await w.idle();

    const shown = await w.conversation(begun.thread_id);

    assert.equal(shown.messages.length, 9);
    assert.equal(w.ai.conversations.size, 1);
}
