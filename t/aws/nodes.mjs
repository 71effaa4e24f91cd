
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Two machines, each with a zone of its own, work on the same threads, in both
 * layouts, and on FIFO queues without locks.
 *
 *   COMMS_REPEATS=n   attempts of each scenario in each way, 50 unless told
 *   COMMS_WORLDS=n    on so many pairs of machines at once in each way, 5
 *                     unless told
 *   COMMS_SEED=n      the same moments again
 *
 * An attempt is a conversation of its own: replies on two channels to both
 * machines, at moments of its own.  Where a machine is struck, each attempt
 * has its own strike, aimed at the machine that has a job in flight.  A table
 * at the end says what came of all of them.
 *
 * A send that was begun by a machine that did not finish it is in doubt for
 * 90 seconds, and then looked up: which is how long a world with strikes takes
 * to come to rest.
 */

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';

import { replyTo } from '../standins/sendgrid.mjs';
import { newSid } from '../standins/twilio.mjs';
import { person, request, status, until } from '../lib/world.mjs';
import { KINDS, SEED, compare, dice, moment } from './audit.mjs';
import { cloud, idle } from './cloud.mjs';
import { agree } from './reader.mjs';

const REPEATS = Number(process.env.COMMS_REPEATS ?? 50);
const WORLDS = Math.min(Number(process.env.COMMS_WORLDS ?? 5), REPEATS);
const CROWD = 12;
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


/*
 * until the first message on a channel is there, or in doubt, or not wanted any
 * more, because the person wrote on another channel before
 */
async function opened(w, { thread_id: id }, person, channel) {
    await until(() => w.received(channel, { tel: person.recipient_tel,
        email: person.recipient_email }).length > 0, 150_000)
        .catch(async (err) => {
            const shown = await w.conversation(id);

            if (!['unknown', 'cancelled'].includes(status(shown, channel))) {
                throw new Error(`${id}: no first message on ${channel}; `
                    + `${JSON.stringify(shown.channel_states)} `
                    + JSON.stringify(w.emulators.depths()), { cause: err });
            }
        });
}


/* one conversation: a start, then replies on two channels to both machines */
async function converse(w, n, random, channels, told = () => {}) {
    const who = person(n);
    const order = random(2) ? w.machines : [...w.machines].reverse();
    const begun = await start(order, who, channels);
    const replies = [];

    await Promise.all(channels.map(async (c, i) => {
        await opened(w, begun, who, c);
        await moment(random(600));

        /* nobody answers a mail that was not wanted any more */
        if (c === 'email' && !w.mailTo(who.recipient_email)) {
            return;
        }

        replies.push(`${c} ${n}`);
        await write(i === 0 ? order : [...order].reverse(), who, c,
            `${c} ${n}`);
        told();
    }));

    return { begun, person: who, replies };
}


async function jobs(machine) {
    return machine.call('GET', '/comms-status').then(
        ({ json }) => json.gauges.jobs_in_flight, () => 0);
}


/*
 * Strikes the machine that works on this conversation, at a moment of its own;
 * whether there was one.
 */
async function hit(w, strike, random) {
    let target = null;

    await until(async () => {
        for (const m of w.machines) {
            if (await jobs(m) > 0) {
                target = m;
                return true;
            }
        }

        return false;
    }, 5000).catch(() => null);

    await moment(random(250));

    const inTurn = target !== null && (w.ai.running > 0
        || await jobs(target) > 0);

    await strike(target ?? w.machines[random(w.machines.length)], random);

    return inTurn;
}


/* one after the other, since a strike meets a machine, not a conversation */
async function struck(w, random, times, { channels, strike }) {
    const all = [];
    let inTurn = 0;

    for (let n = 0; n < times; n++) {
        const begins = random(4) === 0;
        let opened = null;
        const told = new Promise((resolve) => { opened = resolve; });

        all.push(converse(w, n, random, channels, opened));

        /* in one of four the machine is struck while it opens the thread */
        if (!begins) {
            await Promise.race([told, moment(20_000)]);
        }

        if (await hit(w, strike, random)) {
            inTurn++;
        }
    }

    return { done: await Promise.all(all), inTurn };
}


/*
 * So many at once that machines and threads mix, and not so many that the
 * emulators, which share this process, are slower than a message's visibility.
 */
async function atOnce(w, random, times, { channels }) {
    const done = [];
    let next = 0;

    await Promise.all(Array.from({ length: CROWD }, async () => {
        while (next < times) {
            const n = next++;

            await moment(random(1500));
            done.push(await converse(w, n, random, channels));
        }
    }));

    return { done, inTurn: 0 };
}


async function run(w, t, { way, layout, name, times, tally, ...scenario }) {
    const random = dice(`${name}/${way}/${tally.attempts}`);

    t.diagnostic(`COMMS_SEED=${SEED}`);
    w.ai.think = () => 50 + random(300);
    tally.attempts += times;

    const { done, inTurn } = await (scenario.strike ? struck
        : atOnce)(w, random, times, scenario);

    tally.inTurn += inTurn;

    /* whatever is left in a queue is lost, as far as the audit goes */
    await idle(w, { exact: scenario.strike === undefined, ms: 150_000 })
        .catch((err) => t.diagnostic(err.message));

    const found = await compare(w, done);

    tally.doubts += found.doubts;
    tally.sends += w.twilio.messages.length + w.sendgrid.mails.length;
    tally.turns += w.ai.calls.length;
    KINDS.forEach((kind) => { tally[kind] += found[kind].length; });

    for (const kind of KINDS) {
        assert.deepEqual(found[kind], [], kind);
    }

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
        },
    },

    'a machine dies': {
        channels: ['whatsapp', 'sms'],
        strike: async ({ nginx }, random) => {
            await nginx.slaughter();
            await moment(random(2000));
            await nginx.start();
        },
    },
};

/*
 * The scenarios in one way: "options" are those of the worlds.  Ways are files
 * of their own, so that they are processes of their own.
 */
export function twoMachines(way, options) {
    describe(way, { concurrency: 1 }, () => {
        const tallies = [];

        for (const [name, scenario] of Object.entries(scenarios)) {
            const worlds = scenario.strike ? WORLDS : 1;
            const tally = { name, attempts: 0, inTurn: 0, turns: 0, sends: 0,
                doubts: 0, lost: 0, duplicates: 0, overlaps: 0, wrong: 0 };

            tallies.push(tally);

            describe(name, { concurrency: worlds }, () => {
                for (let i = 0; i < worlds; i++) {
                    const times = Math.floor((REPEATS + i) / worlds);

                    cloud(`${times} attempts`, { ...options, machines: 2,
                        timeout: 600_000 }, async (w, t) => {
                        w.machines.forEach((m) =>
                            m.nginx.allow.push(...KILLED));
                        await run(w, t, { way, layout: options.layout, name,
                            times, tally, ...scenario });
                    });
                }
            });
        }

        after(() => {
            tallies.forEach((one) => console.log(words(way, one)));
        });
    });
}


function words(way, one) {
    return `${way}: ${one.name}: ${one.attempts} attempts`
        + `${scenarios[one.name].strike
            ? `, ${one.inTurn} of them struck with a job in flight` : ''}; `
        + `${one.turns} turns of the AI, ${one.sends} sends; lost `
        + `${one.lost}, duplicates ${one.duplicates}, overlaps `
        + `${one.overlaps}, otherwise wrong ${one.wrong}, in doubt `
        + `${one.doubts}`;
}
