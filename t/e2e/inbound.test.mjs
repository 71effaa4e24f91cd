
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What people do: several messages for one thought, STOP in their own
 * language, HELP, another id than yesterday, a machine that answers a machine.
 */

import assert from 'node:assert/strict';

import { person, request, scenario, until } from '../lib/world.mjs';

const sent = (w) => w.twilio.messages.length;
const questions = (w) => w.ai.requests.filter((r) =>
    r.path === '/v1/responses');
const said = (request) => JSON.parse(request.body).input
    .map((i) => typeof i.content === 'string' ? i.content
        : i.content.map((c) => c.text ?? '').join(' ')).join('\n');


scenario('a burst is one turn, on the same and on mixed channels', {
    project: { burst: { window_ms: 1500, max_wait_ms: 10_000 } },
    timeout: 120_000,
}, async (w) => {
    const spacings = [0, 50, 200, 1000];

    const people = await Promise.all(spacings.map(async (ms, n) => {
        const p = person(n);

        await w.opened({ channels: ['sms', 'whatsapp'], person: p });
        return p;
    }));

    const before = questions(w).length;

    await Promise.all(spacings.map(async (ms, n) => {
        for (let i = 0; i < 4; i++) {
            await w[i % 2 ? 'sms' : 'whatsapp'](`word ${n}-${i}`, {
                from: (i % 2 ? '' : 'whatsapp:') + people[n].recipient_tel,
            });

            if (ms) {
                await new Promise((r) => { setTimeout(r, ms); });
            }
        }
    }));

    await until(() => people.every((p) => w.twilio.messages.filter((m) =>
        m.to.endsWith(p.recipient_tel)).length === 3), 30_000);
    await w.idle();

    const asked = questions(w).slice(before);

    assert.equal(asked.length, spacings.length, 'one question each');

    for (const n of spacings.keys()) {
        const mine = asked.filter((r) => said(r).includes(`word ${n}-`));

        assert.equal(mine.length, 1);
        [0, 1, 2, 3].forEach((i) =>
            assert.match(said(mine[0]), new RegExp(`word ${n}-${i}`)));
    }
});


scenario('who never stops writing is answered all the same', {
    project: { burst: { window_ms: 2000, max_wait_ms: 4000 } },
}, async (w) => {
    await w.opened({ channels: ['sms'] });

    const began = Date.now();
    let answered = null;

    for (let i = 0; answered === null && i < 30; i++) {
        await w.sms(`and ${i}`);
        await new Promise((r) => { setTimeout(r, 500); });

        if (w.received('sms').length > 1) {
            answered = Date.now() - began;
        }
    }

    assert.ok(answered >= 3500 && answered < 9000, `${answered} ms`);
    await w.idle();
});


scenario('an album of ten pictures is one turn', {}, async (w) => {
    await w.opened({ channels: ['whatsapp'] });

    const before = questions(w).length;

    await Promise.all([...Array(10).keys()].map((n) => w.whatsapp('', {
        extra: {
            NumMedia: '1',
            MediaUrl0: `https://api.twilio.com/picture/${n}`,
            MediaContentType0: 'image/jpeg',
        },
    })));

    await until(() => w.received('whatsapp').length === 2, 30_000);
    await w.idle();
    assert.equal(questions(w).length, before + 1);
    assert.equal(w.received('whatsapp').length, 2);
});


scenario('STOP, START and HELP, also in other languages', {
    project: {
        consent_words: {
            stop: ['STOPP', 'ABMELDEN'], start: ['ANMELDEN'],
            help: ['HILFE'],
        },
        help_message: 'Acme Care, 020 7946 0000.',
    },
}, async (w) => {
    const begun = await w.opened({ channels: ['sms', 'email'] });
    const before = questions(w).length;

    await w.sms(' hilfe? ');
    await until(() => w.received('sms').length === 2);
    assert.equal(w.received('sms')[1].text, 'Acme Care, 020 7946 0000.');

    await w.sms('Abmelden!');
    await until(() => w.sql('SELECT * FROM consent').length >= 2);
    assert.equal((await w.initiate(request({ channels: ['sms'] }))).status,
        403);

    /* help is given after a STOP as well */
    await w.sms('HELP');
    await until(() => w.received('sms').length === 3);

    await w.sms('anmelden');
    await until(() => w.sql('SELECT * FROM consent').length >= 4);
    await w.idle();

    assert.equal(questions(w).length, before, 'the AI saw none of it');

    /* a word within a sentence is for the AI */
    await w.sms('Please stop by on Monday, I need help');
    await until(() => w.received('sms').length === 4, 15_000);
    assert.match(said(questions(w).at(-1)), /stop by on Monday/);

    const shown = await w.conversation(begun.thread_id);

    assert.equal(shown.messages.filter((m) => m.role === 'system').length, 2);
});


scenario('help that the provider gave itself is not given again', {},
    async (w) => {
        const begun = await w.opened({ channels: ['sms'] });

        await w.sms('Aide', { extra: { OptOutType: 'HELP' } });
        await until(async () => (await w.conversation(begun.thread_id))
            .messages.some((m) => m.content === 'Aide'));
        await w.idle();
        assert.equal(sent(w), 1);
    });


scenario('two machines that answer each other are stopped', {
    project: {
        rate_limits: { turns_per_hour: 3 },
    },
}, async (w) => {
    const begun = await w.opened({ channels: ['sms'] });

    for (let i = 0; i < 3; i++) {
        await w.sms(`automatic ${i}`);
        await until(() => w.received('sms').length === i + 2);
    }

    await w.sms('automatic 3');

    const shown = await until(async () => {
        const c = await w.conversation(begun.thread_id);

        return c.hand_off_to_human ? c : null;
    });

    assert.equal(shown.hand_off_to_human_reason, 'turns_per_hour');
    await w.idle();
    assert.equal(w.received('sms').length, 4);
    assert.ok(shown.messages.some((m) => m.content === 'automatic 3'));
});
