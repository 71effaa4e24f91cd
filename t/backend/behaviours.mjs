
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The behaviour suite of store and bus: one list, run against each backend.
 *
 *   make -f t/backend/backend.mk check
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Backend, chosen } from './backend.mjs';
import { behaviours as bus } from './bus.mjs';
import { behaviours as erase } from './erase.mjs';
import { behaviours as embedded } from './embedded.mjs';
import { behaviours as store } from './store.mjs';
import { behaviours as turn } from './turn.mjs';
import { behaviours as survival } from './survival.mjs';


for (const [name, spec] of chosen()) {

    /* what one of them alone can do, or get wrong */
    const own = spec.layout
        ? (await import('./dynamodb.mjs')).behaviours : embedded;

    for (const [room, behaviours] of Object.entries(
        { bus, store, turn, erase, own })) {

        describe(`${name}: ${room}`, () => {
            let backend;

            before(async () => { backend = await Backend.start(spec); });

            after(async () => {
                await backend.stop();
                assert.deepEqual(backend.complaints(), []);
                backend.remove();
            });

            for (const [what, behave] of Object.entries(behaviours)) {
                it(what, { timeout: 60_000 }, () => behave(backend));
            }
        });
    }

    /* each of these has an nginx of its own, because it breaks it */

    describe(`${name}: survival`, () => {
        for (const [what, behave] of Object.entries(survival)) {
            it(what, { timeout: 120_000 }, async (t) => {
                const backend = await Backend.start(spec);

                try {
                    await behave(backend, t);
                } finally {
                    await backend.stop();
                }

                assert.deepEqual(backend.complaints(), []);
                backend.remove();
            });
        }
    });
}
