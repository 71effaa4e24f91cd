/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The demo tells its story, and leaves nothing behind.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { MODULE, TOP, listens, until } from '../lib/nginx.mjs';

const skip = fs.existsSync(MODULE) ? false : `no module at ${MODULE}`;


function demo(...args) {
    const env = { ...process.env };

    delete env.OPENAI_API_KEY;
    delete env.COMMS_DEMO_AI_URL;

    const child = spawn(process.execPath,
        [path.join(TOP, 'demo/demo.mjs'), ...args],
        { env, stdio: ['ignore', 'pipe', 'inherit'] });

    child.said = '';
    child.stdout.on('data', (d) => { child.said += d; });

    return child;
}


function portOf(said) {
    return Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1]);
}


test('the demo, once', { skip, timeout: 120_000 }, async () => {
    const child = demo('--once');
    const [code] = await once(child, 'exit');

    assert.equal(code, 0, child.said);
    assert.match(child.said, /The AI used both messages/);
    assert.match(child.said, /7 messages on 3 channels, one conversation/);
    assert.match(child.said, /thread th_[0-9A-Z]{26}/);
    assert.ok(!await listens(portOf(child.said)));
});


for (const signal of ['SIGINT', 'SIGTERM']) {
    test(`the demo stays up until ${signal}`, { skip, timeout: 120_000 },
        async () => {
            const child = demo();

            await until(() => /configuration and logs: /.test(child.said),
                60_000, 'the demo has told its story');

            const prefix = /configuration and logs: (\S+)/.exec(child.said)[1];

            assert.ok(await listens(portOf(child.said)));
            child.kill(signal);
            assert.deepEqual(await once(child, 'exit'), [0, null]);
            assert.ok(!await listens(portOf(child.said)));
            assert.ok(!fs.existsSync(prefix));
        });
}
