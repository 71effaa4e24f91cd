
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What went wrong once, or was about to: each scenario is a moment at which a
 * message could have been lost, doubled, or left without an end.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

import { API_KEY, COMPANY, SID, TOKEN, person, project, reason, request,
    scenario, status, until } from '../lib/world.mjs';


/* nobody else can write to the database until the function is called */
async function lock(w) {
    const child = spawn('sqlite3', [w.nginx.file('comms.db')]);

    child.stdin.write('.timeout 5000\nBEGIN IMMEDIATE;\n.print locked\n');
    await once(child.stdout, 'data');

    return async () => {
        child.stdin.end('ROLLBACK;\n');
        await once(child, 'exit');
    };
}


function sql(w, text) {
    return execFileSync('sqlite3', [w.nginx.file('comms.db')],
        { encoding: 'utf8', input: `.timeout 20000\n${text};\n` });
}


function moment(ms) {
    return new Promise((resolve) => { setTimeout(resolve, ms); });
}


scenario('a gate that answers too late leaves no send in doubt', {
    nginx: { http: 'comms_store_timeout 1s;', visibility: '60s' },
    timeout: 180_000,
}, async (w) => {
    w.nginx.allow.push(/database|SQLite/);
    await w.opened({ channels: ['sms'], person: person(1) });

    /* writing the intent down takes some seconds */

    sql(w, `CREATE TRIGGER slow BEFORE INSERT ON effects
        WHEN new.kind = 'send' BEGIN
            SELECT (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL
                SELECT n + 1 FROM c LIMIT 12000000) SELECT max(n) FROM c);
        END`);

    const begun = await w.begin({ channels: ['sms'], person: person(2) });

    await until(() => w.twilio.messages.length === 2, 60_000, 'it is sent');
    sql(w, 'DROP TRIGGER slow');
    await w.sentOn(begun.thread_id, ['sms']);
    await w.idle();
    assert.equal(w.twilio.messages.length, 2);
});


scenario('what a provider said outlives a store that is down', {
    nginx: {
        http: 'comms_store_timeout 1s;', visibility: '60s', maxReceives: 20,
    },
    timeout: 180_000,
}, async (w) => {
    let answer;

    w.nginx.allow.push(/database|SQLite/);
    w.twilio.fault({ hold: new Promise((resolve) => { answer = resolve; }) });

    const begun = await w.begin({ channels: ['sms'] });

    await until(() => w.twilio.requests.length === 1);

    const unlock = await lock(w);

    answer();
    await moment(16_000);
    await unlock();

    const shown = await w.sentOn(begun.thread_id, ['sms'], ['sent', 'unknown',
        'failed'], 60_000);

    assert.equal(status(shown, 'sms'), 'sent', reason(shown, 'sms'));
    assert.ok(shown.messages.some((m) => m.provider_message_id));
    assert.equal(w.twilio.messages.length, 1);
});


scenario('a turn that sends an earlier answer still answers its own', {},
    async (w) => {
        await w.opened({ channels: ['sms'] });
        await w.sms('the first question');
        await until(() => w.received('sms').length === 2);
        await w.idle();

        /* its turn ended before the send, and its queue message has died */

        await w.nginx.stop();
        sql(w, `DELETE FROM effects WHERE effect_id IN (SELECT 'send:' ||
            entry_id FROM messages WHERE turn_id IS NOT NULL);
            UPDATE messages SET status = 'pending', message = json_set(message,
            '$.status', 'pending') WHERE turn_id IS NOT NULL`);
        await w.nginx.start();

        await w.sms('the second question');
        await until(() => w.received('sms').length === 4, 20_000);
        assert.match(w.received('sms')[2].text, /first question/);
        assert.match(w.received('sms')[3].text, /second question/);
        await w.idle();
    });


