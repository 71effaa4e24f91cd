
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Channels one after the other: the next one is used when the one before has
 * not delivered in time, or has failed, and never otherwise.
 */

import assert from 'node:assert/strict';

import { newSid } from '../standins/twilio.mjs';
import { ADA, reason, request, scenario, status, until }
    from '../lib/world.mjs';

const PUBLIC = 'https://comms.acme.example';
const REPORTING = { reports: PUBLIC };


function fallback(channels, after) {
    return { fallback: channels, after };
}


function asked(w) {
    return w.ai.requests.filter((r) => r.path === '/v1/responses').length;
}


/* the time has come and gone, and nothing is left to do */
async function over(w, threadId) {
    await w.idle(20_000);

    return w.conversation(threadId);
}


scenario('the next channel when the time is over, and the one after it',
    REPORTING, async (w) => {
        const begun = await w.begin({
            channels: fallback(['email', 'whatsapp', 'sms'], 1),
        });

        assert.deepEqual(begun.channels, ['email', 'whatsapp', 'sms']);

        const first = await w.sentOn(begun.thread_id, ['email']);

        assert.equal(status(first, 'sms'), 'pending');
        assert.deepEqual(first.fallback, {
            channels: ['email', 'whatsapp', 'sms'], after: 1,
        });
        assert.equal(first.delivery, 'fallback');
        assert.equal(first.messages.length, 3, 'all texts are durable');

        await w.sentOn(begun.thread_id, ['email', 'whatsapp', 'sms']);

        const [mail] = w.received('email');
        const [chat] = w.received('whatsapp');
        const [text] = w.received('sms');

        assert.ok(chat.at - mail.at >= 800, `${chat.at - mail.at} ms`);
        assert.ok(text.at - chat.at >= 800, `${text.at - chat.at} ms`);

        await over(w, begun.thread_id);
        assert.equal(asked(w), 1, 'the AI is asked once for all channels');
        assert.deepEqual(['email', 'whatsapp', 'sms'].map((c) =>
            w.received(c).length), [1, 1, 1]);
    });


scenario('a channel that refuses is left at once', REPORTING, async (w) => {
    w.twilio.refuse[`whatsapp:${ADA.tel}`] = 21211;

    const begun = await w.begin({
        channels: fallback(['whatsapp', 'sms'], 3600),
    });
    const shown = await w.sentOn(begun.thread_id, ['sms']);

    assert.equal(status(shown, 'whatsapp'), 'failed');
    assert.equal(shown.conversation_status, 'active');
    assert.equal(w.received('sms').length, 1);
});


scenario('the person has written: no further channel', REPORTING,
    async (w) => {
        const begun = await w.begin({
            channels: fallback(['whatsapp', 'sms', 'email'], 2),
        });

        await w.sentOn(begun.thread_id, ['whatsapp']);
        assert.equal((await w.whatsapp('Yes, gladly')).status, 200);
        await until(() => w.received('whatsapp').length === 2);

        const shown = await over(w, begun.thread_id);

        assert.equal(status(shown, 'sms'), 'cancelled');
        assert.equal(status(shown, 'email'), 'cancelled');
        assert.equal(reason(shown, 'sms'), 'replied');
        assert.deepEqual(shown.messages.filter((m) => m.channel === 'sms')
            .map((m) => m.status), ['cancelled']);
        assert.equal(w.received('sms').length, 0);
        assert.equal(w.received('email').length, 0);

        const told = JSON.parse(w.ai.requests
            .filter((r) => r.path === '/v1/responses').at(-1).body);

        assert.match(told.instructions, /whatsapp sent; sms was not sent/);
    });


scenario('a time survives kill -9 and a start', {
    ...REPORTING,
    nginx: { visibility: '2s', heartbeat: '500ms', leaseTerm: '2s' },
}, async (w) => {
    w.nginx.allow.push(/exited on signal 9/, /was locked by/);

    const begun = await w.begin({
        channels: fallback(['whatsapp', 'sms'], 3),
    });

    await w.sentOn(begun.thread_id, ['whatsapp']);
    await w.nginx.slaughter();
    await w.nginx.start();
    await w.sentOn(begun.thread_id, ['sms']);

    const [chat] = w.received('whatsapp');
    const [text] = w.received('sms');

    assert.ok(text.at - chat.at >= 2800, `${text.at - chat.at} ms`);
    await over(w, begun.thread_id);
    assert.equal(w.received('sms').length, 1);
});


