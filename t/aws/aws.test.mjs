
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Calls of the AWS client in an nginx: engines that speak the protocols
 * (dynalite, fauxqs), and a stub for what goes wrong and for credentials.
 *
 *   make -f t/aws/aws.mk calls
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';

import dynalite from 'dynalite';
import { startFauxqs } from 'fauxqs';

import { Nginx, freePort, until } from '../lib/nginx.mjs';

const MODULE = path.resolve(process.env.COMMS_AWS_MODULE
    ?? 'build/aws-test/ngx_http_comms_aws_test_module.so');
const OK = 0, ERROR = -1, BUSY = -3, DECLINED = -5;
const SNS = 0, SQS = 1, DYNAMODB = 2, SECRETS = 3, STS = 4;
const KEYS = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'us-east-1' };

let stub, engines, dynamodb, sqs;


class AwsNginx extends Nginx {
    configure() {
        const { main = '', connections = 512 } = this.options;

        fs.writeFileSync(this.file('nginx.conf'), `
daemon off;
master_process on;
worker_processes 1;
${process.getuid() === 0 ? 'user root;' : ''}
pid logs/nginx.pid;
error_log logs/error.log debug;
load_module ${MODULE};
events { worker_connections ${connections}; }
http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    ${main}
    server {
        listen 127.0.0.1:${this.port};
        location / { aws_test_call; client_body_buffer_size 2m;
                     client_max_body_size 2m; }
    }
}
`);
    }

    async call(service, operation, input = {}, more = {}) {
        const res = await fetch(`http://127.0.0.1:${this.port}/`, {
            method: 'POST',
            body: JSON.stringify({ service, operation, in: input, ...more }),
        });

        return res.json();
    }
}


/* runs fn with an nginx that was started in this environment */
async function nginx(env, fn, options = {}) {
    const saved = { ...process.env };
    const n = new AwsNginx(options);

    for (const name of Object.keys(process.env)) {
        if (/^AWS_|_proxy$/i.test(name)) {
            delete process.env[name];
        }
    }

    Object.assign(process.env, { HOME: n.prefix, ...env });

    try {
        n.port = await freePort();
        options.prepare?.(n);
        n.configure();
        await n.start();
    } finally {
        process.env = saved;
    }

    try {
        await fn(n);
    } finally {
        await n.stop();
        const said = n.log();

        try {
            assert.deepEqual(n.complaints(), []);
            assert.doesNotMatch(said, /wJalr|secret-of|SECRETKEY/);
        } finally {
            n.remove();
        }
    }
}


/* answers with stub.script, a list of functions (req, res, body) */
class Stub {
    async start() {
        this.reset();
        this.server = http.createServer((req, res) => {
            const parts = [];

            req.on('data', (d) => parts.push(d));
            req.on('end', () => {
                const body = Buffer.concat(parts).toString();
                const fn = this.routes[`${req.method} ${req.url}`]
                    ?? this.script.shift();

                this.seen.push({ req, body });
                (fn ?? ((q, s) => s.writeHead(599).end()))(req, res, body);
            });
        });
        await new Promise((resolve) => {
            this.server.listen(0, '127.0.0.1', resolve);
        });
        this.url = `http://127.0.0.1:${this.server.address().port}`;
    }

    reset() {
        this.seen = [];
        this.script = [];
        this.routes = {};
    }
}


const json = (status, value, headers = {}) => (req, res) => {
    res.writeHead(status, headers).end(JSON.stringify(value));
};

const error = (status, code, headers) =>
    json(status, { __type: `com.amazonaws#${code}`, message: 'm' }, headers);

const keys = (id, expires) => ({
    AccessKeyId: id, SecretAccessKey: `secret-of-${id}`, Token: `token-${id}`,
    SessionToken: `token-${id}`,
    Expiration: new Date(Date.now() + expires).toISOString(),
});


