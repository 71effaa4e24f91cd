/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * conf/aws/template.yaml against the module: every queue, table, key and
 * index that the sources name is in it, and the policy allows each action
 * that the sources call, where they call it, and no other one.
 *
 * What the module wants is read out of its sources, so that whatever is added
 * there is missed here.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import YAML from 'yaml';

import { TOP } from '../lib/nginx.mjs';
import { tables } from './tables.mjs';

const PARAMETERS = {
    Prefix: 'comms-', SecretPrefix: 'comms/', HttpsEndpoint: '',
    'AWS::Partition': 'aws', 'AWS::Region': 'eu-west-1',
    'AWS::AccountId': '123456789012',
};

/* calls of DynamoDB that only one of the rooms makes, on which tables */
const STORE = ['Threads', 'Conversations', 'Inbound', 'Effects', 'Consent',
    'Locks'];

/* the check that runs once, and what a call of several is allowed by */
const ALLOWED_BY = {
    ChangeMessageVisibilityBatch: 'ChangeMessageVisibility',
    DeleteMessageBatch: 'DeleteMessage',
    SendMessageBatch: 'SendMessage',
};


function files(dir) {
    return fs.readdirSync(path.join(TOP, dir)).filter((f) => f.endsWith('.c'))
        .map((f) => fs.readFileSync(path.join(TOP, dir, f), 'utf8')).join('\n');
}


/* names of operations that the sources of a room ask for */
function calls(dir, pattern) {
    return new Set([...files(dir).matchAll(pattern)].map((m) => m[1]));
}


const tags = ['Ref', 'GetAtt', 'Sub', 'If', 'Equals', 'Not', 'And', 'Join',
    'Condition'].flatMap((name) => ['scalar', 'seq'].map((kind) => ({
    tag: `!${name}`,
    ...kind === 'seq' ? { collection: 'seq' } : {},
    resolve: (value) => ({ [name]: kind === 'seq' ? value.toJSON() : value }),
})));


/*
 * The stack that a choice of parameters makes: conditions and functions
 * worked out, as far as this template uses them.  A resource's Ref and
 * attributes are "Name" and "Name.Arn".
 */
function stack(choice) {
    const template = YAML.parse(fs.readFileSync(
        path.join(TOP, 'conf/aws/template.yaml'), 'utf8'),
    { customTags: tags, logLevel: 'error' });
    const parameters = { ...PARAMETERS, ...choice };
    const holds = (name) => value(template.Conditions[name]);
    const text = (format, more = {}) => format.replace(/\$\{([^}]+)\}/g,
        (_, name) => more[name] ?? parameters[name] ?? name);

    const functions = {
        Ref: (name) => (name === 'AWS::NoValue' ? undefined
            : parameters[name] ?? name),
        GetAtt: (name) => name,
        Sub: (what) => (Array.isArray(what)
            ? text(what[0], value(what[1])) : text(what)),
        If: ([name, yes, no]) => value(holds(name) ? yes : no),
        Equals: ([a, b]) => value(a) === value(b),
        Not: ([a]) => !value(a),
        And: (list) => list.every(value),
        Condition: (name) => holds(name),
        Join: ([by, list]) => list.map(value).join(by),
    };

    function value(node) {
        if (Array.isArray(node)) {
            return node.map(value).filter((one) => one !== undefined);
        }

        if (node === null || typeof node !== 'object') {
            return node;
        }

        const [[name, of], ...more] = Object.entries(node);

        if (more.length === 0 && name in functions) {
            return functions[name](of);
        }

        return Object.fromEntries(Object.entries(node)
            .map(([key, one]) => [key, value(one)])
            .filter(([, one]) => one !== undefined));
    }

    return Object.fromEntries(Object.entries(template.Resources)
        .filter(([, r]) => r.Condition === undefined || holds(r.Condition))
        .map(([name, r]) => [name, { type: r.Type,
            ...value(r.Properties) }]));
}


function of(resources, type) {
    return Object.entries(resources).filter(([, r]) => r.type === type);
}


/* [{ action, resources }] of the policy of the machines */
function allowed(resources) {
    return resources.EnginePolicy.PolicyDocument.Statement.flatMap((s) =>
        [s.Action].flat().map((action) => ({ action,
            resources: [s.Resource].flat() })));
}


