
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What runs in the thread: opening, one transaction for the group, closing.
 *
 * States of the connection: closed -> open -> (damaged ->) closed.  An error
 * that says that the file under the connection is not what it was (I/O
 * error, corruption, moved or read-only file) closes it at the end of the
 * group; the next group opens it anew, at most once a second.
 *
 * Invariants:
 *   1. Nothing here logs, touches an operation, a pool or the zone: what is
 *      to be said is kept in the transaction, and said on the event loop.
 *   2. Between two groups no statement is in progress and no transaction is
 *      open, so that no reader holds a checkpoint back.
 *   3. A work's rc counts only after the commit.  Whenever SQLite has left
 *      the transaction by itself (disk full, I/O error), every work of the
 *      group has failed, those that ran well before included.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <time.h>
#include <base/ngx_comms_clock.h>
#include <sqlite/ngx_comms_sqlite_private.h>


#define NGX_COMMS_SQLITE_BUSY_MAX     5000000   /* us */
#define NGX_COMMS_SQLITE_REOPEN       1000      /* ms */


static ngx_int_t ngx_comms_sqlite_open(ngx_comms_sqlite_txn_t *txn);
static ngx_int_t ngx_comms_sqlite_connect(ngx_comms_sqlite_txn_t *txn);
static ngx_int_t ngx_comms_sqlite_create_file(ngx_comms_sqlite_txn_t *txn);
static ngx_int_t ngx_comms_sqlite_wal(ngx_comms_sqlite_txn_t *txn);
static ngx_int_t ngx_comms_sqlite_works(ngx_comms_sqlite_txn_t *txn);
static ngx_int_t ngx_comms_sqlite_work(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_sqlite_work_t *w);
static void ngx_comms_sqlite_rollback(ngx_comms_sqlite_txn_t *txn);
static void ngx_comms_sqlite_reset(ngx_comms_sqlite_txn_t *txn);
static ngx_int_t ngx_comms_sqlite_control(ngx_comms_sqlite_txn_t *txn,
    const char *sql);
static ngx_comms_sqlite_statement_t *ngx_comms_sqlite_statement(
    ngx_comms_sqlite_txn_t *txn, const char *sql);
static int ngx_comms_sqlite_busy(void *data, int count);
static int64_t ngx_comms_sqlite_monotonic(void);


static const char  ngx_comms_sqlite_begin[] = "BEGIN";
static const char  ngx_comms_sqlite_begin_immediate[] = "BEGIN IMMEDIATE";
static const char  ngx_comms_sqlite_commit[] = "COMMIT";
static const char  ngx_comms_sqlite_savepoint[] = "SAVEPOINT work";
static const char  ngx_comms_sqlite_release[] = "RELEASE work";
static const char  ngx_comms_sqlite_undo[] = "ROLLBACK TO work";


void
ngx_comms_sqlite_run(ngx_comms_sqlite_txn_t *txn)
{
    ngx_comms_sqlite_work_t  *w;

    txn->now = ngx_comms_clock_now();

    if (ngx_comms_sqlite_open(txn) != NGX_OK
        || ngx_comms_sqlite_works(txn) != NGX_OK)
    {
        for (w = txn->works; w != NULL; w = w->next) {
            json_decref(w->answer);
            w->answer = NULL;
            w->rc = NGX_ERROR;
        }

        txn->nnotices = 0;
        ngx_memzero(txn->everybody, sizeof(txn->everybody));
    }

    if (txn->damaged) {
        ngx_comms_sqlite_close(txn);
        txn->damaged = 0;
    }

    /* from here on the event loop may use what the thread used */

    __atomic_store_n(&txn->over, 1, __ATOMIC_RELEASE);
}