before(async () => {
    stub = new Stub();
    await stub.start();

    sqs = await startFauxqs({ port: 0, logger: false });
    dynamodb = dynalite({ createTableMs: 0 });
    await new Promise((resolve) => {
        dynamodb.listen(0, '127.0.0.1', resolve);
    });

    engines = {
        ...KEYS,
        AWS_ENDPOINT_URL_SNS: `http://127.0.0.1:${sqs.port}`,
        AWS_ENDPOINT_URL_SQS: `http://127.0.0.1:${sqs.port}`,
        AWS_ENDPOINT_URL_DYNAMODB:
            `http://127.0.0.1:${dynamodb.address().port}`,
    };
});

after(async () => {
    await sqs.stop();
    dynamodb.close();
    stub.server.closeAllConnections();
    stub.server.close();
});


test('DynamoDB: a table, an item, a condition, a query', async () => {
    await nginx(engines, async (n) => {
        let r = await n.call(DYNAMODB, 'CreateTable', {
            TableName: 'things',
            AttributeDefinitions: [
                { AttributeName: 'id', AttributeType: 'S' }],
            KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
            BillingMode: 'PAY_PER_REQUEST',
        });

        assert.equal(r.rc, OK, JSON.stringify(r));
        await until(async () => (await n.call(DYNAMODB, 'DescribeTable',
            { TableName: 'things' })).answer.Table.TableStatus === 'ACTIVE');

        const put = { TableName: 'things',
            Item: { id: { S: 'a' }, text: { S: 'Grüße 漢 😀\n' } },
            ConditionExpression: 'attribute_not_exists(id)' };

        assert.equal((await n.call(DYNAMODB, 'PutItem', put)).rc, OK);

        r = await n.call(DYNAMODB, 'PutItem', put);
        assert.equal(r.rc, DECLINED);
        assert.equal(r.answer.code, 'ConditionalCheckFailedException');
        assert.equal(r.answer.status, 400);
        assert.equal('unsure' in r.answer, false);

        r = await n.call(DYNAMODB, 'GetItem',
            { TableName: 'things', Key: { id: { S: 'a' } } });
        assert.deepEqual(r.answer.Item, put.Item);

        r = await n.call(DYNAMODB, 'GetItem',
            { TableName: 'nothing', Key: { id: { S: 'a' } } });
        assert.equal(r.answer.code, 'ResourceNotFoundException');
        assert.match(n.log(), /dynamodb GetItem failed: ResourceNotFound/);
        assert.doesNotMatch(n.log(), /Conditional/);
    });
});


test('SNS to SQS: publish, a long poll, delete', async () => {
    await nginx(engines, async (n) => {
        const queue = (await n.call(SQS, 'CreateQueue',
            { QueueName: 'q' })).answer.QueueUrl;
        const topic = (await n.call(SNS, 'CreateTopic',
            { Name: 't' })).answer.TopicArn;
        const arn = (await n.call(SQS, 'GetQueueAttributes', {
            QueueUrl: queue, AttributeNames: ['QueueArn'],
        })).answer.Attributes.QueueArn;

        assert.equal((await n.call(SNS, 'Subscribe', {
            TopicArn: topic, Protocol: 'sqs', Endpoint: arn,
            'Attributes.entry.1.key': 'RawMessageDelivery',
            'Attributes.entry.1.value': 'true',
        })).rc, OK);

        const poll = n.call(SQS, 'ReceiveMessage',
            { QueueUrl: queue, WaitTimeSeconds: 5 }, { timeout: 1000 });
        const Message = 'a&b=c +%20 "ü" 漢😀\n<x/>';
        let r = await n.call(SNS, 'Publish', { TopicArn: topic, Message });

        assert.equal(r.rc, OK, JSON.stringify(r));
        assert.ok(r.answer.MessageId);

        r = await poll;
        assert.equal(r.rc, OK, JSON.stringify(r));
        assert.equal(r.answer.Messages[0].Body, Message);

        assert.equal((await n.call(SQS, 'DeleteMessage', { QueueUrl: queue,
            ReceiptHandle: r.answer.Messages[0].ReceiptHandle })).rc, OK);

        r = await n.call(SNS, 'Publish', { TopicArn: `${topic}x`, Message });
        assert.equal(r.rc, DECLINED);
        assert.match(r.answer.code, /NotFound/);

        r = await n.call(SNS, 'Publish', { TopicArn: topic, Message: [] });
        assert.equal(r.rc, ERROR);
        assert.equal(r.answer.code, 'NotSent');

        /* many at once, over the connections that are there */
        const all = await Promise.all(Array.from({ length: 300 }, (_, i) =>
            n.call(SQS, 'SendMessage',
                { QueueUrl: queue, MessageBody: `m${i}` })));

        assert.ok(all.every(({ rc }) => rc === OK));
    });
});


