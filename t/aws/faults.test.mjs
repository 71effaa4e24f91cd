
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What AWS may do to a machine: throttle, fail, lose answers, cut
 * connections, have another time, be away.
 */

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { person, request, until } from '../lib/world.mjs';
import { SEED, audit, dice } from './audit.mjs';
import { LAYOUTS, cloud, idle } from './cloud.mjs';

const TIMES = 10;
const AWAY = [/comms aws|dynamodb|sqs|sns/];
const KINDS = ['503', 'throttle', 'reset', 'lose'];


/* what a patient caller does */
async function insist(send, status) {
    return until(async () => {
        const res = await send();

        return res.status === status ? res : null;
    }, 60_000, `answered ${status}`);
}


for (const layout of LAYOUTS) {
    describe(layout, () => {
        cloud('one request in ten fails: nothing is lost',
            { layout, timeout: 240_000 }, async (w, t) => {
                const random = dice(layout);

                t.diagnostic(`COMMS_SEED=${SEED}`);
                w.nginx.allow.push(...AWAY);
                w.front.chance = { share: 10, random, kinds: KINDS };

                const done = await Promise.all(Array.from({ length: TIMES },
                    async (_, n) => {
                        const who = person(n);
                        const document = request({ person: who,
                            channels: ['sms'] });
                        const { json } = await insist(
                            () => w.initiate(document), 202);
                        const sid = `SM${String(n).padStart(32, '0')}`;

                        await until(() => w.received('sms',
                            { tel: who.recipient_tel }).length > 0, 120_000,
                        `the first message to ${n}`);
                        await insist(() => w.sms(`reply ${n}`,
                            { from: who.recipient_tel, sid }), 200);

                        return { begun: json, person: who,
                            replies: [`reply ${n}`] };
                    }));

                await idle(w, { exact: false, ms: 150_000 });
                w.front.chance = null;
                t.diagnostic(`${w.front.seen.length} requests, `
                    + `${await audit(w, done)} sends in doubt`);
            });

        cloud('half a record is whole for whoever reads it next',
            { layout }, async (w) => {
                const reader = await w.beside({ http: 'comms_workers off;' });
                let cut = false;

                w.machines.push(reader);
                w.nginx.allow.push(...AWAY, /exited on signal 9/);

                /* the header says that it was sent, the message not yet */
                w.front.fault({ kind: 'reset', times: Infinity,
                    match: (operation, { Key, Item }) => {
                        const fits = /^(Put|Update)Item$/.test(operation)
                            && /msg#/.test(JSON.stringify(Key ?? Item))
                            && w.received('sms').length > 0;

                        cut ||= fits;

                        return fits;
                    } });

                const begun = await w.begin({ channels: ['sms'] });

                await until(() => cut, 15_000, 'the message is written');
                await w.nginx.slaughter();
                w.front.faults.length = 0;

                /* the sweeper takes half a minute at least */
                await until(async () => (await reader.conversation(
                    begun.thread_id)).messages[0].status === 'sent', 8000,
                'it is read as sent');
                assert.equal(w.received('sms').length, 1);
            });

        cloud('a clock that is an hour behind', { layout }, async (w) => {
            w.front.skew = 3_600_000;
            await w.opened({ channels: ['sms'] });
            assert.equal((await w.sms('I can start Monday')).status, 200);
            await until(() => w.received('sms').length === 2);
            await idle(w);
        });

        cloud('AWS is away: 503 in time, and the journal keeps replies',
            { layout, nginx: { http: 'comms_store_timeout 3s;' } },
            async (w) => {
                w.nginx.allow.push(...AWAY);
                await w.opened({ channels: ['sms'] });
                await idle(w);
                w.front.away = true;

                const before = Date.now();
                const refused = await w.initiate(request());

                assert.equal(refused.status, 503, refused.body);
                assert.match(refused.json.error_code,
                    /^(QUEUE|DATABASE)_ERROR$/);
                assert.ok(Number(refused.headers['retry-after']) >= 1);
                assert.ok(Date.now() - before < 4000,
                    `after ${Date.now() - before} ms`);

                for (const n of [1, 2, 3]) {
                    assert.equal((await w.sms(`reply ${n}`)).status, 200);
                }

                assert.equal(w.received('sms').length, 1);

                /* the status page says what waits */
                const page = (await w.call('GET', '/comms-status')).json;

                assert.equal(page.store, 'unavailable');
                assert.deepEqual(page.figures, { journal: 3 });
                assert.match((await w.call('GET', '/metrics')).body,
                    /^comms_store_up 0$[^]*^comms_journal_messages 3$/m);
                w.front.away = false;
                await until(() => w.received('sms').length >= 2, 60_000,
                    'the answer');
                await idle(w);

                const { conversations } = (await w.call('GET',
                    '/conversations?company_id=ci-aaa-001')).json;

                assert.equal(conversations.length, 1);
                assert.deepEqual((await w.conversation(
                    conversations[0].thread_id)).messages
                    .filter((m) => m.role === 'user').map((m) => m.content),
                ['reply 1', 'reply 2', 'reply 3']);
            });
    });
}
