
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The visibility of each queue is the queue's own, unless configured.
 */

import assert from 'node:assert/strict';

import { until } from '../lib/world.mjs';
import { cloud } from './cloud.mjs';
import { PREFIX } from './emulators.mjs';

const OWN = { open: 45, reply: 60, whatsapp: 905, sms: 600, email: 6 };


/* the visibilities that requests of an operation named, for the queues above */
function asked(w, operation) {
    const found = {};

    for (const { operation: name, body } of w.front.seen) {
        if (name !== operation) {
            continue;
        }

        const queue = body.QueueUrl.split('/').at(-1).slice(PREFIX.length);

        for (const entry of body.Entries ?? [body]) {
            (found[queue] ??= new Set()).add(entry.VisibilityTimeout);
        }
    }

    return Object.fromEntries(Object.keys(OWN).filter((q) => q in found)
        .map((queue) => [queue, [...found[queue]].sort((a, b) => a - b)]));
}


cloud('each queue is hidden and extended for its own time', {
    queues: OWN,
    nginx: { visibility: null, heartbeat: null, waitingFor: {
        whatsapp: { heartbeat: '1s' }, sms: { heartbeat: '1s' } } },
}, async (w) => {
    /* providers that take their time, so that there is something to extend */
    w.twilio.fault({ delay: 3500, times: 3 });
    w.sendgrid.fault({ delay: 3500 });

    await w.opened();
    assert.deepEqual(asked(w, 'ReceiveMessage'), Object.fromEntries(
        Object.entries(OWN).map(([queue, n]) => [queue, [n]])));

    /* a third of six seconds has passed twice; that of the others not once */
    assert.deepEqual(asked(w, 'ChangeMessageVisibilityBatch'),
        { whatsapp: [905], sms: [600], email: [6] });
});


cloud('a visibility that is configured wins; one that cannot be read is 60', {
    queues: OWN,
    faults: [{ operation: 'GetQueueAttributes', kind: 'denied', times: 100 }],
    nginx: { visibility: null, heartbeat: null,
        waitingFor: { email: { visibility: '30s' } } },
}, async (w) => {
    await w.opened();
    assert.deepEqual(asked(w, 'ReceiveMessage'),
        { open: [60], reply: [60], whatsapp: [60], sms: [60], email: [30] });
    assert.match(w.nginx.log(), new RegExp('the visibility of the SQS queue '
        + '"comms-sms" could not be read \\(AccessDenied[A-Za-z]*\\)'));
});
