
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What only the DynamoDB store can get wrong: a write of many items that was
 * left in its middle.  Each is made as a dead worker would have left it.
 */

import assert from 'node:assert/strict';
import { GetItemCommand, PutItemCommand, UpdateItemCommand }
    from '../aws/tables.mjs';
import { DECLINED, message, start, thread, ulid } from './backend.mjs';


function key(b, pk, sk) {
    const [a, z] = b.spec.layout === 'single'
        ? ['thread_id', 'sort_key'] : ['primary_channel', 'conversation_id'];

    return { [a]: { S: pk }, [z]: { S: sk } };
}


/* commits to a thread's journal, and goes no further */
async function commit(b, id, doc) {
    await b.spec.client.send(new UpdateItemCommand({
        TableName: 'threads',
        Key: key(b, id, 'record'),
        UpdateExpression: 'SET comms_journal = list_append(comms_journal, :d),'
            + ' comms_commits = comms_commits + :one',
        ExpressionAttributeValues: {
            ':d': { L: [{ S: JSON.stringify({ at: Date.now(), ...doc }) }] },
            ':one': { N: '1' },
        },
    }));
}


async function journal(b, id) {
    const { Item } = await b.spec.client.send(new GetItemCommand({
        TableName: 'threads', Key: key(b, id, 'record'),
        ConsistentRead: true }));

    return Item.comms_journal.L.length;
}


function answer(entry, changes = {}) {
    return { key: ulid(), at: new Date().toISOString(), message: {
        entry_id: entry, role: 'assistant', channel: 'whatsapp',
        content: 'yes', status: 'pending', turn_id: 't1', ...changes } };
}


export const behaviours = {
    'an answer that was committed is not given again': async (b) => {
        const made = await thread(b);
        const kept = message(made.person);

        await b.store('keep', kept);
        await b.store('intend', { thread_id: made.id, effect_id: 'e',
            kind: 'ai', detail: { a: 1 } });
        await commit(b, made.id, { messages: [answer('a')],
            inbound_done: [kept.inbound.inbound_id], turn_id: 't1',
            effect: { effect_id: 'e', state: 'done', outcome: { b: 2 } } });

        const got = await b.store('claim',
            { thread_id: made.id, history: 10 });

        assert.deepEqual(got.inbound, []);
        assert.deepEqual(got.effects, []);
        assert.deepEqual(got.unsent.map((m) => m.entry_id), ['a']);
        assert.deepEqual(got.messages.map((m) => m.entry_id), ['a']);
        assert.equal(await journal(b, made.id), 0);

        const { effect } = await b.store('intend', { thread_id: made.id,
            effect_id: 'e', kind: 'ai', detail: {} }, DECLINED);

        assert.equal(effect.state, 'done');
        assert.deepEqual(effect.detail, { a: 1 });
        assert.deepEqual(effect.outcome, { b: 2 });
    },

    'whoever intends sees what was committed': async (b) => {
        const made = await thread(b);

        await b.store('intend', { thread_id: made.id, effect_id: 'e',
            kind: 'send', detail: {} });
        await commit(b, made.id, {
            effect: { effect_id: 'e', state: 'failed', outcome: null } });
        assert.equal((await b.store('intend', { thread_id: made.id,
            effect_id: 'e', kind: 'send', detail: {} }, DECLINED))
            .effect.state, 'failed');
    },

    'entries are replayed in order, by any number at once': async (b) => {
        const made = await thread(b);

        await commit(b, made.id, { messages: [answer('a')] });
        await commit(b, made.id, { messages: [
            { key: ulid(), at: new Date().toISOString(),
                message: { entry_id: 'a', status: 'sent' } }] });
        await b.atOnce(16, 'store', 'load',
            { thread_id: made.id, messages: 10 });

        const { record } = await b.store('load',
            { thread_id: made.id, messages: 10 });

        assert.deepEqual(record.messages.map((m) => [m.status, m.content]),
            [['sent', 'yes']]);
        assert.equal(await journal(b, made.id), 0);
    },

    'a start that got no further than its guard is finished': async (b) => {
        const { input } = start();
        const { record } = input;

        await b.spec.client.send(new PutItemCommand({
            TableName: 'threads',
            Item: {
                ...key(b, `request#${record.conversation_id}`, 'guard'),
                comms_accepted: { M: { thread_id: { S: record.thread_id } } },
                comms_token: { S: 'x' },
                comms_payload: { S: JSON.stringify(
                    { ...input, now: Date.now() }) },
                gsi_sweep: { S: '0' },
                gsi_sweep_at: { N: '1' },
            },
        }));

        assert.equal((await b.store('accept', input, DECLINED)).thread_id,
            record.thread_id);
        assert.equal((await b.store('load', { thread_id: record.thread_id,
            messages: 1 })).record.version, 1);
        assert.equal((await b.receive(input.queue)).messages.length, 1);
    },
};
