/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Figures that must not grow: the time of a turn, from the webhook's sending
 * to the answer's arrival at Twilio, one turn at a time.  Short and long, few
 * and many take turns, so that the machine's moods hit both.
 */

import crypto from 'node:crypto';
import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';

import { COMPANY, SID, TOKEN, end, engine, freePort, median, sleep }
    from './world.mjs';
import { longThread, manyThreads, pattern, sqlite } from './fill.mjs';
import { sign } from '../t/standins/twilio.mjs';

const ANSWER = JSON.stringify({
    id: 'resp_0123456789abcdef', object: 'response', status: 'completed',
    output: [{
        type: 'message', id: 'msg_1', role: 'assistant', status: 'completed',
        content: [{ type: 'output_text', text: 'Monday at ten, then.',
            annotations: [] }],
    }],
    usage: { input_tokens: 300, output_tokens: 40, total_tokens: 340 },
});


/* providers inside this process: "arrived" is called by each message sent */
class Counterpart {
    static async start() {
        const c = new Counterpart();

        c.arrived = () => { /* nobody waits */ };
        c.port = await freePort();
        c.server = http.createServer({ keepAliveTimeout: 60_000 },
            (req, res) => {
                const send = req.url.startsWith('/2010-04-01/');

                req.resume();
                req.on('end', () => {
                    if (send) {
                        c.arrived();
                    }

                    res.writeHead(send ? 201 : 200,
                        { 'content-type': 'application/json' });
                    res.end(send ? JSON.stringify({
                        sid: `SM${crypto.randomBytes(16).toString('hex')}`,
                        status: 'queued', error_code: null,
                    }) : ANSWER);
                });
            });

        await new Promise((resolve) => {
            c.server.listen(c.port, '127.0.0.1', resolve);
        });
        c.agent = new http.Agent({ keepAlive: true });

        return c;
    }

    /* milliseconds of one turn */
    async turn(nginx, person) {
        const url = `${nginx.url}/webhooks/twilio`;
        const fields = new URLSearchParams({
            AccountSid: SID, ApiVersion: '2010-04-01', NumMedia: '0',
            Body: 'I can start on Monday.', To: COMPANY.sms,
            From: `+4477${String(person).padStart(8, '0')}`,
            MessageSid: `SM${crypto.randomBytes(16).toString('hex')}`,
        });
        const signature = sign(TOKEN, url, fields);
        let late;
        const answered = new Promise((resolve, reject) => {
            late = setTimeout(() => reject(new Error(
                `no answer to person ${person} in 20 s`)), 20_000);
            this.arrived = () => resolve(performance.now());
        });
        const began = performance.now();

        await new Promise((resolve, reject) => {
            const req = http.request(url, { method: 'POST', agent: this.agent,
                headers: {
                    'content-type': 'application/x-www-form-urlencoded',
                    'x-twilio-signature': signature,
                } }, (res) => {
                res.resume();
                res.on('end', () => (res.statusCode < 300 ? resolve()
                    : reject(new Error(`webhook: ${res.statusCode}`))));
            });

            req.on('error', reject);
            req.end(fields.toString());
        });

        const took = await answered - began;

        clearTimeout(late);

        /* what comes after the answer must not fall into the next turn */
        await sleep(15);

        return took;
    }

    close() {
        this.agent.destroy();
        this.server.closeAllConnections();
        this.server.close();
    }
}


/* "a" and "b" give the milliseconds of a turn each */
async function alternate(rounds, turns, a, b) {
    const ours = [];
    const others = [];

    for (let i = 0; i < 10; i++) {
        await a();
        await b();
    }

    for (let i = 0; i < rounds; i++) {
        const one = [];
        const two = [];

        for (let j = 0; j < turns; j++) {
            one.push(await a());
            two.push(await b());
        }

        ours.push(median(one));
        others.push(median(two));
    }

    return { ours, others };
}


/*
 * (7) The short thread is a fresh one for each turn: person 4 and on have had
 * a start and no reply.
 */
export async function longThreads({ rounds, samples, long }) {
    const from = await pattern();
    const file = await longThread(from, long,
        (rounds + 1) * samples + 20);
    const counterpart = await Counterpart.start();
    const nginx = await engine({ at: counterpart.port, from: file });
    let fresh = 4;
    const result = await alternate(rounds, samples,
        () => counterpart.turn(nginx, 3),
        () => counterpart.turn(nginx, fresh++));
    const held = await sqlite(nginx.file('comms.db'), `SELECT count(*)
        FROM messages WHERE thread_id LIKE '%0000003';`);

    await end(nginx);
    counterpart.close();
    fs.rmSync(path.dirname(from), { recursive: true });

    return [{
        figure: `turn ${long} of a thread`, against: 'turn 1', ...result,
        unit: 'ms', budget: 1.1, better: 'low',
        note: `the thread's ${held.trim()} messages, but for those measured, `
            + 'were filled in by SQL',
    }];
}


/* (8) */
export async function threadsStored({ rounds, samples, many }) {
    const from = await pattern();
    const files = [await manyThreads(from, many),
        await manyThreads(from, 1000)];
    const counterpart = await Counterpart.start();
    const big = await engine({ at: counterpart.port, from: files[0] });
    const small = await engine({ at: counterpart.port, from: files[1] });
    const size = fs.statSync(files[0]).size;

    files.forEach((file) => fs.rmSync(file));

    const result = await alternate(rounds, samples,
        () => counterpart.turn(big, 2 + crypto.randomInt(many - 2)),
        () => counterpart.turn(small, 2 + crypto.randomInt(998)));

    await end(big);
    await end(small);
    counterpart.close();
    fs.rmSync(path.dirname(from), { recursive: true });

    return [{
        figure: `a turn with ${many.toLocaleString('en')} threads stored`,
        against: '1,000', ...result, unit: 'ms', budget: 1.5, better: 'low',
        note: `filled in by SQL (${(size / 2 ** 20).toFixed(0)} MB: threads, `
            + 'addresses, 2 messages each); any thread may reply',
    }];
}
