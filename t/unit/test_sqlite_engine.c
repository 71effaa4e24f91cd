
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The engine with a real thread pool and a real file; the event loop is
 * replaced by loop() below.
 */


#include "nginx_env.h"
#include "sqlite/ngx_comms_sqlite_private.h"

#include <ngx_thread_pool.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>


#define OPS  2000


typedef struct {
    ngx_uint_t   finished;
    ngx_uint_t   ok;
    ngx_uint_t   failed;
    ngx_uint_t   declined;
    ngx_int_t    last;       /* the integer that the last answer held */
} tally_t;


extern ngx_module_t  ngx_thread_pool_module;

static ngx_event_handler_pt volatile  notified;
static ngx_comms_zone_t              *zone;
static tally_t                        tally;
static char                           dir[256];
static ngx_uint_t                     posting;

static ngx_uint_t                     counted;
static ngx_uint_t                     noticed;


/* the zone is not under test here */

void
ngx_comms_count(ngx_comms_zone_t *z, ngx_comms_count_e what, ngx_uint_t n)
{
    counted += n;
}


void
ngx_comms_notice_post_hash(ngx_comms_zone_t *z, ngx_comms_notice_e kind,
    uint32_t hash)
{
    noticed++;
}


uint32_t
ngx_comms_notice_hash(ngx_str_t *key)
{
    return ngx_crc32_long(key->data, key->len) | 1;
}


static ngx_int_t
notify(ngx_event_handler_pt handler)
{
    notified = handler;
    return NGX_OK;
}


static void
loop(ngx_uint_t until)
{
    ngx_uint_t            i;
    ngx_event_t           event;
    struct timespec       ts;
    ngx_event_handler_pt  handler;

    ngx_memzero(&event, sizeof(event));

    ts.tv_sec = 0;
    ts.tv_nsec = 1000000;

    for (i = 0; i < 20000 && tally.finished < until; i++) {
        ngx_time_update();
        ngx_event_process_posted((ngx_cycle_t *) ngx_cycle,
                                 &ngx_posted_events);

        handler = notified;

        if (handler != NULL) {
            notified = NULL;
            event.log = ngx_cycle->log;
            handler(&event);
            continue;
        }

        (void) nanosleep(&ts, NULL);
    }

    assert_int_equal(tally.finished, until);
}


static void
finished(ngx_comms_op_t *op)
{
    assert_false(posting);

    tally.finished++;

    if (op->rc == NGX_ERROR) {
        tally.failed++;
        assert_null(op->answer);

    } else if (op->rc == NGX_DECLINED) {
        tally.declined++;

    } else {
        tally.ok++;
    }

    if (op->answer != NULL && json_is_integer(op->answer)) {
        tally.last = json_integer_value(op->answer);
    }
}


static void
post(ngx_comms_sqlite_t *db, ngx_comms_sqlite_work_pt work, ngx_uint_t writes,
    json_int_t value)
{
    ngx_comms_op_t  *op;

    op = ngx_comms_op_create(finished, NULL, 0);
    assert_non_null(op);

    posting = 1;
    ngx_comms_sqlite_post(db, work, writes, json_integer(value), op);
    posting = 0;
}


static ngx_int_t
work_put(ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **answer)
{
    ngx_int_t      rc;
    ngx_str_t      key;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn, "INSERT INTO queue_dedupe"
                                       " VALUES ('q', ?, ?)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, in);
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_now(txn));

    rc = ngx_comms_sqlite_step(txn, st);

    ngx_str_set(&key, "q");
    ngx_comms_sqlite_notice(txn, NGX_COMMS_NOTICE_QUEUE, &key);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/* writes, and then wants it undone */

static ngx_int_t
work_regret(ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **answer)
{
    (void) work_put(txn, in, answer);
    *answer = json_integer(1);

    return NGX_ERROR;
}


