
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What only the DynamoDB store can get wrong: a write of many items that was
 * left in its middle.  Each is made as a dead worker would have left it.
 */

import assert from 'node:assert/strict';
import { BatchWriteItemCommand, GetItemCommand, PutItemCommand, ScanCommand,
    UpdateItemCommand } from '../aws/tables.mjs';
import { DECLINED, OK, message, start, thread, ulid } from './backend.mjs';
import { lived } from './erase.mjs';


function key(b, pk, sk) {
    const [a, z] = b.spec.layout === 'single'
        ? ['thread_id', 'sort_key'] : ['primary_channel', 'conversation_id'];

    return { [a]: { S: pk }, [z]: { S: sk } };
}


/* the name of the sort key */
function key2(b) {
    return b.spec.layout === 'single' ? 'sort_key' : 'conversation_id';
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


/* the items of all tables but the ledger's that hold one of the words */
async function holding(b, words) {
    const held = [];

    for (const TableName of ['threads', 'inbound',
        ...(b.spec.layout === 'single' ? [] : ['effects'])]) {
        let ExclusiveStartKey;

        do {
            const page = await b.spec.client.send(new ScanCommand(
                { TableName, ConsistentRead: true, ExclusiveStartKey }));

            held.push(...page.Items.filter((item) => words.some((word) =>
                JSON.stringify(item).includes(word))));
            ({ LastEvaluatedKey: ExclusiveStartKey } = page);
        } while (ExclusiveStartKey !== undefined);
    }

    return held;
}


/* the first pass was so long ago that the next is the last */
async function later(b, id) {
    await b.spec.client.send(new UpdateItemCommand({
        TableName: 'threads', Key: key(b, id, 'erased'),
        UpdateExpression: 'SET comms_passed_at = :then',
        ConditionExpression: 'attribute_exists(comms_passed_at)',
        ExpressionAttributeValues: { ':then': { N: '1' } } }));
}


/* all by which the person of a thread could be known */
function names({ made, bsuid, kept, mail }) {
    return [made.person, made.person.slice(4), made.mail, made.mail.slice(7),
        bsuid, 'Zebulon', mail,
        ...Object.values(kept).map((k) => k.inbound.content)
            .filter((content) => content === 'secret'),
        ...Object.values(kept).map((k) => `in#${k.inbound.inbound_id}`)];
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

    'a link that got no further than its header is finished': async (b) => {
        const made = await thread(b);
        const pair = { channel: 'whatsapp', person_address: `bsuid:${ulid()}`,
            company_address: 'tel:+15550001' };

        await b.spec.client.send(new UpdateItemCommand({
            TableName: 'threads', Key: key(b, made.id, 'record'),
            UpdateExpression: 'SET comms_pairs ='
                + ' list_append(comms_pairs, :pair)',
            ExpressionAttributeValues: { ':pair': { L: [{ M: {
                channel: { S: pair.channel },
                company_address: { S: pair.company_address },
                person_address: { S: pair.person_address } } }] } } }));
        await commit(b, made.id, { pairs: true });
        await b.store('find', pair, DECLINED);
        await b.store('load', { thread_id: made.id, messages: 0 });
        assert.equal((await b.store('find', pair)).thread_id, made.id);
        assert.equal(await journal(b, made.id), 0);
    },

    'erase: nothing of the person is in any table, but for consent':
    async (b) => {
        const all = await lived(b, { recipient_first_name: 'Zebulon' });
        const before = await holding(b, names(all));

        assert.ok(before.length > 15, `${before.length} items`);

        const outcome = await b.store('erase', { thread_id: all.made.id });
        const between = await holding(b, names(all));

        assert.deepEqual(between.map((item) => item[key2(b)].S), ['erased'],
            'what the second pass needs');
        await later(b, all.made.id);
        assert.deepEqual(await b.store('erase', { thread_id: all.made.id }),
            outcome);
        assert.deepEqual(await holding(b, names(all)), []);
        assert.deepEqual(await b.store('erase', { thread_id: all.made.id }),
            outcome);

        const kept = await holding(b, [all.made.id]);

        assert.deepEqual(kept.map((item) => item[key2(b)].S).sort(),
            ['erased', 'guard'], 'what stays');
    },

    'erase: what a slow replay wrote behind it goes with the second pass':
    async (b) => {
        const all = await lived(b);
        const { made } = all;
        const { id } = made;
        const [pk, sk] = b.spec.layout === 'single'
            ? [id, `msg#${ulid()}`]
            : [made.person.slice(4), `${made.input.record.conversation_id}`
                + `#15550001#msg#${ulid()}`];

        await b.store('erase', { thread_id: id });

        for (const [table, k] of [['threads', key(b, pk, sk)],
            ['threads', key(b, id, 'entry#late')],
            ['threads', key(b, id, 'effect#late')]]) {
            await b.spec.client.send(new PutItemCommand({ TableName: table,
                Item: { ...k, content: { S: `late ${id}` } } }));
        }

        await later(b, id);
        await b.store('erase', { thread_id: id });
        assert.deepEqual(await holding(b, [`late ${id}`]), []);
    },

    'erase: one that was broken off anywhere is gone on with': async (b) => {
        const all = await lived(b);
        const { id } = all.made;
        const { Item } = await b.spec.client.send(new GetItemCommand({
            TableName: 'threads', Key: key(b, id, 'record'),
            ConsistentRead: true }));

        const outcome = await b.store('erase', { thread_id: id });

        /* as if its worker had died before the header went */
        await b.spec.client.send(new PutItemCommand({ TableName: 'threads',
            Item }));
        assert.equal((await b.ask('store', 'load',
            { thread_id: id, messages: 1 })).rc, OK);
        assert.deepEqual(await b.store('erase', { thread_id: id }), outcome);
        await b.store('load', { thread_id: id, messages: 1 }, DECLINED);

        /* and as if before the media of a message were known */
        const other = await lived(b);

        await b.spec.client.send(new UpdateItemCommand({
            TableName: 'threads', Key: key(b, other.made.id, 'erased'),
            UpdateExpression: 'SET comms_media = :m',
            ExpressionAttributeValues: { ':m': { L: [{ S: 'md_0' }] } } }));
        assert.deepEqual((await b.store('erase',
            { thread_id: other.made.id })).media.sort(),
        ['md_0', 'md_1', 'md_2', 'md_3']);
    },

    'erase: a thread of 5,000 messages': async (b) => {
        const made = await thread(b);
        const [pk, prefix] = b.spec.layout === 'single' ? [made.id, 'msg#']
            : [made.person.slice(4), `${made.input.record.conversation_id}`
                + '#15550001#msg#'];

        for (let i = 0; i < 200; i++) {
            await b.spec.client.send(new BatchWriteItemCommand({
                RequestItems: { threads: Array.from({ length: 25 },
                    (_, n) => ({ PutRequest: { Item: {
                        ...key(b, pk, prefix + ulid()),
                        entry_id: { S: `e${i}-${n}` },
                        role: { S: n % 2 ? 'user' : 'assistant' },
                        provider_message_id: { S: `SM${made.id}${i}-${n}` },
                        content: { S: 'secret' },
                        ...(n ? {} : { media: { L: [{ M: { media_id:
                            { S: `md_${i}` } } }] } }) } } })) } }));
        }

        const { media } = await b.store('erase', { thread_id: made.id });

        assert.equal(media.length, 200);
        assert.deepEqual((await holding(b, [made.person.slice(4)]))
            .map((item) => item[key2(b)].S), ['erased']);
    },
};
