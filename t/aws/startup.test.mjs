
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One machine on AWS: the first conversation, in both layouts.
 */

import assert from 'node:assert/strict';

import { replyTo } from '../standins/sendgrid.mjs';
import { until } from '../lib/world.mjs';
import { LAYOUTS, cloud, idle } from './cloud.mjs';
import { agree } from './reader.mjs';


for (const layout of LAYOUTS) {
    cloud(`${layout}: three channels, one conversation`, { layout },
        async (w) => {
            const begun = await w.opened();

            assert.equal((await w.whatsapp('I can start Monday')).status,
                200);
            await until(() => w.received('whatsapp').length === 2);
            assert.equal((await w.email(replyTo(w.mailTo(),
                { text: 'Mornings suit me' }))).status, 200);
            await until(() => w.received('email').length === 2);
            assert.match(w.received('email')[1].text,
                /WhatsApp: "I can start Monday"[\s\S]*"Mornings suit me"/);
            await idle(w);

            const shown = await w.conversation(begun.thread_id);

            assert.deepEqual(shown.messages.map((m) =>
                `${m.role}:${m.channel}`).slice(3),
            ['user:whatsapp', 'assistant:whatsapp', 'user:email',
                'assistant:email']);
            assert.equal(w.ai.conversations.size, 1);
            assert.equal(w.twilio.messages.length, 3);
            assert.equal(w.sendgrid.mails.length, 2);
            await agree(w, layout, [begun.thread_id]);
        });
}