static ngx_int_t
work_count(ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **answer)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn, "SELECT count(*) FROM queue_dedupe");

    if (st == NULL || ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    *answer = ngx_comms_sqlite_column(st, 0);

    return NGX_OK;
}


static ngx_int_t
work_bad_sql(ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **answer)
{
    return ngx_comms_sqlite_prepare(txn, "SELECT nothing FROM nowhere")
           ? NGX_OK : NGX_ERROR;
}


/* a row too large for the pages allowed: the disk is full */

static ngx_int_t
work_fill(ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **answer)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    (void) sqlite3_exec(txn->connection, "PRAGMA max_page_count=100", NULL,
                        NULL, NULL);

    st = ngx_comms_sqlite_prepare(txn, "INSERT INTO queue_dedupe"
                                       " VALUES ('q', zeroblob(?), 1)");
    ngx_comms_sqlite_bind_json(st, 1, in);
    rc = ngx_comms_sqlite_step(txn, st);

    (void) sqlite3_exec(txn->connection, "PRAGMA max_page_count=1000000",
                        NULL, NULL, NULL);

    assert_int_equal(rc, NGX_ERROR);

    return NGX_ERROR;
}


static ngx_int_t
work_values(ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **answer)
{
    json_t        *doc, *value;
    ngx_str_t      empty;
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    doc = json_pack("{s:[i,n,b], s:s, s:f}", "list", 7, 1, "text",
                    "z\xc3\xbcrich", "real", 1.5);
    value = json_string("plain");
    ngx_str_null(&empty);

    /* twice: the second is the cached statement, with no old bindings */

    for (i = 0; i < 2; i++) {
        st = ngx_comms_sqlite_prepare(txn, "SELECT ?, ?, ?, ?, ?, ?, ?");
        assert_non_null(st);

        if (i == 1) {
            assert_int_equal(ngx_comms_sqlite_step(txn, st), NGX_OK);
            assert_int_equal(sqlite3_column_type(st, 0), SQLITE_NULL);
            break;
        }

        ngx_comms_sqlite_bind_json(st, 1, doc);
        ngx_comms_sqlite_bind_json(st, 2, value);
        ngx_comms_sqlite_bind_json(st, 3, json_true());
        ngx_comms_sqlite_bind_json(st, 4, json_null());
        ngx_comms_sqlite_bind_str(st, 5, NULL);
        ngx_comms_sqlite_bind_str(st, 6, &empty);
        ngx_comms_sqlite_bind_int(st, 7, INT64_MAX);

        assert_int_equal(ngx_comms_sqlite_step(txn, st), NGX_OK);

        json_decref(value);
        value = ngx_comms_sqlite_column_json(st, 0);
        assert_true(json_equal(value, doc));
        json_decref(value);
        json_decref(doc);

        value = ngx_comms_sqlite_column(st, 1);
        assert_string_equal(json_string_value(value), "plain");
        json_decref(value);

        value = ngx_comms_sqlite_column(st, 2);
        assert_int_equal(json_integer_value(value), 1);
        json_decref(value);

        assert_true(json_is_null(ngx_comms_sqlite_column(st, 3)));
        assert_true(json_is_null(ngx_comms_sqlite_column_json(st, 4)));

        value = ngx_comms_sqlite_column(st, 5);
        assert_int_equal(json_string_length(value), 0);
        assert_true(json_is_string(value));
        json_decref(value);

        *answer = ngx_comms_sqlite_column(st, 6);
        assert_true(json_integer_value(*answer) == INT64_MAX);
        json_decref(*answer);
        *answer = NULL;

        assert_int_equal(ngx_comms_sqlite_step(txn, st), NGX_DONE);
    }

    return NGX_OK;
}


