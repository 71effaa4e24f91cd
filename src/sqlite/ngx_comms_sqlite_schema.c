
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The tables, as a list of migrations.  "user_version" says how many of them
 * a database has been through; "application_id" says that it is ours.
 *
 * Rules:
 *   1. A migration that was released is never edited: a change is a new one
 *      at the end of the list.
 *   2. All that are missing run in one transaction, so that a database is
 *      never between two versions.  Whoever comes second (another worker
 *      process) finds nothing left to do.
 *   3. A database that is not ours, or is of a newer version than this list,
 *      is refused before anything in it is changed.
 *
 * Times are milliseconds since the epoch.  Columns named record, message,
 * event, body, detail and outcome hold JSON documents; what has a column of
 * its own beside them is what is searched for, or changes often.
 *
 * Rows that are read together lie together: tables with a key that starts
 * with the thread are WITHOUT ROWID, so a turn reads neighbouring pages
 * however long the thread has grown.  "threads" keeps its rowid, because its
 * rows are large and would make the tree deep.
 *
 * The key of a table WITHOUT ROWID is declared first, in its order: where it
 * is not, integrity_check of SQLite 3.40 reads other columns than it means to
 * and reports rows that are well.
 *
 * "thread_counts", "queue_counts" and the "n" of "journal_claim" are kept by
 * triggers: counting must cost the same for the first and the millionth.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sqlite/ngx_comms_sqlite_private.h>


#define NGX_COMMS_SQLITE_APPLICATION_ID  0x636f6d73   /* "coms" */


static ngx_int_t ngx_comms_sqlite_check_owner(ngx_comms_sqlite_txn_t *txn,
    int64_t *version);
static ngx_int_t ngx_comms_sqlite_pragma(ngx_comms_sqlite_txn_t *txn,
    const char *sql, int64_t *value);
static ngx_int_t ngx_comms_sqlite_exec(ngx_comms_sqlite_txn_t *txn,
    const char *sql);


