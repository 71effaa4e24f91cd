
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What ngx_comms_store.h promises about turns: claims, effects, records.
 */

import assert from 'node:assert/strict';
import { until } from '../lib/nginx.mjs';
import { ABORT, DECLINED, OK, message, phone, thread, ulid, unique }
    from './backend.mjs';


/* NGX_COMMS_STATUS_RANKS */
const STATUSES = ['pending', 'cancelled', 'unknown', 'sent', 'failed',
    'delivered', 'bounced', 'read'];


async function claim(b, id, history = 0) {
    return b.store('claim', { thread_id: id, history });
}


async function load(b, id) {
    return (await b.store('load', { thread_id: id, messages: 1000 })).record;
}


function intent(id, effect, changes = {}) {
    return { thread_id: id, effect_id: effect, kind: 'send',
        detail: { channel: 'sms' }, ...changes };
}


export const behaviours = {
    'claim: each raises the fence by one': async (b) => {
        const { id } = await thread(b);

        for (const fence of [1, 2, 3]) {
            const got = await claim(b, id);

            assert.equal(got.fence, fence);
            assert.equal(got.record.fence, fence);
            assert.equal(got.record.version, fence + 1);
            assert.equal(got.record.thread_id, id);
        }

        await b.store('claim', { thread_id: `th_${ulid()}`, history: 0 },
            DECLINED);
    },

    'claim: 64 at once get 64 fences': async (b) => {
        const { id } = await thread(b);
        const answers = await b.atOnce(64, 'store', 'claim',
            { thread_id: id, history: 0 });
        const fences = answers.map((a) => a.answer.fence);

        assert.deepEqual(fences.sort((x, y) => x - y),
            Array.from({ length: 64 }, (_, i) => i + 1));
    },

    'claim: gives what waits on any pair of the thread, oldest first':
    async (b) => {
        const made = await thread(b);
        const email = { channel: 'email', person_address: made.mail,
            company_address: 'mailto:jobs@example.com' };
        const kept = [
            message(made.person, { received_at: 3000 }),
            message(made.person, { received_at: 1000 }),
            message(made.person, { ...email, received_at: 2000 }),
        ];
        const others = [
            message(phone()),
            message(made.person, { company_address: 'tel:+15550002' }),
            message(made.person, { channel: 'sms' }),
        ];

        for (const one of [...kept, ...others]) {
            await b.store('keep', one);
        }

        const { inbound } = await claim(b, made.id);

        assert.deepEqual(inbound,
            [kept[1], kept[2], kept[0]].map((k) => k.inbound));
    },

    'claim: gives no message that a turn has taken': async (b) => {
        const made = await thread(b);
        const [one, two] = [message(made.person), message(made.person)];

        await b.store('keep', one);
        await b.store('keep', two);
        await b.store('record', { thread_id: made.id, turn_id: 't1',
            inbound_done: [one.inbound.inbound_id] });
        assert.equal((await b.store('inbound',
            { inbound_id: one.inbound.inbound_id })).state, 'done');
        assert.deepEqual((await claim(b, made.id)).inbound, [two.inbound]);

        /* what is done stays done */
        await b.store('orphan', { inbound_id: one.inbound.inbound_id,
            reason: 'x' });
        assert.equal((await b.store('inbound',
            { inbound_id: one.inbound.inbound_id })).state, 'done');
    },

    'claim: gives what is unsent, unfinished, and the history': async (b) => {
        const { id } = await thread(b);
        const say = (entry, more) => ({ entry_id: entry, role: 'assistant',
            content: entry, ...more });

        await b.store('record', { thread_id: id, messages: [
            say('z', { turn_id: 't', status: 'pending' }),
            say('y', { turn_id: 't', status: 'sent' }),
            say('x', { status: 'pending' }),
            say('a', { turn_id: 't', status: 'pending' })] });
        await b.store('intend', intent(id, 'e1'));
        await b.store('intend', intent(id, 'e2'));
        await b.store('record', { thread_id: id,
            effect: { effect_id: 'e2', state: 'done', outcome: { ok: 1 } } });

        const got = await claim(b, id, 2);

        assert.deepEqual(got.unsent.map((m) => m.entry_id), ['z', 'a']);
        assert.deepEqual(got.messages.map((m) => m.entry_id), ['x', 'a']);
        assert.deepEqual(got.effects.map((e) => e.effect_id), ['e1']);
        assert.equal(got.effects[0].state, 'intent');
        assert.deepEqual(got.effects[0].detail, { channel: 'sms' });
        assert.deepEqual((await claim(b, id, 0)).messages, []);
        assert.equal(got.record.messages, undefined);
    },

    'intend: once; then it says what became of it': async (b) => {
        const { id } = await thread(b);
        const before = Date.now();

        await b.store('intend', intent(id, 'e'));
        await until(async () => (await b.store('intend', intent(id, 'e'),
            DECLINED)).effect.age >= 20, 5000, 'the intent ages');

        const { effect } = await b.store('intend', intent(id, 'e'), DECLINED);

        assert.equal(effect.effect_id, 'e');
        assert.equal(effect.state, 'intent');
        assert.deepEqual(effect.detail, { channel: 'sms' });
        assert.equal(effect.outcome, null);
        assert.ok(effect.intended_at >= before - 1000);
        assert.ok(effect.intended_at <= Date.now() + 1000);

        await b.store('record', { thread_id: id, effect: {
            effect_id: 'e', state: 'failed', outcome: { code: 'x' } } });

        const { effect: after } = await b.store('intend', intent(id, 'e'),
            DECLINED);

        assert.equal(after.state, 'failed');
        assert.deepEqual(after.outcome, { code: 'x' });
        assert.equal(after.intended_at, effect.intended_at);

        /* effects of other threads are others */
        await b.store('intend', intent((await thread(b)).id, 'e'));
    },

    'intend: 64 at once of one effect: one goes ahead': async (b) => {
        const { id } = await thread(b);
        const answers = await b.atOnce(64, 'store', 'intend',
            intent(id, 'e'));

        assert.equal(answers.filter((a) => a.rc === OK).length, 1);
        assert.equal(answers.filter((a) => a.rc === DECLINED).length, 63);
    },

    'intend: refused with an older fence': async (b) => {
        const { id } = await thread(b);
        const { fence } = await claim(b, id);

        await b.store('intend', intent(id, 'e1', { fence }));
        await claim(b, id);
        assert.deepEqual(await b.store('intend',
            intent(id, 'e2', { fence }), ABORT), { refused: 'fence' });
        assert.deepEqual(await b.store('intend',
            intent(id, 'e1', { fence }), ABORT), { refused: 'fence' });
        await b.store('intend', intent(id, 'e2', { fence: fence + 1 }));
    },

    'intend: refused for a thread that there is not': async (b) => {
        assert.deepEqual(await b.store('intend',
            intent(`th_${ulid()}`, 'e'), ABORT), { refused: 'fence' });
    },

    'intend: refused when the person opted out of the company':
    async (b) => {
        const made = await thread(b);
        const say = (optedOut) => b.store('consent', {
            company_id: made.company, person_address: made.person,
            opted_out: optedOut, source: 'api', proof: '' });
        const ask = intent(made.id, 'e', { person_address: made.person });

        await say(true);
        assert.deepEqual(await b.store('intend', ask, ABORT),
            { refused: 'opted_out' });
        await b.store('intend', intent(made.id, 'mail',
            { person_address: made.mail }));
        await b.store('intend', intent(made.id, 'ai', { kind: 'ai' }));
        await say(false);
        await b.store('intend', ask);

        /* what was written down stays what it is */
        await say(true);
        await b.store('intend', ask, DECLINED);
    },

    'intend: refused when somebody else owns the thread': async (b) => {
        const { id } = await thread(b);
        const ask = (owner, effect = 'e') => b.ask('store', 'intend',
            intent(id, effect, { owner }));
        const owner = { refused: 'owner' };

        assert.deepEqual((await ask('human')).answer, owner);
        assert.equal((await ask('ai')).rc, OK);

        await b.store('record', { thread_id: id,
            set: { hand_off_to_human: 1 } });
        assert.deepEqual((await ask('ai', 'f')).answer, owner);
        assert.equal((await ask('ai', 'f')).rc, ABORT);
        assert.equal((await ask('human', 'f')).rc, OK);
        assert.equal((await ask('ai', 'e')).rc, DECLINED,
            'what was written down is asked first');

        await b.store('record', { thread_id: id,
            set: { hand_off_to_human: 0 } });
        assert.equal((await ask('ai', 'g')).rc, OK);
    },

    'intend: refused when something newer came in': async (b) => {
        const made = await thread(b);
        const ask = (newest, effect) => b.ask('store', 'intend',
            intent(made.id, effect, { newest_inbound_id: newest }));
        const kept = [message(made.person), message(made.person)]
            .sort((a, z) => (a.inbound.inbound_id < z.inbound.inbound_id
                ? -1 : 1));
        const [one, two] = kept.map((k) => k.inbound.inbound_id);
        const bind = (k) => b.store('find', { channel: 'whatsapp',
            company_address: 'tel:+15550001', person_address: made.person,
            inbound_id: k.inbound.inbound_id });

        for (const k of kept) {
            await b.store('keep', k);
        }

        assert.equal((await ask('', 'a')).rc, OK);
        await bind(kept[0]);
        assert.equal((await claim(b, made.id)).record.newest_inbound_id, one);
        assert.deepEqual((await ask('', 'b')).answer, { refused: 'newer' });
        assert.equal((await ask(one, 'b')).rc, OK);
        await bind(kept[1]);
        await bind(kept[0]);
        assert.equal((await load(b, made.id)).newest_inbound_id, two);
        assert.deepEqual((await ask(one, 'c')).answer, { refused: 'newer' });
        assert.equal((await ask(one, 'b')).rc, DECLINED);
        assert.equal((await ask(two, 'c')).rc, OK);
        assert.equal((await b.ask('store', 'intend',
            intent(made.id, 'd'))).rc, OK, 'who does not ask is not refused');
    },

    'intend: a message that waits no more is not news': async (b) => {
        const made = await thread(b);
        const kept = [message(made.person), message(made.person)];
        const bind = (k) => b.store('find', { channel: 'whatsapp',
            company_address: 'tel:+15550001', person_address: made.person,
            inbound_id: k.inbound.inbound_id });

        for (const k of kept) {
            await b.store('keep', k);
        }

        await b.store('record', { thread_id: made.id, turn_id: 't',
            inbound_done: [kept[0].inbound.inbound_id] });
        await b.store('orphan', { inbound_id: kept[1].inbound.inbound_id,
            reason: 'x' });
        await bind(kept[0]);
        await bind(kept[1]);
        assert.equal((await load(b, made.id)).newest_inbound_id, undefined);
        await b.store('intend', intent(made.id, 'a',
            { newest_inbound_id: '' }));
    },

    'intend: a first message only while its channel is pending':
    async (b) => {
        const { id } = await thread(b);
        const ask = (channel, effect) => b.ask('store', 'intend',
            intent(id, effect, { channel }));

        assert.equal((await ask('email', 'a')).rc, OK);
        await b.store('record', { thread_id: id,
            channel_state: { channel: 'email', status: 'cancelled' } });
        assert.deepEqual((await ask('email', 'b')).answer,
            { refused: 'channel' });
        assert.equal((await ask('email', 'a')).rc, DECLINED);
        assert.equal((await ask('whatsapp', 'b')).rc, OK);
        assert.deepEqual((await ask('sms', 'c')).answer,
            { refused: 'channel' });
    },

    'intend: what is asked is asked in one order': async (b) => {
        const made = await thread(b);
        const { fence } = await claim(b, made.id);
        const kept = message(made.person);
        const ask = async (changes) => (await b.store('intend', intent(
            made.id, 'e', { fence, person_address: made.person, owner: 'ai',
                newest_inbound_id: '', channel: 'email', ...changes }),
        ABORT)).refused;

        await b.store('keep', kept);
        await b.store('find', { channel: 'whatsapp',
            company_address: 'tel:+15550001', person_address: made.person,
            inbound_id: kept.inbound.inbound_id });
        await b.store('record', { thread_id: made.id,
            set: { hand_off_to_human: 1 },
            channel_state: { channel: 'email', status: 'sent' } });
        await b.store('consent', { company_id: made.company,
            person_address: made.person, opted_out: true, source: 'link',
            proof: '' });

        assert.equal(await ask({ fence: fence + 1 }), 'fence');
        assert.equal(await ask({}), 'opted_out');
        assert.equal(await ask({ person_address: null }), 'owner');
        assert.equal(await ask({ person_address: null, owner: null }),
            'newer');
        assert.equal(await ask({ person_address: null, owner: 'human',
            newest_inbound_id: null }), 'channel');
    },

    'intend: 32 intents and 32 hand-offs at once: none behind a hand-off':
    async (b) => {
        const ids = await Promise.all(Array.from({ length: 32 },
            async () => (await thread(b)).id));

        await Promise.all(ids.map(async (id) => {
            const [got] = await Promise.all([
                b.askAny('store', 'intend', intent(id, 'e',
                    { owner: 'ai' })),
                b.askAny('store', 'record', { thread_id: id,
                    set: { hand_off_to_human: 1 } }),
            ]);
            const after = await b.askAny('store', 'intend',
                intent(id, 'f', { owner: 'ai' }));

            assert.ok([OK, ABORT].includes(got.rc));
            assert.deepEqual(after.answer, { refused: 'owner' });
        }));
    },

    'withdraw: takes an intent back, and nothing else': async (b) => {
        const { id } = await thread(b);
        const effect = { thread_id: id, effect_id: 'e' };

        await b.store('intend', intent(id, 'e'));
        await b.store('withdraw', effect);
        await b.store('withdraw', effect);
        await b.store('intend', intent(id, 'e'));
        await b.store('record', { thread_id: id, effect: {
            effect_id: 'e', state: 'unknown', outcome: null } });
        await b.store('withdraw', effect);
        assert.equal((await b.store('intend', intent(id, 'e'), DECLINED))
            .effect.state, 'unknown');
    },

    'withdraw: of an attempt, it takes no other one\'s intent': async (b) => {
        const { id } = await thread(b);
        const effect = { thread_id: id, effect_id: 'e' };
        const by = (attempt) => ({ detail: { attempt, channel: 'sms' } });

        await b.store('intend', intent(id, 'e', by('first')));
        await b.store('withdraw', { ...effect, attempt: 'first' });
        await b.store('intend', intent(id, 'e', by('second')));

        /* the first one's withdraw, again and late */
        await b.store('withdraw', { ...effect, attempt: 'first' });
        assert.deepEqual((await b.store('intend', intent(id, 'e',
            by('third')), DECLINED)).effect.detail, by('second').detail);

        await b.store('withdraw', { ...effect, attempt: 'second' });
        await b.store('intend', intent(id, 'e'));

        /* an intent that names no attempt is nobody's */
        await b.store('withdraw', { ...effect, attempt: 'second' });
        await b.store('intend', intent(id, 'e'), DECLINED);
        await b.store('withdraw', effect);
        await b.store('intend', intent(id, 'e'));
    },

    'record: an effect that was withdrawn too early is written down':
    async (b) => {
        const { id } = await thread(b);

        await b.store('intend', intent(id, 'e'));
        await b.store('withdraw', { thread_id: id, effect_id: 'e' });
        await b.store('record', { thread_id: id, effect: {
            effect_id: 'e', state: 'done', outcome: { id: 'SM1' } } });
        assert.equal((await b.store('intend', intent(id, 'e'), DECLINED))
            .effect.state, 'done');
    },

    'record: an older fence writes nothing': async (b) => {
        const made = await thread(b);
        const kept = message(made.person);

        await b.store('keep', kept);
        await b.store('intend', intent(made.id, 'e'));

        const { fence } = await claim(b, made.id);

        await claim(b, made.id);

        const before = await load(b, made.id);
        const write = { thread_id: made.id, fence,
            set: { task_complete: 1, conversation_status: 'completed' },
            channel_state: { channel: 'email', status: 'sent' },
            effect: { effect_id: 'e', state: 'done', outcome: {} },
            messages: [{ entry_id: 'm', role: 'user' }],
            inbound_done: [kept.inbound.inbound_id], turn_id: 't' };

        await b.store('record', write, ABORT);
        assert.deepEqual(await load(b, made.id), before);
        assert.equal((await b.store('inbound',
            { inbound_id: kept.inbound.inbound_id })).state, 'waiting');
        assert.equal((await b.store('intend', intent(made.id, 'e'),
            DECLINED)).effect.state, 'intent');

        await b.store('record', { ...write, fence: fence + 1 });
        assert.equal((await load(b, made.id)).task_complete, 1);
        await b.store('record', { ...write, thread_id: `th_${ulid()}` },
            DECLINED);
    },

    'record: set replaces header attributes': async (b) => {
        const { id } = await thread(b);
        const before = await load(b, id);

        await b.store('record', { thread_id: id, set: {
            ai_conversation_id: 'conv_1', project_data: { a: 1 },
            conversation_status: 'active', hand_off_to_human: null } });

        const now = await load(b, id);

        assert.equal(now.ai_conversation_id, 'conv_1');
        assert.deepEqual(now.project_data, { a: 1 });
        assert.equal(now.conversation_status, 'active');
        assert.equal(now.recipient_first_name, 'Ada');
        assert.equal(now.version, before.version + 1);
        assert.ok(now.updated_at >= before.updated_at);
        assert.equal(now.created_at, before.created_at);
    },

    'record: channel states, one at a time': async (b) => {
        const { id } = await thread(b);
        const set = async (channel, status, reason) => (await b.store(
            'record', { thread_id: id, channel_state: { channel, status,
                ...(reason === undefined ? {} : { reason }) } }))
            .channel_states;

        assert.deepEqual(await set('email', 'unknown', 'timeout'),
            { whatsapp: 'pending', email: 'unknown' });
        assert.deepEqual((await load(b, id)).channel_reasons,
            { email: 'timeout' });
        assert.deepEqual(await set('whatsapp', 'sent'),
            { whatsapp: 'sent', email: 'unknown' });
        assert.deepEqual(await set('email', 'sent'),
            { whatsapp: 'sent', email: 'sent' });

        const record = await load(b, id);

        assert.deepEqual(record.channel_states,
            { whatsapp: 'sent', email: 'sent' });
        assert.deepEqual(record.channel_reasons, {});
    },

    'record: the state of a channel never goes back': async (b) => {
        for (const [i, from] of STATUSES.entries()) {
            for (const [k, to] of STATUSES.entries()) {
                if (i === k) {
                    continue;
                }

                const { id } = await thread(b);
                const set = (status, reason) => b.store('record',
                    { thread_id: id, set: { step: status },
                        channel_state: { channel: 'email', status, reason } });

                await set(from, 'first');

                const { channel_states: now } = await set(to, 'second');
                const [status, reason] = k > i ? [to, 'second']
                    : [from, 'first'];
                const record = await load(b, id);

                assert.deepEqual(now, { whatsapp: 'pending', email: status });
                assert.deepEqual(record.channel_states, now);
                assert.deepEqual(record.channel_reasons, { email: reason });
                assert.equal(record.step, to, 'the rest is taken');
            }
        }
    },

    'record: all channels, each as far as it may': async (b) => {
        const { id } = await thread(b);
        const set = async (state) => (await b.store('record',
            { thread_id: id, channel_state: state })).channel_states;

        await set({ channel: 'email', status: 'delivered' });
        assert.deepEqual(await set({ channel: null, status: 'failed',
            reason: 'gave_up' }), { whatsapp: 'failed', email: 'delivered' });
        assert.deepEqual((await load(b, id)).channel_reasons,
            { whatsapp: 'gave_up' });
    },

    'record: only_pending leaves what is not pending': async (b) => {
        const { id } = await thread(b);
        const set = async (state) => (await b.store('record',
            { thread_id: id, channel_state: state })).channel_states;
        const cancel = { status: 'cancelled', reason: 'replied',
            only_pending: true };

        await set({ channel: 'email', status: 'unknown', reason: 'timeout' });
        assert.deepEqual(await set({ channel: 'email', status: 'sent',
            only_pending: true }), { whatsapp: 'pending', email: 'unknown' });
        assert.deepEqual(await set({ channel: null, ...cancel }),
            { whatsapp: 'cancelled', email: 'unknown' });
        assert.deepEqual(await set({ channel: null, ...cancel,
            status: 'sent' }), { whatsapp: 'cancelled', email: 'unknown' });
        assert.deepEqual((await load(b, id)).channel_reasons,
            { whatsapp: 'replied', email: 'timeout' });

        const one = (await thread(b)).id;

        assert.deepEqual((await b.store('record', { thread_id: one,
            channel_state: { channel: 'email', ...cancel } }))
            .channel_states, { whatsapp: 'pending', email: 'cancelled' });
    },

    'record: the status of a message never goes back': async (b) => {
        const { id } = await thread(b);
        const set = (changes) => b.store('record', { thread_id: id,
            messages: [{ entry_id: 'm', ...changes }] });
        const message = async () => (await load(b, id)).messages[0];

        await set({ role: 'assistant', content: 'x', status: 'pending',
            turn_id: 't' });

        for (const [i, status] of STATUSES.entries()) {
            await set({ status, reason: `r${i}`, n: i });

            for (let k = 0; k < i; k++) {
                await set({ status: STATUSES[k], reason: 'late', n: 100 + k,
                    provider_message_id: `SM${k}` });

                const got = await message();

                assert.equal(got.status, status);
                assert.equal(got.reason, `r${i}`);
                assert.equal(got.n, 100 + k, 'the rest is taken');
                assert.equal(got.provider_message_id, `SM${k}`);
            }
        }

        assert.equal((await message()).content, 'x');
        assert.deepEqual((await claim(b, id)).unsent, []);
    },

    'record: a message of a person has no rank': async (b) => {
        const { id } = await thread(b);
        const set = (status) => b.store('record', { thread_id: id,
            messages: [{ entry_id: 'm', role: 'user', status }] });

        await set('received');
        await set('read');
        await set('received');
        assert.equal((await load(b, id)).messages[0].status, 'received');
    },

    'record: two workers may set two channels at once': async (b) => {
        const { id } = await thread(b);

        await b.atOnce(16, 'store', 'record', (i) => ({ thread_id: id,
            channel_state: { channel: i % 2 ? 'email' : 'whatsapp',
                status: 'sent' } }));

        const record = await load(b, id);

        assert.deepEqual(record.channel_states,
            { whatsapp: 'sent', email: 'sent' });
        assert.equal(record.version, 17);
    },

    'record: messages are appended, and updated by entry_id': async (b) => {
        const { id } = await thread(b);
        const before = Date.now();

        await b.store('record', { thread_id: id, messages: [
            { entry_id: 'b', role: 'assistant', content: 'é \u{1F600}',
                status: 'pending', message_timestamp:
                    '2026-01-02T03:04:05.678Z' },
            { entry_id: 'a', role: 'user', content: 'hi' }] });
        await b.store('record', { thread_id: id, messages: [
            { entry_id: 'b', status: 'sent', provider_message_id: 'SM1' }] });

        const { messages } = await load(b, id);

        assert.deepEqual(messages[0], { entry_id: 'b', role: 'assistant',
            content: 'é \u{1F600}', status: 'sent',
            message_timestamp: '2026-01-02T03:04:05.678Z',
            provider_message_id: 'SM1' });
        assert.equal(messages.length, 2);
        assert.equal(messages[1].content, 'hi');
        assert.ok(Date.parse(messages[1].message_timestamp)
            >= before - 1000);

        const { messages: [, second] } = await load(b, id);

        await b.store('record', { thread_id: id, messages: [
            { entry_id: 'a', status: 'read' }] });
        assert.equal((await load(b, id)).messages[1].message_timestamp,
            second.message_timestamp);
    },

    'record: the same record twice adds nothing': async (b) => {
        const made = await thread(b);
        const write = { thread_id: made.id,
            set: { task_complete: 1 },
            channel_state: { channel: 'email', status: 'sent',
                reason: 'r' },
            effect: { effect_id: 'e', state: 'done', outcome: { a: 1 } },
            messages: [{ entry_id: 'm', role: 'user' }] };

        await b.store('intend', intent(made.id, 'e'));

        const first = await b.store('record', write);
        const once = await load(b, made.id);

        assert.deepEqual(await b.store('record', write), first);

        const twice = await load(b, made.id);

        assert.deepEqual({ ...twice, version: 0, updated_at: 0 },
            { ...once, version: 0, updated_at: 0 });
    },

    'record: all workers are told': async (b) => {
        const { id } = await thread(b);

        await b.store('record', { thread_id: id, set: { x: 1 } });
        await until(async () => {
            const pids = new Map();

            for (let i = 0; i < 200 && pids.size < 2; i++) {
                const { pid, answer } = await b.askAny('notices', 'thread',
                    { key: id });

                pids.set(pid, answer.seen);
            }

            return pids.size === 2
                && [...pids.values()].every((seen) => seen >= 1);
        }, 10_000, 'both workers know');
    },

    'record: a long thread grows like a short one': async (b) => {
        const { id } = await thread(b);

        for (let i = 0; i < 20; i++) {
            await b.store('record', { thread_id: id, messages:
                Array.from({ length: 100 }, (_, n) => ({
                    entry_id: unique('e'), n: i * 100 + n })) });
        }

        const got = await claim(b, id, 5);

        assert.deepEqual(got.messages.map((m) => m.n),
            [1995, 1996, 1997, 1998, 1999]);
        assert.equal((await load(b, id)).messages.length, 1000);
    },
};
