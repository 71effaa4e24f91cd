
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What ngx_comms_store.h promises, but for turns (turn.mjs).
 */

import assert from 'node:assert/strict';
import { DECLINED, OK, message, phone, start, thread, ulid, unique }
    from './backend.mjs';

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;


async function admitted(b, made, addresses = []) {
    const { record } = made.input;

    return b.store('admit', { company_id: record.company_id,
        project_id: record.project_id,
        conversation_id: record.conversation_id, addresses });
}


async function pages(b, query) {
    const all = [];
    let cursor = null;

    do {
        const page = await b.store('list', { ...query, cursor });

        assert.ok(page.conversations.length <= query.limit);
        all.push(page.conversations.map((c) => c.thread_id));
        ({ cursor } = page);
    } while (cursor !== null);

    return all;
}


/* threads of one company, the oldest first */
async function threads(b, company, n, changes = {}) {
    const ids = [];

    for (let i = 0; i < n; i++) {
        ids.push((await thread(b, { company_id: company, ...changes })).id);
    }

    return ids;
}


/* a thread with a message of ours that has these ids */
async function written(b, ids, others = {}) {
    const made = await thread(b, {}, others);

    await b.store('record', { thread_id: made.id, messages: [
        { entry_id: ulid(), role: 'assistant', channel: 'email',
            content: 'x', status: 'sent', ...ids }] });

    return made;
}


function from(person, changes = {}) {
    return { channel: 'whatsapp', company_address: 'tel:+15559999',
        person_address: person, ...changes };
}