static const char  *ngx_comms_sqlite_migrations[] = {

    /* 1 */

    "CREATE TABLE threads ("
    "    thread_id        TEXT PRIMARY KEY NOT NULL,"
    "    conversation_id  TEXT NOT NULL UNIQUE,"
    "    company_id       TEXT NOT NULL,"
    "    project_id       TEXT NOT NULL,"
    "    request_id       TEXT NOT NULL,"
    "    request_hash     TEXT NOT NULL,"
    "    queue_timestamp  TEXT NOT NULL,"
    "    status           TEXT NOT NULL,"
    "    fence            INTEGER NOT NULL DEFAULT 0,"
    "    version          INTEGER NOT NULL DEFAULT 1,"
    "    created_at       INTEGER NOT NULL,"
    "    updated_at       INTEGER NOT NULL,"
    "    channel_states   TEXT NOT NULL,"
    "    record           TEXT NOT NULL"
    ");"
    "CREATE INDEX threads_by_company"
    "    ON threads (company_id, created_at, thread_id);"
    "CREATE INDEX threads_by_project"
    "    ON threads (company_id, project_id, created_at, thread_id);"
    "CREATE INDEX threads_by_company_status"
    "    ON threads (company_id, status, created_at, thread_id);"
    "CREATE INDEX threads_by_project_status"
    "    ON threads (company_id, project_id, status, created_at, thread_id);"

    "CREATE TABLE thread_counts ("
    "    company_id       TEXT NOT NULL,"
    "    project_id       TEXT NOT NULL,"
    "    status           TEXT NOT NULL,"
    "    n                INTEGER NOT NULL,"
    "    PRIMARY KEY (company_id, project_id, status)"
    ") WITHOUT ROWID;"
    "CREATE TRIGGER threads_inserted AFTER INSERT ON threads BEGIN"
    "    INSERT INTO thread_counts"
    "        VALUES (new.company_id, new.project_id, new.status, 1)"
    "        ON CONFLICT DO UPDATE SET n = n + 1;"
    "END;"
    "CREATE TRIGGER threads_deleted AFTER DELETE ON threads BEGIN"
    "    UPDATE thread_counts SET n = n - 1"
    "        WHERE company_id = old.company_id"
    "        AND project_id = old.project_id AND status = old.status;"
    "END;"
    "CREATE TRIGGER threads_status AFTER UPDATE OF status ON threads"
    "    WHEN old.status <> new.status BEGIN"
    "    UPDATE thread_counts SET n = n - 1"
    "        WHERE company_id = old.company_id"
    "        AND project_id = old.project_id AND status = old.status;"
    "    INSERT INTO thread_counts"
    "        VALUES (new.company_id, new.project_id, new.status, 1)"
    "        ON CONFLICT DO UPDATE SET n = n + 1;"
    "END;"

    "CREATE TABLE address_pairs ("
    "    company_address  TEXT NOT NULL,"
    "    person_address   TEXT NOT NULL,"
    "    channel          TEXT NOT NULL,"
    "    created_at       INTEGER NOT NULL,"
    "    thread_id        TEXT NOT NULL,"
    "    company_id       TEXT NOT NULL,"
    "    PRIMARY KEY (company_address, person_address, channel, created_at,"
    "        thread_id)"
    ") WITHOUT ROWID;"
    "CREATE INDEX address_pairs_by_person"
    "    ON address_pairs (company_id, person_address, created_at,"
    "        thread_id);"
    "CREATE INDEX address_pairs_by_thread"
    "    ON address_pairs (thread_id);"

    "CREATE TABLE messages ("
    "    thread_id            TEXT NOT NULL,"
    "    seq                  INTEGER NOT NULL,"
    "    entry_id             TEXT NOT NULL,"
    "    status               TEXT,"
    "    turn_id              TEXT,"
    "    provider_message_id  TEXT,"
    "    email_message_id     TEXT,"
    "    message              TEXT NOT NULL,"
    "    PRIMARY KEY (thread_id, seq),"
    "    UNIQUE (thread_id, entry_id)"
    ") WITHOUT ROWID;"
    "CREATE INDEX messages_by_provider_message_id"
    "    ON messages (provider_message_id)"
    "    WHERE provider_message_id IS NOT NULL;"
    "CREATE INDEX messages_by_email_message_id"
    "    ON messages (email_message_id)"
    "    WHERE email_message_id IS NOT NULL;"
    "CREATE INDEX messages_unsent"
    "    ON messages (thread_id, seq)"
    "    WHERE status = 'pending' AND turn_id IS NOT NULL;"

    "CREATE TABLE inbound ("
    "    inbound_id       TEXT PRIMARY KEY NOT NULL,"
    "    dedupe_id        TEXT NOT NULL UNIQUE,"
    "    channel          TEXT NOT NULL,"
    "    company_address  TEXT NOT NULL,"
    "    person_address   TEXT NOT NULL,"
    "    state            TEXT NOT NULL DEFAULT 'waiting',"
    "    received_at      INTEGER NOT NULL,"
    "    turn_id          TEXT,"
    "    thread_id        TEXT,"
    "    reason           TEXT,"
    "    event            TEXT NOT NULL"
    ");"
    "CREATE INDEX inbound_waiting"
    "    ON inbound (company_address, person_address, channel)"
    "    WHERE state = 'waiting';"
    "CREATE INDEX inbound_bound"
    "    ON inbound (thread_id)"
    "    WHERE state = 'waiting' AND thread_id IS NOT NULL;"

    "CREATE TABLE effects ("
    "    thread_id        TEXT NOT NULL,"
    "    effect_id        TEXT NOT NULL,"
    "    kind             TEXT NOT NULL,"
    "    state            TEXT NOT NULL DEFAULT 'intent',"
    "    intended_at      INTEGER NOT NULL,"
    "    settled_at       INTEGER,"
    "    detail           TEXT,"
    "    outcome          TEXT,"
    "    PRIMARY KEY (thread_id, effect_id)"
    ") WITHOUT ROWID;"
    "CREATE INDEX effects_unfinished"
    "    ON effects (thread_id, effect_id) WHERE state = 'intent';"

    "CREATE TABLE consent ("
    "    seq              INTEGER PRIMARY KEY AUTOINCREMENT,"
    "    company_id       TEXT NOT NULL,"
    "    person_address   TEXT NOT NULL,"
    "    opted_out        INTEGER NOT NULL,"
    "    source           TEXT NOT NULL,"
    "    proof            TEXT,"
    "    at               INTEGER NOT NULL"
    ");"
    "CREATE INDEX consent_by_person"
    "    ON consent (company_id, person_address, seq);"

    "CREATE TABLE queue_messages ("
    "    message_id       INTEGER PRIMARY KEY AUTOINCREMENT,"
    "    queue            TEXT NOT NULL,"
    "    grp              TEXT NOT NULL,"
    "    body             TEXT NOT NULL,"
    "    sent_at          INTEGER NOT NULL,"
    "    visible_at       INTEGER NOT NULL,"
    "    held             INTEGER NOT NULL DEFAULT 0,"
    "    handed           INTEGER NOT NULL DEFAULT 0,"
    "    receive_count    INTEGER NOT NULL DEFAULT 0,"
    "    reason           TEXT"
    ");"
    "CREATE INDEX queue_messages_by_visible_at"
    "    ON queue_messages (queue, visible_at, message_id, held);"

    "CREATE TABLE queue_dedupe ("
    "    queue            TEXT NOT NULL,"
    "    dedupe_id        TEXT NOT NULL,"
    "    at               INTEGER NOT NULL,"
    "    PRIMARY KEY (queue, dedupe_id)"
    ") WITHOUT ROWID;"
    "CREATE INDEX queue_dedupe_by_at"
    "    ON queue_dedupe (at);"

    "CREATE TABLE dead_letters ("
    "    message_id       INTEGER PRIMARY KEY,"
    "    queue            TEXT NOT NULL,"
    "    grp              TEXT NOT NULL,"
    "    body             TEXT NOT NULL,"
    "    sent_at          INTEGER NOT NULL,"
    "    receive_count    INTEGER NOT NULL,"
    "    reason           TEXT,"
    "    died_at          INTEGER NOT NULL"
    ");"
    "CREATE INDEX dead_letters_by_queue"
    "    ON dead_letters (queue, died_at);"

    "CREATE TABLE queue_counts ("
    "    queue            TEXT PRIMARY KEY NOT NULL,"
    "    living           INTEGER NOT NULL,"
    "    dead             INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TRIGGER queue_messages_inserted AFTER INSERT ON queue_messages"
    " BEGIN"
    "    INSERT INTO queue_counts VALUES (new.queue, 1, 0)"
    "        ON CONFLICT DO UPDATE SET living = living + 1;"
    "END;"
    "CREATE TRIGGER queue_messages_deleted AFTER DELETE ON queue_messages"
    " BEGIN"
    "    UPDATE queue_counts SET living = living - 1"
    "        WHERE queue = old.queue;"
    "END;"
    "CREATE TRIGGER dead_letters_inserted AFTER INSERT ON dead_letters BEGIN"
    "    INSERT INTO queue_counts VALUES (new.queue, 0, 1)"
    "        ON CONFLICT DO UPDATE SET dead = dead + 1;"
    "END;"
    "CREATE TRIGGER dead_letters_deleted AFTER DELETE ON dead_letters BEGIN"
    "    UPDATE queue_counts SET dead = dead - 1"
    "        WHERE queue = old.queue;"
    "END;"

    /* "message" is the whole input of a "keep"; "head": oldest of its pair */

    "CREATE TABLE journal ("
    "    journal_id       INTEGER PRIMARY KEY AUTOINCREMENT,"
    "    dedupe_id        TEXT NOT NULL UNIQUE,"
    "    channel          TEXT NOT NULL,"
    "    company_address  TEXT NOT NULL,"
    "    person_address   TEXT NOT NULL,"
    "    head             INTEGER NOT NULL,"
    "    attempts         INTEGER NOT NULL DEFAULT 0,"
    "    at               INTEGER NOT NULL,"
    "    due_at           INTEGER NOT NULL,"
    "    message          TEXT NOT NULL"
    ");"
    "CREATE INDEX journal_by_pair"
    "    ON journal (company_address, person_address, channel, journal_id);"
    "CREATE INDEX journal_heads"
    "    ON journal (journal_id, due_at) WHERE head = 1;"

    "CREATE TABLE journal_claim ("
    "    id               INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),"
    "    n                INTEGER NOT NULL,"
    "    owner            TEXT NOT NULL,"
    "    expires_at       INTEGER NOT NULL"
    ");"
    "INSERT INTO journal_claim VALUES (1, 0, '', 0);"
    "CREATE TRIGGER journal_inserted AFTER INSERT ON journal BEGIN"
    "    UPDATE journal_claim SET n = n + 1 WHERE id = 1;"
    "END;"
    "CREATE TRIGGER journal_deleted AFTER DELETE ON journal BEGIN"
    "    UPDATE journal_claim SET n = n - 1 WHERE id = 1;"
    "    UPDATE journal SET head = 1 WHERE journal_id ="
    "        (SELECT journal_id FROM journal"
    "            WHERE company_address = old.company_address"
    "            AND person_address = old.person_address"
    "            AND channel = old.channel"
    "            ORDER BY journal_id LIMIT 1);"
    "END;",

    /*
     * 2: which inbound message is a thread's newest; all messages of a
     * thread and not just those that wait, and those that belong to none, so
     * that they can be removed with it; what is left of a thread that was
     * erased: nothing of the person, but what makes its start happen once.
     */

    "ALTER TABLE threads"
    "    ADD COLUMN newest_inbound_id TEXT NOT NULL DEFAULT '';"

    "DROP INDEX inbound_bound;"
    "CREATE INDEX inbound_bound"
    "    ON inbound (thread_id, state) WHERE thread_id IS NOT NULL;"
    "CREATE INDEX inbound_orphans"
    "    ON inbound (company_address, person_address, channel)"
    "    WHERE state = 'orphan';"
    "CREATE INDEX inbound_orphans_by_time"
    "    ON inbound (received_at) WHERE state = 'orphan';"

    "CREATE TABLE erased ("
    "    conversation_id  TEXT PRIMARY KEY NOT NULL,"
    "    thread_id        TEXT NOT NULL,"
    "    request_id       TEXT NOT NULL,"
    "    request_hash     TEXT NOT NULL,"
    "    queue_timestamp  TEXT NOT NULL,"
    "    channel_states   TEXT NOT NULL,"
    "    at               INTEGER NOT NULL,"
    "    outcome          TEXT NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX erased_by_thread ON erased (thread_id);"
    "CREATE INDEX erased_by_at ON erased (at);"

    /* how far the walk that removes old threads has come */

    "CREATE TABLE retention ("
    "    id               INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),"
    "    behind           TEXT NOT NULL,"
    "    due_at           INTEGER NOT NULL"
    ");"
    "INSERT INTO retention VALUES (1, '', 0);"
};


