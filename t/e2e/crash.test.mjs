
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Power cuts, kills, sleeps, reloads and a full disk.  Four books are compared
 * afterwards: what was accepted, what the providers took, what the record
 * says, and what still waits.
 */

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { newSid } from '../standins/twilio.mjs';
import { person, request, scenario, status, until, reason }
    from '../lib/world.mjs';

const CRASHY = {
    visibility: '2s', heartbeat: '500ms', leaseTerm: '2s', maxReceives: 50,
};
const KILLED = [/exited on signal 9/, /was locked by/];
const SEED = process.env.COMMS_SEED ?? String(crypto.randomInt(1e9));


/* the same moments again for the same COMMS_SEED */
function dice(seed) {
    let n = 0;

    return (limit) => crypto.createHash('sha256').update(`${seed}/${n++}`)
        .digest().readUInt32BE() % limit;
}


/* moments are what this file is about, so it may wait for one to come */
function moment(ms) {
    return new Promise((resolve) => { setTimeout(resolve, ms); });
}


/* what a patient caller does: the same request until it is answered */
async function insist(w, document) {
    return until(async () => {
        try {
            const res = await w.initiate(document);

            return res.status === 202 ? res.json : null;
        } catch {
            return null;
        }
    }, 30_000, 'the start is accepted');
}


async function insistReply(w, p, body) {
    const sid = newSid();

    return until(async () => {
        try {
            return (await w.sms(body, { sid, from: p.recipient_tel }))
                .status === 200;
        } catch {
            return false;
        }
    }, 30_000, 'the webhook is accepted');
}


async function audit(w, begun, people, replies) {
    let doubts = 0;

    for (const [n, b] of begun.entries()) {
        const { recipient_tel: tel, recipient_email: email } = people[n];
        const shown = await w.conversation(b.thread_id);
        const firsts = shown.messages.filter((m) => m.role === 'assistant'
            && !/You wrote|You told/.test(m.content));

        for (const channel of b.channels) {
            const state = status(shown, channel);
            const taken = w.received(channel, { tel, email })
                .filter((m) => !/You wrote|You told/.test(m.text)).length;

            assert.ok(['sent', 'unknown'].includes(state),
                `${b.thread_id} ${channel}: ${state}`);
            assert.ok(taken <= 1, `${channel}: sent ${taken} times`);
            assert.ok(state === 'unknown' || taken === 1,
                `${channel}: ${state}, ${taken} sent`);
            doubts += state === 'unknown' ? 1 : 0;
            assert.ok(state === 'sent' || reason(shown, channel));
        }

        checkPaidOnce(w, shown);
        assert.equal(firsts.length, b.channels.length);
        assert.deepEqual(shown.messages.filter((m) => m.role === 'user')
            .map((m) => m.content), replies[n] ?? []);
    }

    const answers = new Set();

    for (const m of w.twilio.messages) {
        assert.ok(!answers.has(m.to + m.text), 'an answer was sent twice');
        answers.add(m.to + m.text);
    }

    assert.deepEqual(w.ai.overlaps, []);

    return doubts;
}


/* no question is in the AI's memory twice */
function checkPaidOnce(w, shown) {
    const asked = w.ai.conversations.get(shown.ai_conversation_id).items
        .filter((i) => i.role === 'user').map((i) => i.content[0].text);

    assert.deepEqual(asked, [...new Set(asked)]);
}


async function run(w, t, { strike, rounds, count,
    slow = 0 }) {
    const random = dice(SEED);
    const people = [...Array(count).keys()].map(person);
    const replies = people.map((_, n) => n % 3 === 0 ? [`reply ${n}`] : []);

    t.diagnostic(`COMMS_SEED=${SEED}`);
    w.nginx.allow.push(...KILLED);
    w.ai.think = () => random(40 + slow);

    if (slow > 0) {
        w.twilio.fault({ delay: slow, times: Infinity });
    }

    const work = Promise.all(people.map(async (p, n) => {
        await moment(random(1500));

        const b = await insist(w, request({
            person: p, channels: ['sms', 'email'],
        }));

        if (replies[n].length > 0) {
            await until(() => w.received('sms', { tel: p.recipient_tel })
                .length > 0, 60_000, 'the first message');
            await insistReply(w, p, replies[n][0]);
        }

        return b;
    }));

    for (let i = 0; i < rounds; i++) {
        await moment(50 + random(400));
        await strike(random);
    }

    const begun = await work;

    await w.idle(150_000);

    const doubts = await audit(w, begun, people, replies);

    t.diagnostic(`${doubts} sends of ${2 * count} are in doubt`);
}


scenario('kill -9 of workers at random moments', {
    timeout: 300_000, nginx: { ...CRASHY, workers: 2 },
}, async (w, t) => {
    await run(w, t, {
        count: 24,
        rounds: 8,
        strike: async (random) => {
            const before = w.nginx.workers();

            if (before.length > 0) {
                w.nginx.killWorker(random(before.length));
                await until(() => w.nginx.workers().length === 2);
            }
        },
    });
});


