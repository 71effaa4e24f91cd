
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A start request, end to end: accepted, thought about once, sent on every
 * channel once, shown.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';

import { message } from '../standins/openai.mjs';
import { replyTo } from '../standins/sendgrid.mjs';
import { ADA, API_KEY, COMPANY, MAIL_KEY, SID, TEMPLATE, person, request,
    scenario, status, until } from '../lib/world.mjs';

/* name, labels, value */
const NAME = '([a-z_:][a-z0-9_:]*)';
const LABELS = '(\\{([a-z_]\\w*="(?:[^"\\\\\\n]|\\\\.)*",?)*\\})?';
const VALUE = '(NaN|[+-]?(Inf|[0-9.]+(e[+-]?\\d+)?))';
const SAMPLE = new RegExp(`^${NAME}${LABELS} ${VALUE}$`, 'i');


scenario('one start goes out on three channels', {}, async (w) => {
    const document = request();
    const res = await w.initiate(document);

    assert.equal(res.status, 202);
    assert.equal(res.json.status, 'success');
    assert.equal(res.json.request_id, document.request_data.request_id);
    assert.match(res.json.thread_id, /^th_[0-9A-HJKMNP-TV-Z]{26}$/);
    assert.ok(res.json.conversation_id.startsWith(
        `ci-aaa-001#pi-aaa-001#${res.json.request_id}`));
    assert.deepEqual([...res.json.channels].sort(),
        ['email', 'sms', 'whatsapp']);
    assert.equal(res.json.message,
        'Request accepted and queued for processing');
    assert.ok(!isNaN(Date.parse(res.json.queue_timestamp)));
    assert.equal(res.headers.location,
        `/conversations/${res.json.thread_id}`);

    const shown = await w.sentOn(res.json.thread_id, res.json.channels);

    assert.equal(w.ai.conversations.size, 1);
    assert.equal(w.ai.calls.length, 1, 'the AI is asked once for all');

    const [conversation] = w.ai.conversations.values();
    const sends = [...w.twilio.messages, ...w.sendgrid.mails];

    assert.ok(sends.every((s) => s.at >= conversation.request.at));
    assert.equal(w.ai.calls[0].conversation, conversation.id);
    assert.deepEqual(
        Object.keys(w.ai.calls[0].body.text.format.schema.properties).sort(),
        ['email', 'sms', 'whatsapp']);

    checkWhatsapp(w);
    checkSms(w);
    checkMail(w, res.json.thread_id);
    assert.equal(w.twilio.requests.length, 2);
    assert.equal(w.sendgrid.requests.length, 1);
    checkShown(w, shown, res.json, conversation.id);
});


function checkWhatsapp(w) {
    const [m, ...more] = w.received('whatsapp');

    assert.equal(more.length, 0);
    assert.equal(m.account, SID);
    assert.equal(m.from, `whatsapp:${COMPANY.whatsapp}`);
    assert.equal(m.contentSid, TEMPLATE);
    assert.equal(m.contentVariables['1'], 'Ada');
    assert.match(m.contentVariables['2'], /Healthcare Assistant/);
    assert.equal(m.fields.has('Body'), false);
}


function checkSms(w) {
    const [m, ...more] = w.received('sms');

    assert.equal(more.length, 0);
    assert.equal(m.from, COMPANY.sms);
    assert.match(m.body, /Ada.*Healthcare Assistant/);
    assert.equal(m.contentSid, null);
}


function checkMail(w, threadId) {
    const [m, ...more] = w.received('email');

    assert.equal(more.length, 0);
    assert.equal(m.from, COMPANY.email);
    assert.equal(m.fromName, 'Acme Care');
    assert.match(m.subject, /Healthcare Assistant/);
    assert.match(m.text, /^Dear Ada,/);
    assert.match(m.messageId, /^<[^<>@\s]+@acme\.example>$/);
    assert.match(m.replyTo,
        /^reply\+[0-9a-z]{26}-[0-9a-z]{16}@inbound\.acme\.example$/);
    assert.equal(m.replyTo.slice(6, 32).toUpperCase(), threadId.slice(3));
    assert.ok(m.replyTo.split('@')[0].length <= 64);
    assert.equal(m.inReplyTo, undefined);
    assert.equal(m.request.headers.authorization, `Bearer ${MAIL_KEY}`);
}