#define NGX_COMMS_SQLITE_VERSION                                              \
    (int64_t) (sizeof(ngx_comms_sqlite_migrations) / sizeof(char *))


ngx_int_t
ngx_comms_sqlite_migrate(ngx_comms_sqlite_txn_t *txn)
{
    char     pragma[64];
    u_char  *last;
    int64_t  i, version;

    if (ngx_comms_sqlite_exec(txn, "BEGIN IMMEDIATE") != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_check_owner(txn, &version) != NGX_OK) {
        goto failed;
    }

    for (i = version; i < NGX_COMMS_SQLITE_VERSION; i++) {
        if (ngx_comms_sqlite_exec(txn, ngx_comms_sqlite_migrations[i])
            != NGX_OK)
        {
            goto failed;
        }
    }

    if (version < NGX_COMMS_SQLITE_VERSION) {
        last = ngx_snprintf((u_char *) pragma, sizeof(pragma) - 1,
                            "PRAGMA application_id=%d;PRAGMA user_version=%L",
                            NGX_COMMS_SQLITE_APPLICATION_ID,
                            NGX_COMMS_SQLITE_VERSION);
        *last = '\0';

        if (ngx_comms_sqlite_exec(txn, pragma) != NGX_OK) {
            goto failed;
        }
    }

    if (ngx_comms_sqlite_exec(txn, "COMMIT") == NGX_OK) {
        return NGX_OK;
    }

failed:

    /* it may have been rolled back already: then there is nothing to undo */

    (void) sqlite3_exec(txn->connection, "ROLLBACK", NULL, NULL, NULL);

    return NGX_ERROR;
}


