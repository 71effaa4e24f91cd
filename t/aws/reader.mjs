
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What another program reads in the tables is what GET /conversations shows.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { text } from 'node:stream/consumers';

import { TOP } from '../lib/nginx.mjs';

const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';
const HEADER = ['thread_id', 'company_id', 'project_id', 'request_id',
    'ai_conversation_id', 'conversation_status', 'recipient_tel',
    'recipient_email', 'company_name'];
const MESSAGE = ['entry_id', 'role', 'channel', 'content', 'status',
    'provider_message_id', 'message_timestamp'];


function some(names, from) {
    return Object.fromEntries(names.filter((name) => name in from)
        .map((name) => [name, from[name]]));
}


function sorted(messages) {
    return messages.map((m) => some(MESSAGE, m)).sort((a, b) =>
        a.entry_id < b.entry_id ? -1 : 1);
}


async function read(w, layout, ids) {
    const child = spawn(PYTHON, [path.join(TOP, 't/aws/reader.py'),
        w.emulators.options.endpoint, w.emulators.names.table, layout],
    { stdio: ['pipe', 'pipe', 'inherit'] });

    child.stdin.end(ids.join('\n'));

    return JSON.parse(await text(child.stdout));
}


export async function agree(w, layout, ids) {
    const found = await read(w, layout, ids);

    for (const id of ids) {
        const shown = await w.conversation(id);
        const { records, messages } = found[id];

        assert.equal(records.length, layout === 'single' ? 1
            : shown.channel_method.length, `records of ${id}: `
                + records.map((r) => Object.values(r).slice(0, 0)
                    .concat(r.primary_channel, r.conversation_id)));

        for (const record of records) {
            assert.deepEqual(some(HEADER, record), some(HEADER, shown));
        }

        assert.deepEqual(sorted(messages), sorted(shown.messages));
    }
}
