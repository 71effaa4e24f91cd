
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What people send besides words: fetched with the credentials, kept, named
 * by the record, and given to those who may read the conversation.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

import { SID, TOKEN, scenario, until } from '../lib/world.mjs';

const PNG = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'),
    crypto.randomBytes(3000)]);
const BASIC = `Basic ${Buffer.from(`${SID}:${TOKEN}`).toString('base64')}`;
const KEEPS = 'comms_media media max_size=100k max_total=200k;';


/* a server of media; each path has what it answers with */
async function files(answers, host = '127.0.0.1') {
    const requests = [];
    const server = http.createServer((req, res) => {
        requests.push({ path: req.url, headers: req.headers });

        const { status = 200, headers = {}, body = '' } =
            answers[req.url] ?? { status: 404 };

        res.writeHead(status, headers);
        res.end(body);
    });

    await new Promise((resolve) => { server.listen(0, host, resolve); });

    return {
        requests,
        answers,
        url: `http://${host}:${server.address().port}`,
        close: () => new Promise((resolve) => {
            server.closeAllConnections();
            server.close(resolve);
        }),
    };
}


const media = (...list) => list.reduce((extra, [url, type], i) => ({
    ...extra, [`MediaUrl${i}`]: url, [`MediaContentType${i}`]: type,
}), { NumMedia: String(list.length) });


/* the message that the person sent, when it is in the record */
async function received(w, threadId, n = 1) {
    return until(async () => {
        const record = await w.conversation(threadId);
        const mine = record.messages.filter((m) => m.role === 'user');

        return mine.length >= n ? mine[n - 1] : null;
    }, 20_000, 'the message is in the record');
}


scenario('a picture is kept and can be read', {
    nginx: { http: `${KEEPS} comms_fetch_allow 127.0.0.1;` },
}, async (w) => {
    const from = await files({
        '/a': { status: 302, headers: { location: '/b' } },
        '/b': { headers: { 'content-type': 'image/png' }, body: PNG },
    });

    try {
        const { thread_id } = await w.opened({ channels: ['sms'] });

        await w.sms('Look', { extra: media([`${from.url}/a`, 'image/png']) });

        const message = await received(w, thread_id);
        const [note] = message.media;

        assert.equal(note.state, 'kept');
        assert.equal(note.content_type, 'image/png');
        assert.equal(note.size, PNG.length);
        assert.equal(note.sha256,
            crypto.createHash('sha256').update(PNG).digest('hex'));
        assert.equal(from.requests[0].headers.authorization, BASIC);

        const at = `/conversations/${thread_id}/media/${note.media_id}`;
        const res = await fetch(w.url + at,
            { headers: { 'x-api-key': 'key-of-the-scenarios-0123456789' } });

        assert.equal(res.status, 200);
        assert.ok(PNG.equals(Buffer.from(await res.arrayBuffer())));
        assert.equal(res.headers.get('content-type'), 'image/png');
        assert.equal(res.headers.get('x-content-type-options'), 'nosniff');
        assert.match(res.headers.get('content-disposition'), /^attachment;/);

        /* nobody else */
        assert.equal((await w.call('GET', at, { key: 'another' })).status,
            401);
        assert.equal((await w.call('GET', at, { key: null })).status, 401);

        for (const id of [note.media_id.replace(/.$/, '0'), '../../secrets',
            `${note.media_id}0`, 'md_', '%2e%2e%2f%2e%2e%2fsecrets.json'])
        {
            const other = await w.call('GET',
                `/conversations/${thread_id}/media/${id}`);

            assert.ok(other.status === 404 || id === note.media_id, id);
        }

        /* and the conversation went on */
        await until(() => w.received('sms').length === 2, 10_000, 'an answer');
        await w.idle();

        const kept = fs.readdirSync(w.nginx.file('media'), { recursive: true })
            .filter((f) => fs.statSync(w.nginx.file(path.join('media', f)))
                .isFile());

        assert.equal(kept.length, 1);
        assert.equal(fs.statSync(w.nginx.file(path.join('media', kept[0])))
            .mode & 0o777, 0o600);
    } finally {
        await from.close();
    }
});


