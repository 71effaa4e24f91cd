/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the webhook is compared with: node's own HTTP server (fastify is a
 * layer above it), the official twilio package for the signature, node:sqlite
 * with the module's durability: WAL, synchronous=FULL, dedupe record and queue
 * row in one transaction, 204 after the commit.
 *
 * BENCH_SHARE=1: requests that came in one turn of the event loop share a
 * commit, as they do in the module.  Without it each has its own, which is
 * how such programs are usually written.
 */

import http from 'node:http';
import querystring from 'node:querystring';
import { DatabaseSync } from 'node:sqlite';
import twilio from 'twilio';

const { BENCH_PORT, BENCH_DB, BENCH_URL, BENCH_TOKEN, BENCH_SHARE }
    = process.env;
const db = new DatabaseSync(BENCH_DB);

db.exec(`
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE inbound (
    inbound_id INTEGER PRIMARY KEY, dedupe_id TEXT NOT NULL UNIQUE,
    company_address TEXT NOT NULL, person_address TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', received_at INTEGER NOT NULL,
    event TEXT NOT NULL);
CREATE INDEX inbound_waiting ON inbound (company_address, person_address)
    WHERE state = 'waiting';
CREATE TABLE queue_messages (
    message_id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL,
    body TEXT NOT NULL, visible_at INTEGER NOT NULL);
CREATE INDEX queue_by_visible_at ON queue_messages (queue, visible_at);
`);

const keep = db.prepare(`INSERT INTO inbound (dedupe_id, company_address,
    person_address, received_at, event) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING`);
const put = db.prepare(`INSERT INTO queue_messages (queue, body, visible_at)
    VALUES ('reply', ?, ?)`);

let waiting = [];


function commit() {
    const batch = waiting;

    waiting = [];
    db.exec('BEGIN IMMEDIATE');

    for (const { fields } of batch) {
        const now = Date.now();
        const { changes, lastInsertRowid } = keep.run(
            `twilio:${fields.MessageSid}`, fields.To, fields.From, now,
            JSON.stringify({
                channel: 'sms', person_address: `tel:${fields.From}`,
                company_address: `tel:${fields.To}`, content: fields.Body,
                provider: 'twilio', provider_message_id: fields.MessageSid,
            }));

        if (changes !== 0) {
            put.run(`{"inbound_id":${lastInsertRowid}}`, now);
        }
    }

    db.exec('COMMIT');

    for (const { res } of batch) {
        res.writeHead(204).end();
    }
}


http.createServer((req, res) => {
    const chunks = [];

    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
        const fields = { ...querystring.parse(Buffer.concat(chunks)
            .toString()) };

        if (!twilio.validateRequest(BENCH_TOKEN,
            req.headers['x-twilio-signature'] ?? '', BENCH_URL, fields))
        {
            res.writeHead(403).end();
            return;
        }

        if (waiting.push({ fields, res }) === 1) {
            if (BENCH_SHARE === '1') {
                setImmediate(commit);
            } else {
                commit();
            }
        }
    });
}).listen(Number(BENCH_PORT), '127.0.0.1');