export const behaviours = {
    'admit: nothing is known of a new conversation': async (b) => {
        assert.deepEqual(await admitted(b, start(), [phone()]),
            { accepted: null, opted_out: [], open_conversations: 0 });
    },

    'admit: says what was accepted': async (b) => {
        const made = await thread(b);
        const { record } = made.input;
        const { accepted } = await admitted(b, made);

        assert.deepEqual(accepted, {
            thread_id: record.thread_id,
            conversation_id: record.conversation_id,
            request_id: record.request_id,
            request_hash: made.input.request_hash,
            channels: ['whatsapp', 'email'],
            queue_timestamp: made.input.queue_timestamp,
        });
    },

    'admit: counts the threads of the project that are still open':
    async (b) => {
        const company = unique('ci');
        const ids = await threads(b, company, 4);

        await thread(b, { company_id: company, project_id: 'pi-2' });
        await thread(b);

        const open = async () =>
            (await admitted(b, start({ company_id: company })))
                .open_conversations;

        assert.equal(await open(), 4);

        for (const [i, status] of ['completed', 'failed', 'active'].entries())
        {
            await b.store('record', { thread_id: ids[i],
                set: { conversation_status: status } });
        }

        assert.equal(await open(), 2);
        await b.store('record', { thread_id: ids[0],
            set: { conversation_status: 'active' } });
        assert.equal(await open(), 3);
    },

    'admit: names the addresses that are opted out, per company':
    async (b) => {
        const made = start();
        const [out, back, never] = [phone(), phone(), phone()];
        const say = (address, optedOut, company) => b.store('consent', {
            company_id: company ?? made.input.record.company_id,
            person_address: address, opted_out: optedOut,
            source: 'keyword', proof: 'STOP' });

        await say(out, true);
        await say(back, true);
        await say(back, false);
        await say(never, true, unique('another'));

        const { opted_out: named } = await admitted(b, made,
            [never, out, back]);

        assert.deepEqual(named, [out]);
    },

    'accept: makes a thread with what the store derives': async (b) => {
        const before = Date.now();
        const made = await thread(b);
        const { record } = await b.store('load',
            { thread_id: made.id, messages: 10 });
        const given = made.input.record;

        for (const [name, value] of Object.entries(given)) {
            assert.deepEqual(record[name], value, name);
        }

        assert.equal(record.version, 1);
        assert.equal(record.fence, 0);
        assert.deepEqual(record.channel_states,
            { whatsapp: 'pending', email: 'pending' });
        assert.match(record.created_at, ISO);
        assert.equal(record.updated_at, record.created_at);
        assert.ok(Date.parse(record.created_at) >= before - 1000);
        assert.ok(Date.parse(record.created_at) <= Date.now() + 1000);
        assert.deepEqual(record.messages, []);
    },

    'accept: makes the queue entry': async (b) => {
        const made = await thread(b, {}, { body: { kind: 'open', n: 7 } });
        const { messages } = await b.receive(made.input.queue);

        assert.equal(messages.length, 1);
        assert.deepEqual(messages[0].body, { kind: 'open', n: 7 });
        assert.equal(messages[0].group, made.id);
    },

    'accept: a conversation is accepted once': async (b) => {
        const made = await thread(b);
        const again = structuredClone(made.input);

        again.record.thread_id = `th_${ulid()}`;
        again.record.recipient_first_name = 'Bob';
        again.request_hash = 'i'.repeat(64);

        const earlier = await b.store('accept', again, DECLINED);

        assert.equal(earlier.thread_id, made.id);
        assert.equal(earlier.request_hash, made.input.request_hash);
        assert.deepEqual(earlier, (await admitted(b, made)).accepted);
        assert.equal((await b.receive(made.input.queue)).messages.length, 1);
        await b.store('load', { thread_id: again.record.thread_id,
            messages: 1 }, DECLINED);
        assert.equal((await b.store('load',
            { thread_id: made.id, messages: 1 })).record.recipient_first_name,
        'Ada');

        /* the very same, as somebody who did not hear the answer sends it */
        assert.deepEqual(await b.store('accept', made.input, DECLINED),
            earlier);
    },

    'accept: 64 at once of one conversation make one thread': async (b) => {
        const made = start();
        const answers = await b.atOnce(64, 'store', 'accept', () => {
            const input = structuredClone(made.input);

            input.record.thread_id = `th_${ulid()}`;
            return input;
        });
        const count = (rc) => answers.filter((a) => a.rc === rc).length;

        assert.equal(count(OK), 1);
        assert.equal(count(DECLINED), 63);
        assert.equal(new Set(answers.filter((a) => a.rc === DECLINED)
            .map((a) => a.answer.thread_id)).size, 1);
        assert.equal((await b.receive(made.input.queue)).messages.length, 1);
    },

    'keep: a message is kept as it was, with its queue entry': async (b) => {
        const kept = message(phone());

        await b.store('keep', kept);

        const { inbound, state } = await b.store('inbound',
            { inbound_id: kept.inbound.inbound_id });

        assert.deepEqual(inbound, kept.inbound);
        assert.equal(state, 'waiting');

        const { messages } = await b.receive(kept.queue);

        assert.deepEqual(messages.map((m) => m.body), [kept.body]);
    },

    'keep: the same dedupe_id is kept once': async (b) => {
        const kept = message(phone());
        const again = structuredClone(kept);

        again.inbound.inbound_id = `in_${ulid()}`;
        await b.store('keep', kept);
        await b.store('keep', again, DECLINED);
        await b.store('keep', kept, DECLINED);
        await b.store('inbound', { inbound_id: again.inbound.inbound_id },
            DECLINED);
        assert.equal((await b.receive(kept.queue)).messages.length, 1);
    },

    'keep: 64 at once of one dedupe_id keep one': async (b) => {
        const kept = message(phone());
        const answers = await b.atOnce(64, 'store', 'keep', () => {
            const input = structuredClone(kept);

            input.inbound.inbound_id = `in_${ulid()}`;
            return input;
        });

        assert.equal(answers.filter((a) => a.rc === OK).length, 1);
        assert.equal(answers.filter((a) => a.rc === DECLINED).length, 63);
        assert.equal((await b.receive(kept.queue)).messages.length, 1);
    },

    'inbound: an unknown message is declined': async (b) => {
        await b.store('inbound', { inbound_id: `in_${ulid()}` }, DECLINED);
    },

    'orphan: sets a message aside': async (b) => {
        const person = phone();
        const made = await thread(b, {}, { person });
        const kept = message(person);
        const { inbound_id: id } = kept.inbound;

        await b.store('keep', kept);
        await b.store('orphan', { inbound_id: id, reason: 'no thread' });
        assert.equal((await b.store('inbound', { inbound_id: id })).state,
            'orphan');
        assert.deepEqual((await b.store('claim',
            { thread_id: made.id, history: 0 })).inbound, []);
    },

    'find: by a message of ours, whatever the pair': async (b) => {
        const id = `<${unique('m')}@example.com>`;
        const made = await written(b, { email_message_id: id });
        const found = await b.store('find', from(made.mail, {
            channel: 'email', message_ids: ['<other@x>', '', id] }));

        assert.deepEqual(found, { thread_id: made.id,
            company_id: made.company, project_id: 'pi-1',
            by: 'message_id' });
    },

    'find: the newest of the message ids decides': async (b) => {
        const person = phone();
        const [a, z] = [`<${unique('a')}@x>`, `<${unique('z')}@x>`];
        const one = await written(b, { email_message_id: a }, { person });

        await written(b, { email_message_id: z }, { person });
        assert.equal((await b.store('find',
            from(person, { message_ids: [a, z] }))).thread_id, one.id);
    },

    'find: by the message that was quoted': async (b) => {
        const id = unique('SM');
        const made = await written(b, { provider_message_id: id });
        const found = await b.store('find',
            from(made.person, { replied_to: id }));

        assert.equal(found.thread_id, made.id);
        assert.equal(found.by, 'message_id');
    },

    'find: by the thread of a reply token': async (b) => {
        const made = await thread(b);
        const found = await b.store('find', from(made.mail,
            { channel: 'email', thread_id: made.id }));

        assert.equal(found.thread_id, made.id);
        assert.equal(found.by, 'token');
    },

    'find: by address pair, the newest thread': async (b) => {
        const person = phone();

        await thread(b, {}, { person });
        await new Promise((resolve) => { setTimeout(resolve, 5); });

        const newest = await thread(b, {}, { person });
        const found = await b.store('find',
            from(person, { company_address: 'tel:+15550001' }));

        assert.equal(found.thread_id, newest.id);
        assert.equal(found.by, 'pair');
        await b.store('find', from(person, { channel: 'sms',
            company_address: 'tel:+15550001' }), DECLINED);
        await b.store('find', from(person,
            { company_address: 'tel:+15550002' }), DECLINED);
    },

    'find: a message id goes before a token, a token before the pair':
    async (b) => {
        const person = phone();
        const id = `<${unique('m')}@x>`;
        const one = await written(b, { email_message_id: id }, { person });
        const two = await thread(b, {}, { person });

        await new Promise((resolve) => { setTimeout(resolve, 5); });
        await thread(b, {}, { person });

        const all = from(person, { company_address: 'tel:+15550001',
            message_ids: [id], thread_id: two.id });

        assert.equal((await b.store('find', all)).thread_id, one.id);
        assert.equal((await b.store('find',
            { ...all, message_ids: [] })).thread_id, two.id);
        assert.equal((await b.store('find',
            { ...all, message_ids: [], thread_id: null })).by, 'pair');
    },

    'find: no sign counts for somebody who is not of the thread':
    async (b) => {
        const id = `<${unique('m')}@x>`;
        const quoted = unique('SM');
        const made = await written(b, { email_message_id: id,
            provider_message_id: quoted });

        await b.store('find', from(phone(), { message_ids: [id],
            replied_to: quoted, thread_id: made.id }), DECLINED);

        const person = phone();
        const own = await thread(b, {}, { person });
        const found = await b.store('find', from(person, {
            company_address: 'tel:+15550001', message_ids: [id],
            thread_id: made.id }));

        assert.equal(found.thread_id, own.id, 'the next sign is tried');
    },

    'find: an alias counts where the address does not': async (b) => {
        const id = `<${unique('m')}@x>`;
        const quoted = unique('SM');
        const made = await written(b, { email_message_id: id,
            provider_message_id: quoted });
        const unknown = `bsuid:US.${ulid()}`;
        const find = async (changes) => (await b.store('find', from(unknown,
            { aliases: [phone(), made.person], ...changes }))).by;

        assert.equal(await find({ message_ids: [id] }), 'message_id');
        assert.equal(await find({ replied_to: quoted }), 'message_id');
        assert.equal(await find({ thread_id: made.id }), 'token');
        assert.equal(await find({ company_address: 'tel:+15550001' }),
            'pair');
        await b.store('find', from(unknown, { aliases: [phone()],
            company_address: 'tel:+15550001', thread_id: made.id,
            replied_to: quoted, message_ids: [id] }), DECLINED);
    },

    'find: the address goes before its aliases, a sign before the pair':
    async (b) => {
        const [person, other] = [phone(), phone()];
        const one = await thread(b, {}, { person });

        await new Promise((resolve) => { setTimeout(resolve, 5); });

        const two = await thread(b, {}, { person: other });
        const ask = from(person, { company_address: 'tel:+15550001',
            aliases: [other] });

        assert.equal((await b.store('find', ask)).thread_id, one.id);
        assert.equal((await b.store('find',
            { ...ask, thread_id: two.id })).thread_id, two.id);
    },

    'link: another address of the person leads to the thread': async (b) => {
        const id = `<${unique('m')}@x>`;
        const made = await written(b, { email_message_id: id });
        const bsuid = `bsuid:US.${ulid()}`;
        const pair = { channel: 'whatsapp', person_address: bsuid,
            company_address: 'tel:+15550001' };
        const link = { thread_id: made.id, pairs: [pair] };

        await b.store('find', from(bsuid, { message_ids: [id],
            thread_id: made.id, ...pair }), DECLINED);

        const before = (await b.store('load',
            { thread_id: made.id, messages: 9 })).record.messages;

        await b.store('link', link);
        await b.store('link', link);
        assert.equal((await b.store('find', pair)).thread_id, made.id);
        assert.equal((await b.store('find', from(bsuid,
            { message_ids: [id] }))).by, 'message_id');
        assert.equal((await b.store('find', from(bsuid,
            { thread_id: made.id }))).by, 'token');
        assert.equal((await b.store('find', from(made.person,
            { thread_id: made.id }))).by, 'token', 'the others stay');
        assert.deepEqual((await b.store('load',
            { thread_id: made.id, messages: 9 })).record.messages, before);

        /* what it writes waits for the thread, and it is listed by it */
        const kept = message(bsuid);

        await b.store('keep', kept);
        assert.deepEqual((await b.store('claim',
            { thread_id: made.id, history: 0 })).inbound, [kept.inbound]);
        assert.deepEqual(await pages(b, { company_id: made.company,
            recipient: bsuid, limit: 1 }), [[made.id]]);
        await b.store('link', { ...link, thread_id: `th_${ulid()}` },
            DECLINED);
    },

    'link: the thread that was started last stays the newest': async (b) => {
        const person = phone();
        const one = await thread(b);

        await new Promise((resolve) => { setTimeout(resolve, 5); });

        const two = await thread(b, {}, { person });
        const pair = { channel: 'whatsapp', person_address: person,
            company_address: 'tel:+15550001' };

        await b.store('link', { thread_id: one.id, pairs: [pair] });
        assert.equal((await b.store('find', pair)).thread_id, two.id);
    },

    'link: 16 at once of 16 addresses: all are the thread\'s': async (b) => {
        const { id } = await thread(b);
        const pairs = Array.from({ length: 16 }, () => ({ channel: 'sms',
            company_address: 'tel:+15550001', person_address: phone() }));
        const answers = await b.atOnce(16, 'store', 'link',
            (i) => ({ thread_id: id, pairs: [pairs[i]] }));

        assert.ok(answers.every((a) => a.rc === OK));

        for (const pair of pairs) {
            assert.equal((await b.store('find', pair)).thread_id, id);
        }
    },

    'sent_as: by the provider\'s id of a message': async (b) => {
        const [id, next] = [unique('SM'), unique('SM')];
        const made = await written(b, { provider_message_id: id });
        const { record } = await b.store('load',
            { thread_id: made.id, messages: 1 });

        assert.deepEqual(await b.store('sent_as',
            { provider_message_id: id }), { thread_id: made.id,
            entry_id: record.messages[0].entry_id });
        await b.store('sent_as', { provider_message_id: next }, DECLINED);

        /* an id that is known only later, when the message has been sent */
        await b.store('record', { thread_id: made.id, messages: [
            { entry_id: 'm', role: 'assistant', channel: 'sms',
                status: 'pending' }] });
        await b.store('record', { thread_id: made.id, messages: [
            { entry_id: 'm', status: 'sent', provider_message_id: next }] });
        assert.deepEqual(await b.store('sent_as',
            { provider_message_id: next }),
        { thread_id: made.id, entry_id: 'm' });
    },

    'sent_as: says nothing of what a person sent': async (b) => {
        const id = unique('SM');
        const { id: thread_id } = await thread(b);

        await b.store('record', { thread_id, messages: [
            { entry_id: 'm', role: 'user', channel: 'sms',
                status: 'received', provider_message_id: id }] });
        await b.store('sent_as', { provider_message_id: id }, DECLINED);
    },

    'ledger: what a person said, oldest first, per company': async (b) => {
        const person = phone();
        const company = unique('ci');
        const before = Date.now();
        const say = (optedOut, source, proof, other = company) =>
            b.store('consent', { company_id: other, person_address: person,
                opted_out: optedOut, source, proof });
        const read = (company_id = company) => b.store('ledger',
            { company_id, person_address: person });

        assert.deepEqual(await read(), { opted_out: false, entries: [] });
        await say(true, 'keyword', 'STOP');
        await say(true, 'api', '', unique('another'));
        await say(false, 'link', 'é');

        const { opted_out: out, entries } = await read();

        assert.equal(out, false);
        assert.deepEqual(entries.map(({ at, ...rest }) => rest), [
            { opted_out: true, source: 'keyword', proof: 'STOP' },
            { opted_out: false, source: 'link', proof: 'é' }]);

        for (const { at } of entries) {
            assert.ok(Number.isInteger(at) && at >= before - 1000
                && at <= Date.now() + 1000);
        }

        await say(true, 'provider', '21610');
        assert.equal((await read()).opted_out, true);
        assert.equal((await read()).entries.length, 3);
    },

    'load: the newest messages, the oldest of them first': async (b) => {
        const made = await thread(b);

        for (let n = 0; n < 5; n++) {
            await b.store('record', { thread_id: made.id, messages: [
                { entry_id: unique(`e${9 - n}`), role: 'user', n }] });
        }

        const { record } = await b.store('load',
            { thread_id: made.id, messages: 3 });

        assert.deepEqual(record.messages.map((m) => m.n), [2, 3, 4]);
        await b.store('load', { thread_id: `th_${ulid()}`, messages: 1 },
            DECLINED);
    },

    'list: newest first, in pages, each thread once': async (b) => {
        const company = unique('ci');
        const ids = await threads(b, company, 7);
        const got = await pages(b, { company_id: company, limit: 3 });

        assert.deepEqual(got.map((p) => p.length), [3, 3, 1]);
        assert.deepEqual(new Set(got.flat()), new Set(ids));
        assert.deepEqual(await pages(b, { company_id: company, limit: 7 }),
            [got.flat()], 'a full last page has no cursor');

        const { conversations } = await b.store('list',
            { company_id: company, limit: 7 });
        const times = conversations.map((c) => c.created_at);

        assert.deepEqual(times, [...times].sort().reverse());
    },

    'list: headers without what is large': async (b) => {
        const made = await thread(b);
        const { conversations: [header] } = await b.store('list',
            { company_id: made.company, limit: 1 });
        const { record } = await b.store('load',
            { thread_id: made.id, messages: 0 });

        for (const name of
            ['project_data', 'ai_config', 'channel_config', 'messages']) {
            delete record[name];
        }

        assert.deepEqual(header, record);
    },

    'list: threads that start meanwhile push nothing between pages':
    async (b) => {
        const company = unique('ci');
        const ids = await threads(b, company, 6);
        const first = await b.store('list',
            { company_id: company, limit: 3 });

        await new Promise((resolve) => { setTimeout(resolve, 5); });
        await threads(b, company, 3);

        const second = await b.store('list',
            { company_id: company, limit: 3, cursor: first.cursor });
        const got = [...first.conversations, ...second.conversations]
            .map((c) => c.thread_id);

        assert.equal(second.cursor, null);
        assert.deepEqual(new Set(got), new Set(ids));
    },

    'list: by project, status and recipient, and all of them': async (b) => {
        const company = unique('ci');
        const person = phone();
        const of = async (project, status, who) => {
            const made = await thread(b, { company_id: company,
                project_id: project }, who === null ? {} : { person: who });

            await b.store('record', { thread_id: made.id,
                set: { conversation_status: status } });
            return made.id;
        };
        const a = await of('pi-1', 'active', person);
        const c = await of('pi-1', 'completed', null);
        const d = await of('pi-2', 'active', null);
        const e = await of('pi-2', 'completed', person);
        const listed = async (query, limit = 1) => new Set((await pages(b,
            { company_id: company, limit, ...query })).flat());

        await thread(b, {}, { person });

        assert.deepEqual(await listed({}), new Set([a, c, d, e]));
        assert.deepEqual(await listed({ project_id: 'pi-1' }),
            new Set([a, c]));
        assert.deepEqual(await listed({ status: 'active' }),
            new Set([a, d]));
        assert.deepEqual(await listed({ project_id: 'pi-2',
            status: 'active' }), new Set([d]));
        assert.deepEqual(await listed({ recipient: person }),
            new Set([a, e]));
        assert.deepEqual(await listed({ recipient: person,
            project_id: 'pi-2' }), new Set([e]));
        assert.deepEqual(await listed({ recipient: person,
            status: 'active' }), new Set([a]));
        assert.deepEqual(await listed({ recipient: person,
            project_id: 'pi-1', status: 'completed' }), new Set());
        assert.deepEqual(await listed({ recipient: phone() }), new Set());
    },

    'list: a recipient on two channels is listed once': async (b) => {
        const made = start();

        made.input.pairs.push({ ...made.input.pairs[0], channel: 'sms' });
        await b.store('accept', made.input);

        const query = { company_id: made.input.record.company_id,
            recipient: made.person, limit: 5 };

        assert.deepEqual(await pages(b, query),
            [[made.input.record.thread_id]]);
    },

    'list: a cursor that is none of ours is declined': async (b) => {
        for (const cursor of ['x', 'AAAA', '!!!!', 'é', 'a'.repeat(5000),
            Buffer.from('1.th_x').toString('base64url'),
            Buffer.from(`-1.th_${ulid()}`).toString('base64url'),
            Buffer.from(`9${'9'.repeat(30)}.th_1`).toString('base64url')]) {
            await b.store('list', { company_id: 'c', limit: 1, cursor },
                DECLINED);
        }
    },

    'figures: count threads, what waits and what is unfinished':
    async (b) => {
        const before = await b.store('figures', {});
        const status = unique('status');
        const made = await thread(b);

        await b.store('record', { thread_id: made.id,
            set: { conversation_status: status } });
        await b.store('keep', message(phone()));
        await b.store('intend', { thread_id: made.id, effect_id: 'e',
            kind: 'send', detail: {} });

        const now = await b.store('figures', {});

        assert.equal(now.threads[status], 1);
        assert.equal(now.inbound_waiting, before.inbound_waiting + 1);
        assert.equal(now.effects_unfinished, before.effects_unfinished + 1);
    },
};