scenario('what is not kept has a reason, and the conversation goes on', {
    nginx: { http: `${KEEPS} comms_fetch_allow 127.0.0.1;` },
}, async (w) => {
    const inside = await files({ '/x': { body: PNG } }, '127.0.0.2');
    const from = await files({
        '/big': { headers: { 'content-type': 'image/png' },
            body: Buffer.concat([PNG, Buffer.alloc(200_000)]) },
        '/html': { headers: { 'content-type': 'text/html' },
            body: '<html><script>alert(1)</script>' },
        '/away': { status: 302, headers: { location: `${inside.url}/x` } },
        '/meta': { status: 302,
            headers: { location: 'http://169.254.169.254/latest/' } },
        '/file': { status: 302, headers: { location: 'file:///etc/passwd' } },
        '/round': { status: 302, headers: { location: '/round' } },
        '/busy': { status: 503 },
    });

    try {
        const { thread_id } = await w.opened({ channels: ['sms'] });

        await w.sms('Look at these', { extra: media(
            [`${from.url}/big`, 'image/png'],
            [`${from.url}/html`, 'text/html'],
            [`${from.url}/none`, 'image/png'],
            [`${from.url}/away`, 'image/png'],
            [`${from.url}/meta`, 'image/png'],
            [`${from.url}/file`, 'image/png'],
            [`${from.url}/round`, 'image/png'],
            [`${from.url}/busy`, 'image/png'],
            [`${inside.url}/x`, 'image/png'],
        ) });

        const message = await received(w, thread_id);

        assert.deepEqual(message.media.map((m) => [m.state, m.reason]), [
            ['refused', 'size'], ['refused', 'type'],
            ['refused', 'not_found'], ['refused', 'address'],
            ['refused', 'address'], ['refused', 'unreachable'],
            ['refused', 'unreachable'], ['refused', 'unavailable'],
            ['refused', 'address'],
        ]);
        assert.equal(inside.requests.length, 0, 'an address was reached');
        assert.equal(from.requests.filter((r) => r.path === '/busy').length,
            3);

        await until(() => w.received('sms').length === 2, 10_000, 'an answer');
        await w.idle();
    } finally {
        await from.close();
        await inside.close();
    }
});


scenario('the credentials stay with the host they are for', {
    nginx: { http: `${KEEPS} comms_fetch_allow 127.0.0.0/8;` },
}, async (w) => {
    const other = await files({
        '/b': { headers: { 'content-type': 'image/png' }, body: PNG },
    }, '127.0.0.2');
    const from = await files({
        '/a': { status: 307, headers: { location: `${other.url}/b` } },
    });

    try {
        const { thread_id } = await w.opened({ channels: ['sms'] });

        await w.sms('Look', { extra: media([`${from.url}/a`, 'image/png']) });

        const { media: [note] } = await received(w, thread_id);

        assert.equal(note.state, 'kept');
        assert.equal(from.requests[0].headers.authorization, BASIC);
        assert.equal(other.requests[0].headers.authorization, undefined);
    } finally {
        await from.close();
        await other.close();
    }
});


scenario('without comms_media nothing is fetched', {
    nginx: { http: 'comms_fetch_allow 127.0.0.1;' },
}, async (w) => {
    const from = await files({ '/a': { body: PNG } });

    try {
        const { thread_id } = await w.opened({ channels: ['sms'] });

        await w.sms('Look', { extra: media([`${from.url}/a`, 'image/png']) });

        const { media: [note] } = await received(w, thread_id);

        assert.deepEqual([note.state, note.reason], ['refused', 'not_kept']);
        assert.equal(from.requests.length, 0);
    } finally {
        await from.close();
    }
});
