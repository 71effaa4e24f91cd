
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Credentials that end: the workers of a machine renew them one at a time,
 * and a source that fails takes nothing away.
 */

import assert from 'node:assert/strict';
import http from 'node:http';

import { until } from '../lib/world.mjs';
import { cloud } from './cloud.mjs';
import { KEYS } from './front.mjs';
import { ENVIRONMENT } from './emulators.mjs';

const WORKERS = 4;


/* a container's endpoint; each answer takes a while, so that two would meet */
class Source {
    constructor() {
        this.served = 0;
        this.failed = 0;
        this.now = 0;
        this.most = 0;
        this.broken = false;
        this.life = 14_000;
        this.server = http.createServer((request, response) => {
            this.now++;
            this.most = Math.max(this.most, this.now);
            setTimeout(() => { this.now--; this.answer(response); }, 150);
        });
    }

    answer(response) {
        if (this.broken) {
            this.failed++;
            response.writeHead(500).end();
            return;
        }

        response.end(JSON.stringify({
            AccessKeyId: KEYS.accessKeyId,
            SecretAccessKey: KEYS.secretAccessKey,
            Token: `session-${++this.served}`,
            Expiration: new Date(Date.now() + this.life).toISOString(),
        }));
    }

    async start() {
        await new Promise((resolve) => {
            this.server.listen(0, '127.0.0.1', resolve);
        });

        return `http://127.0.0.1:${this.server.address().port}/keys`;
    }

    async stop() {
        this.server.closeAllConnections();
        await new Promise((resolve) => { this.server.close(resolve); });
    }
}


const source = new Source();
const { AWS_REGION, AWS_EC2_METADATA_DISABLED } = ENVIRONMENT;
const AWS_CONTAINER_CREDENTIALS_FULL_URI = await source.start();

cloud('workers renew one at a time; a failure keeps the valid keys', {
    nginx: { workers: WORKERS, env: { AWS_REGION, AWS_EC2_METADATA_DISABLED,
        AWS_CONTAINER_CREDENTIALS_FULL_URI } },
    timeout: 120_000,
}, async (w, t) => {
    t.after(() => source.stop());

    await w.opened();
    await until(() => source.served >= WORKERS, 10_000, 'each has keys');
    assert.equal(source.most, 1);

    /* they end soon, so they are renewed all the time */
    await until(() => source.served >= 2 * WORKERS, 30_000, 'renewed');
    assert.equal(source.most, 1);

    /* the source is away: calls go out with what is valid still */
    source.broken = true;
    source.failed = 0;
    await until(() => source.failed >= 3, 20_000, 'a failed renewal');

    const before = w.front.seen.length;

    await until(() => w.front.seen.length > before + 10, 5_000,
        'calls go on');

    const numbers = w.front.seen.slice(before).map(({ token }) =>
        Number(token.slice('session-'.length)));

    assert.ok(numbers.every((n) => n >= 1 && n <= source.served));

    /* and it is back */
    const served = source.served;

    source.broken = false;
    source.life = 3600_000;
    await until(() => w.front.seen.at(-1).token
        === `session-${source.served}` && source.served > served, 30_000,
    'new keys are used');
    assert.equal(source.most, 1);
});
