
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Projects in DynamoDB and credentials in Secrets Manager, both written by
 * AWS's SDK: a whole conversation, and what becomes of changes.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { API_KEY, MAIL_KEY, SID, TOKEN, project, request, secrets, until }
    from '../lib/world.mjs';
import { replyTo } from '../standins/sendgrid.mjs';
import { cloud, idle } from './cloud.mjs';
import { NAME, TABLE, Kept } from './kept.mjs';


/* requests of the engine, for a secret or to a table */
function fetched(w, operation, what) {
    return w.front.seen.filter((one) => one.operation === operation
        && (what === undefined || [one.body.SecretId, one.body.TableName]
            .includes(what))).length;
}


function kept(name, { term = '1h', ...options }, body) {
    let k;

    cloud(name, {
        tables: { projects: TABLE },
        kept: `comms_projects dynamodb table=${TABLE} term=${term};
            comms_secrets aws prefix=${NAME} term=${term};`,
        ...options,
        prepare: async (emulators) => {
            k = await Kept.start(emulators);
            await options.before?.(k, emulators);
        },
    }, async (w, t) => {
        await body(w, k, t);
        assert.deepEqual(k.manager.wrong, []);
    });
}


/* a file of nginx's in which a secret is */
function leaks(w) {
    const words = [TOKEN, MAIL_KEY, API_KEY].map((word) =>
        Buffer.from(word));

    return fs.readdirSync(w.nginx.prefix, { recursive: true }).filter((name) => {
        const file = path.join(w.nginx.prefix, name);

        if (!fs.statSync(file).isFile() || name === 'secrets.json') {
            return false;
        }

        const bytes = fs.readFileSync(file);

        return words.some((word) => bytes.includes(word));
    });
}


kept('a conversation runs whole; each thing is fetched once', {},
    async (w, k, t) => {
        if (!k.manager.described) {
            t.diagnostic('no official description of Secrets Manager: '
                + 'set COMMS_API_SPECS');
        }

        const begun = await w.opened();

        assert.equal((await w.whatsapp('I can start Monday')).status, 200);
        await until(() => w.received('whatsapp').length === 2);
        assert.equal((await w.email(replyTo(w.mailTo(),
            { text: 'Mornings suit me' }))).status, 200);
        await until(() => w.received('email').length === 2);
        await idle(w);
        await w.opened();

        assert.equal((await w.conversation(begun.thread_id)).company_name,
            'Acme Care');

        /* current and previous version, of one worker */
        for (const id of Object.keys(secrets())) {
            assert.equal(fetched(w, 'GetSecretValue', NAME + id), 2, id);
        }

        assert.equal(fetched(w, 'ListSecrets'), 1);
        assert.equal(fetched(w, 'GetItem', TABLE), 1);
        assert.equal(fetched(w, 'Query', TABLE), 1);

        /* in memory only: neither log nor journal nor any other file */
        assert.deepEqual(leaks(w), []);
        assert.match(w.nginx.log(), new RegExp('comms secrets are connected: '
            + `aws, ${Object.keys(secrets()).length} secrets "comms/\\*"`));
        assert.doesNotMatch(w.nginx.log(), /\[error\]/);
        assert.match(w.nginx.log(), new RegExp('comms projects are connected: '
            + `dynamodb, table "${TABLE}" with its index`));
    });


kept('what is known is refreshed behind the callers', { term: '2s' },
    async (w, k) => {
        await w.opened();
        await k.project(project({ company_name: 'Acme Nursing' }));

        /* asked all the time, so it is never waited for; and it changes */
        await until(async () => {
            const { json } = await w.initiate(request({ channels: ['sms'] }));

            await w.sentOn(json.thread_id, ['sms']);

            return (await w.conversation(json.thread_id)).company_name
                === 'Acme Nursing';
        }, 20_000, 'the new name');

        /* the project is paused, and nothing starts any more */
        await k.project(project({ project_status: 'inactive' }));
        await until(async () => (await w.initiate(request({
            channels: ['sms'] }))).json.error_code === 'PROJECT_INACTIVE',
        20_000, 'the project is paused');
    });


