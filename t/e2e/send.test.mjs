
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The way out: what reaches the providers, when, and in which form.
 */

import assert from 'node:assert/strict';

import { story } from '../standins/openai.mjs';
import { ADA, COMPANY, TEMPLATE, project, reason, request, scenario, status,
    until } from '../lib/world.mjs';

const HOUR = 3_600_000;


/* the project's channel_config with changes to one channel */
function channel(name, changes) {
    const all = project().channel_config;

    return { ...all, [name]: { ...all[name], ...changes } };
}


/* an AI that always answers the same */
function says(words) {
    return { script: (what) => what.schema !== null ? story(what) : words };
}


/* "hh:mm" in UTC */
function clock(ms) {
    return new Date(ms).toISOString().slice(11, 16);
}


/* holds the AI's answers until it is called */
function hold(w) {
    let release;

    w.ai.fault({
        hold: new Promise((resolve) => { release = resolve; }),
        match: (r) => r.path === '/v1/responses',
    });

    return release;
}


scenario('quiet hours hold a first message, and no answer',
    { project: { quiet_hours: { from: clock(Date.now() - HOUR),
        to: clock(Date.now() + 2 * HOUR), time_zone: 'UTC' } } },
    async (w) => {
        const begun = await w.begin({ channels: ['sms'],
            person: { recipient_time_zone: 'UTC' } });

        await until(async () => (await w.call('GET', '/comms-status')).json
            .queues.sms?.delayed === 1, 15_000, 'the message is held');
        assert.equal(w.received('sms').length, 0, 'quiet hours');

        /* an answer to what the person writes is sent all the same */

        await w.sms('I can start Monday');
        await until(() => w.received('sms').length === 1);

        const shown = await w.conversation(begun.thread_id);
        const answer = shown.messages.find((m) => m.turn_id);

        assert.equal(w.received('sms')[0].text, answer.content);
        assert.equal(status(shown, 'sms'), 'cancelled');
        assert.equal(shown.channel_reasons.sms, 'replied');
    });


scenario('quiet hours of the person, not of the project',
    { project: { quiet_hours: { from: clock(Date.now() - HOUR),
        to: clock(Date.now() + 2 * HOUR), time_zone: 'UTC' } } },
    async (w) => {
        /* twelve hours away it is another time of the day */

        const begun = await w.opened({ channels: ['sms'],
            person: { recipient_time_zone: 'Etc/GMT-12' } });

        assert.equal(w.received('sms').length, 1);
        assert.equal((await w.conversation(begun.thread_id))
            .recipient_time_zone, 'Etc/GMT-12');
    });


scenario('quiet hours end', { project: { quiet_hours: {
    from: clock(Date.now() - 2 * HOUR), to: clock(Date.now() - HOUR),
    time_zone: 'UTC' } } }, async (w) => {
    await w.opened({ channels: ['sms'],
        person: { recipient_time_zone: 'UTC' } });
    assert.equal(w.received('sms').length, 1);
});


scenario('answers are held, too, where the project says so',
    { project: { quiet_hours: { from: clock(Date.now() - HOUR),
        to: clock(Date.now() + 2 * HOUR), time_zone: 'UTC',
        replies: true } } },
    async (w) => {
        await w.begin({ channels: ['sms'],
            person: { recipient_time_zone: 'UTC' } });
        await w.sms('Hello?');
        await until(async () => (await w.call('GET', '/comms-status')).json
            .queues.reply?.delayed === 1, 15_000, 'the answer is held');
        assert.equal(w.received('sms').length, 0);
    });


scenario('an unknown time zone is refused', {}, async (w) => {
    for (const zone of ['Europe/Nowhere', '../etc/passwd', '', 'zone.tab', 7])
    {
        const res = await w.initiate(request({ channels: ['sms'],
            person: { recipient_time_zone: zone } }));

        assert.equal(res.status, 400, res.body);
        assert.equal(res.json.error_code, 'INVALID_RECIPIENT_TIME_ZONE');
    }
});


