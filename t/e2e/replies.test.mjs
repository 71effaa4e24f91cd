
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What people write back, on whichever channel, is one conversation.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';

import { refusal } from '../standins/openai.mjs';
import { newMessageId, replyTo } from '../standins/sendgrid.mjs';
import { newSid } from '../standins/twilio.mjs';
import { ADA, COMPANY, MAIL_KEY, INBOUND, REPLY_KEY, person, scenario, status,
    until } from '../lib/world.mjs';


scenario('WhatsApp, then email: the same AI conversation', {}, async (w) => {
    const begun = await w.opened();
    const mail = w.mailTo();

    const ack = await w.whatsapp('I can start Monday');

    assert.equal(ack.status, 200);
    assert.match(ack.type, /^text\/xml/);
    assert.match(ack.body, /<Response><\/Response>|<Response\/>/);
    await until(() => w.received('whatsapp').length === 2);

    const second = replyTo(mail, { text: 'Mornings suit me' });

    assert.equal((await w.email(second)).status, 200);
    await until(() => w.received('email').length === 2);

    const answer = w.received('email')[1];

    assert.equal(w.ai.conversations.size, 1);
    assert.match(answer.text,
        /WhatsApp: "I can start Monday"[\s\S]*email: "Mornings suit me"/);
    assert.ok(!answer.text.includes('wrote:'), 'quoted history reached the AI');
    assert.equal(answer.inReplyTo, second.messageId);
    assert.ok(answer.references.split(/\s+/).includes(mail.messageId));
    assert.equal(answer.references.split(/\s+/).pop(), second.messageId);
    assert.match(answer.subject, /^Re: /);
    assert.equal(answer.replyTo, mail.replyTo);
    assert.notEqual(answer.messageId, mail.messageId);

    const free = w.received('whatsapp')[1];

    assert.equal(free.contentSid, null, 'inside the window text is free');
    assert.match(free.body, /I can start Monday/);
    assert.equal(w.received('sms').length, 1);

    await w.idle();

    const shown = await w.conversation(begun.thread_id);

    assert.deepEqual(shown.messages.map((m) => `${m.role}:${m.channel}`)
        .slice(3), ['user:whatsapp', 'assistant:whatsapp', 'user:email',
        'assistant:email']);
    assert.equal(shown.messages[5].content.trim(), 'Mornings suit me');
});


/* how a mail may find its thread, one way at a time */
const ways = {
    'by In-Reply-To, to the bare address': (mail) => replyTo(mail, {
        text: 'Found', to: COMPANY.reply,
    }),
    'by References alone': (mail) => replyTo(mail, {
        text: 'Found', to: COMPANY.reply, identified: false,
        headers: { References: `<x@y.example> ${mail.messageId}` },
    }),
    'by the plus-address alone': (mail) => replyTo(mail, {
        text: 'Found', identified: false,
    }),
    'by the plus-address in capitals': (mail) => replyTo(mail, {
        text: 'Found', identified: false,
        to: mail.replyTo.replace(/\+[^@]*/, (p) => p.toUpperCase()),
    }),
    'by the pair alone': (mail) => replyTo(mail, {
        text: 'Found', identified: false, to: mail.from,
    }),
    'in HTML only': (mail) => replyTo(mail, {
        html: '<div>Found</div><div class="gmail_quote">On Sun Acme wrote:'
            + '<blockquote>Dear Ada</blockquote></div>',
    }),
    'in another charset': (mail) => replyTo(mail, {
        text: Buffer.from('Found: caf\xe9', 'latin1'), quote: false,
        charset: 'iso-8859-1',
    }),
};


scenario('a mail finds its thread each way', {}, async (w) => {
    const begun = await w.opened({ channels: ['email'] });
    const mail = w.mailTo();
    let n = 1;

    for (const [way, make] of Object.entries(ways)) {
        const made = make(mail);

        assert.equal((await w.email(made)).status, 200, way);
        n += 1;
        await until(() => w.received('email').length === n, 10_000, way);
    }

    const raw = await new MailComposer({
        from: `Ada <${ADA.email}>`,
        to: COMPANY.reply,
        subject: `Re: ${mail.subject}`,
        inReplyTo: mail.messageId,
        references: [mail.messageId],
        messageId: newMessageId(),
        text: 'Found in raw mode ✓',
        html: '<p>Found in raw mode ✓</p>',
    }).compile().build();

    assert.equal((await w.email({
        ...replyTo(mail, { text: 'x' }), raw: raw,
    }, { mode: 'raw' })).status, 200);
    await until(() => w.received('email').length === n + 1);
    await w.idle();

    const shown = await w.conversation(begun.thread_id);
    const heard = shown.messages.filter((m) => m.role === 'user')
        .map((m) => m.content.trim());

    assert.equal(heard.length, n);
    assert.ok(heard.every((h) => /^Found/.test(h) && !/wrote/.test(h)),
        JSON.stringify(heard));
    assert.ok(heard.includes('Found: café'));
    assert.equal(w.ai.conversations.size, 1);
});


