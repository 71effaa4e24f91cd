
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The event loop's side: the queue of works, the task, and its end.
 *
 *   post -> queue -> (event) -> group -> task in the thread -> end
 *
 * A group starts from a posted event, and not from ngx_comms_sqlite_post(),
 * so that all works that one turn of the event loop brings share a commit.
 * While a task is in flight, works wait in the queue.
 *
 * Invariants:
 *   1. There is one task, and it is posted only while it is not active;
 *      between post and end the transaction belongs to the thread.
 *   2. An operation is finished from an event, never inside of the function
 *      that brought it.
 *   3. While a task is in flight a timer that is not cancelable runs, because
 *      a graceful exit waits for timers and knows nothing of tasks.
 *   4. At exit what is queued is carried out but not answered: whoever asked
 *      has gone, and an effect that was written down is worth more than one
 *      that is unknown.  Permits are the exception: an intent that nobody is
 *      left to act on would put a message in doubt that was never sent.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include <sqlite/ngx_comms_sqlite_private.h>


#define NGX_COMMS_SQLITE_PENDING  60000


struct ngx_comms_sqlite_s {
    void                      *unused[3];   /* what debug builds of nginx */
    ngx_socket_t               fd;          /* read through an event's data */

    ngx_str_t                  path;
    ngx_str_t                  pool_name;
    ngx_comms_zone_t          *zone;
    ngx_log_t                 *log;

    ngx_thread_pool_t         *pool;
    ngx_thread_task_t         *task;
    ngx_comms_sqlite_txn_t    *txn;         /* NULL: not in a worker yet */

    ngx_comms_sqlite_work_t   *works;
    ngx_comms_sqlite_work_t  **last;
    ngx_comms_op_t            *unserved;    /* got no memory for a work */

    ngx_event_t                start;
    ngx_event_t                pending;

    unsigned                   active:1;
    unsigned                   closed:1;
};


static void ngx_comms_sqlite_wake(ngx_comms_sqlite_t *db);
static void ngx_comms_sqlite_start(ngx_event_t *ev);
static void ngx_comms_sqlite_dispatch(ngx_comms_sqlite_t *db);
static void ngx_comms_sqlite_take_group(ngx_comms_sqlite_t *db);
static void ngx_comms_sqlite_drop_permits(ngx_comms_sqlite_t *db);
static void ngx_comms_sqlite_task(void *data, ngx_log_t *log);
static void ngx_comms_sqlite_end(ngx_event_t *ev);
static void ngx_comms_sqlite_still_pending(ngx_event_t *ev);
static void ngx_comms_sqlite_tell(ngx_comms_sqlite_t *db);
static void ngx_comms_sqlite_log(ngx_comms_sqlite_t *db,
    ngx_comms_sqlite_error_t *e);
static void ngx_comms_sqlite_finish(ngx_comms_sqlite_work_t *w,
    ngx_uint_t unheard);


ngx_comms_sqlite_t *
ngx_comms_sqlite_add(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *thread_pool,
    ngx_comms_zone_t *zone)
{
    ngx_comms_sqlite_t  *db;

    if (path->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the path of the database is empty");
        return NULL;
    }

    if (!sqlite3_threadsafe()) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the SQLite library was built without threads");
        return NULL;
    }

    db = ngx_pcalloc(cf->pool, sizeof(ngx_comms_sqlite_t));
    if (db == NULL) {
        return NULL;
    }

    db->path = *path;

    if (ngx_conf_full_name(cf->cycle, &db->path, 0) != NGX_OK) {
        return NULL;
    }

    /* the pool's default name, where none is given, is nginx's own */

    if (ngx_thread_pool_add(cf, thread_pool->len ? thread_pool : NULL)
        == NULL)
    {
        return NULL;
    }

    if (thread_pool->len) {
        db->pool_name = *thread_pool;

    } else {
        ngx_str_set(&db->pool_name, "default");
    }

    db->fd = (ngx_socket_t) -1;
    db->zone = zone;
    db->last = &db->works;

    return db;
}