scenario('with Prefer: wait the first channel that goes out is enough',
    REPORTING, async (w) => {
        const res = await w.initiate(request({
            channels: fallback(['whatsapp', 'sms'], 3600),
        }), { prefer: 'wait=15' });

        assert.equal(res.status, 200, res.body);
        assert.deepEqual(res.json.channel_states,
            { whatsapp: 'sent', sms: 'pending' });
    });


scenario('delivered in time: no further channel', REPORTING, async (w) => {
    const begun = await w.begin({
        channels: fallback(['whatsapp', 'sms'], 2),
    });

    await w.sentOn(begun.thread_id, ['whatsapp']);
    await w.report(w.received('whatsapp')[0], 'delivered');

    const shown = await w.sentOn(begun.thread_id, ['sms'], ['cancelled']);

    assert.equal(status(shown, 'whatsapp'), 'delivered');
    assert.equal(reason(shown, 'sms'), 'delivered');
    await over(w, begun.thread_id);
    assert.equal(w.received('sms').length, 0);
});


scenario('sent is not delivered', REPORTING, async (w) => {
    const begun = await w.begin({
        channels: fallback(['whatsapp', 'sms'], 1),
    });

    await w.sentOn(begun.thread_id, ['whatsapp']);
    await w.report(w.received('whatsapp')[0], 'sent');
    await w.sentOn(begun.thread_id, ['sms']);
});


scenario('a report of a failure moves on at once, twice', REPORTING,
    async (w) => {
        const begun = await w.begin({
            channels: fallback(['whatsapp', 'sms', 'email'], 3600),
        });

        await w.sentOn(begun.thread_id, ['whatsapp']);
        await w.report(w.received('whatsapp')[0], 'failed', { code: 63024 });
        await w.sentOn(begun.thread_id, ['sms']);
        await w.report(w.received('sms')[0], 'undelivered', { code: 30005 });

        const shown = await w.sentOn(begun.thread_id, ['email']);

        assert.equal(status(shown, 'whatsapp'), 'failed');
        assert.equal(status(shown, 'sms'), 'failed');
        assert.equal(w.received('sms').length, 1);
        assert.equal(w.received('email').length, 1);
    });


scenario('no message of ours: a report about another one changes nothing',
    REPORTING, async (w) => {
        const begun = await w.begin({
            channels: fallback(['whatsapp', 'sms'], 1),
        });

        await w.sentOn(begun.thread_id, ['whatsapp']);

        const [chat] = w.received('whatsapp');

        await w.report({ ...chat, sid: newSid(), statusCallback:
            chat.statusCallback.replace(/=th_.*/, `=${'x'.repeat(57)}`) },
        'delivered');
        await w.sentOn(begun.thread_id, ['sms']);
    });


scenario('a late "delivered" stops a copy that is on its way', REPORTING,
    async (w) => {
        /* the text cannot go out yet: the provider wants us to come back */
        w.twilio.fault({
            match: (r) => r.method === 'POST'
                && String(r.body).includes(`To=${encodeURIComponent(ADA.tel)}`),
            status: 429, body: { code: 20429, message: 'Too Many Requests' },
            headers: { 'content-type': 'application/json',
                'retry-after': '2' },
        });

        const begun = await w.begin({
            channels: fallback(['whatsapp', 'sms'], 1),
        });

        await w.sentOn(begun.thread_id, ['whatsapp']);
        await until(() => w.twilio.requests.filter((r) =>
            r.answer === null).length === 1);
        await w.report(w.received('whatsapp')[0], 'delivered');

        const shown = await w.sentOn(begun.thread_id, ['sms'],
            ['cancelled']);

        assert.equal(status(shown, 'whatsapp'), 'delivered');
        await over(w, begun.thread_id);
        assert.equal(w.received('sms').length, 0);
    });