function checkShown(w, shown, begun, aiConversationId) {
    assert.equal(shown.thread_id, begun.thread_id);
    assert.equal(shown.conversation_id, begun.conversation_id);
    assert.equal(shown.ai_conversation_id, aiConversationId);
    assert.equal(shown.recipient_tel, ADA.tel);
    assert.equal(shown.recipient_email, ADA.email);
    assert.equal(shown.project_data.jobRole, 'Healthcare Assistant');
    assert.equal(shown.messages.length, 3);

    for (const m of shown.messages) {
        assert.equal(m.role, 'assistant');
        assert.equal(m.status, 'sent');
        assert.ok(m.entry_id);
        assert.ok(!isNaN(Date.parse(m.message_timestamp)));
        assert.ok(m.content.length > 0);
    }

    const byChannel = Object.fromEntries(
        shown.messages.map((m) => [m.channel, m]));

    assert.equal(byChannel.sms.provider_message_id,
        w.received('sms')[0].sid);
    assert.equal(byChannel.whatsapp.provider_message_id,
        w.received('whatsapp')[0].sid);
    assert.equal(byChannel.sms.content, w.received('sms')[0].body);

    const text = JSON.stringify(shown);

    for (const secret of ['auth_token', 'api_key"', MAIL_KEY]) {
        assert.ok(!text.includes(secret), secret);
    }
}


scenario('one channel, "all", and what the person has no address for', {},
    async (w) => {
        const one = await w.opened({ channels: 'sms' });

        assert.deepEqual(one.channels, ['sms']);
        assert.equal(w.twilio.messages.length, 1);

        const all = await w.begin({
            channels: 'all', person: { recipient_email: undefined },
        });

        assert.deepEqual([...all.channels].sort(), ['sms', 'whatsapp']);
        await w.sentOn(all.thread_id, all.channels);
        assert.equal(w.sendgrid.mails.length, 0);
    });


scenario('Prefer: wait answers with the finished state', {
    ai: { think: () => 150 },
}, async (w) => {
    const res = await w.initiate(request(), { prefer: 'wait=10' });

    assert.equal(res.status, 200, res.body);
    assert.equal(w.twilio.messages.length, 2);
    assert.equal(w.sendgrid.mails.length, 1);
    assert.match(res.body, /th_[0-9A-Z]{26}/);
});


scenario('Prefer: wait gives up in time', {}, async (w) => {
    let release;

    w.ai.fault({ hold: new Promise((resolve) => { release = resolve; }),
        match: (r) => r.path === '/v1/responses' });

    const began = Date.now();
    const res = await w.initiate(request(), { prefer: 'wait=1' });
    const took = Date.now() - began;

    assert.equal(res.status, 202, res.body);
    assert.ok(took >= 900 && took < 4000, `${took} ms`);
    release();
    await w.sentOn(res.json.thread_id, res.json.channels);
});


scenario('a caller that goes away while it waits breaks nothing', {},
    async (w) => {
        let release;

        w.ai.fault({
            hold: new Promise((resolve) => { release = resolve; }),
            match: (r) => r.path === '/v1/responses',
        });

        const body = JSON.stringify(request());
        const req = http.request(`${w.url}/initiate-conversation`, {
            method: 'POST',
            agent: false,
            headers: {
                'x-api-key': API_KEY,
                'content-type': 'application/json',
                'content-length': Buffer.byteLength(body),
                prefer: 'wait=15',
            },
        });

        req.on('error', () => {});
        req.end(body);
        await until(() => w.ai.requests.some(
            (r) => r.path === '/v1/responses'));
        req.destroy();
        release();
        await until(() => w.sendgrid.mails.length === 1
            && w.twilio.messages.length === 2);
        await w.idle();
    });


scenario('status as JSON and for Prometheus', {}, async (w) => {
    await w.opened();
    await w.idle();

    const res = await w.call('GET', '/comms-status', { key: null });

    assert.equal(res.status, 200);
    assert.equal(typeof res.json, 'object');

    for (const queue of ['open', 'reply', 'whatsapp', 'sms', 'email']) {
        assert.deepEqual(
            [res.json.queues[queue].ready, res.json.queues[queue].dead],
            [0, 0], queue);
    }

    const text = await w.call('GET', '/metrics', { key: null });

    assert.match(text.headers['content-type'],
        /^text\/plain; ?version=0\.0\.4/);
    checkExposition(text.body);
    assert.match(text.body, /^comms_\w*accepted\w*(\{[^}]*\})? 1$/m);
});


/* the text exposition format 0.0.4 */
function checkExposition(text) {
    const seen = new Set();
    const typed = new Set();

    assert.ok(text.endsWith('\n'));

    for (const line of text.trimEnd().split('\n')) {
        const meta = /^# (TYPE|HELP) ([a-z_:][a-z0-9_:]*) (.+)$/i.exec(line);

        if (meta !== null) {
            if (meta[1] === 'TYPE') {
                assert.ok(!typed.has(meta[2]), `twice: ${line}`);
                assert.match(meta[3],
                    /^(counter|gauge|histogram|summary|untyped)$/);
                typed.add(meta[2]);
            }

            continue;
        }

        const sample = SAMPLE.exec(line);

        assert.ok(sample !== null, `not a sample: ${line}`);
        assert.ok(!seen.has(sample[1] + (sample[2] ?? '')), `twice: ${line}`);
        seen.add(sample[1] + (sample[2] ?? ''));
        assert.ok([...typed].some((name) => sample[1].startsWith(name)),
            `has no TYPE: ${line}`);
    }
}


