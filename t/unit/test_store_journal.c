
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The journal over a real file with a real thread pool, around an inner store
 * that does what a test says: it takes messages, fails, fails though it has
 * taken one, or is silent, and remembers the order.
 */


#include "nginx_env.h"
#include "guard/ngx_comms_zone.h"
#include "store/ngx_comms_store_journal.h"

#include <ngx_thread_pool.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>


#define KEPT      2000
#define PENDING   2000
#define PATIENCE  150


typedef enum { TAKES, FAILS, LIES, SILENT, MOODY } mood_e;


typedef struct {
    json_t          *in;
    ngx_comms_op_t  *op;
} call_t;


extern ngx_module_t  ngx_thread_pool_module;

static ngx_event_handler_pt volatile  notified;
static ngx_comms_zone_t              *zone;
static char                           dir[256];

/* the inner store */
static ngx_comms_store_t              inner;
static mood_e                         mood;
static call_t                         pending[PENDING];
static ngx_uint_t                     npending;
static char                           kept[KEPT][32];   /* as they came */
static ngx_uint_t                     nkept;
static ngx_uint_t                     asked, together, most, passed, repeated;
static const char                    *poison;
static int                            record = -1;      /* file of all kept */

/* answers */
static ngx_uint_t                     finished, ok, declined, failed;
static json_t                        *answer;

static ngx_comms_sqlite_t            *db;
static ngx_comms_store_t             *store;
static ngx_uint_t                     posting;


/* the zone is not under test here */

void
ngx_comms_count(ngx_comms_zone_t *z, ngx_comms_count_e what, ngx_uint_t n)
{
}


void
ngx_comms_notice_post_hash(ngx_comms_zone_t *z, ngx_comms_notice_e kind,
    uint32_t hash)
{
}


uint32_t
ngx_comms_notice_hash(ngx_str_t *key)
{
    return 1;
}


static ngx_int_t
notify(ngx_event_handler_pt handler)
{
    notified = handler;
    return NGX_OK;
}


static const char *
text(json_t *in, const char *name)
{
    return json_string_value(json_object_get(json_object_get(in, "inbound"),
                                             name));
}


static void
inner_keep(ngx_comms_store_t *s, json_t *in, ngx_comms_op_t *op)
{
    assert_ptr_equal(s, &inner);
    assert_true(npending < PENDING);

    pending[npending].in = in;
    pending[npending++].op = op;

    asked++;
    together++;
    most = ngx_max(most, together);
}


static ngx_int_t
inner_take(const char *id)
{
    ngx_uint_t  i;

    if (poison != NULL && ngx_strcmp(id, poison) == 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < nkept; i++) {
        if (ngx_strcmp(kept[i], id) == 0) {
            repeated++;
            return NGX_DECLINED;
        }
    }

    assert_true(nkept < KEPT);
    (void) ngx_cpystrn((u_char *) kept[nkept++], (u_char *) id, 32);

    if (record != -1) {
        assert_int_equal(dprintf(record, "%s\n", id), strlen(id) + 1);
    }

    return NGX_OK;
}


static void
inner_answer(call_t *call)
{
    mood_e     how;
    json_t    *inbound;
    ngx_int_t  rc;

    how = mood;

    if (how == MOODY) {
        how = (random() % 3 == 0) ? TAKES + random() % 3 : TAKES;
    }

    rc = NGX_ERROR;

    if (how != FAILS) {
        rc = inner_take(text(call->in, "dedupe_id"));
    }

    /* it may do with its document what it likes */

    inbound = json_object_get(call->in, "inbound");
    assert_int_equal(json_object_clear(inbound), 0);
    json_decref(call->in);

    together--;
    ngx_comms_op_finish(call->op, how == LIES ? NGX_ERROR : rc, NULL);
}


/* one of those that wait, at random */

static void
inner_turn(void)
{
    call_t      call;
    ngx_uint_t  i;

    while (mood != SILENT && npending != 0 && random() % 4 != 0) {
        i = random() % npending;
        call = pending[i];
        pending[i] = pending[--npending];
        inner_answer(&call);
    }
}


static void
inner_find(ngx_comms_store_t *s, json_t *in, ngx_comms_op_t *op)
{
    assert_ptr_equal(s, &inner);
    passed++;
    json_decref(in);
    ngx_comms_op_finish(op, NGX_DECLINED, NULL);
}


static void
inner_figures(ngx_comms_store_t *s, json_t *in, ngx_comms_op_t *op)
{
    assert_ptr_equal(s, &inner);
    json_decref(in);

    if (mood == FAILS) {
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
        return;
    }

    ngx_comms_op_finish(op, NGX_OK, json_pack("{s:i}", "inbound_waiting", 7));
}


