
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * WhatsApp by Meta's Cloud API, beside the other channels.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { inbound, newWamid, serialise } from '../standins/meta.mjs';
import { ADA, COMPANY, META, project, scenario, until }
    from '../lib/world.mjs';

const TEXT = 'Hi {{1}}: {{2}}';
const FROM = { number: META.number, from: ADA.tel };

const options = {
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
    meta: { templates: { 'first_contact/en_US': TEXT } },
};


function hears(w, body, what = {}) {
    return w.meta.deliver({ url: w.metaHook, ...FROM, body, ...what });
}


scenario('a conversation over Meta: template, reply, answer', options,
    async (w) => {
        const begun = await w.opened({ channels: ['whatsapp', 'sms'] });
        const [first] = w.meta.messages;

        assert.equal(w.meta.messages.length, 1);
        assert.equal(w.twilio.messages.length, 1, 'SMS goes by Twilio');
        assert.equal(first.to, ADA.tel.slice(1));
        assert.equal(first.type, 'template');
        assert.match(first.text, /^Hi Ada: ./);
        assert.match(first.marker, /^th_[0-9A-Z]{26}\./);
        assert.ok(first.marker.startsWith(begun.thread_id));
        assert.equal(first.request.headers['authorization'],
            `Bearer ${META.token}`);

        const heard = await hears(w, 'I can start Monday ✓', {
            repliedTo: first.id,
        });

        assert.equal(heard.status, 200, heard.body);
        await until(() => w.meta.messages.length === 2);

        const answer = w.meta.messages[1];

        assert.equal(answer.type, 'text', 'inside the window text is free');
        assert.match(answer.text, /I can start Monday ✓/);

        /* the same once more is the same */

        const again = await hears(w, 'I can start Monday ✓', {
            id: heard.id, repliedTo: first.id,
        });

        assert.equal(again.status, 200);
        await w.idle();
        assert.equal(w.meta.messages.length, 2);
        assert.equal(w.ai.conversations.size, 1);

        const shown = await w.conversation(begun.thread_id);

        assert.deepEqual(shown.messages.slice(2).map((m) =>
            `${m.role}:${m.channel}`), ['user:whatsapp', 'assistant:whatsapp']);
        assert.equal(shown.messages.find((m) => m.channel === 'whatsapp')
            .provider_message_id, first.id);
    });


scenario('Meta reports what became of a message', options, async (w) => {
    const begun = await w.opened({ channels: ['whatsapp'] });
    const [message] = w.meta.messages;
    const state = async (name) => until(async () => (await w.conversation(
        begun.thread_id)).messages[0].status === name, 10_000, name);

    for (const status of ['delivered', 'sent', 'read']) {
        const res = await w.meta.report({ url: w.metaHook, message, status });

        assert.equal(res.status, 200, res.body);
    }

    await state('read');
    await w.idle();
});


scenario('several people in one webhook of Meta', options, async (w) => {
    await w.opened({ channels: ['whatsapp'] });

    const one = inbound({ from: ADA.tel, body: 'First' });
    const two = inbound({ from: ADA.tel, body: 'Second' });
    const stranger = inbound({ userId: 'US.1349', body: 'Third' });
    const value = (content) => ({
        value: {
            messaging_product: 'whatsapp',
            metadata: {
                display_phone_number: COMPANY.whatsapp,
                phone_number_id: META.number,
            },
            ...content,
        },
        field: 'messages',
    });
    const res = await w.meta.post({
        url: w.metaHook,
        number: META.number,
        document: {
            object: 'whatsapp_business_account',
            entry: [
                { id: '1', changes: [value(one), value(stranger)] },
                { id: '2', changes: [value(two)] },
            ],
        },
    });

    assert.equal(res.status, 200, res.body);

    const { counters } = (await w.call('GET', '/comms-status')).json;

    assert.equal(counters.inbound_total, 3);
    await until(() => w.meta.messages.some((m) => /First/.test(m.text)));
    await until(() => w.meta.messages.some((m) => /Second/.test(m.text)));
    await w.idle();
});


scenario('Meta refuses for a while, and is asked again', options,
    async (w) => {
        const busy = {
            error: {
                message: '(#130429) Rate limit hit', type: 'OAuthException',
                code: 130429,
            },
        };

        w.meta.fault({ status: 400, body: busy, times: 2 });

        await w.opened({ channels: ['whatsapp'] });
        await w.idle();
        assert.equal(w.meta.messages.length, 1);
        assert.equal(w.meta.requests.length, 3);
    });


scenario('the handshake of Meta', {}, async (w) => {
    const good = await w.meta.subscribe({
        url: w.metaHook, token: META.verify, challenge: '1158201444',
    });

    assert.equal(good.status, 200, good.body);
    assert.equal(good.body, '1158201444');
    assert.match(good.headers['content-type'], /^text\/plain/);

    const bad = await w.meta.subscribe({
        url: w.metaHook, token: `${META.verify}x`,
    });

    assert.equal(bad.status, 403);
    assert.ok(!bad.body.includes('1158201444'));
});


scenario('a webhook that Meta did not sign', {}, async (w) => {
    const bytes = Buffer.from(serialise({
        object: 'whatsapp_business_account', entry: [],
    }));
    const mac = crypto.createHmac('sha256', META.secret).update(bytes)
        .digest();
    const ask = (body, signature) => w.meta.post({
        url: w.metaHook, number: META.number, body, signature,
    });
    const header = (digest) => `sha256=${digest.toString('hex')}`;

    assert.equal((await ask(bytes, header(mac))).status, 200);

    for (let i = 0; i < bytes.length * 8; i++) {
        const other = Buffer.from(bytes);

        other[i >> 3] ^= 1 << (i & 7);
        assert.equal((await ask(other, header(mac))).status, 403, `bit ${i}`);
    }

    for (let i = 0; i < mac.length * 8; i++) {
        const other = Buffer.from(mac);

        other[i >> 3] ^= 1 << (i & 7);
        assert.equal((await ask(bytes, header(other))).status, 403);
    }

    assert.equal((await ask(bytes, '')).status, 403);
    assert.equal((await ask(bytes, newWamid())).status, 403);
});