static int
engine_setup(void **state)
{
    void             **conf_ctx;
    const char        *tmp;
    ngx_cycle_t       *cycle;
    ngx_core_module_t *module;

    if (unit_setup(state) != 0) {
        return -1;
    }

    cycle = (ngx_cycle_t *) ngx_cycle;
    module = ngx_thread_pool_module.ctx;

    conf_ctx = ngx_pcalloc(cycle->pool, sizeof(void *));
    ngx_thread_pool_module.index = 0;
    conf_ctx[0] = module->create_conf(cycle);
    cycle->conf_ctx = (void ****) conf_ctx;

    ngx_str_set(&cycle->prefix, "/");
    ngx_str_set(&cycle->conf_prefix, "/");

    ngx_event_actions.notify = notify;
    ngx_process = NGX_PROCESS_WORKER;

    tmp = getenv("TMPDIR");
    (void) snprintf(dir, sizeof(dir), "%s/comms-sqlite-XXXXXX",
                    tmp ? tmp : "/tmp");

    return mkdtemp(dir) != NULL ? 0 : -1;
}


static int
engine_teardown(void **state)
{
    char   command[512];
    pid_t  pid;
    int    status;

    (void) snprintf(command, sizeof(command), "%s", dir);

    pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", command, (char *) NULL);
        _exit(127);
    }

    return waitpid(pid, &status, 0) == pid ? 0 : -1;
}


static ngx_comms_sqlite_t *
open_engine(const char *name)
{
    u_char              *text;
    ngx_str_t            path, pool;
    ngx_conf_t           cf;
    ngx_cycle_t         *cycle;
    ngx_conf_file_t      file;
    ngx_core_module_t   *module;
    ngx_comms_sqlite_t  *db;

    cycle = (ngx_cycle_t *) ngx_cycle;
    module = ngx_thread_pool_module.ctx;

    ngx_memzero(&cf, sizeof(cf));
    ngx_memzero(&file, sizeof(file));
    file.file.name = unit_str("unit");
    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.log = cycle->log;
    cf.conf_file = &file;

    text = ngx_pcalloc(cycle->pool, 512);
    path.data = text;
    path.len = ngx_sprintf(text, "%s/%s", dir, name) - text;

    ngx_str_null(&pool);

    db = ngx_comms_sqlite_add(&cf, &path, &pool, zone);
    assert_non_null(db);

    assert_ptr_equal(module->init_conf(cycle,
                                       ((void **) cycle->conf_ctx)[0]),
                     NGX_CONF_OK);
    assert_int_equal(ngx_thread_pool_module.init_process(cycle), NGX_OK);
    assert_int_equal(ngx_comms_sqlite_init_process(db, cycle), NGX_OK);

    ngx_memzero(&tally, sizeof(tally));
    counted = 0;
    noticed = 0;

    return db;
}


/* in nginx's own order: thread pools end first */

static void
close_engine(ngx_comms_sqlite_t *db)
{
    ngx_thread_pool_module.exit_process((ngx_cycle_t *) ngx_cycle);
    ngx_comms_sqlite_exit_process(db);
    notified = NULL;

    while (!ngx_queue_empty(&ngx_posted_events)) {
        ngx_queue_remove(ngx_queue_head(&ngx_posted_events));
    }
}


static sqlite3 *
by_hand(const char *name, const char *sql)
{
    char      path[512];
    sqlite3  *c;

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    assert_int_equal(sqlite3_open(path, &c), SQLITE_OK);
    (void) sqlite3_busy_timeout(c, 5000);
    assert_int_equal(sqlite3_exec(c, sql, NULL, NULL, NULL), SQLITE_OK);

    return c;
}