scenario('a message that quotes ours goes to that thread', {}, async (w) => {
    const first = await w.opened({ channels: ['whatsapp'] });
    const second = await w.opened({ channels: ['whatsapp'] });
    const [one] = w.received('whatsapp');

    await w.whatsapp('About the first one', { repliedTo: one.sid });
    await until(() => w.received('whatsapp').length === 3);
    await w.whatsapp('About the newest one');
    await until(() => w.received('whatsapp').length === 4);
    await w.idle();

    const heard = async (t) => (await w.conversation(t.thread_id)).messages
        .filter((m) => m.role === 'user').map((m) => m.content);

    assert.deepEqual(await heard(first), ['About the first one']);
    assert.deepEqual(await heard(second), ['About the newest one']);
});


scenario('two threads of one person, both written to at once', {
    ai: { think: () => 200 },
}, async (w) => {
    const first = await w.opened({ channels: ['whatsapp'] });
    const second = await w.opened({ channels: ['whatsapp'] });
    const [one, two] = w.received('whatsapp');

    await w.whatsapp('Newest, to begin with');
    await until(() => w.ai.running === 1);
    await Promise.all([
        w.whatsapp('About the first', { repliedTo: one.sid }),
        w.whatsapp('About the second', { repliedTo: two.sid }),
    ]);
    await w.idle();

    const heard = async (t) => (await w.conversation(t.thread_id)).messages
        .filter((m) => m.role === 'user').map((m) => m.content);

    assert.deepEqual(await heard(first), ['About the first']);
    assert.deepEqual(await heard(second),
        ['Newest, to begin with', 'About the second']);
    assert.deepEqual(w.ai.overlaps, []);
});


scenario('somebody else is not merged into a thread', {}, async (w) => {
    const begun = await w.opened();
    const mail = w.mailTo();
    const [one] = w.received('whatsapp');
    const calls = w.ai.calls.length;

    assert.equal((await w.email(replyTo(mail, {
        text: 'I am not Ada', from: 'eve@example.net', name: 'Eve',
    }))).status, 200);
    assert.equal((await w.whatsapp('Nor am I', {
        from: 'whatsapp:+447700900666', repliedTo: one.sid,
    })).status, 200);
    assert.equal((await w.email(replyTo(mail, {
        text: 'A forged token', from: 'eve@example.net', identified: false,
        to: mail.replyTo.replace(/-[^@]*/, `-${'a'.repeat(16)}`),
    }))).status, 200);
    await w.whatsapp('It is me');
    await until(() => w.received('whatsapp').length === 2);

    const shown = await w.conversation(begun.thread_id);

    assert.equal(w.ai.calls.length, calls + 1);
    assert.deepEqual(shown.messages.filter((m) => m.role === 'user')
        .map((m) => m.content), ['It is me']);
    assert.ok(w.sendgrid.mails.every((m) => m.to === ADA.email));
    assert.ok(w.twilio.messages.every((m) => m.to.endsWith(ADA.tel)));
});


scenario('two replies at once, many times: no overlap, none lost', {
    timeout: 240_000,
    ai: { think: () => 10 + crypto.randomInt(60) },
    nginx: { workers: 3 },
}, async (w) => {
    const rounds = 12;
    const begun = await Promise.all([...Array(rounds).keys()].map((n) =>
        w.opened({ person: person(n) })));

    await Promise.all(begun.map(async (b, n) => {
        const p = person(n);
        const mail = w.mailTo(p.recipient_email);
        const gap = crypto.randomInt(120);
        const wait = (ms) => new Promise((resolve) => {
            setTimeout(resolve, ms);
        });

        await Promise.all([
            w.whatsapp(`wa ${n}`, { from: `whatsapp:${p.recipient_tel}` }),
            wait(gap).then(() => w.email(replyTo(mail, {
                text: `mail ${n}`,
            }))),
            wait(crypto.randomInt(120)).then(() => w.sms(`sms ${n}`, {
                from: p.recipient_tel,
            })),
        ]);
    }));

    await w.idle(60_000);
    assert.deepEqual(w.ai.overlaps, []);

    for (const [n, b] of begun.entries()) {
        const shown = await w.conversation(b.thread_id);
        const heard = shown.messages.filter((m) => m.role === 'user')
            .map((m) => m.content.trim()).sort();

        assert.deepEqual(heard, [`mail ${n}`, `sms ${n}`, `wa ${n}`]);

        const conversation = w.ai.conversations.get(shown.ai_conversation_id);

        for (const h of heard) {
            const items = conversation.items.filter((i) => i.role === 'user'
                && JSON.stringify(i.content).includes(h)
                && !JSON.stringify(i.content).includes('told me'));

            assert.equal(items.length, 1, `${h} was put to the AI once`);
        }
    }

    checkNoneTwice(w);
});