/* one nginx for what a stub can say */
const stubbed = (more = {}) => ({ ...KEYS, AWS_ENDPOINT_URL: stub.url,
    ...more });


test('answers and failures of a service', async () => {
    await nginx(stubbed(), async (n) => {
        const call = async (script, ...args) => {
            stub.reset();
            stub.script = script;
            return n.call(...args);
        };
        let r;

        r = await call([json(200, { SecretString: 's' })], SECRETS,
            'GetSecretValue', { SecretId: 'x' });
        assert.deepEqual(r, { rc: OK, answer: { SecretString: 's' } });

        const { req, body } = stub.seen[0];
        assert.equal(req.headers['x-amz-target'],
            'secretsmanager.GetSecretValue');
        assert.equal(req.headers['content-type'],
            'application/x-amz-json-1.1');
        assert.equal(req.headers['amz-sdk-request'], 'attempt=1; max=3');
        assert.match(req.headers['amz-sdk-invocation-id'],
            /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
        assert.match(req.headers.authorization,
            /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/us-east-1\/sec/);
        assert.equal(req.headers.expect, undefined);
        assert.equal(body, '{"SecretId":"x"}');

        r = await call([(q, s) => s.writeHead(200).end(
            '<R><GetCallerIdentityResult><Account>1&amp;2</Account>'
            + '</GetCallerIdentityResult></R>')], STS, 'GetCallerIdentity');
        assert.deepEqual(r, { rc: OK, answer: { Account: '1&2' } });
        assert.equal(stub.seen[0].body,
            'Action=GetCallerIdentity&Version=2011-06-15');

        /* throttled twice, then good: three attempts of one invocation */
        r = await call([error(400, 'ThrottlingException'),
            error(400, 'ThrottlingException'), json(200, {})], SQS, 'X');
        assert.equal(r.rc, OK);
        assert.deepEqual(stub.seen.map((s) =>
            s.req.headers['amz-sdk-request'][8]), ['1', '2', '3']);
        assert.equal(new Set(stub.seen.map((s) =>
            s.req.headers['amz-sdk-invocation-id'])).size, 1);

        r = await call(Array(4).fill(error(503, 'ServiceUnavailable')),
            DYNAMODB, 'GetItem');
        assert.equal(r.rc, BUSY);
        assert.equal(stub.seen.length, 4);

        r = await call(Array(3).fill(error(500, 'InternalError')), SQS, 'X');
        assert.equal(r.rc, ERROR);
        assert.equal(r.answer.unsure, true);

        /* the first attempt may have been it: the condition says nothing */
        r = await call([error(500, 'InternalServerError'),
            error(400, 'ConditionalCheckFailedException')], DYNAMODB, 'X');
        assert.equal(r.rc, DECLINED);
        assert.equal(r.answer.unsure, true);

        r = await call([error(500, 'x'), error(400, 'Throttling'),
            error(400, 'Throttling')], SQS, 'X');
        assert.equal(r.rc, ERROR);

        /* more than three: curl itself tries anew on a kept connection */
        r = await call(Array(9).fill((q) => q.socket.destroy()), SQS, 'X');
        assert.equal(r.rc, ERROR);
        assert.equal(r.answer.code, 'ConnectionLost');

        r = await call(Array(3).fill(() => {}), SQS, 'X', {},
            { timeout: 150 });
        assert.equal(r.rc, ERROR);
        assert.equal(r.answer.code, 'Timeout');

        r = await call(Array(3).fill((q, s) => {
            s.writeHead(200, { 'Content-Length': 100 });
            s.write('{"a"');
            setTimeout(() => q.socket.destroy(), 20);
        }), SQS, 'X');
        assert.equal(r.answer.code, 'ConnectionLost');

        r = await call(Array(3).fill((q, s) =>
            s.end(Buffer.alloc(3 << 20, 0x20))), SQS, 'X');
        assert.equal(r.answer.message, 'too large');

        r = await call([json(200, { a: 'x'.repeat(1 << 20) })], SQS, 'X');
        assert.equal(r.answer.a.length, 1 << 20);

        r = await call([(q, s) => s.writeHead(200, { 'x-amz-crc32': '1' })
            .end('{"a":1}'), json(200, { b: 2 })], DYNAMODB, 'X');
        assert.deepEqual(r.answer, { b: 2 });

        r = await call([(q, s) => s.writeHead(302,
            { Location: `${stub.url}/elsewhere` }).end()], SQS, 'X');
        assert.equal(r.rc, DECLINED);
        assert.equal(stub.seen.length, 1);

        /* a body is sent whole, and hashed as it is sent */
        const big = { MessageBody: 'é'.repeat(400000) };
        let hash;

        r = await call([(q, s, b) => {
            hash = createHash('sha256').update(b).digest('hex');
            s.end('{}');
        }], SQS, 'SendMessage', big);
        assert.equal(hash, createHash('sha256')
            .update(JSON.stringify(big)).digest('hex'));
    });
});


test('a clock that is wrong is corrected once', async () => {
    await nginx(stubbed(), async (n) => {
        const late = new Date(Date.now() + 3600_000);

        stub.reset();
        stub.script = [error(403, 'SignatureDoesNotMatch',
            { Date: late.toUTCString() }), json(200, {}), json(200, {}),
        error(403, 'SignatureDoesNotMatch', { Date: late.toUTCString() })];

        assert.equal((await n.call(SQS, 'X')).rc, OK);
        assert.equal((await n.call(SQS, 'X')).rc, OK);
        assert.equal((await n.call(SQS, 'X')).rc, DECLINED);

        const hours = stub.seen.map(({ req }) =>
            req.headers['x-amz-date'].slice(9, 11));

        assert.notEqual(hours[0], hours[1]);
        assert.equal(hours[1], hours[2]);
        assert.equal(stub.seen.length, 4);
        assert.match(n.log(), /differs from AWS's by 3[56]\d\d seconds/);
    });
});


test('nothing listens; a name that does not exist', async () => {
    const port = await freePort();

    await nginx({ ...KEYS, AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
        AWS_ENDPOINT_URL_SNS: 'http://nowhere.invalid' }, async (n) => {
        for (const service of [SQS, SNS]) {
            const r = await n.call(service, 'X');

            assert.equal(r.rc, ERROR);
            assert.equal(r.answer.code, 'NotSent');
            assert.equal('unsure' in r.answer, false);
        }

        for (let i = 0; i < 5; i++) {
            await n.call(SQS, 'X');
        }

        assert.equal(n.log().match(/sqs X failed: NotSent/g).length, 3);
    });
});


test('a call is cancelled; a worker quits with calls in flight', async () => {
    await nginx(stubbed(), async (n) => {
        stub.reset();
        stub.script = [() => {}];

        const r = await n.call(SQS, 'ReceiveMessage',
            { WaitTimeSeconds: 20 }, { timeout: 20000, cancel: 100 });

        assert.equal(r.rc, ERROR);
        assert.equal(r.answer.message, 'cancelled');

        stub.script = [(q, s) => setTimeout(() => s.end('{"late":1}'), 400)];

        const late = n.call(SQS, 'X');

        await until(() => stub.seen.length === 2);
        await n.stop('SIGQUIT');
        assert.deepEqual(await late, { rc: OK, answer: { late: 1 } });
    });

    await nginx(stubbed(), async (n) => {
        stub.reset();
        stub.script = [() => {}];
        n.call(SQS, 'X', {}, { timeout: 60000 }).catch(() => {});
        await until(() => stub.seen.length === 1);
        await n.stop('SIGTERM');
    });
});


test('credentials: instance metadata, and the region from there', async () => {
    const role = '/latest/meta-data/iam/security-credentials/';

    for (const v1 of [false, true]) {
        stub.reset();
        stub.routes = {
            'PUT /latest/api/token': (q, s) => v1
                ? s.writeHead(403).end() : s.end('TOKEN'),
            [`GET ${role}`]: (q, s) => s.end('my-role\n'),
            [`GET ${role}my-role`]: json(200, keys('IMDS', 3600_000)),
            'GET /latest/meta-data/placement/region':
                (q, s) => s.end('eu-west-3'),
        };
        stub.script = [json(200, {}), json(200, {})];

        await nginx({ AWS_EC2_METADATA_SERVICE_ENDPOINT: stub.url,
            AWS_ENDPOINT_URL: stub.url }, async (n) => {
            assert.equal((await n.call(SQS, 'X')).rc, OK);
            assert.equal((await n.call(SQS, 'X')).rc, OK);
            assert.match(n.said(), /region of the instance, .*from instance/);
        });

        const calls = stub.seen.filter(({ req }) => req.url === '/');

        assert.match(calls[0].req.headers.authorization,
            /Credential=IMDS\/\d+\/eu-west-3\/sqs/);
        assert.equal(calls[0].req.headers['x-amz-security-token'],
            'token-IMDS');
        assert.equal(stub.seen.length, 6);
        assert.equal(stub.seen[1].req.headers['x-aws-ec2-metadata-token'],
            v1 ? undefined : 'TOKEN');
    }
});


test('no credentials', async () => {
    stub.reset();
    await nginx({ AWS_EC2_METADATA_SERVICE_ENDPOINT: stub.url,
        AWS_EC2_METADATA_V1_DISABLED: 'true', AWS_REGION: 'us-east-1',
        AWS_ENDPOINT_URL: stub.url }, async (n) => {
        stub.routes = { 'PUT /latest/api/token':
            (q, s) => s.writeHead(404).end() };

        const r = await n.call(SQS, 'X');

        assert.equal(r.rc, ERROR);
        assert.equal(r.answer.code, 'NoCredentials');
        assert.match(n.log(), /could not be fetched/);
    });
});


test('credentials: container, a token file, renewed when refused', async () => {
    let served = 0;

    stub.reset();
    stub.routes = { 'GET /creds?a=b': (q, s) =>
        json(200, keys(`CONT${++served}`, 5 * 60_000))(q, s) };
    stub.script = [json(200, {}), json(200, {}),
        error(400, 'ExpiredTokenException')];

    await nginx({ AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL: stub.url,
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${stub.url}/creds?a=b` },
    async (n) => {
        assert.equal((await n.call(SQS, 'X')).rc, OK);

        /* they end within minutes: used, and not asked for each time */
        assert.equal((await n.call(SQS, 'X')).rc, OK);
        assert.equal(served, 1);

        /* too soon after the last fetch for another one */
        const r = await n.call(SQS, 'X');
        assert.equal(r.answer.code, 'ExpiredTokenException');
    }, { prepare(n) {
        fs.writeFileSync(n.file('token'), 'Bearer xyz\n');
        process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = n.file('token');
    } });

    assert.equal(stub.seen[0].req.headers.authorization, 'Bearer xyz');
    assert.match(stub.seen[1].req.headers.authorization, /CONT1/);
});


test('credentials end by AWS\'s clock', async () => {
    let served = 0;
    const hour = 3600_000;
    const later = () => new Date(Date.now() + hour).toUTCString();

    /* half an hour by our clock, and over by AWS's */
    stub.reset();
    stub.routes = { 'GET /creds': (q, s) => json(200, keys(`LATE${++served}`,
        served === 1 ? hour / 2 : 3 * hour))(q, s) };
    stub.script = [json(200, {}),
        error(403, 'SignatureDoesNotMatch', { Date: later() })];

    await nginx({ AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL: stub.url,
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${stub.url}/creds` },
    async (n) => {
        assert.equal((await n.call(SQS, 'X')).rc, OK);
        assert.equal(served, 1);
        await n.call(SQS, 'X');
        await until(async () => {
            stub.script = [json(200, {})];
            return (await n.call(SQS, 'X')).rc === OK;
        });
    });

    assert.equal(served, 2);
    assert.match(stub.seen.at(-1).req.headers.authorization, /=LATE2\//);
});


test('credentials: web identity', async () => {
    stub.reset();
    stub.script = [(q, s) => s.writeHead(503).end(), (q, s) => {
        const k = keys('WEB', 3600_000);

        s.end('<AssumeRoleWithWebIdentityResponse>'
            + '<AssumeRoleWithWebIdentityResult><Credentials>'
            + Object.entries(k).map(([n, v]) => `<${n}>${v}</${n}>`).join('')
            + '</Credentials></AssumeRoleWithWebIdentityResult>'
            + '</AssumeRoleWithWebIdentityResponse>');
    }, json(200, {})];

    await nginx({ AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL: stub.url,
        AWS_ROLE_ARN: 'arn:aws:iam::1:role/r' }, async (n) => {
        assert.equal((await n.call(SQS, 'X')).rc, OK);
    }, { prepare(n) {
        fs.writeFileSync(n.file('token'), 'ey.J+/=\n');
        process.env.AWS_WEB_IDENTITY_TOKEN_FILE = n.file('token');
    } });

    assert.equal(stub.seen[1].req.headers.authorization, undefined);
    assert.match(stub.seen[1].body, /WebIdentityToken=ey\.J%2B%2F%3D/);
    assert.match(stub.seen[2].req.headers.authorization, /Credential=WEB\//);
});


test('credentials: a profile, read again when refused', async () => {
    const text = (id) => `[p]\naws_access_key_id=${id}\n`
        + 'aws_secret_access_key=secret-of-file\nregion=eu-west-2\n';

    stub.reset();
    await nginx({ AWS_ENDPOINT_URL: stub.url }, async (n) => {
        assert.match(n.said(), /region eu-west-2, credentials from profile/);
        fs.writeFileSync(n.file('.aws/credentials'), text('NEW'));
        stub.script = [error(403, 'InvalidClientTokenId'), json(200, {})];
        assert.equal((await n.call(SQS, 'X')).rc, OK);
        assert.match(stub.seen[0].req.headers.authorization, /=OLD\//);
        assert.match(stub.seen[1].req.headers.authorization, /=NEW\//);
    }, { main: 'aws_test_profile p;', prepare(n) {
        fs.mkdirSync(n.file('.aws'));
        fs.writeFileSync(n.file('.aws/credentials'), text('OLD'));
    } });
});


test('a proxy from the environment', async () => {
    stub.reset();
    stub.routes = { 'POST http://sqs.example/': json(200, { via: 'proxy' }) };

    await nginx({ ...KEYS, http_proxy: stub.url,
        AWS_ENDPOINT_URL: 'http://sqs.example' }, async (n) => {
        assert.deepEqual((await n.call(SQS, 'X')).answer, { via: 'proxy' });
    });
});


test('sockets that get no connection end their calls alone', async () => {
    await nginx(stubbed(), async (n) => {
        n.allow = [/worker_connections are not enough/];
        stub.reset();
        stub.script = Array(40).fill((q, s) =>
            setTimeout(() => s.end('{}'), 500));

        const all = await Promise.all(Array.from({ length: 14 }, () =>
            n.call(SQS, 'X', {}, { timeout: 3000 }).catch(() => null)));

        assert.ok(all.some((r) => r?.rc === OK));

        stub.script = [json(200, { again: 1 })];
        assert.deepEqual((await n.call(SQS, 'X')).answer, { again: 1 });
    }, { connections: 22 });
});