const named = (header, prefix) => [...fs.readFileSync(path.join(TOP, header),
    'utf8').matchAll(new RegExp(`#define ${prefix}\\w+\\s+"([a-z]+)"`, 'g'))]
    .map((m) => m[1]);
const channels = ['whatsapp', 'sms', 'email'];
const queues = [...named('src/bus/ngx_comms_bus.h', 'NGX_COMMS_QUEUE_'),
    ...channels];


for (const Kind of ['standard', 'fifo']) {
    describe(`queues, ${Kind}`, () => {
        const made = stack({ Layout: 'single', Kind });
        const suffix = Kind === 'fifo' ? '.fifo' : '';
        const fifo = Kind === 'fifo' ? true : undefined;
        const find = (name) => of(made, 'AWS::SQS::Queue').find(([, q]) =>
            q.QueueName === `comms-${name}${suffix}`);

        it('each one has its dead letters, and is of the kind', () => {
            assert.ok(queues.includes('status') && queues.includes('later'));

            for (const name of queues) {
                const [, queue] = find(name);
                const [dead, letters] = find(`${name}-dlq`);

                assert.equal(queue.RedrivePolicy.deadLetterTargetArn,
                    `${dead}.Arn`);
                assert.ok(queue.RedrivePolicy.maxReceiveCount >= 20);
                assert.equal(queue.FifoQueue, fifo);
                assert.equal(letters.FifoQueue, fifo);
            }

            assert.equal(of(made, 'AWS::SQS::Queue').length,
                2 * queues.length);
        });

        it('the topic reaches those of the channels, and no other', () => {
            const { QueuePolicy, Topic } = made;

            assert.equal(Topic.TopicName, `comms-channels${suffix}`);
            assert.equal(Topic.FifoTopic, fifo);
            assert.deepEqual(of(made, 'AWS::SNS::Subscription')
                .map(([, s]) => [s.Endpoint, s.FilterPolicy.channel[0],
                    s.RawMessageDelivery, s.TopicArn]),
            channels.map((name) => [`${find(name)[0]}.Arn`, name, true,
                'Topic']));
            assert.deepEqual(QueuePolicy.Queues.sort(), channels.flatMap(
                (name) => [find(name)[0], find(`${name}-dlq`)[0]]).sort());
        });

        it('the policy names each of them', () => {
            for (const [action, list] of [
                ['sqs:ReceiveMessage', queues],
                ['sqs:DeleteMessage', queues],
                ['sqs:ChangeMessageVisibility', queues],
                ['sqs:SendMessage', queues.flatMap((q) => [q, `${q}-dlq`])],
                ['sqs:GetQueueUrl', queues.flatMap((q) => [q, `${q}-dlq`])],
                ['sqs:GetQueueAttributes',
                    queues.flatMap((q) => [q, `${q}-dlq`])],
            ]) {
                assert.deepEqual(allowed(made)
                    .filter((a) => a.action === action)
                    .flatMap((a) => a.resources).sort(),
                list.map((q) => `${find(q)[0]}.Arn`).sort(), action);
            }
        });
    });
}


for (const Layout of ['single', 'per_channel']) {
    it(`tables, ${Layout}: keys and indexes are those of the store`, () => {
        const made = of(stack({ Layout, Kind: 'standard' }),
            'AWS::DynamoDB::Table').map(([, t]) => t);
        const wanted = tables(Layout, {
            table: Layout === 'single' ? 'comms-threads'
                : 'comms-conversations',
            inbound: 'comms-inbound', consent: 'comms-consent',
            effects: 'comms-effects', locks: 'comms-locks' });
        const plain = (t) => ({
            keys: t.KeySchema,
            attributes: Object.fromEntries(t.AttributeDefinitions.map((a) =>
                [a.AttributeName, a.AttributeType])),
            indexes: Object.fromEntries((t.GlobalSecondaryIndexes ?? [])
                .map((i) => [i.IndexName, [i.KeySchema, i.Projection]])),
        });

        for (const one of wanted) {
            assert.deepEqual(plain(made.find((t) =>
                t.TableName === one.TableName)), plain(one), one.TableName);
        }

        assert.deepEqual(made.map((t) => t.TableName).sort(),
            [...wanted.map((t) => t.TableName), 'comms-company-data'].sort());

        /* the indexes that the sources ask, by name */
        const asked = [...files('src/store').matchAll(
            /"([a-zA-Z-]*-index|MessageIdIndex)"/g)].map((m) => m[1]);
        const there = made.flatMap((t) => (t.GlobalSecondaryIndexes ?? [])
            .map((i) => i.IndexName));

        assert.ok(asked.length >= 3);
        asked.filter((name) => Layout === 'per_channel'
            || name !== 'thread-id-index').forEach((name) =>
            assert.ok(there.includes(name), name));
    });
}