scenario('a first message is not sent to a person who has written meanwhile',
    {}, async (w) => {
        const release = hold(w);
        const begun = await w.begin({ channels: ['sms'] });

        await until(() => w.ai.requests.some((r) =>
            r.path === '/v1/responses'));
        await w.sms('Who is this?');
        release();

        const shown = await w.sentOn(begun.thread_id, ['sms'], ['cancelled']);

        assert.equal(reason(shown, 'sms'), 'replied');

        /* what the person gets is one answer, to what was written */

        await until(() => w.received('sms').length === 1);
        await w.idle();
        assert.equal(w.received('sms').length, 1);
    });


scenario('the pace of a sender', { project: { channel_config:
    channel('sms', { messages_per_second: 4 }) } }, async (w) => {
    const all = await Promise.all(Array.from({ length: 12 }, (x, i) =>
        w.begin({ channels: ['sms'], person: {
            recipient_first_name: `P${i}`,
            recipient_tel: `+4477009${String(20_000 + i).padStart(6, '0')}`,
        } })));

    await Promise.all(all.map((b) => w.sentOn(b.thread_id, ['sms'])));

    const times = w.twilio.requests.filter((r) => r.method === 'POST')
        .map((r) => r.at).sort((a, b) => a - b);

    assert.equal(times.length, 12);

    /* in no span more than its slots, one that was late and one to begin */

    for (let i = 0; i < times.length; i++) {
        for (let k = i + 1; k < times.length; k++) {
            assert.ok(k - i + 1 <= (times[k] - times[i] + 50) / 250 + 2,
                `${k - i + 1} messages in ${times[k] - times[i]} ms`);
        }
    }

    assert.ok(times[11] - times[0] < 6000, 'and none waits for nothing');
});


scenario('inside the window text is free, and the first is a template', {},
    async (w) => {
        const begun = await w.opened({ channels: ['whatsapp'] });

        assert.equal(w.received('whatsapp')[0].contentSid, TEMPLATE);

        const before = Date.now();

        await w.whatsapp('Hello');
        await until(() => w.received('whatsapp').length === 2);
        await w.idle();

        assert.equal(w.received('whatsapp')[1].contentSid ?? null, null);

        const shown = await w.conversation(begun.thread_id);
        const open = shown.windows.whatsapp - before;

        assert.ok(open > 24 * HOUR - 5000 && open < 24 * HOUR + 60_000);
    });


scenario('the provider says that the window is closed: a template', {},
    async (w) => {
        await w.opened({ channels: ['whatsapp'] });
        w.twilio.window = false;
        await w.whatsapp('Hello');
        await until(() => w.received('whatsapp').length === 2);
        await w.idle();

        const sent = w.received('whatsapp')[1];

        assert.equal(sent.contentSid, TEMPLATE);
        assert.equal(w.twilio.requests.filter((r) => r.method === 'POST')
            .length, 3, 'one attempt as free text, one as a template');
    });


scenario('the provider says that the window is closed: another channel',
    { project: { channel_config: channel('whatsapp', {
        outside_window: 'channel', whatsapp_template_sid: undefined,
        whatsapp_template_variables: undefined }) } },
    async (w) => {
        w.twilio.window = false;

        const begun = await w.begin({ channels: ['whatsapp'] });

        await until(() => w.received('sms').length === 1);
        await w.idle();
        assert.equal(w.received('whatsapp').length, 0);

        let shown = await w.conversation(begun.thread_id);

        assert.equal(status(shown, 'whatsapp'), 'cancelled');
        assert.deepEqual(shown.messages.map((m) => [m.channel, m.status]),
            [['whatsapp', 'cancelled'], ['sms', 'sent']]);
        assert.equal(shown.conversation_status, 'active');

        /* what comes back there belongs to the thread */

        await w.sms('Hello');
        await until(() => w.received('sms').length === 2);
        shown = await w.conversation(begun.thread_id);
        assert.ok(shown.messages.some((m) => m.content === 'Hello'));
    });


