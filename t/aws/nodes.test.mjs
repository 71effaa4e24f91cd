
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Two machines, each with a zone of its own, work on the same threads.  Each
 * scenario runs on COMMS_TIMES conversations, 50 unless told, at once;
 * COMMS_SEED=n repeats the moments.
 *
 * A send that was begun by a machine that did not finish it is in doubt for
 * 90 seconds, and then looked up: which is how long most of them take.
 */

import { describe } from 'node:test';

import { replyTo } from '../standins/sendgrid.mjs';
import { newSid } from '../standins/twilio.mjs';
import { person, request, status, until } from '../lib/world.mjs';
import { audit, dice, moment, SEED } from './audit.mjs';
import { LAYOUTS, cloud, idle } from './cloud.mjs';
import { agree } from './reader.mjs';

const TIMES = Number(process.env.COMMS_TIMES ?? 50);
const STRIKES = 4;
const KILLED = [/exited on signal 9/, /was locked by/];


/* what a patient caller does, by way of either machine */
async function insist(machines, send, what) {
    let n = 0;

    return until(async () => {
        try {
            return await send(machines[n++ % machines.length]);
        } catch {
            return null;
        }
    }, 60_000, what);
}


async function start(machines, people, channels) {
    const document = request({ person: people, channels });

    return insist(machines, async (m) => {
        const res = await m.initiate(document);

        return res.status === 202 ? res.json : null;
    }, 'the start is accepted');
}


/* a webhook, which its provider sends again until it is taken */
async function write(machines, person, channel, text) {
    const sid = newSid();
    const mail = machines[0].mailTo(person.recipient_email);
    const reply = channel === 'email' ? replyTo(mail, { text }) : null;

    return insist(machines, async (m) => {
        const res = channel === 'email' ? await m.email(reply)
            : await m[channel](text, { sid, from: channel === 'sms'
                ? person.recipient_tel : `whatsapp:${person.recipient_tel}` });

        return res.status === 200;
    }, 'the webhook is taken');
}


/* until the first message on a channel is there, or in doubt */
async function opened(w, { thread_id: id }, person, channel) {
    await until(() => w.received(channel, { tel: person.recipient_tel,
        email: person.recipient_email }).length > 0, 150_000)
        .catch(async (err) => {
            const shown = await w.conversation(id);

            if (status(shown, channel) !== 'unknown') {
                throw new Error(`${id}: no first message on ${channel}; `
                    + `${JSON.stringify(shown.channel_states)} `
                    + JSON.stringify(w.emulators.depths()), { cause: err });
            }
        });
}


/* one conversation: a start, then replies on two channels to both machines */
async function converse(w, n, random, channels) {
    const who = person(n);
    const order = random(2) ? w.machines : [...w.machines].reverse();
    const begun = await start(order, who, channels);
    const texts = channels.map((c) => `${c} ${n}`);

    await Promise.all(channels.map(async (c, i) => {
        await opened(w, begun, who, c);
        await moment(random(600));
        await write(i === 0 ? order : [...order].reverse(), who, c,
            texts[i]);
    }));

    return { begun, person: who, replies: texts };
}


async function run(w, t, { layout, name, channels, strike }) {
    const random = dice(`${name}/${layout}`);
    let over = false;
    let strikes = 0;

    t.diagnostic(`COMMS_SEED=${SEED}`);
    w.ai.think = () => random(150);

    const striking = (async () => {
        while (strike && !over && strikes < STRIKES) {
            await until(() => over || w.ai.running > 0, 60_000);
            await moment(random(300));
            await strike(w.machines[strikes++ % w.machines.length], random);
        }
    })();

    const done = await Promise.all(Array.from({ length: TIMES },
        async (_, n) => {
            await moment(random(strike ? 15_000 : 4_000));

            return converse(w, n, random, channels);
        })).finally(() => { over = true; });

    await striking;
    await idle(w, { exact: strike === undefined, ms: 150_000 });

    const doubts = await audit(w, done);
    const sends = w.twilio.messages.length + w.sendgrid.mails.length;

    t.diagnostic(`${done.length} conversations, ${sends} sends, ${doubts} of `
        + `them in doubt, ${w.ai.calls.length} turns of the AI`);
    await agree(w, layout, done.map(({ begun }) => begun.thread_id));
}


const scenarios = {
    'replies on two channels to two machines at once': {
        channels: ['whatsapp', 'email'],
    },

    'a machine sleeps past its leases': {
        channels: ['whatsapp', 'sms'],
        strike: async ({ nginx }, random) => {
            const [pid] = nginx.workers();

            process.kill(pid, 'SIGSTOP');

            try {
                await moment(4500 + random(1500));
            } finally {
                process.kill(pid, 'SIGCONT');
            }

            await moment(500);
        },
    },

    'a machine dies': {
        channels: ['whatsapp', 'sms'],
        strike: async ({ nginx }, random) => {
            await nginx.slaughter();
            await moment(random(2000));
            await nginx.start();
            await moment(1500);
        },
    },
};


for (const layout of LAYOUTS) {
    describe(layout, { concurrency: 1 }, () => {
        for (const [name, scenario] of Object.entries(scenarios)) {
            cloud(name, { layout, machines: 2, timeout: 300_000 },
                async (w, t) => {
                    w.machines.forEach((m) => m.nginx.allow.push(...KILLED));
                    await run(w, t, { layout, name, ...scenario });
                });
        }
    });
}