kept('what is not there is asked for once in a while', {}, async (w) => {
    const unknown = () => w.call('POST', '/initiate-conversation',
        { key: 'a-key-that-nobody-has-0123456789', body: request() });
    const other = request();

    other.company_data.project_id = 'pi-zzz-999';

    for (let i = 0; i < 5; i++) {
        assert.equal((await unknown()).status, 401);
        assert.equal((await w.initiate(other)).json.error_code,
            'COMPANY_NOT_FOUND');
    }

    /* one for the wrong key and one for the right one */
    assert.equal(fetched(w, 'Query', TABLE), 2);
    assert.equal(fetched(w, 'GetItem', TABLE), 1);
});


kept('a rotated secret: a 401 fetches it anew, once', {}, async (w, k) => {
    await w.opened();

    /* the old key is worth nothing any more, an hour before the term ends */
    const key = 'SG.rotated-secret-key';

    w.sendgrid.keys.splice(0, 1, key);
    await k.rotate('sendgrid-acme', { ...secrets()['sendgrid-acme'],
        api_key: key });

    const { json } = await w.initiate(request({ channels: ['email'] }));

    await w.sentOn(json.thread_id, ['email'], ['sent'], 30_000);
    assert.equal(fetched(w, 'GetSecretValue', `${NAME}sendgrid-acme`), 4);

    /* a token: what the previous one signed is verified meanwhile */
    const token = 'rotated9012345678901234567890123';

    await k.rotate('twilio-acme', { provider: 'twilio', account_sid: SID,
        auth_token: token });
    w.twilio.accounts[SID] = { token };

    const second = (await w.initiate(request({ channels: ['sms'] }))).json;

    await w.sentOn(second.thread_id, ['sms'], ['sent'], 30_000);
    assert.equal((await w.sms('signed by the old one',
        { token: TOKEN })).status, 200);
    assert.equal((await w.sms('signed by the new one', { token })).status,
        200);
    assert.equal((await w.sms('signed by nobody',
        { token: 'x'.repeat(32) })).status, 403);

    /* a provider that goes on refusing does not make us ask for ever */
    w.sendgrid.keys.splice(0, 1, 'SG.of-somebody-else');

    const third = (await w.initiate(request({ channels: ['email'] }))).json;

    await w.sentOn(third.thread_id, ['email'], ['failed'], 30_000);
    assert.ok(fetched(w, 'GetSecretValue', `${NAME}sendgrid-acme`) <= 6);
});


kept('throttled, and it is only later', {
    faults: [{ operation: 'GetSecretValue', kind: 'throttle', times: 2 },
        { operation: 'Query', kind: 'throttle', times: 1 }],
}, async (w) => {
    await w.opened();
    assert.deepEqual(w.front.faults.map((f) => f.times), [0, 0]);
});


kept('a permission that is missing is named once', {
    faults: [{ operation: 'GetSecretValue', kind: 'denied', times: 1e6 }],
}, async (w) => {
    const said = () => w.nginx.log().split('\n').filter((line) =>
        /secret "comms\/openai-main" could not be read/.test(line));

    const { json } = await w.initiate(request({ channels: ['sms'] }));

    await until(() => fetched(w, 'GetSecretValue', `${NAME}openai-main`) >= 3,
        30_000, 'it was asked for again');
    assert.equal(said().length, 1);
    assert.match(said()[0], new RegExp('\\(AccessDeniedException\\): the '
        + 'credentials must allow secretsmanager:GetSecretValue on it'));

    /* it is given, and the start that was accepted goes on */
    w.front.faults.length = 0;
    await w.sentOn(json.thread_id, ['sms'], ['sent'], 60_000);
});
