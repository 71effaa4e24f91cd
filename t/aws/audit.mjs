
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The books that are compared after machines were paused, killed and cut off:
 * what was accepted, what the providers took (and the AI was asked), what the
 * records say, and what the queues still hold.
 *
 *   lost        accepted, and not in the record, not put to the AI, not
 *               answered, or said to be sent and not arrived; or still in a
 *               queue, or among the dead letters
 *   duplicates  recorded, put to the AI, sent, or arrived once too often
 *   overlaps    two turns of a thread at once, as the AI saw them
 *   wrong       whatever else does not agree
 *
 * A message that was not sent because the person had written before is
 * "cancelled", and not missed.  A send that is in doubt ("unknown") is neither lost nor a duplicate,
 * whether it arrived or not, and neither is its dead letter; how many there
 * are is told.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { reason, status } from '../lib/world.mjs';

export const KINDS = ['lost', 'duplicates', 'overlaps', 'wrong'];

export const SEED = process.env.COMMS_SEED ?? String(crypto.randomInt(1e9));


/* the same moments again for the same COMMS_SEED */
export function dice(name) {
    let n = 0;

    return (limit) => crypto.createHash('sha256')
        .update(`${SEED}/${name}/${n++}`).digest().readUInt32BE() % limit;
}


/* moments are what these tests are about, so they may wait for one */
export function moment(ms) {
    return new Promise((resolve) => { setTimeout(resolve, ms); });
}


/*
 * "conversations": [{ begun, person, replies: [texts] }].  What does not agree,
 * { lost: [words], duplicates, overlaps, wrong }, and the number of doubts.
 */
export async function compare(w, conversations) {
    const found = { lost: [], duplicates: [], overlaps: [], wrong: [],
        doubts: 0 };

    for (const one of conversations) {
        const shown = await w.conversation(one.begun.thread_id);

        checkReplies(found, shown, one);
        checkAsked(found, w, shown, one);
        checkSends(found, w, shown, one);
    }

    checkNoneTwice(found, w);
    found.overlaps.push(...w.ai.overlaps.map(({ id }) => id));

    for (const [queue, n] of Object.entries(w.emulators?.depths() ?? {})) {
        if (n > 0 && !queue.endsWith('-dlq')) {
            found.lost.push(`${n} in the queue ${queue}`);
        }
    }

    for (const letter of w.emulators?.dead() ?? []) {
        await checkDead(found, w, letter);
    }

    return found;
}


/* a channel's copy whose send is in doubt is there for a human to look at */
async function checkDead(found, w, { queue, body }) {
    const shown = await w.conversation(body.thread_id);

    if (status(shown, queue) !== 'unknown') {
        found.lost.push(`${shown.thread_id}: a dead letter of "${queue}", `
            + `${JSON.stringify(shown.channel_states)}`);
    }
}


/* the same as an assertion; doubtful sends */
export async function audit(w, conversations) {
    const found = await compare(w, conversations);

    for (const kind of KINDS) {
        assert.deepEqual(found[kind], [], kind);
    }

    return found.doubts;
}


function count(found, n, what) {
    if (n === 0) {
        found.lost.push(what);
    }

    if (n > 1) {
        found.duplicates.push(`${n} times: ${what}`);
    }
}


/* what people wrote is in the record, once, and nothing else is */
function checkReplies(found, shown, { replies }) {
    const recorded = shown.messages.filter((m) => m.role === 'user')
        .map((m) => m.content.trim());

    for (const text of replies) {
        count(found, recorded.filter((one) => one === text).length,
            `${shown.thread_id}: "${text}" in the record`);
    }

    for (const text of recorded.filter((one) => !replies.includes(one))) {
        found.wrong.push(`${shown.thread_id}: "${text}" is nobody's`);
    }

    if (recorded.length > 0 && shown.messages.at(-1).role !== 'assistant') {
        found.lost.push(`${shown.thread_id}: the answer to the last reply`);
    }
}


/* the AI was told everything once */
function checkAsked(found, w, shown, { replies }) {
    const items = w.ai.conversations.get(shown.ai_conversation_id)?.items
        ?? [];
    const asked = items.filter((i) => i.role === 'user')
        .map((i) => i.content[0].text);

    for (const text of replies) {
        count(found, asked.filter((a) => a.endsWith(text)).length,
            `${shown.thread_id}: "${text}" was put to the AI`);
    }
}


/* each answer that the record calls sent arrived, and no other did */
function checkSends(found, w, shown, { begun, person }) {
    const address = { tel: person.recipient_tel,
        email: person.recipient_email };

    for (const channel of begun.channels) {
        const taken = w.received(channel, address).length;
        const ours = shown.messages.filter((m) => m.role === 'assistant'
            && m.channel === channel);
        const sure = ours.filter((m) => m.status === 'sent').length;
        const unsure = ours.filter((m) => m.status === 'unknown').length;
        const spared = ours.filter((m) => m.status === 'cancelled'
            && m.reason === 'replied').length;
        const state = status(shown, channel);
        const words = `${shown.thread_id} ${channel}: ${taken} arrived, `
            + `${sure} sent, ${unsure} unknown`;

        if (taken < sure) {
            found.lost.push(words);
        }

        if (taken > sure + unsure) {
            found.duplicates.push(words);
        }

        if (sure + unsure + spared !== ours.length || ours.length === 0
            || (state !== 'sent' && !reason(shown, channel)))
        {
            found.wrong.push(`${words}; ${state}, `
                + `${ours.map((m) => m.status)}`);
        }

        found.doubts += unsure;
    }
}


function checkNoneTwice(found, w) {
    const seen = new Set();

    for (const m of [...w.twilio.messages, ...w.sendgrid.mails]) {
        const key = `${m.to}|${m.text}`;

        if (seen.has(key)) {
            found.duplicates.push(`sent twice: ${key}`);
        }

        seen.add(key);
    }
}
