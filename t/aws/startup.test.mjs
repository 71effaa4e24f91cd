
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One machine on AWS: the first conversation, in both layouts.
 */

import assert from 'node:assert/strict';

import { replyTo } from '../standins/sendgrid.mjs';
import { request, until } from '../lib/world.mjs';
import { LAYOUTS, cloud, idle } from './cloud.mjs';
import { agree } from './reader.mjs';


for (const layout of LAYOUTS) {
    cloud(`${layout}: three channels, one conversation`, { layout },
        async (w) => {
            const begun = await w.opened();

            assert.equal((await w.whatsapp('I can start Monday')).status,
                200);
            await until(() => w.received('whatsapp').length === 2);
            assert.equal((await w.email(replyTo(w.mailTo(),
                { text: 'Mornings suit me' }))).status, 200);
            await until(() => w.received('email').length === 2);
            assert.match(w.received('email')[1].text,
                /WhatsApp: "I can start Monday"[\s\S]*"Mornings suit me"/);
            await idle(w);

            const shown = await w.conversation(begun.thread_id);

            assert.deepEqual(shown.messages.map((m) =>
                `${m.role}:${m.channel}`).slice(3),
            ['user:whatsapp', 'assistant:whatsapp', 'user:email',
                'assistant:email']);
            assert.equal(w.ai.conversations.size, 1);
            assert.equal(w.twilio.messages.length, 3);
            assert.equal(w.sendgrid.mails.length, 2);
            await agree(w, layout, [begun.thread_id]);

            /* SQS does not tell how old its messages are: neither do we */
            const { queues } = (await w.call('GET', '/comms-status')).json;

            assert.deepEqual(Object.keys(queues.sms).sort(),
                ['dead', 'delayed', 'in_flight', 'ready']);
            assert.doesNotMatch(JSON.stringify(queues), /oldest_ready_age/);
            assert.doesNotMatch((await w.call('GET', '/metrics')).body,
                /oldest_ready_age/);
        });
}


cloud('a start that the topic cannot carry is refused whole', {}, async (w) => {
    /* what a topic takes, less the messages that go along */
    const fill = (n) => request({ project_data: { note: 'x'.repeat(n) } });
    const document = fill(260_000);
    const refused = await w.initiate(document);

    assert.equal(refused.status, 413);
    assert.equal(refused.json.error_code, 'PAYLOAD_TOO_LARGE');
    assert.equal(refused.json.request_id, document.request_data.request_id);

    /* nothing was kept: no thread, no queue entry, no item of any table */
    assert.deepEqual((await w.call('GET',
        '/conversations?company_id=ci-aaa-001')).json.conversations, []);
    assert.deepEqual(w.front.seen.filter(({ operation }) =>
        /^(PutItem|UpdateItem|SendMessage|Publish)$/.test(operation)), []);

    /* the request_id is free */
    document.project_data.note = 'short';
    assert.equal((await w.initiate(document)).status, 202);

    /* and the largest that is taken does pass the topic */
    const large = await w.initiate(request({ project_data:
        { note: 'é'.repeat(97_000) } }));

    assert.equal(large.status, 202, large.body);
    await w.sentOn(large.json.thread_id, large.json.channels);
});