scenario('an earlier answer that is refused does not cost the next one', {
    nginx: { maxReceives: 3 },
}, async (w) => {
    await w.opened({ channels: ['sms'] });
    await w.sms('the first question');
    await until(() => w.received('sms').length === 2);
    await w.idle();
    await w.nginx.stop();
    sql(w, `DELETE FROM effects WHERE effect_id IN (SELECT 'send:' || entry_id
        FROM messages WHERE turn_id IS NOT NULL);
        UPDATE messages SET status = 'pending', message = json_set(message,
        '$.status', 'pending') WHERE turn_id IS NOT NULL`);
    await w.nginx.start();

    w.twilio.fault({
        status: 400, body: { code: 30007, message: 'Filtered', status: 400 },
        match: (r) => r.body.includes('first'),
    });
    await w.sms('the second question');
    await until(() => w.received('sms').some((m) =>
        /second question/.test(m.text)), 20_000);
    await w.idle();
    assert.equal(w.received('sms').length, 3);
});


scenario('a first message that dies in the queue has an end in the record', {
    nginx: { maxReceives: 2 },
}, async (w) => {
    w.twilio.fault({
        status: 429, headers: { 'retry-after': '3' }, times: Infinity,
        body: { code: 20429, message: 'Too Many', status: 429 },
    });

    const begun = await w.begin({ channels: ['sms'] });

    await until(() => w.twilio.requests.length === 1);

    /* the project is gone when its turn comes again */

    w.nginx.configure({
        projects: { acme: project({ project_id: 'pi-bbb-001' }) },
    });
    await w.nginx.reload();

    const shown = await w.sentOn(begun.thread_id, ['sms'], ['failed'],
        60_000);

    assert.equal(reason(shown, 'sms'), 'gave_up');
    await until(async () => (await w.conversation(begun.thread_id))
        .conversation_status === 'failed');
    assert.equal(w.twilio.messages.length, 0);
    await until(() => sql(w, 'SELECT queue, reason FROM dead_letters')
        .startsWith('sms|received 2 times, last: project is not configured'));
});


scenario('an account under two names is the company\'s under each', {
    secrets: {
        'zz-name': {
            provider: 'twilio', account_sid: SID, auth_token: TOKEN,
        },
    },
    project: {
        channel_config: {
            ...project().channel_config,
            sms: { ...project().channel_config.sms, credentials_id: 'zz-name' },
        },
    },
}, async (w) => {
    await w.opened({ channels: ['sms', 'whatsapp'] });
    await w.whatsapp('on the first name');
    await until(() => w.received('whatsapp').length === 2);
    assert.equal((await w.sms('who is it?')).status, 200);
    await until(() => w.received('sms').length === 2);
    await w.idle();
    assert.match(w.received('sms')[1].text, /who is it/);
    assert.equal(w.received('sms')[1].from, COMPANY.sms);
});


/* sends bytes as they are, and gives all that comes back in "ms" */
async function raw(w, chunks, ms = 1500) {
    const socket = net.connect(w.nginx.port, '127.0.0.1');
    let text = '';

    socket.setEncoding('utf8');
    socket.on('data', (data) => { text += data; });
    socket.on('error', () => {});
    await once(socket, 'connect');

    for (const chunk of chunks) {
        socket.write(chunk);
    }

    await moment(ms);
    socket.destroy();

    return text;
}


function statuses(text) {
    return [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1]);
}


scenario('bodies in the smallest chunks are bodies like others', {},
    async (w) => {
        const body = JSON.stringify(request({
            channels: ['sms'], project_data: { padding: 'x'.repeat(250_000) },
        }));
        const chunked = [...body].map((c) => `1\r\n${c}\r\n`).join('');
        const head = 'Host: localhost\r\nConnection: close\r\n'
            + 'Transfer-Encoding: chunked\r\n';

        const answer = await raw(w, ['POST /initiate-conversation HTTP/1.1\r\n'
            + `${head}x-api-key: ${API_KEY}\r\n\r\n`, chunked, '0\r\n\r\n'],
        3000);

        assert.deepEqual(statuses(answer), ['202'], answer);

        const hook = await raw(w, [`POST /webhooks/twilio HTTP/1.1\r\n${head}`
            + 'Content-Type: application/x-www-form-urlencoded\r\n\r\n',
        chunked, '0\r\n\r\n'], 3000);

        assert.deepEqual(statuses(hook), ['403'], hook);

        /* one byte above client_max_body_size */

        const large = await raw(w, [`POST /webhooks/twilio HTTP/1.1\r\n${head}`
            + '\r\n', `100001\r\n${'x'.repeat(0x100001)}\r\n0\r\n\r\n`], 3000);

        assert.deepEqual(statuses(large), ['413'], large);
        assert.match(large, /PAYLOAD_TOO_LARGE/);
    });


