
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What ngx_comms_store.h promises about erasing a person's data.
 */

import assert from 'node:assert/strict';
import { ABORT, DECLINED, OK, message, phone, pause, thread, ulid,
    unique } from './backend.mjs';


const erase = (b, id, rc) => b.store('erase', { thread_id: id }, rc);


function bind(b, made, kept) {
    return b.store('find', { channel: 'whatsapp',
        company_address: 'tel:+15550001', person_address: made.person,
        inbound_id: kept.inbound.inbound_id });
}


/* a thread that has all that a thread can have; the names of its parts */
export async function lived(b, changes = {}) {
    const made = await thread(b, changes);
    const bsuid = `bsuid:US.${ulid()}`;
    const [mail, sent, quoted] = [`<${unique('m')}@x>`, unique('SM'),
        unique('SM')];
    const kept = {
        done: message(made.person),
        bound: message(made.person, { content: 'secret',
            media: [{ media_id: 'md_2' }, { url: 'https://x' }] }),
        waiting: message(made.person),
        linked: message(bsuid),
        orphan: message(made.person),
    };

    await b.store('link', { thread_id: made.id, pairs: [
        { channel: 'whatsapp', company_address: 'tel:+15550001',
            person_address: bsuid }] });

    for (const one of Object.values(kept)) {
        await b.store('keep', one);
    }

    await bind(b, made, kept.bound);
    await b.store('orphan', { inbound_id: kept.orphan.inbound.inbound_id,
        reason: 'x' });
    await b.store('intend', { thread_id: made.id, effect_id: 'open',
        kind: 'ai', detail: {} });
    await b.store('intend', { thread_id: made.id, effect_id: 'settled',
        kind: 'send', detail: {} });
    await b.store('record', { thread_id: made.id, turn_id: 't',
        set: { ai_conversation_id: 'conv_1' },
        effect: { effect_id: 'settled', state: 'done',
            outcome: { id: sent } },
        inbound_done: [kept.done.inbound.inbound_id],
        messages: [
            { entry_id: kept.done.inbound.inbound_id, role: 'user',
                channel: 'whatsapp', content: 'secret', status: 'received',
                provider_message_id: quoted, media: [{ media_id: 'md_1' }] },
            { entry_id: 'a', role: 'assistant', channel: 'whatsapp',
                content: 'secret', status: 'pending', turn_id: 't' },
            { entry_id: 'b', role: 'assistant', channel: 'email',
                content: 'secret', status: 'sent', turn_id: 't',
                provider_message_id: sent, email_message_id: mail,
                media: [{ media_id: 'md_3' }, { media_id: 'md_1' }] }] });
    await b.store('consent', { company_id: made.company,
        person_address: made.person, opted_out: true, source: 'keyword',
        proof: 'STOP' });

    return { made, bsuid, mail, sent, quoted, kept };
}


/* there is no way left that leads to it */
async function forgotten(b, { made, bsuid, mail, sent, quoted, kept }) {
    const { id } = made;
    const pair = { channel: 'whatsapp', company_address: 'tel:+15550001' };

    await b.store('load', { thread_id: id, messages: 1 }, DECLINED);
    await b.store('claim', { thread_id: id, history: 1 }, DECLINED);
    await b.store('record', { thread_id: id, set: { x: 1 } }, DECLINED);
    await b.store('link', { thread_id: id, pairs: [
        { ...pair, person_address: phone() }] }, DECLINED);
    assert.deepEqual(await b.store('intend', { thread_id: id,
        effect_id: 'settled', kind: 'send', detail: {} }, ABORT),
    { refused: 'fence' });
    await b.store('sent_as', { provider_message_id: sent }, DECLINED);

    for (const address of [made.person, bsuid, made.mail]) {
        await b.store('find', { ...pair, person_address: address,
            thread_id: id, message_ids: [mail], replied_to: sent },
        DECLINED);
        await b.store('find', { channel: 'email', person_address: address,
            company_address: 'mailto:jobs@example.com',
            replied_to: quoted }, DECLINED);
        assert.deepEqual((await b.store('list', { company_id: made.company,
            recipient: address, limit: 9 })).conversations, []);
    }

    assert.deepEqual((await b.store('list', { company_id: made.company,
        limit: 9 })).conversations, []);

    for (const [name, one] of Object.entries(kept)) {
        const { rc } = await b.ask('store', 'inbound',
            { inbound_id: one.inbound.inbound_id });

        assert.equal(rc, DECLINED, name);
    }
}