static ngx_int_t
ngx_comms_sqlite_open(ngx_comms_sqlite_txn_t *txn)
{
    int      moved;
    int64_t  now;

    if (txn->connection != NULL) {

        /* what is written to a file that has no name any more is lost */

        moved = 0;

        if (sqlite3_file_control(txn->connection, "main",
                                 SQLITE_FCNTL_HAS_MOVED, &moved)
            != SQLITE_OK || !moved)
        {
            return NGX_OK;
        }

        txn->damaged = 1;
        ngx_comms_sqlite_refuse(txn, "the file was moved or deleted, and "
                                "will be opened anew");
        return NGX_ERROR;
    }

    now = ngx_comms_sqlite_monotonic() / 1000;

    if (now < txn->open_after) {
        return NGX_ERROR;
    }

    txn->open_after = now + NGX_COMMS_SQLITE_REOPEN;

    if (ngx_comms_sqlite_create_file(txn) == NGX_OK
        && ngx_comms_sqlite_connect(txn) == NGX_OK
        && ngx_comms_sqlite_check(txn) == NGX_OK
        && ngx_comms_sqlite_wal(txn) == NGX_OK
        && ngx_comms_sqlite_migrate(txn) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_comms_sqlite_close(txn);

    return NGX_ERROR;
}


/*
 * The file is made before SQLite would make it, because it holds messages:
 * nobody but the worker's user may read it, whatever the umask.  SQLite gives
 * its companions (-wal, -shm) the same mode.
 */

static ngx_int_t
ngx_comms_sqlite_create_file(ngx_comms_sqlite_txn_t *txn)
{
    ngx_fd_t   fd;
    ngx_err_t  err;

    fd = open((const char *) txn->path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == NGX_INVALID_FILE && ngx_errno == NGX_ENOENT) {
        err = ngx_create_full_path(txn->path, 0700);

        if (err != 0) {
            txn->error.err = err;
            ngx_comms_sqlite_refuse(txn, "its directory cannot be created");
            return NGX_ERROR;
        }

        fd = open((const char *) txn->path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC,
                  0600);
    }

    if (fd == NGX_INVALID_FILE) {
        err = ngx_errno;

        if (err == NGX_EEXIST) {
            return NGX_OK;
        }

        txn->error.err = err;
        ngx_comms_sqlite_refuse(txn, "the file cannot be created");
        return NGX_ERROR;
    }

    (void) ngx_close_file(fd);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_sqlite_connect(ngx_comms_sqlite_txn_t *txn)
{
    int                rc;
    static const char  settings[] = "PRAGMA synchronous=FULL;"
                                    "PRAGMA foreign_keys=OFF;"
                                    "PRAGMA trusted_schema=OFF;"
                                    "PRAGMA temp_store=MEMORY;"
                                    "PRAGMA cache_size=-16384;"
                                    "PRAGMA journal_size_limit=67108864;";

    /* one task at a time uses it: SQLite's own mutexes would be for nothing */

    rc = sqlite3_open_v2((const char *) txn->path, &txn->connection,
                         SQLITE_OPEN_READWRITE|SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK) {
        (void) sqlite3_extended_result_codes(txn->connection, 1);
        (void) sqlite3_busy_handler(txn->connection, ngx_comms_sqlite_busy,
                                    txn);

        rc = sqlite3_exec(txn->connection, settings, NULL, NULL, NULL);
    }

    if (rc != SQLITE_OK) {
        ngx_comms_sqlite_failed(txn, "opening");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Worker processes that start together on a new file all want to change its
 * journal mode.  SQLite does not ask the busy handler then, since waiting
 * could be a deadlock; starting the statement again is none.
 */

static ngx_int_t
ngx_comms_sqlite_wal(ngx_comms_sqlite_txn_t *txn)
{
    int            n, rc, wal;
    sqlite3_stmt  *st;

    for (n = 0; /* void */ ; n++) {
        st = NULL;
        wal = 0;

        rc = sqlite3_prepare_v2(txn->connection, "PRAGMA journal_mode=WAL",
                                -1, &st, NULL);

        if (rc == SQLITE_OK) {
            rc = sqlite3_step(st);
        }

        if (rc == SQLITE_ROW) {
            wal = (sqlite3_stricmp((const char *) sqlite3_column_text(st, 0),
                                   "wal") == 0);
        }

        /* finalizing says more than the step, but nothing of no statement */

        if (st != NULL) {
            rc = sqlite3_finalize(st);
        }

        if ((rc & 0xff) != SQLITE_BUSY || !ngx_comms_sqlite_busy(txn, n)) {
            break;
        }
    }

    if (rc != SQLITE_OK) {
        ngx_comms_sqlite_failed(txn, "PRAGMA journal_mode=WAL");
        return NGX_ERROR;
    }

    if (!wal) {
        ngx_comms_sqlite_refuse(txn, "its file system does not support "
                                "write-ahead logging (no shared memory)");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_comms_sqlite_close(ngx_comms_sqlite_txn_t *txn)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_COMMS_SQLITE_STATEMENTS; i++) {
        if (txn->statements[i].sql != NULL) {
            (void) sqlite3_finalize(txn->statements[i].statement);
        }
    }

    ngx_memzero(txn->statements, sizeof(txn->statements));
    txn->used = NULL;

    if (txn->connection != NULL) {
        (void) sqlite3_close(txn->connection);
        txn->connection = NULL;
    }
}


/* NGX_ERROR: nothing of the group was written */

static ngx_int_t
ngx_comms_sqlite_works(ngx_comms_sqlite_txn_t *txn)
{
    ngx_int_t                 rc;
    ngx_comms_sqlite_work_t  *w;

    if (txn->works == NULL) {
        return NGX_OK;
    }

    /* a lock that is asked for late cannot be waited for: it is taken now */

    rc = ngx_comms_sqlite_control(txn, txn->writers
                                       ? ngx_comms_sqlite_begin_immediate
                                       : ngx_comms_sqlite_begin);

    if (rc != NGX_OK) {
        ngx_comms_sqlite_rollback(txn);
        return NGX_ERROR;
    }

    for (w = txn->works; w != NULL; w = w->next) {

        if (ngx_comms_sqlite_work(txn, w) != NGX_OK) {
            ngx_comms_sqlite_rollback(txn);
            return NGX_ERROR;
        }
    }

    if (ngx_comms_sqlite_control(txn, ngx_comms_sqlite_commit) != NGX_OK) {
        ngx_comms_sqlite_rollback(txn);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_ERROR: the transaction is lost, and not this work alone */

static ngx_int_t
ngx_comms_sqlite_work(ngx_comms_sqlite_txn_t *txn, ngx_comms_sqlite_work_t *w)
{
    ngx_uint_t  nnotices;

    if (w->writes
        && ngx_comms_sqlite_control(txn, ngx_comms_sqlite_savepoint) != NGX_OK)
    {
        return NGX_ERROR;
    }

    nnotices = txn->nnotices;

    txn->writing = (w->writes != 0);
    w->rc = w->work(txn, w->in, &w->answer);

    ngx_comms_sqlite_reset(txn);

    if (sqlite3_get_autocommit(txn->connection) || txn->damaged) {
        return NGX_ERROR;
    }

    if (w->rc == NGX_ERROR) {
        json_decref(w->answer);
        w->answer = NULL;
        txn->nnotices = nnotices;

        if (w->writes
            && ngx_comms_sqlite_control(txn, ngx_comms_sqlite_undo) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (!w->writes) {
        return NGX_OK;
    }

    return ngx_comms_sqlite_control(txn, ngx_comms_sqlite_release);
}


static void
ngx_comms_sqlite_rollback(ngx_comms_sqlite_txn_t *txn)
{
    ngx_comms_sqlite_reset(txn);

    if (!sqlite3_get_autocommit(txn->connection)
        && sqlite3_exec(txn->connection, "ROLLBACK", NULL, NULL, NULL)
           != SQLITE_OK)
    {
        /* a connection that cannot even do that is of no use any more */
        ngx_comms_sqlite_failed(txn, "ROLLBACK");
        txn->damaged = 1;
    }
}


static void
ngx_comms_sqlite_reset(ngx_comms_sqlite_txn_t *txn)
{
    ngx_comms_sqlite_statement_t  *s;

    for (s = txn->used; s != NULL; s = s->next) {
        (void) sqlite3_reset(s->statement);
        (void) sqlite3_clear_bindings(s->statement);
        s->used = 0;
    }

    txn->used = NULL;
}


static ngx_int_t
ngx_comms_sqlite_control(ngx_comms_sqlite_txn_t *txn, const char *sql)
{
    int                            rc;
    ngx_comms_sqlite_statement_t  *s;

    s = ngx_comms_sqlite_statement(txn, sql);
    if (s == NULL) {
        return NGX_ERROR;
    }

    rc = sqlite3_step(s->statement);

    if (rc != SQLITE_DONE) {
        ngx_comms_sqlite_failed(txn, sql);
    }

    (void) sqlite3_reset(s->statement);

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


sqlite3_stmt *
ngx_comms_sqlite_prepare(ngx_comms_sqlite_txn_t *txn, const char *sql)
{
    ngx_comms_sqlite_statement_t  *s;

    s = ngx_comms_sqlite_statement(txn, sql);
    if (s == NULL) {
        return NULL;
    }

    if (!s->reads && !txn->writing) {
        ngx_comms_sqlite_refuse(txn, "a work that only reads wanted to "
                                "write: %s", sql);
        return NULL;
    }

    if (s->used) {
        (void) sqlite3_reset(s->statement);
        (void) sqlite3_clear_bindings(s->statement);
        return s->statement;
    }

    s->used = 1;
    s->next = txn->used;
    txn->used = s;

    return s->statement;
}


static ngx_comms_sqlite_statement_t *
ngx_comms_sqlite_statement(ngx_comms_sqlite_txn_t *txn, const char *sql)
{
    ngx_uint_t                     i, n;
    ngx_comms_sqlite_statement_t  *s;

    /* literals lie close together: neighbours differ in the low bits */

    i = (ngx_uint_t) sql;
    i ^= i >> 9;

    for (n = 0; n < NGX_COMMS_SQLITE_STATEMENTS; n++) {
        s = &txn->statements[(i + n) % NGX_COMMS_SQLITE_STATEMENTS];

        if (s->sql == sql) {
            return s;
        }

        if (s->sql != NULL) {
            continue;
        }

        if (sqlite3_prepare_v3(txn->connection, sql, -1,
                               SQLITE_PREPARE_PERSISTENT, &s->statement, NULL)
            != SQLITE_OK)
        {
            ngx_comms_sqlite_failed(txn, sql);
            return NULL;
        }

        s->sql = sql;
        s->reads = sqlite3_stmt_readonly(s->statement) ? 1 : 0;

        return s;
    }

    ngx_comms_sqlite_refuse(txn, "more than %d statements",
                            NGX_COMMS_SQLITE_STATEMENTS);

    return NULL;
}


void
ngx_comms_sqlite_notice(ngx_comms_sqlite_txn_t *txn, ngx_comms_notice_e kind,
    ngx_str_t *key)
{
    uint32_t    hash;
    ngx_uint_t  i;

    hash = ngx_comms_notice_hash(key);

    for (i = 0; i < txn->nnotices; i++) {
        if (txn->notices[i].hash == hash && txn->notices[i].kind == kind) {
            return;
        }
    }

    if (txn->nnotices == NGX_COMMS_SQLITE_NOTICES) {
        txn->everybody[kind] = 1;
        return;
    }

    txn->notices[i].kind = kind;
    txn->notices[i].hash = hash;
    txn->nnotices++;
}


int64_t
ngx_comms_sqlite_now(ngx_comms_sqlite_txn_t *txn)
{
    return txn->now;
}


void
ngx_comms_sqlite_failed(ngx_comms_sqlite_txn_t *txn, const char *doing)
{
    int                        code;
    ngx_comms_sqlite_error_t  *e;

    code = sqlite3_extended_errcode(txn->connection);

    switch (code & 0xff) {

    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        txn->damaged = 1;
        break;
    }

    e = &txn->error;

    if (e->set) {
        return;
    }

    e->set = 1;
    e->code = code;
    e->err = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN
             ? sqlite3_system_errno(txn->connection) : 0;

    /* the SQL holds no data, and neither do SQLite's messages */

    (void) ngx_cpystrn(e->doing, (u_char *) doing, sizeof(e->doing));
    (void) ngx_cpystrn(e->words,
                       (u_char *) sqlite3_errmsg(txn->connection),
                       sizeof(e->words));
}


void ngx_cdecl
ngx_comms_sqlite_refuse(ngx_comms_sqlite_txn_t *txn, const char *fmt, ...)
{
    u_char                    *last;
    va_list                    args;
    ngx_comms_sqlite_error_t  *e;

    e = &txn->error;

    if (e->set) {
        return;
    }

    va_start(args, fmt);
    last = ngx_vslprintf(e->words, e->words + sizeof(e->words) - 1, fmt,
                         args);
    va_end(args);

    *last = '\0';
    e->doing[0] = '\0';
    e->set = 1;
}


/*
 * Called by SQLite while another connection has the lock; 0 gives up.  The
 * waits are short and uneven, because sqlite3_busy_timeout() backs off to
 * 100 ms, in which the lock is free most of the time.
 */

static int
ngx_comms_sqlite_busy(void *data, int count)
{
    ngx_comms_sqlite_txn_t *txn = data;

    int64_t          now;
    struct timespec  ts;

    now = ngx_comms_sqlite_monotonic();

    if (count == 0) {
        txn->busy_since = now;

    } else if (now - txn->busy_since > NGX_COMMS_SQLITE_BUSY_MAX) {
        return 0;
    }

    ts.tv_sec = 0;
    ts.tv_nsec = 200000 + (now % 300) * 1000;

    (void) nanosleep(&ts, NULL);

    return 1;
}


static int64_t
ngx_comms_sqlite_monotonic(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
