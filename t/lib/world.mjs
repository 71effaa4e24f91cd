
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A whole small world for one scenario: the providers' stand-ins, an
 * nginx with the module in front of them, a company, and a person who has a
 * phone and a mailbox.
 *
 *   scenario('name', { options of configuration() }, async (w, t) => { ... })
 *
 * When the scenario is over, error.log must hold no [alert], [emerg] or
 * [crit] that was not expected, and nothing that is a secret or a person's.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import test from 'node:test';

import * as meta from '../standins/meta.mjs';
import * as openai from '../standins/openai.mjs';
import * as sendgrid from '../standins/sendgrid.mjs';
import { post } from '../standins/server.mjs';
import * as twilio from '../standins/twilio.mjs';
import { MODULE, Nginx, freePort, until } from './nginx.mjs';

export const API_KEY = 'key-of-the-scenarios-0123456789';
export const SID = `AC${'0123456789abcdef'.repeat(2)}`;
export const TOKEN = 'token5678901234567890123456789012';
export const AI_KEY = 'sk-scenario-secret-key';
export const MAIL_KEY = 'SG.scenario-secret-key';
export const INBOUND = 'inbound-secret-0123456789';
export const REPLY_KEY = 'reply-signing-secret-0123456789';
export const META = {
    number: '100000000000001',
    token: 'EAAscenario-token-of-a-system-user',
    secret: 'scenario-app-secret',
    verify: 'scenario-verify-token',
};
/* with which SendGrid signs its Event Webhook */
export const EVENTS = crypto.generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
});
export const TEMPLATE = `HX${'a1'.repeat(16)}`;

export const COMPANY = {
    whatsapp: '+447700900001',
    sms: '+447700900002',
    email: 'jobs@acme.example',
    reply: 'reply@inbound.acme.example',
};

export const ADA = {
    tel: '+447700900123',
    email: 'ada@example.org',
};


export function project(changes = {}) {
    return {
        company_id: 'ci-aaa-001',
        project_id: 'pi-aaa-001',
        company_name: 'Acme Care',
        project_name: 'Hiring',
        api_key_sha256: [crypto.createHash('sha256').update(API_KEY)
            .digest('hex')],
        project_status: 'active',
        allowed_channels: ['whatsapp', 'sms', 'email'],
        company_rep: { name: 'Grace', title: 'Recruiter' },
        ai_config: {
            provider: 'openai',
            model: 'gpt-scenario',
            state: 'conversations',
            instructions_first: 'Invite the person to an interview.',
            instructions_reply: 'Find a time for the interview.',
            api_key_reference: 'openai-main',
        },
        channel_config: {
            whatsapp: {
                company_whatsapp_number: COMPANY.whatsapp,
                provider: 'twilio',
                credentials_id: 'twilio-acme',
                whatsapp_template_sid: TEMPLATE,
                whatsapp_template_variables: {
                    1: 'recipient_first_name', 2: 'message',
                },
                messages_per_second: 100_000,
            },
            sms: {
                company_sms_number: COMPANY.sms,
                provider: 'twilio',
                credentials_id: 'twilio-acme',
                messages_per_second: 100_000,
            },
            email: {
                company_email: COMPANY.email,
                provider: 'sendgrid',
                credentials_id: 'sendgrid-acme',
                reply_to: COMPANY.reply,
                sender_name: 'Acme Care',
                default_subject: 'Your application',
            },
        },
        ...changes,
    };
}


/* what a project says whose reports come to a public URL */
function reporting(base) {
    if (base === undefined) {
        return {};
    }

    const { channel_config: config } = project();

    for (const channel of ['whatsapp', 'sms']) {
        config[channel].status_callback
            = `${base}/webhooks/twilio#rc=5&rp=all`;
    }

    return { channel_config: config };
}


export function secrets(changes = {}) {
    return {
        'twilio-acme': {
            provider: 'twilio', account_sid: SID, auth_token: TOKEN,
        },
        'meta-acme': {
            provider: 'meta', access_token: META.token,
            phone_number_id: META.number, app_secrets: [META.secret],
            verify_token: META.verify,
        },
        'sendgrid-acme': {
            provider: 'sendgrid', api_key: MAIL_KEY,
            inbound_tokens: [INBOUND], reply_keys: [REPLY_KEY],
            event_public_key: EVENTS.publicKey
                .export({ type: 'spki', format: 'der' }).toString('base64'),
        },
        'openai-main': { provider: 'openai', api_key: AI_KEY },
        ...changes,
    };
}