export const behaviours = {
    'erase: nothing of the thread is left': async (b) => {
        const before = await b.store('figures', {});
        const all = await lived(b);
        const outcome = await erase(b, all.made.id);

        assert.deepEqual(outcome.media.sort(), ['md_1', 'md_2', 'md_3']);
        assert.equal(outcome.ai_conversation_id, 'conv_1');
        await forgotten(b, all);

        const after = await b.store('figures', {});

        assert.deepEqual({ ...after, threads: 0 },
            { ...before, threads: 0 });
        assert.equal(after.threads.queued ?? 0, before.threads.queued ?? 0);
    },

    'erase: what was said about consent stays': async (b) => {
        const { made } = await lived(b);

        await erase(b, made.id);

        const { opted_out: out, entries } = await b.store('ledger',
            { company_id: made.company, person_address: made.person });

        assert.equal(out, true);
        assert.deepEqual(entries.map((e) => e.proof), ['STOP']);
    },

    'erase: the start stays accepted': async (b) => {
        const { made } = await lived(b);
        const { record } = made.input;
        const again = structuredClone(made.input);
        const accepted = {
            thread_id: record.thread_id,
            conversation_id: record.conversation_id,
            request_id: record.request_id,
            request_hash: made.input.request_hash,
            channels: record.channel_method,
            queue_timestamp: made.input.queue_timestamp,
            erased: true,
        };

        await erase(b, made.id);
        again.record.thread_id = `th_${ulid()}`;
        assert.deepEqual(await b.store('accept', made.input, DECLINED),
            accepted);
        assert.deepEqual(await b.store('accept', again, DECLINED), accepted);
        assert.deepEqual((await b.store('admit', {
            company_id: made.company, project_id: 'pi-1',
            conversation_id: record.conversation_id, addresses: [] })),
        { accepted, opted_out: [], open_conversations: 0 });
        await b.store('load', { thread_id: again.record.thread_id,
            messages: 1 }, DECLINED);
        await b.store('load', { thread_id: made.id, messages: 1 }, DECLINED);
    },

    'erase: asked again it answers the same': async (b) => {
        const all = await lived(b);
        const first = await erase(b, all.made.id);

        assert.deepEqual(await erase(b, all.made.id), first);
        assert.deepEqual(await erase(b, all.made.id), first);
        await forgotten(b, all);
        await erase(b, `th_${ulid()}`, DECLINED);

        const { id } = await thread(b);

        assert.deepEqual(await erase(b, id),
            { media: [], ai_conversation_id: null });
    },

    'erase: 8 at once': async (b) => {
        const all = await lived(b);
        const answers = await b.atOnce(8, 'store', 'erase',
            { thread_id: all.made.id });

        for (const { rc, answer } of answers) {
            assert.equal(rc, OK);
            assert.equal(answer.ai_conversation_id, 'conv_1');
        }

        await forgotten(b, all);
        assert.deepEqual((await erase(b, all.made.id)).media.sort(),
            ['md_1', 'md_2', 'md_3']);
    },

    'erase: other threads of the person lose nothing': async (b) => {
        const person = phone();
        const old = await thread(b, {}, { person });
        const before = message(person);

        await b.store('keep', before);
        await bind(b, old, before);
        await pause(5);

        const { id } = await thread(b, {}, { person });
        const [bound, waiting] = [message(person), message(person)];

        await b.store('keep', bound);
        await bind(b, { person }, bound);
        await b.store('keep', waiting);
        await b.store('record', { thread_id: id, messages: [
            { entry_id: 'a', role: 'assistant', channel: 'whatsapp',
                provider_message_id: `SM${id}`, status: 'sent' }] });
        await erase(b, old.id);

        const got = await b.store('claim', { thread_id: id, history: 9 });

        assert.deepEqual(got.inbound.map((m) => m.inbound_id).sort(),
            [bound, waiting].map((k) => k.inbound.inbound_id).sort());
        assert.equal(got.messages.length, 1);
        assert.equal((await b.store('sent_as',
            { provider_message_id: `SM${id}` })).thread_id, id);
        assert.equal((await bind(b, { person }, waiting)).thread_id, id);
        await b.store('inbound', { inbound_id: before.inbound.inbound_id },
            DECLINED);
    },

    'erase: an older thread of the pair is found again': async (b) => {
        const person = phone();
        const old = await thread(b, {}, { person });

        await pause(5);

        const { id } = await thread(b, {}, { person });

        await erase(b, id);
        assert.equal((await b.store('find', { channel: 'whatsapp',
            company_address: 'tel:+15550001', person_address: person }))
            .thread_id, old.id);
    },

    'erase: a thread of many messages': async (b) => {
        const all = await lived(b);

        for (let i = 0; i < 4; i++) {
            await b.store('record', { thread_id: all.made.id, messages:
                Array.from({ length: 75 }, (_, n) => ({
                    entry_id: unique('e'), role: 'assistant',
                    channel: n % 2 ? 'email' : 'whatsapp', content: 'secret',
                    status: 'sent', provider_message_id: unique('SM'),
                    media: [{ media_id: `md_${i}_${n}` }] })) });
        }

        assert.equal((await erase(b, all.made.id)).media.length, 303);
        await forgotten(b, all);
        assert.equal((await erase(b, all.made.id)).media.length, 303);
    },

    'erase: a claim at the same time writes nothing after it': async (b) => {
        const { made } = await lived(b);
        const { fence } = await b.store('claim',
            { thread_id: made.id, history: 0 });

        await Promise.all([
            erase(b, made.id),
            ...Array.from({ length: 8 }, (_, i) => b.askAny('store',
                'record', { thread_id: made.id, fence, messages: [
                    { entry_id: `late${i}`, role: 'assistant' }] })),
        ]);
        await b.store('record', { thread_id: made.id, fence, messages: [
            { entry_id: 'later', role: 'assistant' }] }, DECLINED);
        await b.store('load', { thread_id: made.id, messages: 9 }, DECLINED);
    },
};

