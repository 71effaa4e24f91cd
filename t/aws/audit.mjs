
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The books that are compared after machines were paused, killed and cut off:
 * what was accepted, what the providers took, what the AI was asked, and what
 * the records say.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { reason, status } from '../lib/world.mjs';

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


/* "conversations": [{ begun, person, replies: [texts] }]; doubtful sends */
export async function audit(w, conversations) {
    const wrong = [];
    let doubts = 0;

    const check = (fn) => {
        try {
            fn();
        } catch (err) {
            wrong.push(err.message.split('\n').slice(0, 12).join('\n'));
        }
    };

    for (const one of conversations) {
        const shown = await w.conversation(one.begun.thread_id);

        check(() => checkReplies(shown, one));
        check(() => checkAsked(w, shown, one));
        check(() => { doubts += checkSends(w, shown, one); });
    }

    check(() => checkNoneTwice(w));
    check(() => assert.deepEqual(w.ai.overlaps.map((o) => o.conversation), [],
        'turns of a thread overlapped'));
    assert.deepEqual(wrong, [], `${wrong.length} books do not agree`);

    return doubts;
}


/* nothing lost, nothing recorded twice */
function checkReplies(shown, { replies }) {
    assert.deepEqual(shown.messages.filter((m) => m.role === 'user')
        .map((m) => m.content.trim()).sort(), [...replies].sort(),
    `replies in the record of ${shown.thread_id}`);
}


/* the AI was told everything once */
function checkAsked(w, shown, { replies }) {
    const { items } = w.ai.conversations.get(shown.ai_conversation_id);
    const asked = items.filter((i) => i.role === 'user')
        .map((i) => i.content[0].text);

    for (const text of replies) {
        assert.equal(asked.filter((a) => a.endsWith(text)).length, 1,
            `${shown.thread_id}: "${text}" was put to the AI once`);
    }
}


/* each answer that the record calls sent arrived, and no other did */
function checkSends(w, shown, { begun, person }) {
    const address = { tel: person.recipient_tel,
        email: person.recipient_email };
    let doubts = 0;

    for (const channel of begun.channels) {
        const taken = w.received(channel, address).length;
        const ours = shown.messages.filter((m) => m.role === 'assistant'
            && m.channel === channel);
        const sure = ours.filter((m) => m.status === 'sent').length;
        const unsure = ours.filter((m) => m.status === 'unknown').length;
        const state = status(shown, channel);

        assert.equal(sure + unsure, ours.length, `${shown.thread_id} `
            + `${channel}: ${ours.map((m) => m.status)}`);
        assert.ok(taken >= sure && taken <= sure + unsure,
            `${shown.thread_id} ${channel}: ${taken} arrived, ${sure} sent, `
            + `${unsure} unknown`);
        assert.ok(state === 'sent' || reason(shown, channel),
            `${shown.thread_id} ${channel}: ${state}`);
        doubts += unsure;
    }

    const last = shown.messages.filter((m) => m.role === 'user').length > 0;

    assert.ok(!last || shown.messages.at(-1).role === 'assistant',
        `${shown.thread_id}: the last reply was answered`);

    return doubts;
}


function checkNoneTwice(w) {
    const seen = new Set();

    for (const m of [...w.twilio.messages, ...w.sendgrid.mails]) {
        const key = `${m.to}|${m.text}`;

        assert.ok(!seen.has(key), `sent twice: ${key}`);
        seen.add(key);
    }
}
