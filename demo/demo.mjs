
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * make demo: a real conversation, on this machine alone.  The providers are
 * stand-ins, nginx and the module are real: one start request goes out on
 * three channels, the person answers on WhatsApp and then by email, and the
 * AI answers with both in mind.
 *
 *   OPENAI_API_KEY       asks the real OpenAI (COMMS_DEMO_MODEL: which model)
 *   COMMS_DEMO_AI_URL    asks a server with the Responses API at this URL,
 *                        e.g. http://127.0.0.1:11434/v1; such servers keep no
 *                        conversation, so the module replays it ("replay")
 *   --once               leaves when the story is told; not 0 if it was not
 */

import crypto from 'node:crypto';
import fs from 'node:fs';

import * as openai from '../t/standins/openai.mjs';
import * as sendgrid from '../t/standins/sendgrid.mjs';
import { post } from '../t/standins/server.mjs';
import * as twilio from '../t/standins/twilio.mjs';
import { MODULE, Nginx, freePort, listens, until } from '../t/lib/nginx.mjs';
import { ADA, AI_KEY, API_KEY, COMPANY, INBOUND, MAIL_KEY, SID, TEMPLATE, TOKEN,
    project, request, secrets } from '../t/lib/world.mjs';

const ONCE = process.argv.includes('--once');
const PORT = 8080;
const PATIENCE = 60_000;
const TLS = 'proxy_ssl_server_name on; proxy_ssl_verify on; '
    + 'proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;';
const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => colour ? `\x1b[${code}m${text}\x1b[0m` : text;
const COLOURS = { whatsapp: 32, sms: 36, email: 35, ai: 33 };
const running = [];


async function main() {
    if (MODULE !== null && !fs.existsSync(MODULE)) {
        throw new Error(`no module at ${MODULE}: run "make" first`);
    }

    const ai = await intelligence();
    const tw = await twilio.start({
        accounts: { [SID]: { token: TOKEN } },
        templates: { [TEMPLATE]: '{{2}}' },
        onmessage: (m) => heard(channelOf(m.to), 'Acme Care', 'Ada', m.text),
    });

    running.push(tw);

    const sg = await sendgrid.start({
        keys: [MAIL_KEY],
        onmail: (m) => heard('email', 'Acme Care', 'Ada',
            `${m.subject} | ${m.text}`),
    });

    running.push(sg);

    const nginx = await Nginx.start({
        port: await port(),
        projects: {
            acme: project({
                ai_config: { ...project().ai_config, ...ai.config },
            }),
        },
        secrets: secrets({
            'openai-main': { provider: 'openai', api_key: ai.key },
        }),
        upstreams: { openai: ai.upstream, twilio: tw.url, sendgrid: sg.url },
        provider: { openai: ai.directives },
        paths: ai.path === undefined ? {} : { openai: ai.path },
        readTimeout: '60s',
        turnTimeout: '120s',
        leaseTerm: '60s',
        visibility: '60s',
    });

    running.push({ close: () => nginx.stop(), remove: () => nginx.remove() });
    say(`nginx with the module: ${nginx.url}   AI: ${ai.words}`);
    say('');

    const threadId = await story(nginx, ai, tw, sg);

    if (ONCE) {
        await stop(0);
    }

    invite(nginx, threadId);
}


/* the real AI, a local one, or the stand-in */
async function intelligence() {
    if (process.env.COMMS_DEMO_AI_URL) {
        const url = new URL(process.env.COMMS_DEMO_AI_URL);

        return {
            upstream: url.origin,
            path: `${url.pathname.replace(/\/+$/, '')}/`,
            directives: `proxy_set_header Host ${url.host}; ${TLS}`,
            key: process.env.OPENAI_API_KEY ?? 'none',
            config: {
                state: 'replay',
                model: process.env.COMMS_DEMO_MODEL ?? 'default',
            },
            words: `${url.href} (replay: the module keeps the memory)`,
        };
    }

    if (process.env.OPENAI_API_KEY) {
        return {
            upstream: 'https://api.openai.com',
            directives: `proxy_set_header Host api.openai.com; ${TLS}`,
            key: process.env.OPENAI_API_KEY,
            config: { model: process.env.COMMS_DEMO_MODEL ?? 'gpt-5.6' },
            words: 'OpenAI, with your key',
        };
    }

    const ai = await openai.start({
        keys: [AI_KEY],
        oncall: (call) => line('ai', 'module', 'AI',
            `asked within ${call.conversation.slice(0, 13)}..., which holds `
                + `${call.remembered} items`),
    });

    running.push(ai);

    return {
        standin: ai,
        upstream: ai.url,
        directives: '',
        key: AI_KEY,
        config: {},
        words: 'a stand-in (set OPENAI_API_KEY for the real one)',
    };
}