/* no person got the same words twice on a channel */
function checkNoneTwice(w) {
    const seen = new Set();

    for (const m of [...w.twilio.messages, ...w.sendgrid.mails]) {
        const key = `${m.to}|${m.text}`;

        assert.ok(!seen.has(key), `sent twice: ${key}`);
        seen.add(key);
    }
}


scenario('the same webhook again changes nothing', {}, async (w) => {
    await w.opened();

    const sid = newSid();
    const mail = replyTo(w.mailTo(), { text: 'Only once' });

    await Promise.all([1, 2, 3, 4].map(async () => {
        assert.equal((await w.whatsapp('Once', { sid })).status, 200);
        assert.equal((await w.email(mail)).status, 200);
    }));
    await w.idle();
    assert.equal((await w.whatsapp('Once', { sid })).status, 200);
    assert.equal((await w.email(mail)).status, 200);
    await w.idle();

    const answers = w.twilio.messages.length + w.sendgrid.mails.length - 3;

    assert.ok(answers === 1 || answers === 2, `${answers} answers`);

    const [conversation] = w.ai.conversations.values();

    for (const words of ['Once', 'Only once']) {
        assert.equal(conversation.items.filter((i) => i.role === 'user'
            && i.content[0].text.endsWith(words)).length, 1, words);
    }
});


scenario('an automatic mail is not answered', {}, async (w) => {
    await w.opened({ channels: ['email'] });

    const mail = w.mailTo();

    for (const headers of [{ 'Auto-Submitted': 'auto-replied' },
        { Precedence: 'bulk' }])
    {
        assert.equal((await w.email(replyTo(mail, {
            text: 'I am on holiday', headers,
        }))).status, 200);
    }

    await w.email(replyTo(mail, { text: 'Real' }));
    await until(() => w.received('email').length === 2);
    await w.idle();
    assert.equal(w.received('email').length, 2);
    assert.ok(!w.received('email')[1].text.includes('holiday'));
});


scenario('a refusal of the model never reaches the person', {}, async (w) => {
    const begun = await w.opened();
    const plain = w.ai.script;

    w.ai.script = () => ({ output: [refusal('I cannot help with that.')] });
    assert.equal((await w.sms('Something odd')).status, 200);
    await until(() => w.ai.calls.length >= 2);
    await w.idle(30_000);

    assert.equal(w.received('sms').length, 1);

    const shown = await w.conversation(begun.thread_id);

    assert.equal(shown.hand_off_to_human, 1);
    assert.ok(shown.hand_off_to_human_reason);
    w.ai.script = plain;
    await w.sms('And now?');
    await w.idle();
    assert.deepEqual((await w.conversation(begun.thread_id)).messages
        .filter((m) => m.role === 'user').map((m) => m.content),
    ['Something odd', 'And now?'], 'all is kept for the human');
    assert.equal(w.ai.calls.length, 2, 'the AI holds its tongue');
    assert.equal(w.received('sms').length, 1);
});


scenario('an answer that was cut off by max_output_tokens is not sent', {
    nginx: { maxReceives: 2 },
}, async (w) => {
    await w.opened({ channels: ['sms'] });

    const plain = w.ai.script;

    w.ai.script = (q) => ({
        output: [{ type: 'message', role: 'assistant', status: 'incomplete',
            content: [{ type: 'output_text', text: 'Half of a sen',
                annotations: [], logprobs: [] }] }],
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
    });
    await w.sms('Tell me all');
    await until(() => w.ai.calls.length >= 2);
    await w.idle(40_000);
    assert.equal(w.received('sms').length, 1);
    w.ai.script = plain;
});


scenario('secrets of a mail are the reply key\'s alone', {
    secrets: {
        'sendgrid-acme': {
            provider: 'sendgrid', api_key: MAIL_KEY,
            inbound_tokens: [INBOUND],
            reply_keys: ['a-newer-signing-secret-123', REPLY_KEY],
        },
    },
}, async (w) => {
    const begun = await w.opened({ channels: ['email'] });
    const mail = w.mailTo();
    const id = begun.thread_id.slice(3).toLowerCase();

    assert.ok(mail.replyTo.startsWith(`reply+${id}-`));
    await w.email(replyTo(mail, { text: 'Newer key', identified: false }));
    await until(() => w.received('email').length === 2);
    assert.equal(status(await w.conversation(begun.thread_id), 'email'),
        'sent');
});
