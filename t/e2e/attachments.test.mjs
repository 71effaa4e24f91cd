
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Files that come with a mail: kept before the mail is acknowledged, once.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

import { replyTo } from '../standins/sendgrid.mjs';
import { scenario, until } from '../lib/world.mjs';


/* a picture of one dot */
function png() {
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
        const frame = Buffer.alloc(8);

        frame.writeUInt32BE(data.length, 0);
        frame.writeInt32BE(crc(body), 4);

        return Buffer.concat([frame.subarray(0, 4), body,
            frame.subarray(4)]);
    };

    return Buffer.concat([
        Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
        chunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])),
        chunk('IDAT', zlib.deflateSync(Buffer.from([0, 0x7f]))),
        chunk('IEND', Buffer.alloc(0)),
    ]);
}


function crc(bytes) {
    let c = ~0;

    for (const byte of bytes) {
        c ^= byte;

        for (let k = 0; k < 8; k++) {
            c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
        }
    }

    return ~c;
}


function files(dir) {
    return fs.existsSync(dir) ? fs.readdirSync(dir, { withFileTypes: true })
        .flatMap((e) => e.isDirectory() ? files(path.join(dir, e.name))
            : [path.join(dir, e.name)]) : [];
}


function mail(w, attached) {
    return {
        ...replyTo(w.mailTo(), { text: 'Here is my certificate' }),
        files: attached,
    };
}


scenario('a file is kept once, however often its mail comes', {
    nginx: { http: 'comms_media media;' },
}, async (w) => {
    await w.opened({ channels: ['email'] });

    const picture = png();
    const sent = mail(w, [
        { name: 'a.png', type: 'image/png', bytes: picture },
        { name: 'b.png', type: 'image/png', bytes: Buffer.from('MZ no png') },
    ]);

    for (let i = 0; i < 3; i++) {
        const res = await w.email(sent);

        assert.equal(res.status, 200, res.body);
        assert.deepEqual(files(w.nginx.file('media')).map((f) =>
            fs.readFileSync(f)), [picture]);
    }

    await until(() => w.received('email').length === 2);
    await w.idle();
    assert.equal(w.received('email').length, 2);
});


scenario('without a media store the mail is answered all the same', {},
    async (w) => {
        await w.opened({ channels: ['email'] });

        const res = await w.email(mail(w, [
            { name: 'a.png', type: 'image/png', bytes: png() },
        ]));

        assert.equal(res.status, 200, res.body);
        await until(() => w.received('email').length === 2);
    });


scenario('a store that is out of order: the provider sends it again', {
    nginx: { http: 'comms_media media;' },
}, async (w) => {
    await w.opened({ channels: ['email'] });

    const sent = mail(w, [
        { name: 'a.png', type: 'image/png', bytes: png() },
    ]);
    const dir = w.nginx.file('media');

    /* a file where the folder should be: nothing can be written */
    fs.rmSync(dir, { recursive: true, force: true });
    fs.writeFileSync(dir, '');
    w.nginx.allow.push(/\[crit\]/);

    assert.equal((await w.email(sent)).status, 503);
    assert.equal((await w.call('GET', '/comms-status')).json
        .counters.inbound_total, 0);

    fs.rmSync(dir);
    fs.mkdirSync(dir, { mode: 0o700 });
    assert.equal((await w.email(sent)).status, 200);
    assert.equal(files(dir).length, 1);
    await until(() => w.received('email').length === 2);
});