ngx_int_t
ngx_comms_sqlite_check(ngx_comms_sqlite_txn_t *txn)
{
    int64_t  version;

    return ngx_comms_sqlite_check_owner(txn, &version);
}


static ngx_int_t
ngx_comms_sqlite_check_owner(ngx_comms_sqlite_txn_t *txn, int64_t *version)
{
    int64_t  id, objects;

    if (ngx_comms_sqlite_pragma(txn, "PRAGMA application_id", &id) != NGX_OK
        || ngx_comms_sqlite_pragma(txn, "PRAGMA user_version", version)
           != NGX_OK
        || ngx_comms_sqlite_pragma(txn, "SELECT count(*) FROM sqlite_schema",
                                   &objects)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (id != NGX_COMMS_SQLITE_APPLICATION_ID && (id != 0 || objects != 0)) {
        ngx_comms_sqlite_refuse(txn, "it is the database of another program "
                                "(application_id %L, %L schema objects)",
                                id, objects);
        return NGX_ERROR;
    }

    if (*version < 0 || *version > NGX_COMMS_SQLITE_VERSION) {
        ngx_comms_sqlite_refuse(txn, "its schema is of version %L, and this "
                                "module supports versions up to %L",
                                *version, NGX_COMMS_SQLITE_VERSION);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_sqlite_pragma(ngx_comms_sqlite_txn_t *txn, const char *sql,
    int64_t *value)
{
    int            rc;
    sqlite3_stmt  *st;

    st = NULL;

    if (sqlite3_prepare_v2(txn->connection, sql, -1, &st, NULL)
        != SQLITE_OK)
    {
        ngx_comms_sqlite_failed(txn, sql);
        return NGX_ERROR;
    }

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(st, 0);

    } else {
        ngx_comms_sqlite_failed(txn, sql);
    }

    (void) sqlite3_finalize(st);

    return rc == SQLITE_ROW ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_sqlite_exec(ngx_comms_sqlite_txn_t *txn, const char *sql)
{
    if (sqlite3_exec(txn->connection, sql, NULL, NULL, NULL) != SQLITE_OK) {
        ngx_comms_sqlite_failed(txn, sql);
        return NGX_ERROR;
    }

    return NGX_OK;
}