/* the document of a start request */
export function request(changes = {}) {
    const { channels = ['whatsapp', 'sms', 'email'], id = crypto.randomUUID(),
        person = {}, project_data = { jobRole: 'Healthcare Assistant' },
    } = changes;

    return {
        company_data: { company_id: 'ci-aaa-001', project_id: 'pi-aaa-001' },
        recipient_data: {
            recipient_first_name: 'Ada',
            recipient_last_name: 'Byron',
            recipient_tel: ADA.tel,
            recipient_email: ADA.email,
            comms_consent: true,
            ...person,
        },
        project_data,
        request_data: {
            request_id: id,
            channel_method: channels,
            initial_request_timestamp: new Date().toISOString(),
        },
    };
}


/* the n-th of many people */
export function person(n) {
    return {
        recipient_first_name: `P${n}`,
        recipient_tel: `+4477009${String(10_000 + n).padStart(6, '0')}`,
        recipient_email: `p${n}@example.org`,
    };
}


export class World {
    static async make(options = {}) {
        const w = new World();

        w.options = options;
        w.ai = await openai.start({ keys: [AI_KEY], ...options.ai });
        w.twilio = await twilio.start({
            accounts: { [SID]: { token: TOKEN } },
        });
        w.meta = await meta.start({
            numbers: {
                [META.number]: {
                    token: META.token, secret: META.secret,
                    display: COMPANY.whatsapp.slice(1),
                },
            },
            ...options.meta,
        });
        w.sendgrid = await sendgrid.start({ keys: [MAIL_KEY] });

        try {
            const { between = (name, url) => url,
                prepare = () => ({}) } = options;
            const more = await prepare(w);

            w.nginx = await Nginx.start({
                projects: { acme: project({
                    ...reporting(options.reports), ...options.project,
                }) },
                ...options.reports === undefined ? {}
                    : { publicBaseUrl: options.reports },
                secrets: secrets(options.secrets),
                paths: options.paths,
                ...options.nginx,
                ...more,
                upstreams: {
                    openai: await between('openai', w.ai.url),
                    twilio: await between('twilio', w.twilio.url),
                    meta: await between('meta', w.meta.url),
                    sendgrid: await between('sendgrid', w.sendgrid.url),
                },
            });
        } catch (err) {
            await w.close();
            throw err;
        }

        return w.at(w.nginx);
    }

    at(nginx) {
        this.nginx = nginx;
        this.url = nginx.url;
        this.metaHook = `${this.url}/webhooks/meta`;
        this.twilioHook = `${this.url}/webhooks/twilio`;
        this.sendgridHook = `${this.url}/webhooks/sendgrid/${INBOUND}`;

        return this;
    }

    /*
     * The same world by way of another nginx, as on another machine: its
     * zone and its files are its own, the providers are these.
     */
    async beside(changes = {}) {
        const { port, parent, ...options } = this.nginx.options;

        return Object.assign(new World(), this).at(
            await Nginx.start({ ...options, ...changes }));
    }

    async call(method, path, { body, key = API_KEY, headers = {} } = {}) {
        const res = await post(this.url + path, {
            method,
            headers: {
                ...key === null ? {} : { 'x-api-key': key },
                ...body === undefined ? {}
                    : { 'content-type': 'application/json' },
                ...headers,
            },
            body: body === undefined || typeof body === 'string'
                || Buffer.isBuffer(body) ? body : JSON.stringify(body),
        });

        if (/^application\/json/.test(res.headers['content-type'] ?? '')) {
            res.json = JSON.parse(res.body);
        }

        return res;
    }

    initiate(document, headers = {}) {
        return this.call('POST', '/initiate-conversation', {
            body: document, headers,
        });
    }

    /* starts a conversation and gives its thread */
    async begin(changes = {}) {
        const res = await this.initiate(request(changes));

        assert.equal(res.status, 202, res.body);

        return res.json;
    }

    /* the same, and waits until it has gone out on every channel */
    async opened(changes = {}) {
        const begun = await this.begin(changes);

        await this.sentOn(begun.thread_id, begun.channels);

        return begun;
    }

    async conversation(threadId) {
        const res = await this.call('GET', `/conversations/${threadId}`);

        assert.equal(res.status, 200, res.body);

        return res.json;
    }

    /* waits until the channels are in one of the states */
    async sentOn(threadId, channels, states = ['sent'], ms = 15_000) {
        let last;

        return until(async () => {
            last = await this.conversation(threadId);

            return channels.every((c) => states.includes(status(last, c)))
                ? last : null;
        }, ms, `${channels} of ${threadId} are ${states}`).catch((err) => {
            throw new Error(`${err.message}; states: `
                + JSON.stringify(last?.channel_states));
        });
    }

