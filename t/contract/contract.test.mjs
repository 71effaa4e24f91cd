
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
import { ADA, COMPANY, META, World, project, until }
    from '../lib/world.mjs';
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


/* the providers in "names" are judged while the story happens */
function judged(title, names, options, story) {
    test(title, { skip: absent(), timeout: 180_000 }, async (t) => {
        const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'comms-prism-'));
        const prisms = [];
        let w = null;

        try {
            w = await World.make({
                nginx: { readTimeout: '20s', waitMax: '30s' },
                between: async (name, url) => {
                    if (!names.includes(name)) {
                        return name === 'openai' ? `${url}/v1/` : url;
                    }

                    const prism = await Prism.start(name,
                        name === 'openai' ? `${url}/v1` : url, dir);

                    prisms.push(prism);

                    return prism.url;
                },
                paths: { openai: names.includes('openai') ? '/' : '' },
                ...options,
            });
            await refuses(prisms);
            await story(w);

            for (const prism of prisms) {
                assert.deepEqual(prism.violations(), [], prism.name);
            }

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
}


judged('a conversation with replies fits the official API descriptions',
    ['openai', 'twilio', 'sendgrid'], {}, story);

judged('WhatsApp by Meta fits the official API description', ['meta'], {
    project: {
        channel_config: {
            ...project().channel_config,
            whatsapp: {
                company_whatsapp_number: COMPANY.whatsapp,
                provider: 'meta',
                credentials_id: 'meta-acme',
                whatsapp_template_name: 'first_contact',
                whatsapp_template_language: 'en_US',
                whatsapp_template_variables: {
                    1: 'recipient_first_name', 2: 'message',
                },
            },
        },
    },
}, overMeta);


/* a judge that lets everything through would prove nothing */
async function refuses(prisms) {
    const wrong = {
        openai: ['/conversations', 'application/json', '{"metadata": 7}'],
        twilio: [`/2010-04-01/Accounts/AC${'0'.repeat(32)}/Messages.json`,
            'application/x-www-form-urlencoded', 'Body=x'],
        meta: [`/v26.0/${META.number}/messages`, 'application/json',
            '{"messaging_product": "whatsapp"}'],
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

    assert.ok(w.ai.requests.length >= 4);
    assert.equal(shown.messages.length, 9);
    assert.equal(w.ai.conversations.size, 1);
}


/* a template, and an answer to what quoted it */
async function overMeta(w) {
    await w.opened({ channels: ['whatsapp'] });

    const [first] = w.meta.messages;

    await w.meta.deliver({
        url: w.metaHook, number: META.number, from: ADA.tel,
        userId: 'GB.1349', body: 'I can start Monday', repliedTo: first.id,
    });
    await until(() => w.meta.messages.length === 2, 20_000);
    await w.idle();

    assert.deepEqual(w.meta.messages.map((m) => m.type),
        ['template', 'text']);
    assert.ok(w.meta.messages.every((m) => m.marker !== undefined));
    assert.deepEqual(w.meta.lost, []);
}