static ngx_int_t
inner_init(ngx_comms_store_t *s, ngx_cycle_t *cycle)
{
    passed++;
    return NGX_OK;
}


static void
inner_exit(ngx_comms_store_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < npending; i++) {
        json_decref(pending[i].in);
        ngx_comms_op_finish(pending[i].op, NGX_ERROR, NULL);
    }

    npending = 0;
    together = 0;
    passed++;
}


static void
turn(void)
{
    ngx_event_t           event;
    struct timespec       ts;
    ngx_event_handler_pt  handler;

    ts.tv_sec = 0;
    ts.tv_nsec = 300000;

    ngx_time_update();
    ngx_event_expire_timers();
    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);
    inner_turn();

    handler = notified;

    if (handler != NULL) {
        notified = NULL;
        ngx_memzero(&event, sizeof(event));
        event.log = ngx_cycle->log;
        handler(&event);
        return;
    }

    (void) nanosleep(&ts, NULL);
}


static void
loop(ngx_uint_t until)
{
    time_t  start;

    start = time(NULL);

    while (finished < until && time(NULL) - start < 60) {
        turn();
    }

    assert_int_equal(finished, until);
}


static void
turns(ngx_msec_t ms)
{
    ngx_msec_t  start;

    ngx_time_update();
    start = ngx_current_msec;

    while (ngx_current_msec - start < ms) {
        turn();
    }
}


static void
done(ngx_comms_op_t *op)
{
    assert_false(posting);

    finished++;
    ok += (op->rc == NGX_OK);
    declined += (op->rc == NGX_DECLINED);
    failed += (op->rc == NGX_ERROR);

    json_decref(answer);
    answer = json_incref(op->answer);
}


/* ids are "<pair>:<number>" */

static void
keep_id(ngx_uint_t pair, const char *id)
{
    char             company[32];
    json_t          *in;
    ngx_comms_op_t  *op;

    (void) snprintf(company, sizeof(company), "+4930%d", (int) pair);

    in = json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:I, s:s}, s:s, s:{s:s}}",
                   "inbound", "inbound_id", id, "dedupe_id", id,
                   "channel", "sms", "company_address", company,
                   "person_address", "+491511", "received_at",
                   (json_int_t) 1, "text", "z\xc3\xbcrich",
                   "queue", "reply", "body", "kind", "reply");
    assert_non_null(in);

    op = ngx_comms_op_create(done, NULL, 0);

    posting = 1;
    store->keep(store, in, op);
    posting = 0;
}


static void
keep(ngx_uint_t pair, ngx_uint_t n)
{
    char  id[32];

    (void) snprintf(id, sizeof(id), "%d:%d", (int) pair, (int) n);
    keep_id(pair, id);
}


static json_int_t
figure(const char *name)
{
    store->figures(store, json_object(), ngx_comms_op_create(done, NULL, 0));
    loop(finished + 1);

    return json_integer_value(json_object_get(answer, name));
}


static void
drain(json_int_t left)
{
    time_t  start;

    start = time(NULL);

    while (figure("journal") != left && time(NULL) - start < 60) {
        turns(50);
    }

    assert_int_equal(figure("journal"), left);
}


/* each message once, and those of a pair in order: 0, 1, 2, ... */

static void
assert_ordered(ngx_uint_t pairs)
{
    int         pair, n;
    ngx_uint_t  i, next[64];

    ngx_memzero(next, sizeof(next));

    for (i = 0; i < nkept; i++) {
        assert_int_equal(sscanf(kept[i], "%d:%d", &pair, &n), 2);
        assert_true(pair < (int) pairs);
        assert_int_equal(n, next[pair]);
        next[pair]++;
    }
}


static void
assert_order(ngx_uint_t pairs, ngx_uint_t each)
{
    assert_int_equal(nkept, pairs * each);
    assert_ordered(pairs);
}


static int
journal_setup(void **state)
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
    (void) snprintf(dir, sizeof(dir), "%s/comms-journal-XXXXXX",
                    tmp ? tmp : "/tmp");

    return mkdtemp(dir) != NULL ? 0 : -1;
}


static int
journal_teardown(void **state)
{
    pid_t  pid;
    int    status;

    json_decref(answer);

    pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", dir, (char *) NULL);
        _exit(127);
    }

    return waitpid(pid, &status, 0) == pid ? 0 : -1;
}