static void
test_many(void **state)
{
    char                 path[512];
    ngx_uint_t           i;
    struct stat          st;
    ngx_comms_sqlite_t  *db;

    db = open_engine("a/b/comms.db");

    for (i = 0; i < OPS; i++) {
        post(db, (i % 10 == 3) ? work_regret : work_put, 1, i);
    }

    post(db, work_count, 0, 0);
    loop(OPS + 1);

    assert_int_equal(tally.last, OPS - OPS / 10);
    assert_int_equal(tally.failed, OPS / 10);

    /* one notice for each group, not for each work */
    assert_in_range(noticed, OPS / 256, OPS / 256 + 2);

    /* a constraint is not an error */
    post(db, work_put, 1, 0);
    loop(OPS + 2);
    assert_int_equal(tally.declined, 1);

    (void) snprintf(path, sizeof(path), "%s/a/b/comms.db", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    (void) snprintf(path, sizeof(path), "%s/a", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    close_engine(db);
}


static void
test_values(void **state)
{
    ngx_comms_sqlite_t  *db;

    db = open_engine("values.db");
    post(db, work_values, 0, 0);
    loop(1);
    assert_int_equal(tally.ok, 1);
    close_engine(db);
}


/* what was queued and not begun is carried out, and answered to nobody */

static void
test_exit_finishes(void **state)
{
    ngx_uint_t           i;
    ngx_comms_sqlite_t  *db;

    db = open_engine("exit.db");

    for (i = 0; i < 700; i++) {
        post(db, work_put, 1, i);
    }

    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);
    close_engine(db);
    assert_int_equal(tally.finished, 0);

    /* and what comes after that is dropped */
    post(db, work_put, 1, 5000);
    assert_int_equal(tally.finished, 0);

    db = open_engine("exit.db");
    post(db, work_count, 0, 0);
    loop(1);
    assert_int_equal(tally.last, 700);
    close_engine(db);
}


static void
test_errors(void **state)
{
    ngx_comms_sqlite_t  *db;

    db = open_engine("errors.db");

    post(db, work_put, 1, 1);
    post(db, work_bad_sql, 0, 0);
    post(db, work_put, 0, 2);       /* says that it only reads */
    loop(3);
    assert_int_equal(tally.ok, 1);
    assert_int_equal(tally.failed, 2);
    assert_int_equal(counted, 1);

    /* a full disk fails the work, or with it all of the group */
    post(db, work_put, 1, 3);
    post(db, work_fill, 1, 4000000);
    loop(5);
    assert_true(tally.failed >= 3);

    /* and is over when there is room again */
    post(db, work_put, 1, 4);
    loop(6);
    assert_true(tally.ok >= 2);

    close_engine(db);
}


static void
test_locked(void **state)
{
    sqlite3             *c;
    ngx_comms_sqlite_t  *db;

    db = open_engine("locked.db");
    post(db, work_put, 1, 1);
    loop(1);

    /* readers do not wait; a writer gives up after some seconds */

    c = by_hand("locked.db", "BEGIN IMMEDIATE");
    post(db, work_count, 0, 0);
    loop(2);
    assert_int_equal(tally.last, 1);

    post(db, work_put, 1, 2);
    loop(3);
    assert_int_equal(tally.failed, 1);

    assert_int_equal(sqlite3_exec(c, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    post(db, work_put, 1, 2);
    loop(4);
    assert_int_equal(tally.failed, 1);

    (void) sqlite3_close(c);
    close_engine(db);
}


static void
test_refused(void **state)
{
    sqlite3             *c;
    ngx_comms_sqlite_t  *db;

    db = open_engine("newer.db");
    post(db, work_put, 1, 1);
    loop(1);
    close_engine(db);

    c = by_hand("newer.db", "PRAGMA user_version=1000");
    (void) sqlite3_close(c);

    db = open_engine("newer.db");
    post(db, work_put, 1, 2);
    loop(1);
    assert_int_equal(tally.failed, 1);
    close_engine(db);

    c = by_hand("other.db", "CREATE TABLE t (a)");
    (void) sqlite3_close(c);

    db = open_engine("other.db");
    post(db, work_put, 1, 2);
    loop(1);
    assert_int_equal(tally.failed, 1);
    close_engine(db);

    c = by_hand("other.db", "DROP TABLE t");
    (void) sqlite3_close(c);

    /* an empty one is as good as none */
    db = open_engine("other.db");
    post(db, work_put, 1, 2);
    loop(1);
    assert_int_equal(tally.ok, 1);
    close_engine(db);
}


/* the file is damaged, and then replaced, under an open connection */

static void
test_damaged(void **state)
{
    int                  fd;
    char                 path[512], bytes[4096];
    ngx_uint_t           i;
    struct timespec      ts;
    ngx_comms_sqlite_t  *db;

    (void) snprintf(path, sizeof(path), "%s/damaged.db", dir);

    fd = open(path, O_RDWR|O_CREAT, 0600);
    ngx_memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    (void) close(fd);

    db = open_engine("damaged.db");
    post(db, work_put, 1, 1);
    loop(1);
    assert_int_equal(tally.failed, 1);

    assert_int_equal(unlink(path), 0);

    ts.tv_sec = 0;
    ts.tv_nsec = 200000000;

    for (i = 0; i < 10 && tally.ok == 0; i++) {
        (void) nanosleep(&ts, NULL);
        post(db, work_put, 1, 2);
        loop(tally.finished + 1);
    }

    assert_int_equal(tally.ok, 1);

    /* opened at most once a second, and told as often */
    assert_in_range(i, 3, 8);
    assert_in_range(counted, 1, i + 2);

    /* the file goes away: noticed by the next write, mended by one later */
    assert_int_equal(unlink(path), 0);

    for (i = 0; i < 12 && tally.ok < 3; i++) {
        (void) nanosleep(&ts, NULL);
        post(db, work_put, 1, 100 + i);
        loop(tally.finished + 1);
    }

    assert_true(tally.ok >= 2);
    assert_int_equal(access(path, F_OK), 0);

    close_engine(db);
}


/* kill -9 between commits: all that was answered is there */

static void
test_killed(void **state)
{
    int                  fds[2], status;
    pid_t                pid;
    json_int_t           n, known;
    ngx_comms_sqlite_t  *db;

    assert_int_equal(pipe(fds), 0);

    pid = fork();

    if (pid == 0) {
        db = open_engine("killed.db");

        for (n = 0; /* void */ ; n++) {
            post(db, work_put, 1, n);
            loop(n + 1);

            if (tally.failed != 0
                || write(fds[1], &n, sizeof(n)) != sizeof(n))
            {
                _exit(1);
            }
        }
    }

    (void) close(fds[1]);
    known = -1;

    while (known < 200 && read(fds[0], &n, sizeof(n)) == sizeof(n)) {
        known = n;
    }

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(known >= 200);

    db = open_engine("killed.db");
    post(db, work_count, 0, 0);
    loop(1);
    assert_true(tally.last >= known + 1);
    close_engine(db);

    (void) close(fds[0]);
}


/* several processes start on a new file at once, and write to it */

static void
test_processes(void **state)
{
    int                  status;
    pid_t                pids[4];
    ngx_uint_t           p, i;
    ngx_comms_sqlite_t  *db;

    for (p = 0; p < 4; p++) {
        pids[p] = fork();

        if (pids[p] == 0) {
            ngx_pid = ngx_getpid();
            db = open_engine("shared.db");

            for (i = 0; i < 500; i++) {
                post(db, work_put, 1, p * 1000 + i);

                if (i % 5 == 0) {
                    loop(i + 1);
                }
            }

            loop(500);
            close_engine(db);
            _exit(tally.ok == 500 ? 0 : 1);
        }
    }

    for (p = 0; p < 4; p++) {
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }

    db = open_engine("shared.db");
    post(db, work_count, 0, 0);
    loop(1);
    assert_int_equal(tally.last, 2000);
    close_engine(db);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_exit_finishes),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_processes)
    };

    return cmocka_run_group_tests(tests, engine_setup, engine_teardown);
}