ngx_int_t
ngx_comms_sqlite_init_process(ngx_comms_sqlite_t *db, ngx_cycle_t *cycle)
{
    ngx_comms_sqlite_txn_t  *txn;

    if (db->txn != NULL) {
        return NGX_OK;
    }

    db->log = cycle->log;

    db->pool = ngx_thread_pool_get(cycle, &db->pool_name);
    if (db->pool == NULL) {
        ngx_log_error(NGX_LOG_EMERG, db->log, 0,
                      "thread pool \"%V\" not found", &db->pool_name);
        return NGX_ERROR;
    }

    txn = ngx_pcalloc(cycle->pool, sizeof(ngx_comms_sqlite_txn_t));
    if (txn == NULL) {
        return NGX_ERROR;
    }

    /* a copy, because creating the directory writes into it */

    txn->path = ngx_pnalloc(cycle->pool, db->path.len + 1);
    if (txn->path == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(txn->path, db->path.data, db->path.len + 1);

    db->task = ngx_thread_task_alloc(cycle->pool,
                                     sizeof(ngx_comms_sqlite_txn_t *));
    if (db->task == NULL) {
        return NGX_ERROR;
    }

    *(ngx_comms_sqlite_txn_t **) db->task->ctx = txn;
    db->task->handler = ngx_comms_sqlite_task;
    db->task->event.handler = ngx_comms_sqlite_end;
    db->task->event.data = db;
    db->task->event.log = db->log;

    db->start.handler = ngx_comms_sqlite_start;
    db->start.data = db;
    db->start.log = db->log;

    db->pending.handler = ngx_comms_sqlite_still_pending;
    db->pending.data = db;
    db->pending.log = db->log;

    db->txn = txn;

    /* a group of no works: opens the database, and says so if it cannot */

    ngx_comms_sqlite_dispatch(db);

    return NGX_OK;
}


void
ngx_comms_sqlite_exit_process(ngx_comms_sqlite_t *db)
{
    ngx_uint_t               failed;
    ngx_comms_sqlite_txn_t  *txn;

    txn = db->txn;

    if (txn == NULL || db->closed) {
        return;
    }

    db->closed = 1;

    if (db->start.posted) {
        ngx_delete_posted_event(&db->start);
    }

    if (db->pending.timer_set) {
        ngx_del_timer(&db->pending);
    }

    /*
     * nginx ends its thread pools before the modules that were loaded, and
     * a pool carries out what it has before it ends.  Should the thread still
     * be at work, the connection is its own, and the file is as safe as after
     * kill -9.
     */

    if (db->active) {
        if (!__atomic_load_n(&txn->over, __ATOMIC_ACQUIRE)) {
            return;
        }

        ngx_comms_sqlite_tell(db);
        ngx_comms_sqlite_finish(txn->works, 1);
    }

    failed = txn->error.set;

    ngx_comms_sqlite_drop_permits(db);

    while (db->works != NULL) {
        ngx_comms_sqlite_take_group(db);

        if (!failed) {
            ngx_comms_sqlite_run(txn);
            ngx_comms_sqlite_tell(db);

            /* one that waited for a lock in vain is enough at exit */
            failed = txn->error.set;
        }

        ngx_comms_sqlite_finish(txn->works, 1);
    }

    txn->works = NULL;

    ngx_comms_sqlite_close(txn);
}


void
ngx_comms_sqlite_post(ngx_comms_sqlite_t *db, ngx_comms_sqlite_work_pt work,
    ngx_uint_t writes, json_t *in, ngx_comms_op_t *op)
{
    ngx_comms_sqlite_work_t  *w;

    w = NULL;

    if (db->txn != NULL && !db->closed) {
        w = ngx_calloc(sizeof(ngx_comms_sqlite_work_t), db->log);
    }

    if (w == NULL) {
        json_decref(in);

        if (db->txn == NULL || db->closed) {
            /* no event will come any more that could answer */
            ngx_comms_op_cancel(op);
            ngx_comms_op_finish(op, NGX_ERROR, NULL);
            return;
        }

        /*
         * It must be answered later, and there is no memory to keep it in:
         * the operations are linked through a field that nobody reads before
         * they are finished.
         */

        op->answer = (json_t *) db->unserved;
        db->unserved = op;

        ngx_comms_sqlite_wake(db);
        return;
    }

    w->work = work;
    w->writes = writes;
    w->in = in;
    w->op = op;

    *db->last = w;
    db->last = &w->next;

    if (!db->active) {
        ngx_comms_sqlite_wake(db);
    }
}


static void
ngx_comms_sqlite_wake(ngx_comms_sqlite_t *db)
{
    ngx_event_t  *ev;

    ev = &db->start;

    ngx_post_event(ev, &ngx_posted_events);
}


static void
ngx_comms_sqlite_start(ngx_event_t *ev)
{
    ngx_comms_op_t      *op, *next;
    ngx_comms_sqlite_t  *db;

    db = ev->data;

    op = db->unserved;
    db->unserved = NULL;

    for ( /* void */ ; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;
        op->answer = NULL;

        ngx_comms_op_finish(op, NGX_ERROR, NULL);
    }

    if (!db->active && db->works != NULL) {
        ngx_comms_sqlite_dispatch(db);
    }
}


static void
ngx_comms_sqlite_dispatch(ngx_comms_sqlite_t *db)
{
    ngx_comms_sqlite_work_t  *w;

    ngx_comms_sqlite_take_group(db);

    db->active = 1;

    if (ngx_thread_task_post(db->pool, db->task) == NGX_OK) {
        ngx_add_timer(&db->pending, NGX_COMMS_SQLITE_PENDING);
        return;
    }

    /* the pool's queue is full: logged by nginx */

    db->active = 0;

    w = db->txn->works;
    db->txn->works = NULL;

    if (db->works != NULL) {
        ngx_comms_sqlite_wake(db);
    }

    ngx_comms_sqlite_finish(w, 0);
}


static void
ngx_comms_sqlite_take_group(ngx_comms_sqlite_t *db)
{
    ngx_uint_t                n;
    ngx_comms_sqlite_txn_t   *txn;
    ngx_comms_sqlite_work_t  *w, **last;

    txn = db->txn;

    txn->works = db->works;
    txn->writers = 0;
    txn->nnotices = 0;
    txn->over = 0;
    ngx_memzero(txn->everybody, sizeof(txn->everybody));
    ngx_memzero(&txn->error, sizeof(ngx_comms_sqlite_error_t));

    last = &txn->works;

    for (n = 0; n < NGX_COMMS_SQLITE_GROUP && *last != NULL; n++) {
        w = *last;

        w->rc = NGX_ERROR;
        txn->writers += (w->writes != 0);

        last = &w->next;
    }

    db->works = *last;
    *last = NULL;

    if (db->works == NULL) {
        db->last = &db->works;
    }
}


static void
ngx_comms_sqlite_drop_permits(ngx_comms_sqlite_t *db)
{
    ngx_comms_sqlite_work_t  *w, **last;

    last = &db->works;

    while (*last != NULL) {
        w = *last;

        if (w->writes != NGX_COMMS_SQLITE_PERMIT) {
            last = &w->next;
            continue;
        }

        *last = w->next;
        w->next = NULL;
        w->rc = NGX_ERROR;

        ngx_comms_sqlite_finish(w, 1);
    }

    db->last = last;
}


static void
ngx_comms_sqlite_task(void *data, ngx_log_t *log)
{
    ngx_comms_sqlite_run(*(ngx_comms_sqlite_txn_t **) data);
}


static void
ngx_comms_sqlite_end(ngx_event_t *ev)
{
    ngx_comms_sqlite_t       *db;
    ngx_comms_sqlite_work_t  *w;

    db = ev->data;

    /* orders what the thread wrote before what is read here */
    (void) __atomic_load_n(&db->txn->over, __ATOMIC_ACQUIRE);

    if (db->pending.timer_set) {
        ngx_del_timer(&db->pending);
    }

    db->active = 0;

    ngx_comms_sqlite_tell(db);

    w = db->txn->works;
    db->txn->works = NULL;

    /* the thread goes on with the next group while this one is answered */

    if (db->works != NULL) {
        ngx_comms_sqlite_dispatch(db);
    }

    ngx_comms_sqlite_finish(w, 0);
}


static void
ngx_comms_sqlite_still_pending(ngx_event_t *ev)
{
    ngx_comms_sqlite_t  *db;

    db = ev->data;

    ngx_log_error(NGX_LOG_WARN, db->log, 0,
                  "the database \"%V\" has not answered for %d seconds",
                  &db->path, NGX_COMMS_SQLITE_PENDING / 1000);

    ngx_add_timer(ev, NGX_COMMS_SQLITE_PENDING);
}


/* what the group has to say: its error, and its notices */

static void
ngx_comms_sqlite_tell(ngx_comms_sqlite_t *db)
{
    ngx_uint_t                i;
    ngx_comms_sqlite_txn_t   *txn;
    ngx_comms_sqlite_work_t  *w;

    txn = db->txn;

    for (w = txn->works; w != NULL && w->rc != NGX_ERROR; w = w->next) {
        /* void */
    }

    if (txn->error.set || w != NULL) {
        ngx_comms_count(db->zone, NGX_COMMS_COUNT_STORE_ERROR, 1);
    }

    if (txn->error.set) {
        ngx_comms_sqlite_log(db, &txn->error);

    } else if (w != NULL && txn->connection != NULL) {
        ngx_log_error(NGX_LOG_ERR, db->log, 0,
                      "an operation on the database \"%V\" failed: "
                      "out of memory, or its input or a row is damaged",
                      &db->path);
    }

    for (i = 0; i < NGX_COMMS_NOTICES; i++) {
        if (txn->everybody[i]) {
            ngx_comms_notice_post_hash(db->zone, i, 0);
        }
    }

    for (i = 0; i < txn->nnotices; i++) {
        if (!txn->everybody[txn->notices[i].kind]) {
            ngx_comms_notice_post_hash(db->zone, txn->notices[i].kind,
                                       txn->notices[i].hash);
        }
    }
}


static void
ngx_comms_sqlite_log(ngx_comms_sqlite_t *db, ngx_comms_sqlite_error_t *e)
{
    ngx_uint_t  level;

    if (e->code == 0) {
        ngx_log_error(NGX_LOG_CRIT, db->log, e->err,
                      "the database \"%V\" cannot be used: %s",
                      &db->path, e->words);
        return;
    }

    switch (e->code & 0xff) {

    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_FULL:
        level = NGX_LOG_CRIT;
        break;

    default:
        level = NGX_LOG_ERR;
        break;
    }

    ngx_log_error(level, db->log, e->err,
                  "the database \"%V\" failed: %s (SQLite %d) in \"%s\"",
                  &db->path, e->words, e->code, e->doing);
}


static void
ngx_comms_sqlite_finish(ngx_comms_sqlite_work_t *w, ngx_uint_t unheard)
{
    ngx_comms_sqlite_work_t  *next;

    for ( /* void */ ; w != NULL; w = next) {
        next = w->next;

        json_decref(w->in);

        if (unheard) {
            ngx_comms_op_cancel(w->op);
        }

        ngx_comms_op_finish(w->op, w->rc, w->answer);
        ngx_free(w);
    }
}