static void
open_store(const char *name)
{
    u_char             *p;
    ngx_str_t           path, pool;
    ngx_conf_t          cf;
    ngx_cycle_t        *cycle;
    ngx_conf_file_t     file;
    ngx_core_module_t  *module;

    cycle = (ngx_cycle_t *) ngx_cycle;
    module = ngx_thread_pool_module.ctx;

    ngx_memzero(&cf, sizeof(cf));
    ngx_memzero(&file, sizeof(file));
    file.file.name = unit_str("unit");
    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.log = cycle->log;
    cf.conf_file = &file;

    p = ngx_pcalloc(cycle->pool, 512);
    path.data = p;
    path.len = ngx_sprintf(p, "%s/%s", dir, name) - p;

    ngx_str_null(&pool);

    db = ngx_comms_sqlite_add(&cf, &path, &pool, zone);
    assert_non_null(db);

    inner.name = unit_str("elsewhere");
    inner.keep = inner_keep;
    inner.find = inner_find;
    inner.figures = inner_figures;
    inner.init_process = inner_init;
    inner.exit_process = inner_exit;

    store = ngx_comms_store_journal(&cf, &inner, db, PATIENCE);
    assert_non_null(store);

    assert_ptr_equal(module->init_conf(cycle,
                                       ((void **) cycle->conf_ctx)[0]),
                     NGX_CONF_OK);
    assert_int_equal(ngx_thread_pool_module.init_process(cycle), NGX_OK);

    passed = 0;
    assert_int_equal(store->init_process(store, cycle), NGX_OK);
    assert_int_equal(passed, 1);

    finished = ok = declined = failed = 0;
}


static void
forget(void)
{
    nkept = asked = most = together = 0;
    poison = NULL;
    mood = TAKES;
}


static void
close_store(void)
{
    ngx_thread_pool_module.exit_process((ngx_cycle_t *) ngx_cycle);

    passed = 0;
    store->exit_process(store);
    assert_int_equal(passed, 1);

    notified = NULL;

    while (!ngx_queue_empty(&ngx_posted_events)) {
        ngx_queue_remove(ngx_queue_head(&ngx_posted_events));
    }

    assert_int_equal(ngx_event_no_timers_left(), NGX_OK);
    assert_true(ngx_event_timer_rbtree.root
                == ngx_event_timer_rbtree.sentinel);
}


static void
by_hand(const char *name, const char *sql)
{
    char      path[512];
    sqlite3  *c;

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    assert_int_equal(sqlite3_open(path, &c), SQLITE_OK);
    (void) sqlite3_busy_timeout(c, 5000);
    assert_int_equal(sqlite3_exec(c, sql, NULL, NULL, NULL), SQLITE_OK);
    (void) sqlite3_close(c);
}


static void
test_passes(void **state)
{
    json_t  *bad;

    forget();
    open_store("passes.db");
    assert_true(store->name.len == inner.name.len);

    keep(0, 0);
    keep(0, 1);
    keep(1, 0);
    keep(1, 0);
    loop(4);

    assert_int_equal(ok, 3);
    assert_int_equal(declined, 1);
    assert_int_equal(asked, 4);
    assert_int_equal(nkept, 3);
    assert_int_equal(figure("journal"), 0);
    assert_int_equal(figure("inbound_waiting"), 7);

    store->find(store, json_object(), ngx_comms_op_create(done, NULL, 0));
    assert_int_equal(passed, 2);

    /* what no store will ever take does not get into the journal */

    mood = FAILS;
    bad = json_pack("{s:{s:s}, s:s, s:{}}", "inbound", "dedupe_id", "x",
                    "queue", "reply", "body");
    failed = 0;
    store->keep(store, bad, ngx_comms_op_create(done, NULL, 0));
    loop(finished + 1);
    assert_int_equal(failed, 1);
    assert_int_equal(figure("journal"), 0);

    close_store();
}


static void
test_outage(void **state)
{
    ngx_uint_t  i, start;

    forget();
    open_store("outage.db");
    mood = FAILS;

    for (i = 0; i < 400; i++) {
        keep(i % 40, i / 40);
    }

    loop(400);
    assert_int_equal(ok, 400);
    assert_int_equal(nkept, 0);
    assert_int_equal(figure("journal"), 400);
    assert_int_equal(failed, 1);    /* the figures of the inner store */

    keep(3, 3);
    loop(finished + 1);
    assert_int_equal(declined, 1);

    /* it is asked seldom, and by one at a time after the first failures */

    start = asked;
    turns(3000);
    assert_in_range(asked - start, 0, 16 + 2);
    assert_int_equal(figure("journal"), 400);

    /* meanwhile more come */

    mood = TAKES;

    for (i = 400; i < 800; i++) {
        keep(i % 40, i / 40);

        if (i % 10 == 0) {
            turns(30);
        }
    }

    drain(0);
    assert_order(40, 20);

    /* and then the journal is out of the way */

    start = asked;
    keep(0, 20);
    loop(finished + 1);
    assert_int_equal(asked, start + 1);
    assert_int_equal(figure("journal"), 0);

    close_store();
}


