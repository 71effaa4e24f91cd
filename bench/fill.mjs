/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Large databases, made offline.  A real conversation (a start and a reply)
 * is the pattern; SQL copies its rows under other ids.  All text columns are
 * treated alike, so that the schema may grow without a change here.  The
 * counting triggers are put aside meanwhile and their figures set at the end.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { end, engine, providers, said, seed, status, until, wrk }
    from './world.mjs';

const PAIR = 'threads address_pairs messages'.split(' ');


export async function sqlite(file, sql) {
    return said('sqlite3', ['-bail', file], { input: sql });
}


export async function idle(nginx, what, ms = 60_000) {
    await until(async () => {
        const { queues, gauges } = await status(nginx);

        return gauges.jobs_in_flight === 0 && Object.values(queues)
            .every((q) => q.ready + q.in_flight + q.delayed === 0);
    }, ms, what);
}


/* a database with one conversation: person 1 was written to and replied */
export async function pattern() {
    const file = path.join(fs.mkdtempSync(
        path.join(os.tmpdir(), 'comms-bench-')), 'pattern.db');
    const stub = await providers();
    const nginx = await engine({ at: stub.port });
    const one = { count: 1, connections: 1, seed: seed() };

    await wrk('start', `${nginx.url}/initiate-conversation`, one);
    await idle(nginx, 'the start is done');
    await wrk('webhook', `${nginx.url}/webhooks/twilio`, one);
    await idle(nginx, 'the reply is done');
    await end(nginx, { keep: true });
    await stub.stop();
    await sqlite(nginx.file('comms.db'), 'PRAGMA wal_checkpoint(TRUNCATE);');
    fs.copyFileSync(nginx.file('comms.db'), file);
    nginx.remove();

    return file;
}


async function rows(file, sql) {
    const out = await said('sqlite3', ['-json', file, sql]);

    return out.trim() === '' ? [] : JSON.parse(out);
}


/* INSERT .. SELECT of a table with each text replaced */
async function copy(file, table, changes, { from = 'n', where = '',
    columns = {} } = {})
{
    const names = await rows(file, `PRAGMA table_info(${table})`);
    const list = names.map(({ name, type }) => columns[name]
        ?? (type !== 'TEXT' ? `o.${name}` : changes.reduce((text, [a, b]) =>
            `replace(${text}, '${a}', ${b})`, `o.${name}`)));

    return `INSERT INTO ${table} SELECT ${list.join(', ')}
        FROM ${from}, ${table} o ${where};\n`;
}


async function wrapped(file, sql) {
    const triggers = await rows(file,
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'");

    await sqlite(file, `
PRAGMA journal_mode=OFF;
PRAGMA synchronous=OFF;
PRAGMA cache_size=-400000;
BEGIN;
${triggers.map((t) => `DROP TRIGGER ${t.name};`).join('\n')}
${sql}
DELETE FROM thread_counts;
INSERT INTO thread_counts SELECT company_id, project_id, status, count(*)
    FROM threads GROUP BY 1, 2, 3;
${triggers.map((t) => `${t.sql};`).join('\n')}
COMMIT;
PRAGMA journal_mode=WAL;
`);
}


/* a copy of the pattern with "n" threads; person k has number
   +4477<k> */
export async function manyThreads(from, n) {
    const file = path.join(path.dirname(from), `threads-${n}.db`);

    fs.copyFileSync(from, file);

    const [t] = await rows(file, 'SELECT * FROM threads');
    const changes = [
        [t.thread_id, "('th_01M0000000' || printf('%016d', k))"],
        [t.request_id, "printf('%08x-e29b-41d4-a716-%012x', k, k)"],
        ['+447700000001', "printf('+4477%08d', k)"],
    ];
    let sql = `CREATE TEMP TABLE n AS WITH RECURSIVE n(k) AS
        (SELECT 2 UNION ALL SELECT k + 1 FROM n WHERE k < ${n})
        SELECT k FROM n;\n`;

    for (const table of PAIR) {
        sql += await copy(file, table, changes, {
            where: table === 'messages' ? 'WHERE o.seq <= 2 ORDER BY k'
                : 'ORDER BY k',
        });
    }

    await wrapped(file, sql);

    return file;
}


/*
 * Person 3 has a thread with "n" turns; 4 and "fresh" more after that have
 * had a start and no reply.
 */
export async function longThread(from, n, fresh) {
    const file = await manyThreads(from, 3 + fresh);
    const [t] = await rows(file, 'SELECT * FROM threads WHERE rowid = 1');
    const [inbound] = await rows(file, 'SELECT * FROM inbound');
    const turn = await rows(file, `SELECT * FROM messages
        WHERE thread_id = '${t.thread_id}' AND seq > 2 ORDER BY seq`);
    const changes = [
        [t.thread_id, 'thread'], ['+447700000001', 'tel'],
        [inbound.inbound_id, "printf('in_01M1%022d', k)"],
        [inbound.dedupe_id, "printf('twilio:SM%032x', k)"],
    ];

    for (const m of turn) {
        changes.push([m.entry_id, `printf('01M2%021d${m.seq}', k)`],
            [m.provider_message_id, `printf('SM%031x${m.seq}', k)`]);
    }

    const id = (k) => `th_01M0000000${String(k).padStart(16, '0')}`;
    const known = changes.filter(([a]) => a !== '' && a !== null);
    let sql = `CREATE TEMP TABLE n AS WITH RECURSIVE n(k) AS
        (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < ${n})
        SELECT k + 10 AS k, k AS i, '${id(3)}' AS thread,
        '+447700000003' AS tel FROM n;\n`;
    const of = `WHERE o.thread_id = '${t.thread_id}'`;

    sql += await copy(file, 'messages', known, {
        where: `${of} AND o.seq > 2 ORDER BY k`,
        columns: { seq: `o.seq + ${turn.length} * (i - 1)` },
    });
    sql += await copy(file, 'inbound', known, { where: of });
    sql += await copy(file, 'effects', known, {
        where: `${of} AND o.effect_id LIKE '%in_%' ORDER BY k`,
    });

    await wrapped(file, sql);

    return file;
}
