
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Every body of t/corpus/ as its provider would send it: signed by Twilio's
 * own package, or with the secret of Meta's app, it is taken, or refused as
 * the events beside it say; signed by anybody else it is forbidden.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import twilio from 'twilio';

import { TOP } from '../lib/nginx.mjs';
import { sign } from '../standins/meta.mjs';
import { META, TOKEN, post, scenario } from '../lib/world.mjs';

const TYPE = 'application/x-www-form-urlencoded; charset=UTF-8';


/* the bodies of a provider, each with the status that answers it */
function* corpus(provider, ending) {
    const dir = path.join(TOP, 't/corpus', provider);

    for (const name of fs.readdirSync(dir).sort()) {
        if (name.endsWith('.events.json') || !name.endsWith(ending)) {
            continue;
        }

        const events = JSON.parse(fs.readFileSync(path.join(dir,
            name.replace(ending, '.events.json')), 'utf8'));

        yield [name, fs.readFileSync(path.join(dir, name)),
            events.declined === undefined ? 200 : 400];
    }
}


scenario('each body of Twilio, signed by its own package', {}, async (w) => {
    const url = `${w.twilioHook}?m=th_01.e1`;
    let n = 0;

    for (const [name, body, status] of corpus('twilio', '.form')) {
        const params = {};

        for (const [key, value] of new URLSearchParams(body.toString())) {
            params[key] = key in params ? [params[key], value].flat() : value;
        }

        /* broken escapes and other charsets are nothing that it could sign */

        if (/%(?![0-9A-F]{2})|%E9/.test(body)) {
            continue;
        }

        const ask = (token) => post(url, {
            headers: {
                'content-type': TYPE,
                'x-twilio-signature': twilio.getExpectedTwilioSignature(token,
                    url, params),
            },
            body,
        });

        assert.equal((await ask(TOKEN)).status, status, name);
        assert.equal((await ask(`${TOKEN}x`)).status, 403, name);
        n += 1;
    }

    assert.ok(n >= 40);
});


scenario('each body of Meta, signed with the app secret', {}, async (w) => {
    let n = 0;

    for (const [name, body, status] of corpus('meta', '.json')) {
        const ask = (secret) => post(w.metaHook, {
            headers: {
                'content-type': 'application/json',
                'x-hub-signature-256': sign(secret, body),
            },
            body,
        });

        assert.equal((await ask(META.secret)).status, status, name);
        assert.equal((await ask(`${META.secret}x`)).status, 403, name);
        n += 1;
    }

    assert.ok(n >= 40);
});