static void
test_silent(void **state)
{
    ngx_msec_t  start;

    forget();
    open_store("silent.db");
    mood = SILENT;

    ngx_time_update();
    start = ngx_current_msec;

    /* the second waits for the first, and then is not tried */

    keep(0, 0);
    keep(0, 1);
    loop(2);
    assert_int_equal(ok, 2);
    assert_int_equal(asked, 1);
    assert_true(ngx_current_msec - start >= PATIENCE);
    assert_true(ngx_current_msec - start < PATIENCE + 1000);

    keep(0, 1);
    loop(3);
    assert_int_equal(declined, 1);
    assert_int_equal(asked, 1);
    assert_int_equal(figure("journal"), 2);

    /* the answer comes late; then the journal has what the store has */

    mood = TAKES;
    turn();
    drain(0);
    assert_order(1, 2);

    close_store();
}


static void
test_moody(void **state)
{
    ngx_uint_t  i, n;

    forget();
    open_store("moody.db");
    mood = MOODY;

    for (n = 0; n < 40; n++) {
        for (i = 0; i < 25; i++) {
            keep(i, n);
        }

        /* sometimes they come before the answers */

        if (n % 3 != 0) {
            loop((n + 1) * 25);
        }
    }

    loop(1000);
    assert_int_equal(failed, 0);
    assert_int_equal(ok + declined, 1000);

    mood = TAKES;
    assert_in_range(figure("journal"), 100, 999);
    most = together;
    drain(0);
    assert_in_range(most, 2, 16);
    assert_order(25, 40);

    close_store();
}


/* a message that is never taken holds up its own pair alone */

static void
test_poison(void **state)
{
    ngx_uint_t  i;

    forget();
    open_store("poison.db");
    mood = FAILS;

    for (i = 0; i < 30; i++) {
        keep(i % 10, i / 10);
    }

    for (i = 0; i < 100; i++) {
        keep(10, i);
    }

    loop(130);
    turns(1500);

    poison = "0:0";
    repeated = 0;
    mood = TAKES;
    drain(3);
    assert_int_equal(nkept, 127);

    poison = NULL;
    drain(0);
    assert_int_equal(nkept, 130);
    assert_int_equal(repeated, 0);
    assert_ordered(11);

    close_store();
}


static void
test_damaged_row(void **state)
{
    ngx_uint_t  i;

    forget();
    open_store("row.db");
    mood = FAILS;

    for (i = 0; i < 5; i++) {
        keep(i, 0);
    }

    loop(5);
    by_hand("row.db", "UPDATE journal SET message = '{' WHERE journal_id = 1");

    mood = TAKES;
    drain(1);
    assert_int_equal(nkept, 4);

    close_store();
}


static void
test_restart(void **state)
{
    ngx_uint_t  i;

    forget();
    open_store("restart.db");
    mood = SILENT;

    /* not answered yet when the worker ends */

    for (i = 0; i < 20; i++) {
        keep(i % 4, i / 4);
    }

    turns(PATIENCE / 3);
    close_store();
    assert_int_equal(finished, 0);

    forget();
    open_store("restart.db");
    assert_int_equal(figure("journal"), 20);
    drain(0);
    assert_order(4, 5);
    assert_int_equal(asked, 20);
    close_store();
}


/* kill -9: all that was answered is there, and in order */

static void
test_killed(void **state)
{
    int         fds[2], status;
    char        c;
    pid_t       pid;
    ngx_uint_t  n, round;

    forget();
    assert_int_equal(pipe(fds), 0);

    for (round = 0; round < 2; round++) {
        pid = fork();

        if (pid == 0) {
            ngx_pid = ngx_getpid();
            open_store("killed.db");
            mood = FAILS;

            for (n = round * 100; /* void */ ; n++) {
                keep(0, n);
                loop(finished + 1);

                if (failed != 0 || write(fds[1], "x", 1) != 1) {
                    _exit(1);
                }

                if (n == round * 100 + 99) {
                    pause();
                }
            }
        }

        for (n = 0; n < 100; n++) {
            assert_int_equal(read(fds[0], &c, 1), 1);
        }

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }

    (void) close(fds[0]);
    (void) close(fds[1]);

    /* a dead worker's claim is waited for, and one from tomorrow is not */

    by_hand("killed.db", "UPDATE journal_claim SET owner = '1-0',"
                         " expires_at = unixepoch() * 1000 + 3500");
    open_store("killed.db");
    assert_int_equal(figure("journal"), 200);
    turns(1500);
    assert_int_equal(nkept, 0);
    drain(0);
    assert_order(1, 200);

    mood = FAILS;
    keep(0, 200);
    loop(finished + 1);
    by_hand("killed.db", "UPDATE journal_claim SET owner = '1-0',"
                         " expires_at = unixepoch() * 1000 + 86400000;"
                         "UPDATE journal SET"
                         " due_at = unixepoch() * 1000 + 86400000");
    mood = TAKES;
    drain(0);
    assert_order(1, 201);

    close_store();
}