scenario('kill -9 of all of it at random moments, and a start after it', {
    timeout: 300_000, nginx: { ...CRASHY, workers: 2 },
}, async (w, t) => {
    await run(w, t, {
        count: 24,
        rounds: 5,
        slow: 60,
        strike: async () => {
            await w.nginx.slaughter();
            await w.nginx.start();
        },
    });
});


scenario('a worker that sleeps past its leases', {
    timeout: 300_000, nginx: { ...CRASHY, workers: 2 },
}, async (w, t) => {
    await run(w, t, {
        count: 18,
        rounds: 3,
        strike: async (random) => {
            const pid = w.nginx.workers()[random(2)];

            process.kill(pid, 'SIGSTOP');

            try {
                await moment(3000 + random(1000));
            } finally {
                process.kill(pid, 'SIGCONT');
            }
        },
    });
});


scenario('a reload with a mistake keeps the old configuration', {},
    async (w) => {
        await w.opened({ channels: ['sms'] });

        const before = w.nginx.workers();
        const file = w.nginx.file('projects/acme.json');
        const good = fs.readFileSync(file, 'utf8');

        w.nginx.allow.push(/\[emerg\]/);

        for (const [bad, words] of [
            [good.replace('"pi-aaa-001"', '"pi-aaa-001'), /acme\.json/],
            [good.replace('"allowed_channels"', '"allowed_chanels"'),
                /allowed_chanels/],
            [good.replace('"conversations"', '"forever"'), /state/],
            [good.replace('"twilio-acme"', '"twilio-nobody"'),
                /twilio-nobody/],
        ]) {
            assert.notEqual(bad, good);
            fs.writeFileSync(file, bad);

            const { words: said } = await w.nginx.reload();

            assert.match(said, /acme\.json/);
            assert.match(said, words);
            assert.deepEqual(w.nginx.workers(), before);
            assert.match(await w.nginx.test() ?? '', words);
        }

        await w.opened({ channels: ['sms'] });
        fs.writeFileSync(file, good.replace('"active"', '"inactive"'));
        await w.nginx.reload();
        await until(async () => (await w.initiate(request())).status === 403);
    });


scenario('a reload in the middle loses and doubles nothing', {
    nginx: { workers: 2 }, timeout: 120_000,
}, async (w) => {
    w.ai.think = () => 300;

    const people = [...Array(12).keys()].map(person);
    const begun = [];

    for (const p of people) {
        begun.push(await w.begin({ channels: ['sms'], person: p }));
    }

    const { before } = await w.nginx.reload();

    await Promise.all(begun.map((b) =>
        w.sentOn(b.thread_id, ['sms'], ['sent'], 60_000)));
    assert.equal(w.twilio.messages.length, 12);
    assert.equal(w.ai.calls.length, 12);
    await until(() => w.nginx.workers().every((p) => !before.includes(p)),
        60_000, 'the old workers are gone');
});


scenario('quit lets jobs finish', { timeout: 120_000 }, async (w) => {
    w.ai.think = () => 300;

    const begun = await w.begin({ channels: ['sms'] });

    await until(() => w.ai.running === 1);
    await w.nginx.stop();
    await w.nginx.start();
    await w.sentOn(begun.thread_id, ['sms'], ['sent'], 60_000);
    assert.equal(w.twilio.messages.length, 1);
    assert.equal(w.ai.calls.length, 1);
});


const disk = smallDisk();

scenario('a full disk: 503, and what was accepted stays', {
    skip: disk === null ? 'no small file system can be mounted here' : false,
    nginx: { store: `${disk}/comms.db` },
    timeout: 120_000,
}, async (w) => {
    w.nginx.allow.push(/SQLite|sqlite|database|disk/i);

    try {
        const before = await w.opened({ channels: ['sms'] });
        const filler = path.join(disk, 'filler');

        fill(filler);

        let refused = null;

        await until(async () => {
            const res = await w.initiate(request({
                channels: ['sms'],
                project_data: { padding: 'x'.repeat(100_000) },
            }));

            refused = res.status === 503 ? res : null;

            return refused;
        }, 30_000, 'the disk is full');
        assert.match(refused.json.error_code, /^(QUEUE|DATABASE)_ERROR$/);
        assert.ok(Number(refused.headers['retry-after']) >= 1);

        const hook = await w.sms('x'.repeat(1500));

        assert.ok(hook.status === 200 || hook.status >= 500);
        fs.rmSync(filler);
        assert.equal((await w.conversation(before.thread_id)).thread_id,
            before.thread_id);
        await w.opened({ channels: ['sms'] });
    } finally {
        await w.close();
        execFileSync('umount', [disk]);
        fs.rmdirSync(disk);
    }
});


function smallDisk() {
    if (process.getuid?.() !== 0) {
        return null;
    }

    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'comms-disk-'));

    try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', dir],
            { stdio: 'ignore' });
        return dir;
    } catch {
        fs.rmdirSync(dir);
        return null;
    }
}


function fill(file) {
    const fd = fs.openSync(file, 'w');
    const block = Buffer.alloc(4096, 1);

    try {
        for ( ;; ) {
            fs.writeSync(fd, block);
        }
    } catch (err) {
        assert.equal(err.code, 'ENOSPC');
    } finally {
        fs.closeSync(fd);
    }
}