async function story(nginx, ai, tw, sg) {
    const begun = await post(`${nginx.url}/initiate-conversation`, {
        headers: { 'x-api-key': API_KEY, 'content-type': 'application/json' },
        body: JSON.stringify(request()),
    });

    if (begun.status !== 202) {
        throw new Error(`start was refused: ${begun.status} ${begun.body}`);
    }

    const { thread_id: threadId, channels } = JSON.parse(begun.body);

    say(`POST /initiate-conversation -> 202   thread ${threadId} on `
        + channels.join(', '));
    await until(() => tw.messages.length === 2 && sg.mails.length === 1,
        PATIENCE, 'Ada has it on three channels');

    const first = 'I can start on Monday, the 30th.';

    heard('whatsapp', 'Ada', 'Acme Care', first);
    expect(200, await tw.deliver({
        url: `${nginx.url}/webhooks/twilio`,
        from: `whatsapp:${ADA.tel}`,
        to: `whatsapp:${COMPANY.whatsapp}`,
        body: first,
    }));
    await until(() => tw.messages.length === 3, PATIENCE,
        'Ada has an answer on WhatsApp');

    const second = 'One more thing: mornings suit me best.';

    heard('email', 'Ada', 'Acme Care', second);
    expect(200, await sg.deliver({
        url: `${nginx.url}/webhooks/sendgrid/${INBOUND}`,
        mail: sendgrid.replyTo(sg.mails[0], { text: second }),
    }));
    await until(() => sg.mails.length === 2, PATIENCE,
        'Ada has an answer by email');

    await remembered(nginx, ai, sg, threadId, [first, second]);

    return threadId;
}


/* was it one conversation, and did the AI have both messages? */
async function remembered(nginx, ai, sg, threadId, words) {
    let found;

    await until(async () => {
        const res = await post(`${nginx.url}/conversations/${threadId}`, {
            method: 'GET', headers: { 'x-api-key': API_KEY },
        });

        found = JSON.parse(res.body);

        return found.messages?.length >= 7;
    }, PATIENCE, 'the record holds all seven messages');

    if (ai.standin !== undefined) {
        const [conversation, ...others] = ai.standin.conversations.values();
        const answer = sg.mails[1].text;

        if (others.length > 0 || words.some((w) => !answer.includes(w))) {
            throw new Error(`the AI did not use both messages: ${answer}`);
        }

        say('');
        say(`The AI used both messages: one AI conversation, `
            + `${conversation.id.slice(0, 13)}..., `
            + `${conversation.items.length} items.`);
    }

    say(`Thread ${threadId}: ${found.messages.length} messages on `
        + `${new Set(found.messages.map((m) => m.channel)).size} channels, `
        + 'one conversation.');
}


function invite(nginx, threadId) {
    const start = JSON.stringify(request({ id: crypto.randomUUID() }));

    say('');
    say('Try it yourself (Ctrl-C ends it):');
    say('');
    say(`curl -s -H 'x-api-key: ${API_KEY}' \\`);
    say(`    ${nginx.url}/conversations/${threadId}`);
    say('');
    say(`curl -s ${nginx.url}/comms-status`);
    say('');
    say(`curl -s -H 'x-api-key: ${API_KEY}' \\`);
    say("    -H 'content-type: application/json' \\");
    say(`    -d '${start}' \\`);
    say(`    ${nginx.url}/initiate-conversation`);
    say('');
    say(`configuration and logs: ${nginx.prefix}`);
}


function heard(channel, from, to, text) {
    line(channel, from, to, text.replace(/\s+/g, ' '));
}


function line(channel, from, to, text) {
    const time = new Date().toISOString().slice(11, 23);

    say(`${paint(90, time)}  `
        + paint(COLOURS[channel], channel.padEnd(8))
        + `  ${from} -> ${to}: ${text}`);
}


function channelOf(to) {
    return to.startsWith('whatsapp:') ? 'whatsapp' : 'sms';
}


function say(text) {
    console.log(text);
}


function expect(status, res) {
    if (res.status !== status) {
        throw new Error(`webhook was answered ${res.status}: ${res.body}`);
    }
}


async function port() {
    if (!await listens(PORT)) {
        return PORT;
    }

    const other = await freePort();

    say(`port ${PORT} is busy, so it is ${other}`);

    return other;
}


async function stop(code) {
    const all = running.splice(0).reverse();

    for (const one of all) {
        await one.close();
        one.remove?.();
    }

    process.exit(code);
}


process.on('SIGINT', () => stop(0));
process.on('SIGTERM', () => stop(0));

try {
    await main();
} catch (err) {
    console.error(`demo: ${err.message}`);
    await stop(1);
}