/* several workers on one journal: each message is forwarded once */

static void
test_processes(void **state)
{
    int         status, fd, pair, n, p, next[3][8];
    char        path[512], line[64];
    FILE       *f;
    pid_t       pids[3];
    ngx_uint_t  i, lines;

    forget();
    (void) snprintf(path, sizeof(path), "%s/record", dir);

    for (p = 0; p < 3; p++) {
        pids[p] = fork();

        if (pids[p] == 0) {
            ngx_pid = ngx_getpid();
            srandom(ngx_pid);
            fd = open(path, O_WRONLY|O_APPEND|O_CREAT, 0600);
            record = fd;

            open_store("shared.db");
            mood = FAILS;

            for (i = 0; i < 160; i++) {
                (void) snprintf(line, sizeof(line), "%d:%d:%d",
                                (int) i % 8, (int) i / 8, p);
                keep_id(i % 8, line);
                loop(finished + 1);
            }

            mood = TAKES;
            drain(0);
            close_store();
            _exit(ok >= 160 && failed == 0 ? 0 : 1);
        }
    }

    for (p = 0; p < 3; p++) {
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }

    ngx_memzero(next, sizeof(next));
    lines = 0;
    f = fopen(path, "r");
    assert_non_null(f);

    while (fgets(line, sizeof(line), f) != NULL) {
        assert_int_equal(sscanf(line, "%d:%d:%d", &pair, &n, &p), 3);
        assert_int_equal(n, next[p][pair]);
        next[p][pair]++;
        lines++;
    }

    (void) fclose(f);
    assert_int_equal(lines, 3 * 160);
}


static void
test_full(void **state)
{
    forget();
    open_store("full.db");
    assert_int_equal(figure("journal"), 0);

    by_hand("full.db",
            "WITH RECURSIVE c (i) AS (VALUES (1) UNION ALL SELECT i + 1"
            " FROM c WHERE i < 100000) INSERT INTO journal (dedupe_id,"
            " channel, company_address, person_address, head, at, due_at,"
            " message) SELECT 'old:' || i, 'sms', '+4930' || (100 + i % 100),"
            " '+491511', i <= 100, 0, unixepoch() * 1000 + 29000, '{}'"
            " FROM c");

    mood = FAILS;
    keep(0, 0);
    loop(finished + 1);
    assert_int_equal(failed, 1);

    /* the figures of the inner store fail, too */
    assert_int_equal(figure("journal"), 100000);
    assert_int_equal(failed, 2);

    keep_id(101, "old:1");
    loop(finished + 1);
    assert_int_equal(declined, 1);

    by_hand("full.db", "DELETE FROM journal WHERE journal_id = 7");
    ok = 0;
    keep(0, 0);
    loop(finished + 1);
    assert_int_equal(ok, 1);

    /* what the inner store takes is not refused, but for a pair in the way */

    mood = TAKES;
    keep(1, 0);
    loop(finished + 1);
    assert_int_equal(ok, 2);
    keep(101, 1);
    loop(finished + 1);
    assert_int_equal(failed, 3);

    close_store();
}


/* a journal that cannot be opened: what the inner store takes is kept */

static void
test_unusable(void **state)
{
    forget();
    by_hand("other.db", "CREATE TABLE t (a)");
    open_store("other.db");

    keep(0, 0);
    loop(1);
    assert_int_equal(ok, 1);

    mood = FAILS;
    keep(0, 1);
    loop(2);
    assert_int_equal(failed, 1);

    mood = TAKES;
    assert_int_equal(figure("inbound_waiting"), 7);
    assert_null(json_object_get(answer, "journal"));

    close_store();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_moody),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_damaged_row),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_unusable)
    };

    return cmocka_run_group_tests(tests, journal_setup, journal_teardown);
}