scenario('the provider says that the window is closed: hold',
    { project: { channel_config: channel('whatsapp', {
        outside_window: 'hold' }) } },
    async (w) => {
        const begun = await w.begin({ channels: ['whatsapp', 'email'] });
        const shown = await w.sentOn(begun.thread_id, ['whatsapp'],
            ['cancelled']);

        assert.equal(reason(shown, 'whatsapp'), 'window_closed');
        assert.equal(shown.hand_off_to_human, 1);
        assert.equal(shown.hand_off_to_human_reason, 'window_closed');
        assert.equal(w.received('whatsapp').length, 0);
    });


scenario('a long text message is shortened to its segments',
    { project: { channel_config: channel('sms', { max_segments: 1 }) },
        ai: says('Sätze mit Umlauten. '.repeat(20)) },
    async (w) => {
        await w.opened({ channels: ['sms'] });
        await w.sms('Tell me all');
        await until(() => w.received('sms').length === 2);

        const text = w.received('sms')[1].text;

        assert.ok(text.length <= 160, text);
        assert.match(text, /\.$/, 'it ends with a sentence');
        assert.match(JSON.stringify(w.ai.requests.at(-1).json ?? w.ai.calls
            .at(-1)), /at most 160 characters/);
    });


scenario('or goes out as several, in order',
    { project: { channel_config: channel('sms', { max_segments: 1,
        split: true }) },
        ai: says(Array.from({ length: 12 }, (x, i) =>
            `This is sentence number ${i + 1} of all.`).join(' ')) },
    async (w) => {
        const begun = await w.opened({ channels: ['sms'] });
        const before = w.received('sms').length;

        await w.sms('Tell me all');
        await until(() => w.received('sms').map((m) => m.text).join(' ')
            .includes('number 12 of'));
        await w.idle();

        const texts = w.received('sms').slice(before).map((m) => m.text);

        assert.ok(texts.length >= 3, String(texts.length));
        assert.ok(texts.every((text) => text.length <= 160));
        assert.equal(texts.join(' '), Array.from({ length: 12 }, (x, i) =>
            `This is sentence number ${i + 1} of all.`).join(' '));

        const shown = await w.conversation(begun.thread_id);
        const parts = shown.messages.filter((m) => m.turn_id);

        assert.deepEqual(parts.map((m) => [m.content, m.status]),
            texts.map((text) => [text, 'sent']));
        assert.ok(parts[0].ai_total_tokens > 0);
        assert.ok(parts.slice(1).every((m) => m.ai_total_tokens === 0));
    });


scenario('STOP on one channel is for all of them', {}, async (w) => {
    await w.opened({ channels: ['sms', 'email'] });
    assert.equal((await w.sms('STOP')).status, 200);
    await w.idle();

    const res = await w.initiate(request({ channels: ['email'] }));

    assert.equal(res.status, 403, res.body);
    assert.equal(res.json.error_code, 'RECIPIENT_OPTED_OUT');

    /* and START as well */

    await w.sms('START');
    await w.idle();
    await w.opened({ channels: ['email'] });
});


scenario('what the provider knows of a STOP is for all of them', {},
    async (w) => {
        w.twilio.refuse[ADA.tel] = 21610;

        const begun = await w.begin({ channels: ['sms'] });

        await w.sentOn(begun.thread_id, ['sms'], ['failed', 'cancelled']);
        await w.idle();

        const res = await w.initiate(request({ channels: ['email'] }));

        assert.equal(res.status, 403, res.body);
        assert.ok(COMPANY.sms);
    });