    /* waits until no queue holds anything; the status page as it is then */
    async idle(ms = 15_000) {
        let last;

        await until(async () => {
            last = (await this.call('GET', '/comms-status')).json;

            return quiet(last);
        }, ms, 'nothing is left to do').catch((err) => {
            throw new Error(`${err.message}: ${JSON.stringify(last)}`);
        });

        assert.equal(last.figures.inbound_waiting, 0, 'a reply was forgotten');
        assert.equal(last.figures.effects_unfinished, 0,
            'an effect has no outcome');

        return last;
    }

    /* the status page as it is now */
    async status() {
        return (await this.call('GET', '/comms-status')).json;
    }

    /* rows of the embedded store, read by sqlite3 itself */
    sql(query) {
        const out = execFileSync('sqlite3', ['-json', '-readonly',
            this.nginx.file('comms.db'), query], { encoding: 'utf8' });

        return out.trim() === '' ? [] : JSON.parse(out);
    }

    whatsapp(body, what = {}) {
        return this.twilio.deliver({
            url: this.twilioHook,
            from: `whatsapp:${ADA.tel}`,
            to: `whatsapp:${COMPANY.whatsapp}`,
            body,
            ...what,
        });
    }

    sms(body, what = {}) {
        return this.twilio.deliver({
            url: this.twilioHook, from: ADA.tel, to: COMPANY.sms, body,
            ...what,
        });
    }

    email(mail, what = {}) {
        return this.sendgrid.deliver({
            url: this.sendgridHook, mail, ...what,
        });
    }

    /* Twilio says what became of a message that it took */
    report(message, became, what = {}) {
        return this.twilio.report({
            base: this.url, message, status: became, ...what,
        });
    }

    /* SendGrid's Event Webhook: [[mail, event, members], ..] */
    events(list, what = {}) {
        return this.sendgrid.report({
            url: `${this.url}/webhooks/sendgrid/`, list,
            key: EVENTS.privateKey, publicKey: EVENTS.publicKey, ...what,
        });
    }

    /* the mail of a thread's start */
    mailTo(address = ADA.email) {
        return this.sendgrid.mails.find((m) => m.to === address);
    }

    /* what arrived at a person on a channel */
    received(channel, { tel = ADA.tel, email = ADA.email } = {}) {
        return channel === 'email'
            ? this.sendgrid.mails.filter((m) => m.to === email)
            : this.twilio.messages.filter((m) =>
                m.to === (channel === 'whatsapp' ? `whatsapp:${tel}` : tel));
    }

    async close() {
        await this.nginx?.stop();
        await Promise.all([this.ai, this.twilio, this.meta, this.sendgrid,
            this.relay, this.second]
            .map((s) => s?.close()));
    }

    /* what must hold at the end of every scenario */
    finish() {
        assert.deepEqual(this.nginx.complaints(), []);
        assert.deepEqual(this.ai.strange, []);
        assert.deepEqual(this.twilio.strange, []);
        assert.deepEqual(this.meta.strange, []);

        const log = this.nginx.log();

        for (const secret of [TOKEN, META.token, META.secret, META.verify,
            AI_KEY, MAIL_KEY, REPLY_KEY, API_KEY,
            ADA.tel, ADA.email, 'I can start Monday'])
        {
            assert.ok(!log.includes(secret), `in error.log: ${secret}`);
        }
    }
}


export function scenario(name, options, body) {
    test(name, { timeout: options.timeout ?? 120_000, skip: missing()
        || options.skip }, async (t) => {
        const w = await World.make(options);
        let over = false;

        try {
            await body(w, t);
            await w.close();
            w.finish();
            over = true;
        } finally {
            if (!over) {
                t.diagnostic(await figures(w));
                w.nginx.said().split('\n').slice(-60)
                    .forEach((line) => t.diagnostic(line));
                await w.close();
            }

            if (over || !process.env.COMMS_KEEP) {
                w.nginx.remove();
            }
        }
    });
}


/* the state of a channel of a conversation */
export function status(conversation, channel) {
    const state = conversation.channel_states?.[channel];

    return typeof state === 'object' ? state?.status : state;
}


export function reason(conversation, channel) {
    const state = conversation.channel_states?.[channel];

    return typeof state === 'object' ? state?.reason
        : conversation.messages.find((m) => m.channel === channel
            && m.reason)?.reason;
}


function quiet(figures) {
    const queues = Object.values(figures.queues ?? {});

    return queues.every((q) => q.ready + q.in_flight + q.delayed === 0);
}


async function figures(w) {
    try {
        return (await w.call('GET', '/comms-status')).body;
    } catch (err) {
        return `no status: ${err.message}`;
    }
}


function missing() {
    return fs.existsSync(MODULE) ? false : `no module at ${MODULE}`;
}


export { freePort, post, until };
