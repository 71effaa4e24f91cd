
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Email by a mail server of one's own: what it received, and what becomes of
 * a mail when it is refused, put off, or when nobody knows.
 */

import assert from 'node:assert/strict';

import { after } from 'node:test';

import { simpleParser } from 'mailparser';

import { certificates, start } from '../standins/smtp.mjs';
import { ADA, COMPANY, person, project, request, scenario, status, until }
    from '../lib/world.mjs';

const USER = 'acme@mail.example';
const PASSWORD = 'smtp-scenario-secret';
const REPLY_KEY = 'reply-signing-secret-0123456789';
const INBOUND_SECRET = 'smtp-inbound-secret-0123456789';
const TLS = certificates();

after(() => TLS.remove());


/* a scenario with a mail server, reached by the directive that "how" gives */
function mailing(name, { relay = {}, how = STARTTLS, nginx = {} }, body) {
    const config = structuredClone(project().channel_config);

    Object.assign(config.email, {
        provider: 'relay', credentials_id: 'smtp-acme',
    });

    scenario(name, {
        nginx: { visibility: '5s', ...nginx },
        project: { channel_config: config },
        secrets: {
            'smtp-acme': {
                provider: 'smtp', username: USER, password: PASSWORD,
                inbound_secrets: [INBOUND_SECRET],
                reply_keys: [REPLY_KEY],
            },
        },
        prepare: async (w) => {
            w.relay = await start({
                username: USER, password: PASSWORD, ...TLS, ...relay,
            });

            return {
                server: `location /comms/relay/ {
                    comms_provider smtp name=relay;
                    comms_smtp ${how(w.relay, TLS)};
                }`,
            };
        },
    }, async (w, t) => {
        await body(w, w.relay, t);
        assert.ok(!w.nginx.log().includes(PASSWORD), 'a secret in the log');
    });
}


const STARTTLS = (relay, tls) => `smtp://localhost:${relay.port} `
    + `ca=${tls.ca} timeout=2s`;
const IMPLICIT = (relay, tls) => `smtps://localhost:${relay.port} `
    + `ca=${tls.ca} timeout=5s`;


for (const [name, how, relay] of [
    ['STARTTLS', STARTTLS, {}],
    ['implicit TLS', IMPLICIT, { implicit: true }],
]) {
    mailing(`a mail goes out by SMTP, ${name}`, { how, relay },
        async (w, server) => {
            const { thread_id } = await w.opened({ channels: ['email'] });

            assert.equal(server.mails.length, 1);

            const [mail] = server.mails;
            const parsed = await simpleParser(mail.content);

            assert.equal(mail.tls, true);
            assert.equal(mail.user, USER);
            assert.deepEqual(mail.to, [ADA.email]);
            assert.equal(parsed.to.value[0].address, ADA.email);
            assert.equal(parsed.from.value[0].address, COMPANY.email);

            const record = await w.conversation(thread_id);
            const sent = record.messages.find((m) => m.channel === 'email');

            assert.equal(parsed.text.trim(), sent.content.trim());
            assert.ok(parsed.messageId.startsWith('<'));
        });
}


mailing('mails one after the other take one connection', {},
    async (w, server) => {
        for (const n of [1, 2, 3]) {
            await w.opened({ channels: ['email'], person: person(n) });
        }

        assert.equal(server.mails.length, 3);
        assert.equal(server.connections, 1);
    });


mailing('a kept connection that the server closed is no failure', {},
    async (w, server) => {
        await w.opened({ channels: ['email'], person: person(1) });
        await server.mode('drop');
        await server.mode('accept');
        await w.opened({ channels: ['email'], person: person(2) });

        assert.equal(server.mails.length, 2);
        assert.equal(server.connections, 2);
    });


/* name: [the mode, the state it ends in, mails that arrived whole] */
for (const [name, [mode, state, mails]] of Object.entries({
    'refused at RCPT': ['no such user', 'failed', 0],
    'refused after DATA': ['spam', 'failed', 1],
    'lost after DATA: nobody knows, and not again': ['die', 'unknown', 1],
    'no reply after DATA': ['slow', 'unknown', 1],
})) {
    mailing(`a mail ${name}`, { relay: { slow: 8 } }, async (w, server) => {
        await server.mode(mode);

        const { thread_id } = await w.begin({ channels: ['email'] });

        await w.sentOn(thread_id, ['email'], ['failed', 'unknown', 'sent']);
        assert.equal(status(await w.conversation(thread_id), 'email'), state);

        /* were it tried again, it would be by now */
        await server.mode('accept');
        await w.idle();
        await w.opened({ channels: ['email'], person: person(1) });
        assert.equal(server.mails.filter((m) => m.to[0] === ADA.email).length,
            mails);
    });
}


for (const mode of ['greylisted', 'too busy', 'close at mail']) {
    mailing(`a mail put off (${mode}) goes out later`, {},
        async (w, server) => {
            await server.mode(mode);

            const { thread_id } = await w.begin({ channels: ['email'] });

            await until(() => server.connections > 0, 10_000, 'a first try');
            await server.mode('accept');
            await w.sentOn(thread_id, ['email'], ['sent'], 30_000);

            assert.equal(server.accepted, 1);
        });
}


mailing('a server that takes its time holds nobody up',
    { relay: { slow: 1.5 } }, async (w, server) => {
        await server.mode('slow');

        const { thread_id } = await w.begin({ channels: ['email'] });

        await until(() => server.mails.length === 1, 10_000, 'the mail is in');

        const began = Date.now();

        for (let i = 0; i < 20; i++) {
            assert.equal((await w.call('GET', '/comms-status')).status, 200);
        }

        assert.ok(Date.now() - began < 1000, 'the worker was blocked');
        assert.equal(server.accepted, 0);

        await w.sentOn(thread_id, ['email']);
        assert.equal(server.accepted, 1);
    });


/* nothing is said to a server that cannot be trusted */
for (const [name, how, mode, relay] of [
    ['without STARTTLS', STARTTLS, 'no starttls'],
    ['with a certificate of another name',
        (relay) => `smtp://127.0.0.2:${relay.port} ca=${TLS.ca} timeout=2s`,
        'accept', { host: '127.0.0.2' }],
    ['whose certificate nobody signed',
        (relay) => `smtp://localhost:${relay.port} timeout=2s`, 'accept'],
]) {
    mailing(`a mail does not go to a server ${name}`, { how, relay },
        async (w, server) => {
            await server.mode(mode);

            const { thread_id } = await w.begin({ channels: ['email'] });

            await until(() => server.connections > 0, 10_000, 'a try');
            await until(async () => Object.values((await w.call('GET',
                '/comms-status')).json.queues)
                .some((q) => q.delayed > 0), 10_000, 'it was put off');

            assert.equal(server.mails.length, 0);
            assert.equal(server.logins, 0);
            assert.notEqual(status(await w.conversation(thread_id), 'email'),
                'sent');
        });
}


mailing('a wrong password sends nothing',
    { relay: { password: 'another' } }, async (w, server) => {
        await w.begin({ channels: ['email'] });
        await until(() => server.logins > 0, 10_000, 'a try');
        assert.equal(server.mails.length, 0);
    });