scenario('pipelined requests are each answered, in their order', {},
    async (w) => {
        const good = JSON.stringify(request({ channels: ['sms'] }));
        const post = (body) => 'POST /initiate-conversation HTTP/1.1\r\n'
            + `Host: localhost\r\nx-api-key: ${API_KEY}\r\n`
            + `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
        const get = (method, path) => `${method} ${path} HTTP/1.1\r\n`
            + 'Host: localhost\r\n\r\n';

        const answer = await raw(w, [post('{"a":') + get('GET',
            '/conversations?x=%') + post(good) + get('HEAD', '/conversations')
            + get('PUT', '/webhooks/twilio') + post('[]') + post(good)]);

        assert.deepEqual(statuses(answer),
            ['400', '401', '202', '401', '405', '400', '202'], answer);
        await until(() => w.received('sms').length === 1);
        await w.idle();
        assert.equal(w.received('sms').length, 1);
    });


scenario('a client that waits and goes away takes nothing with it', {},
    async (w) => {
        let think;

        w.ai.fault({
            hold: new Promise((resolve) => { think = resolve; }),
            match: (r) => r.path === '/v1/responses',
        });

        const body = JSON.stringify(request({ channels: ['sms'] }));
        const waiting = async () => (await w.call('GET', '/comms-status'))
            .json.gauges.waiting_requests;

        const gone = raw(w, ['POST /initiate-conversation HTTP/1.1\r\n'
            + `Host: localhost\r\nx-api-key: ${API_KEY}\r\nPrefer: wait=15\r\n`
            + `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`]);

        await until(async () => await waiting() === 1, 5000, 'it waits');
        assert.equal(await gone, '');
        await until(async () => await waiting() === 0, 5000, 'it has gone');
        think();
        await until(() => w.received('sms').length === 1);
        await w.idle();
    });


const BROKEN = `CREATE TRIGGER broken BEFORE INSERT ON effects
    WHEN new.kind = 'ai' BEGIN SELECT RAISE(ROLLBACK, 'broken'); END`;


scenario('a start that dies in the queue has an end in the record', {
    nginx: { maxReceives: 2 },
}, async (w) => {
    w.nginx.allow.push(/database|SQLite/);
    await w.opened({ channels: ['sms'], person: person(1) });
    sql(w, BROKEN);

    const begun = await w.begin({ channels: ['sms', 'email'] });
    /* who reads in the group of a write that fails is told to come again */

    const shown = await until(async () => {
        try {
            return await w.sentOn(begun.thread_id, begun.channels, ['failed'],
                2000);
        } catch (err) {
            return null;
        }
    }, 30_000, 'it has failed');

    assert.equal(shown.conversation_status, 'failed');
    await w.idle();
});


scenario('a reply that dies in the queue is left to a human', {
    nginx: { maxReceives: 2 },
}, async (w) => {
    w.nginx.allow.push(/database|SQLite/);

    const begun = await w.opened({ channels: ['sms'] });

    await w.idle();
    sql(w, BROKEN);
    await w.sms('does anybody read this?');

    const shown = await until(async () => {
        const { status, json } = await w.call('GET',
            `/conversations/${begun.thread_id}`);

        return status === 200 && json.hand_off_to_human ? json : null;
    }, 30_000, 'a human is asked');

    assert.match(shown.messages.at(-1).content, /does anybody/);
    await w.idle();
});