describe('the policy', () => {
    const made = stack({ Layout: 'single', Kind: 'standard' });
    const bus = calls('src/bus', /NGX_COMMS_AWS_SQS,\s*"(\w+)"/g);
    const topic = calls('src/bus', /NGX_COMMS_AWS_SNS,\s*"(\w+)"/g);
    const looks = calls('src/aws', /NGX_COMMS_AWS_DYNAMODB,\s*"(\w+)"/g);
    const store = new Set([...looks,
        ...calls('src/store', /_dynamodb_call\(t, "(\w+)"/g)]);
    const projects = new Set([...looks, ...calls('src/project',
        /_projects_dynamodb_ask\(\w+, "(\w+)"/g)]);
    const secrets = calls('src/project', /_secrets_aws_ask\(\w+,\s*"(\w+)"/g);
    const actions = (service, names) => [...new Set([...names].map((name) =>
        `${service}:${ALLOWED_BY[name] ?? name}`))].sort();

    it('allows what is called, and nothing else', () => {
        const found = [bus, topic, store, projects, secrets];

        found.forEach((names) => assert.ok(names.size >= 2, [...names]));
        assert.deepEqual([...new Set(allowed(made).map((a) => a.action))]
            .sort(), [...new Set([
            ...actions('sqs', bus), ...actions('sns', topic),
            ...actions('dynamodb', store), ...actions('dynamodb', projects),
            ...actions('secretsmanager', secrets),
        ])].sort());
    });

    it('on the tables of the store as it calls them, on projects to read',
        () => {
            for (const Layout of ['single', 'per_channel']) {
                const one = stack({ Layout, Kind: 'standard' });
                const on = (table) => allowed(one).filter((a) =>
                    a.resources.includes(`${table}.Arn`))
                    .map((a) => a.action).sort();

                for (const table of STORE.filter((t) => t in one)) {
                    assert.deepEqual(on(table), actions('dynamodb', store));
                }

                assert.deepEqual(on('CompanyData'),
                    actions('dynamodb', projects));
            }
        });

    it('is for everything of nothing but a list that cannot be narrowed',
        () => {
            assert.deepEqual(allowed(made).filter((a) =>
                a.resources.includes('*')).map((a) => a.action),
            ['secretsmanager:ListSecrets']);
            assert.deepEqual(allowed(made).find((a) =>
                a.action === 'secretsmanager:GetSecretValue').resources,
            ['arn:aws:secretsmanager:eu-west-1:123456789012:secret:comms/*']);
        });
});


describe('an endpoint', () => {
    const HttpsEndpoint = 'https://comms.example.org/sns';

    it('is subscribed where one is given, but to no FIFO topic', () => {
        const subscribed = (choice) => of(stack({ Layout: 'single',
            Kind: 'standard', ...choice }), 'AWS::SNS::Subscription')
            .filter(([, s]) => s.Protocol === 'https');

        assert.deepEqual(subscribed({}), []);
        assert.deepEqual(subscribed({ HttpsEndpoint, Kind: 'fifo' }), []);

        const [[, one]] = subscribed({ HttpsEndpoint });

        assert.equal(one.Endpoint, HttpsEndpoint);
        assert.equal(one.RawMessageDelivery, undefined);

        /* SNS gives up after an hour at the most */
        const retry = one.DeliveryPolicy.healthyRetryPolicy;

        assert.ok(retry.numRetries * retry.maxDelayTarget <= 3600);
    });
});
