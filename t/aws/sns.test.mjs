/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The topic delivers by HTTP: one machine has begun a thread and published
 * its first messages; another one, whose queues are its own or SQS's, gets
 * them from SNS and sends them.
 */

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { person, until } from '../lib/world.mjs';
import { backends, cloud } from './cloud.mjs';
import { ENVIRONMENT } from './emulators.mjs';
import { ACCOUNT, REGION } from './front.mjs';
import { HOST, PEM, Sns } from './sns.mjs';

/* no queue is subscribed to it */
const EDGE = `arn:aws:sns:${REGION}:${ACCOUNT}:comms-edge`;
const layout = 'single';


/* a world whose second machine takes what the topic delivers */
function edge(name, { bus = 'sqlite path=bus.db', params = '', http = '',
    ...options }, body) {
    cloud(name, { layout, topic: EDGE, ...options }, async (w, t) => {
        const sns = await new Sns().start();

        try {
            w.emulators.queues.createTopic('comms-edge');
            w.edge = await w.beside({
                backends: backends(w.emulators, { layout, bus,
                    topic: EDGE, journal: /^sqlite/.test(bus) ? null
                        : 'journal.db' }),
                env: { ...ENVIRONMENT, AWS_CA_BUNDLE: sns.bundle },
                http,
                server: `location = /sns {
                    client_max_body_size 256k;
                    comms_sns topic=${EDGE} topic=${EDGE}-2
                        endpoint=${sns.url} ${params};
                }`,
            });
            w.machines.push(w.edge);
            w.hook = `${w.edge.url}/sns`;
            await body(w, sns, t);
        } finally {
            await sns.stop();
        }
    });
}


/* what the first machine has published, as the topic would deliver it */
async function published(w, sns, begun, version) {
    const { body } = await until(() => w.front.seen.find(
        ({ operation, body: b }) => operation === 'Publish'
            && b.Message.includes(begun.thread_id)), 10_000, 'it is published');

    return sns.sign({ Type: 'Notification', TopicArn: body.TopicArn,
        Message: body.Message }, version);
}


async function ready(machine) {
    const { queues } = (await machine.call('GET', '/comms-status')).json;

    return Object.fromEntries(Object.entries(queues).filter(([, q]) =>
        q.ready > 0).map(([name, q]) => [name, q.ready]));
}


describe('a subscription', () => {
    edge('is confirmed, for the topics that are configured', {},
        async (w, sns) => {
            for (const topic of [EDGE, `${EDGE}-2`]) {
                const message = sns.confirmation(topic);

                sns.asked.length = 0;
                assert.ok(await sns.agrees(message));
                assert.equal((await sns.deliver(w.hook, message)).status, 200);
                assert.equal(sns.asked.at(-1), '/?Action=ConfirmSubscription'
                    + `&TopicArn=${topic}&Token=2336412f37`);
            }

            sns.asked.length = 0;

            for (const message of [
                sns.confirmation(`${EDGE}-3`),
                sns.confirmation(EDGE, { SubscribeURL:
                    `https://${HOST}.example.org/?Action=ConfirmSubscription` }),
                sns.confirmation(EDGE, { SubscribeURL:
                    'https://169.254.169.254/latest/meta-data' }),
                sns.confirmation(EDGE, { SubscribeURL:
                    `http://${HOST}/?Action=ConfirmSubscription&` }),
                { ...sns.confirmation(EDGE), Token: 'another' },
            ]) {
                assert.equal((await sns.deliver(w.hook, message)).status, 403);
            }

            assert.deepEqual(sns.asked, []);
        });

    edge('that cannot be confirmed now is confirmed later', {},
        async (w, sns) => {
            const message = sns.confirmation(EDGE);

            sns.away = true;
            assert.equal((await sns.deliver(w.hook, message)).status, 503);
            sns.away = false;
            assert.equal((await sns.deliver(w.hook, message)).status, 200);
            assert.match(sns.asked.at(-1), /Action=ConfirmSubscription/);
        });

    edge('that ends is in the log', {}, async (w, sns) => {
        const message = sns.confirmation(EDGE,
            { Type: 'UnsubscribeConfirmation' });

        sns.asked.length = 0;
        assert.equal((await sns.deliver(w.hook, message)).status, 200);
        assert.deepEqual(sns.asked, [PEM]);
        assert.match(w.edge.nginx.log(),
            /\[notice\].*the subscription to the topic ".*" has ended/);
    });
});