scenario('a mail is unsubscribed from by its link', { project: {
    company_name: 'Acme <b>& Sons</b>',
    channel_config: channel('email', {
        unsubscribe_url: 'https://comms.acme.example/unsubscribe' }) } },
async (w) => {
    await w.opened({ channels: ['email'] });

    const { headers } = w.sendgrid.mails.at(-1).document;
    const [, token] = /^<https:\/\/comms\.acme\.example\/unsubscribe\/([^>]+)>$/
        .exec(headers['List-Unsubscribe']);

    assert.equal(headers['List-Unsubscribe-Post'],
        'List-Unsubscribe=One-Click');

    const use = (method, name, body) => w.call(method, `/unsubscribe/${name}`,
        { key: null, body, headers: { 'content-type':
            'application/x-www-form-urlencoded' } });

    /* a scanner's GET does nothing, and nothing of the project is markup */

    const page = await use('GET', token);

    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.match(page.body, /<form method="post"><button>/);
    assert.match(page.body, /Acme &lt;b&gt;&amp; Sons/);
    await w.opened({ channels: ['email'] });

    /* neither does a reply token, a token of another thread, a changed one */

    const reply = /\+([^@]+)@/.exec(w.sendgrid.mails.at(-1).replyTo)[1];
    const other = token.slice(0, 25) + (token[25] === 'a' ? 'b' : 'a')
        + token.slice(26);
    const changed = token.slice(0, -1) + (token.endsWith('a') ? 'b' : 'a');

    for (const bad of [reply, other, changed, 'x', '', `${token}x`]) {
        const res = await use('POST', bad, 'List-Unsubscribe=One-Click');

        assert.equal(res.status, 404, bad);
        assert.doesNotMatch(res.body, /Acme/);
    }

    await w.opened({ channels: ['email'] });

    /* one click */

    for (let i = 0; i < 2; i++) {
        const res = await use('POST', token.toUpperCase(),
            'List-Unsubscribe=One-Click');

        assert.equal(res.status, 200, res.body);
        assert.match(res.body, /no more messages/);
    }

    for (const c of ['email', 'sms']) {
        const res = await w.initiate(request({ channels: [c] }));

        assert.equal(res.status, 403, res.body);
        assert.equal(res.json.error_code, 'RECIPIENT_OPTED_OUT');
    }

    assert.equal((await w.call('GET', '/comms-status')).json.counters
        .opt_out_total, 1, 'the second time changes nothing');
    assert.ok(!w.nginx.log().includes(token));
});


scenario('a link works so many times a minute', { project: {
    channel_config: channel('email', {
        unsubscribe_url: 'https://comms.acme.example/unsubscribe' }) } },
async (w) => {
    await w.opened({ channels: ['email'] });

    const token = /unsubscribe\/([^>]+)>/.exec(w.sendgrid.mails.at(-1)
        .document.headers['List-Unsubscribe'])[1];
    const statuses = [];

    for (let i = 0; i < 31; i++) {
        statuses.push((await w.call('GET', `/unsubscribe/${token}`,
            { key: null })).status);
    }

    assert.deepEqual(statuses, [...Array(30).fill(200), 429]);
});


scenario('a report says that the window was closed', { reports:
    'https://comms.acme.example' }, async (w) => {
    const begun = await w.opened({ channels: ['whatsapp'] });

    await w.whatsapp('Hello');
    await until(() => w.received('whatsapp').length === 2);
    await w.idle();

    const [, answer] = w.received('whatsapp');

    assert.equal(answer.contentSid ?? null, null);

    /* told twice, it is said once more, as a template */

    await w.report(answer, 'failed', { code: 63016 });
    await w.report(answer, 'failed', { code: 63016 });
    await until(() => w.received('whatsapp').length === 3);
    await w.idle();

    const again = w.received('whatsapp')[2];

    assert.equal(again.contentSid, TEMPLATE);
    assert.ok(again.text.includes(answer.text), again.text);

    /* a template that fails like that has no second chance */

    await w.report(again, 'failed', { code: 63016 });
    await w.idle();
    assert.equal(w.received('whatsapp').length, 3);

    const shown = await w.conversation(begun.thread_id);
    const [said, replaced] = shown.messages.filter((m) => m.turn_id);

    assert.equal(said.status, 'failed');
    assert.equal(replaced.instead_of, said.entry_id);
    assert.equal(replaced.status, 'failed');
    assert.equal(w.ai.calls.length, 2, 'the AI is not asked again');
});
