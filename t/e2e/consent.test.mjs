
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * STOP means stop, at once and on every channel, until START.
 */

import assert from 'node:assert/strict';

import { ADA, request, scenario, until } from '../lib/world.mjs';


scenario('STOP, then 403, then START', {}, async (w) => {
    await w.opened();

    const calls = w.ai.calls.length;

    assert.equal((await w.sms('STOP')).status, 200);
    await w.idle();

    const refused = await w.initiate(request({ channels: ['sms'] }));

    assert.equal(refused.status, 403, refused.body);
    assert.equal(refused.json.error_code, 'RECIPIENT_OPTED_OUT');
    assert.equal(w.ai.calls.length, calls, 'the AI does not answer a STOP');
    assert.equal(w.received('sms').length, 1);

    assert.equal((await w.sms('START')).status, 200);
    await w.idle();

    const again = await w.opened({ channels: ['sms'] });

    assert.deepEqual(again.channels, ['sms']);
    assert.equal(w.received('sms').length >= 2, true);
});


scenario('STOP between accept and send stops the send', {}, async (w) => {
    let release;

    w.ai.fault({
        hold: new Promise((resolve) => { release = resolve; }),
        match: (r) => r.path === '/v1/responses',
    });

    const begun = await w.begin({ channels: ['sms'] });

    await until(() => w.ai.requests.some((r) => r.path === '/v1/responses'));
    assert.equal((await w.sms('stop')).status, 200);
    await until(async () => (await w.initiate(request({ channels: ['sms'] })))
        .status === 403);
    release();

    const shown = await w.sentOn(begun.thread_id, ['sms'], ['cancelled']);

    assert.equal(w.received('sms').length, 0);
    assert.ok(shown);
});


scenario('the provider knows of a STOP that never reached us', {},
    async (w) => {
        w.twilio.refuse[ADA.tel] = 21610;

        const begun = await w.begin({ channels: ['sms'] });

        await w.sentOn(begun.thread_id, ['sms'], ['failed', 'cancelled']);
        assert.equal(w.twilio.requests.length, 1);

        const res = await w.initiate(request({ channels: ['sms'] }));

        assert.equal(res.status, 403);
        assert.equal(res.json.error_code, 'RECIPIENT_OPTED_OUT');
    });


scenario('a word that only looks like STOP is answered', {}, async (w) => {
    await w.opened({ channels: ['sms'] });
    await w.sms('Please stop by at nine');
    await until(() => w.received('sms').length === 2);

    const begun = await w.opened({ channels: ['sms'] });

    assert.ok(begun.thread_id);
});