scenario('many starts over several workers fan out once each', {
    nginx: { workers: 3 },
}, async (w) => {
    const people = [...Array(30).keys()].map(person);
    const begun = await Promise.all(people.map((p) => w.begin({ person: p })));

    await Promise.all(begun.map((b) => w.sentOn(b.thread_id, b.channels,
        ['sent'], 40_000)));
    await w.idle();

    assert.equal(w.ai.calls.length, 30);
    assert.equal(w.twilio.messages.length, 60);
    assert.equal(w.sendgrid.mails.length, 30);

    for (const p of people) {
        const who = { tel: p.recipient_tel, email: p.recipient_email };

        for (const channel of ['whatsapp', 'sms', 'email']) {
            assert.equal(w.received(channel, who).length, 1);
        }
    }

    assert.equal(new Set(begun.map((b) => b.thread_id)).size, 30);
});


scenario('the listing pages through all threads of a project', {},
    async (w) => {
        const begun = [];

        for (const n of [1, 2, 3, 4, 5]) {
            begun.push(await w.begin({
                channels: ['sms'], person: person(n),
            }));
        }

        await Promise.all(begun.map((b) => w.sentOn(b.thread_id, ['sms'])));

        const seen = [];
        let cursor = null;

        do {
            const res = await w.call('GET', '/conversations?company_id='
                + 'ci-aaa-001&project_id=pi-aaa-001&limit=2'
                + (cursor === null ? '' : `&cursor=${
                    encodeURIComponent(cursor)}`));

            assert.equal(res.status, 200, res.body);
            seen.push(...res.json.conversations.map((c) => c.thread_id));
            cursor = res.json.cursor;
        } while (cursor);

        assert.deepEqual(seen, begun.map((b) => b.thread_id).reverse());
        assert.equal((await w.call('GET', `/conversations/${
            begun[0].thread_id}`, { key: 'wrong' })).status, 401);
        assert.equal((await w.call('GET', '/conversations/th_'
            + 'Z'.repeat(26))).status, 404);
    });


scenario('an AI that keeps no memory is told the history', {
    project: {
        ai_config: {
            provider: 'openai', model: 'local', state: 'replay',
            instructions_first: 'Write.', instructions_reply: 'Answer.',
            api_key_reference: 'openai-main',
        },
    },
}, async (w) => {
    await w.opened();
    assert.equal(w.ai.conversations.size, 0);
    assert.equal((await w.whatsapp('I can start Monday')).status, 200);
    await until(() => w.received('whatsapp').length === 2);
    await w.email(replyTo(w.mailTo(),
        { text: 'Mornings, please' }));
    await until(() => w.received('email').length === 2);

    const last = w.ai.calls[w.ai.calls.length - 1];

    assert.equal(last.conversation, null);
    assert.ok(JSON.stringify(last.body.input).includes('I can start Monday'));
    assert.match(w.received('email')[1].text,
        /I can start Monday[\s\S]*Mornings, please/);
});


scenario('commentary stays inside', {}, async (w) => {
    const plain = w.ai.script;

    w.ai.script = (q) => {
        const said = plain(q);

        return {
            output: [
                message('Thinking about the person...',
                    { phase: 'commentary' }),
                message(typeof said === 'string' ? said
                    : JSON.stringify(said), { phase: 'final_answer' }),
            ],
        };
    };

    const begun = await w.opened();

    await w.sms('Yes?');
    await until(() => w.received('sms').length === 2);

    const shown = await w.conversation(begun.thread_id);

    assert.ok([...w.twilio.messages, ...w.sendgrid.mails]
        .every((m) => !m.text.includes('Thinking about')));
    assert.ok(!JSON.stringify(shown.messages).includes('Thinking about'));
    assert.equal(status(shown, 'email'), 'sent');
});


scenario('a request id is not guessed from another one', {}, async (w) => {
    const id = crypto.randomUUID();
    const bad = [id.toUpperCase(), id.replace(/-/g, ''), `${id} `,
        '550e8400-e29b-11d4-a716-446655440001', ''];

    for (const b of bad) {
        const res = await w.initiate(request({ id: b }));

        assert.equal(res.status, 400, b);
        assert.equal(res.json.status, 'error');
    }

    assert.equal(w.ai.requests.length, 0);
});


scenario('one worker has hundreds of turns in flight, and still answers', {
    nginx: { concurrency: 300, connections: 4096, readTimeout: '20s' },
}, async (w) => {
    const many = 200;

    w.ai.fault({ delay: 3000, times: Infinity });

    await Promise.all(Array.from({ length: many }, () =>
        w.begin({ channels: ['sms'] })));

    let peak = 0;

    await until(async () => {
        const { gauges } = (await w.call('GET', '/comms-status')).json;

        peak = Math.max(peak, gauges.jobs_in_flight);

        return peak >= many;
    }, 10_000, `${many} jobs at once`);

    await until(() => w.twilio.messages.length === many, 30_000, 'all sent');
    await w.idle();
});
