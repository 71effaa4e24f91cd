
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One machine on AWS: what it says when it starts, and its first
 * conversation, in both layouts.
 */

import assert from 'node:assert/strict';

import { replyTo } from '../standins/sendgrid.mjs';
import { request, until } from '../lib/world.mjs';
import { LAYOUTS, cloud, idle } from './cloud.mjs';
import { PREFIX, TOPIC } from './emulators.mjs';
import { agree } from './reader.mjs';

const COMMON = ['company-created-index', 'open-index', 'sweep-index',
    'company-whatsapp-number-recipient-tel-index',
    'company-sms-number-recipient-tel-index',
    'company-email-recipient-email-index', 'MessageIdIndex',
    'company-id-project-id-index'];
const INDEXES = { single: COMMON,
    per_channel: [...COMMON, 'thread-id-index'] };


/* lines of the log about what is kept where, without time and process */
function words(w, level) {
    return w.nginx.log().split('\n')
        .filter((line) => line.includes(`[${level}]`))
        .map((line) => line.replace(/^.*?\[\w+\] \d+#\d+: /, ''));
}


/* waits for a line; all of them when it does not come */
async function says(w, level, start) {
    return until(() => words(w, level).find((line) =>
        line.startsWith(start)), 10_000, start).catch((err) => {
        throw new Error(`${err.message}: ${words(w, level).join('\n')}`);
    });
}


/* the table of that name without the indexes */
function without(table, indexes) {
    return (definitions) => definitions.map((one) => {
        const { GlobalSecondaryIndexes: all = [], ...rest } = one;
        const left = all.filter((i) => !indexes.includes(i.IndexName));

        if (one.TableName !== table) {
            return one;
        }

        const used = new Set([one.KeySchema,
            ...left.map((i) => i.KeySchema)].flat()
            .map((key) => key.AttributeName));

        return { ...rest, AttributeDefinitions: one.AttributeDefinitions
            .filter((a) => used.has(a.AttributeName)),
        ...(left.length ? { GlobalSecondaryIndexes: left } : {}) };
    });
}


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


for (const layout of LAYOUTS) {
    cloud(`${layout}: one line says what each backend is connected to`,
        { layout, nginx: { workers: 2 } }, async (w) => {
            assert.equal(await says(w, 'notice', 'comms store is connected'),
                `comms store is connected: dynamodb, layout ${layout}, `
                + 'tables "comms-threads", "comms-inbound", "comms-consent", '
                + '"comms-locks" with their indexes');
            assert.equal(await says(w, 'notice', 'comms bus is connected'),
                `comms bus is connected: aws, topic "${TOPIC}", queues `
                + `"${PREFIX}*" and their dead letters`);
            assert.equal(words(w, 'notice').filter((line) =>
                /is connected/.test(line)).length, 2);
            assert.deepEqual(words(w, 'error'), []);
        });

    cloud(`${layout}: each index that is missing is named`, { layout,
        change: without('comms-threads', INDEXES[layout]) }, async (w) => {
        await until(() => words(w, 'error').filter((line) =>
            /has no index/.test(line)).length === INDEXES[layout].length);

        for (const name of INDEXES[layout]) {
            await says(w, 'error', 'the DynamoDB table "comms-threads" has no '
                + `index "${name}" with the keys "`);
        }

        assert.deepEqual(words(w, 'notice').filter((line) =>
            /store is connected/.test(line)), []);
    });
}


cloud('each table that is missing or is another is named', {
    change: (all) => without('comms-inbound', ['sweep-index'])(all)
        .filter(({ TableName }) => TableName !== 'comms-locks')
        .map((one) => (one.TableName === 'comms-consent'
            ? { ...all.find(({ TableName }) => TableName === 'comms-projects'),
                TableName: 'comms-consent' } : one)),
    tables: { projects: 'comms-projects' },
}, async (w) => {
    await says(w, 'error', 'the DynamoDB table "comms-inbound" has no index '
        + '"sweep-index" with the keys "gsi_sweep" and "gsi_sweep_at": add it');
    await says(w, 'error', 'the DynamoDB table "comms-consent" must have the '
        + 'keys "item_key" and "sort_key": create another one');
    await says(w, 'error', 'there is no DynamoDB table "comms-locks": create '
        + 'it, as conf/aws/template.yaml does, or correct "lock_table=" of '
        + '"comms_store"');
});


cloud('each queue that is missing is named, and the topic', {
    topic: `${TOPIC}-other`,
    prepare: (emulators) => Promise.all(['sms', 'reply-dlq'].map((name) =>
        emulators.drop(name))),
}, async (w) => {
    for (const name of ['sms', 'reply-dlq']) {
        await says(w, 'error', `there is no SQS queue "${PREFIX}${name}": `
            + 'create it, as conf/aws/template.yaml does, or correct the '
            + 'prefix of "comms_bus"');
    }

    await says(w, 'error', `there is no SNS topic "${TOPIC}-other": create`);
    assert.deepEqual(words(w, 'notice').filter((line) =>
        /bus is connected/.test(line)), []);
});


cloud('a permission that is missing is named', {
    faults: ['DescribeTable', 'GetQueueUrl', 'GetTopicAttributes'].map(
        (operation) => ({ operation, kind: 'denied', times: 4 })),
}, async (w) => {
    await says(w, 'error', 'the DynamoDB table "comms-threads" could not be '
        + 'looked at (AccessDeniedException): the credentials must allow '
        + 'dynamodb:DescribeTable on it');
    await says(w, 'error', `the URL of the SQS queue "${PREFIX}`);
    assert.ok(words(w, 'error').some((line) =>
        /AccessDenied\w*\): the credentials must allow sqs:GetQueueUrl/
            .test(line)));
    await says(w, 'error', `the SNS topic "${TOPIC}" could not be looked at `
        + '(AccessDeniedException): the credentials must allow '
        + 'sns:GetTopicAttributes and sns:Publish on it');

    /* and when it is given, all goes on without a restart */
    const { thread_id: id } = await w.begin();

    await until(async () => (await w.call('GET', `/conversations/${id}`))
        .status === 200, 20_000, 'the queues are found');
    await w.sentOn(id, ['whatsapp', 'sms', 'email']);
});