describe('what the topic delivers', () => {
    edge('is durable before it is answered, and sent once', {
        http: 'comms_workers off;' }, async (w, sns) => {
        const begun = await w.begin();
        const message = await published(w, sns, begun, '1');

        assert.ok(await sns.agrees(message));

        for (let n = 0; n < 3; n++) {
            const res = await sns.deliver(w.hook, message);

            assert.equal(res.status, 200, res.body);
            assert.equal(res.body, '');
        }

        assert.deepEqual(await ready(w.edge),
            { email: 1, sms: 1, whatsapp: 1 });

        w.edge.nginx.allow.push(/exited on signal 9/);
        await w.edge.nginx.slaughter();
        w.edge.nginx.configure({ http: '' });
        await w.edge.nginx.start();

        await w.sentOn(begun.thread_id, begun.channels);
        assert.equal((await sns.deliver(w.hook, message)).status, 200);
        await until(async () => Object.keys(await ready(w.edge)).length === 0);
        assert.equal(w.twilio.messages.length, 2);
        assert.equal(w.sendgrid.mails.length, 1);
    });

    edge('is put into SQS where the queues are there', {
        bus: `aws topic=${EDGE}-2 queue_prefix=comms-` }, async (w, sns) => {
        const begun = await w.begin();
        const message = await published(w, sns, begun, '2');

        w.front.away = true;
        w.machines.forEach((m) => m.nginx.allow.push(/comms aws|sqs|sns/));
        assert.equal((await sns.deliver(w.hook, message)).status, 503);
        w.front.away = false;

        /* as SNS does; what was refused may be known to be so for seconds */
        await until(async () => (await sns.deliver(w.hook, message)).status
            === 200, 30_000, 'it is taken');
        await w.sentOn(begun.thread_id, begun.channels);
        assert.equal(w.twilio.messages.length, 2);
        assert.equal(w.sendgrid.mails.length, 1);
        assert.ok(w.front.seen.some(({ operation, body }) =>
            operation === 'SendMessage' && /comms-email$/.test(body.QueueUrl)));
    });

    edge('goes to the channels that are named here', {
        params: 'channel=sms channel=email', http: 'comms_workers off;',
    }, async (w, sns) => {
        const message = await published(w, sns, await w.begin());

        assert.equal((await sns.deliver(w.hook, message)).status, 200);
        assert.deepEqual(await ready(w.edge), { email: 1, sms: 1 });
    });

    edge('twenty at once need one certificate', { http: 'comms_workers off;' },
        async (w, sns) => {
            const messages = await Promise.all(Array.from({ length: 20 },
                async (_, n) => published(w, sns, await w.begin({
                    person: person(n), channels: ['sms'] }))));

            sns.asked.length = 0;

            const answers = await Promise.all(messages.map((message) =>
                sns.deliver(w.hook, message)));

            assert.deepEqual(answers.map(({ status }) => status),
                messages.map(() => 200));
            assert.deepEqual(sns.asked, [PEM]);
            assert.deepEqual(await ready(w.edge), { sms: 20 });
        });
});


describe('what is refused', () => {
    edge('is not put anywhere', { http: 'comms_workers off;' },
        async (w, sns) => {
            const begun = await w.begin({ channels: ['sms'] });
            const good = await published(w, sns, begun);
            const tampered = { ...good, Message: good.Message.replace(
                'Healthcare', 'healthcare') };
            const gone = { ...good, SigningCertURL:
                `https://${HOST}/gone.pem` };
            const raw = { 'x-amz-sns-rawdelivery': 'true' };
            const signed = (changes) => sns.sign({ Type: 'Notification',
                TopicArn: EDGE, Message: good.Message, ...changes });
            const url = (SigningCertURL) => ({ ...good, SigningCertURL });

            assert.ok(await sns.agrees(good));
            assert.ok(!await sns.agrees(tampered));

            for (const [status, message, headers] of [
                [403, tampered],
                [403, gone],
                [403, { ...good, MessageId: 'another' }],
                [403, { ...good, SignatureVersion: '3' }],
                [403, { ...good, Signature: '' }],
                [403, signed({ TopicArn: `${EDGE}-3` })],
                [403, url(`http://${HOST}${PEM}`)],
                [403, url(`https://${HOST}/cert.txt`)],
                [403, url(`https://${HOST}.example.org${PEM}`)],
                [403, url(`https://${HOST}@127.0.0.1${PEM}`)],
                [400, good, raw],
                [400, good.Message, raw],
                [400, good.Message],
                [400, '[]'],
                [400, '{"Type":'],
                [400, signed({ Message: 'hello' })],
                [400, signed({ Message: '{"body":{},"channels":["fax"]}' })],
                [400, signed({ Message: '{"body":{},"channels":[]}' })],
                [400, signed({ Message: '{"channels":["sms"]}' })],
                [413, 'x'.repeat(300_000)],
            ]) {
                const res = await sns.deliver(w.hook, message, headers);

                assert.equal(res.status, status, JSON.stringify(message)
                    .slice(0, 200));
            }

            assert.deepEqual([...new Set(sns.asked)].sort(),
                [PEM, '/gone.pem'].sort());
            assert.equal((await w.edge.call('GET', '/sns')).status, 405);
            assert.deepEqual(await ready(w.edge), {});
            assert.equal((await sns.deliver(w.hook, good)).status, 200);
            assert.deepEqual(await ready(w.edge), { sms: 1 });
        });

    edge('is version 1, where 2 is asked for', {
        params: 'signature=2', http: 'comms_workers off;',
    }, async (w, sns) => {
        const begun = await w.begin({ channels: ['sms'] });

        for (const [version, status] of [['1', 403], ['2', 200]]) {
            assert.equal((await sns.deliver(w.hook,
                await published(w, sns, begun, version))).status, status);
        }

        assert.deepEqual(await ready(w.edge), { sms: 1 });
    });

    edge('is everything whose certificate cannot be fetched now', {
        http: 'comms_workers off;' }, async (w, sns) => {
        const message = await published(w, sns,
            await w.begin({ channels: ['sms'] }));

        sns.away = true;

        const res = await sns.deliver(w.hook, message);

        assert.equal(res.status, 503);
        assert.ok(Number(res.headers['retry-after']) >= 1);
        sns.away = false;
        assert.equal((await sns.deliver(w.hook, message)).status, 200);
        assert.deepEqual(await ready(w.edge), { sms: 1 });
    });
});
