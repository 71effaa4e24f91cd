
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The event loop's side of the media store: an operation becomes a task of
 * the thread pool, and its end the operation's.
 *
 * Invariants:
 *   1. Between post and end a work belongs to the thread, which touches no
 *      pool, no log and no operation.
 *   2. While a task is in flight a timer that is not cancelable runs, because
 *      a graceful exit waits for timers and knows nothing of tasks.
 *   3. A media_id is "md_" and a ULID, and nothing else becomes a path.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <base/ngx_comms_id.h>
#include <media/ngx_comms_media_private.h>


#define NGX_COMMS_MEDIA_PENDING  60000


static ngx_comms_media_work_t *ngx_comms_media_work(ngx_comms_media_t *media,
    ngx_str_t *media_id, ngx_comms_op_t *op, ngx_thread_task_t **task);
static void ngx_comms_media_post(ngx_thread_task_t *task);
static void ngx_comms_media_run(void *data, ngx_log_t *log);
static void ngx_comms_media_end(ngx_event_t *ev);
static json_t *ngx_comms_media_said(ngx_comms_media_work_t *w);
static ngx_int_t ngx_comms_media_hand_over(ngx_comms_media_work_t *w);
static void ngx_comms_media_freed(void *data);
static void ngx_comms_media_free(ngx_comms_media_work_t *w);
static void ngx_comms_media_still_pending(ngx_event_t *ev);
static ngx_uint_t ngx_comms_media_id_valid(ngx_str_t *media_id);
static u_char *ngx_comms_media_write_path(ngx_comms_media_t *media,
    ngx_str_t *media_id, u_char *p);


ngx_comms_media_t *
ngx_comms_media_add(ngx_conf_t *cf, ngx_str_t *dir, size_t max_size,
    off_t max_total, ngx_thread_pool_t *pool)
{
    ngx_path_t         *path;
    ngx_comms_media_t  *media;

    media = ngx_pcalloc(cf->pool, sizeof(ngx_comms_media_t));
    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));

    if (media == NULL || path == NULL) {
        return NULL;
    }

    media->dir = *dir;

    if (ngx_conf_full_name(cf->cycle, &media->dir, 0) != NGX_OK) {
        return NULL;
    }

    while (media->dir.len > 1 && media->dir.data[media->dir.len - 1] == '/') {
        media->dir.data[--media->dir.len] = '\0';
    }

    media->max_size = max_size;
    media->max_total = max_total;
    media->pool = pool;

    /* made by nginx, and given to the user that workers run as */

    path->name = media->dir;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NULL;
    }

    return media;
}


ngx_int_t
ngx_comms_media_init_process(ngx_comms_media_t *media, ngx_cycle_t *cycle)
{
    media->log = cycle->log;

    return NGX_OK;
}


size_t
ngx_comms_media_max_size(ngx_comms_media_t *media)
{
    return media->max_size;
}


void
ngx_comms_media_put(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_str_t *content_type, ngx_str_t *bytes, ngx_comms_op_t *op)
{
    ngx_thread_task_t       *task;
    ngx_comms_media_work_t  *w;

    w = ngx_comms_media_work(media, media_id, op, &task);
    if (w == NULL) {
        return;
    }

    w->job = NGX_COMMS_MEDIA_PUT;
    w->content_type = *content_type;
    w->bytes = *bytes;

    ngx_comms_media_post(task);
}


void
ngx_comms_media_get(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_pool_t *pool, ngx_str_t *bytes, ngx_comms_op_t *op)
{
    ngx_thread_task_t       *task;
    ngx_comms_media_work_t  *w;

    w = ngx_comms_media_work(media, media_id, op, &task);
    if (w == NULL) {
        return;
    }

    w->job = NGX_COMMS_MEDIA_GET;
    w->pool = pool;
    w->result = bytes;

    ngx_comms_media_post(task);
}


void
ngx_comms_media_remove(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_comms_op_t *op)
{
    ngx_thread_task_t       *task;
    ngx_comms_media_work_t  *w;

    w = ngx_comms_media_work(media, media_id, op, &task);
    if (w == NULL) {
        return;
    }

    w->job = NGX_COMMS_MEDIA_REMOVE;

    ngx_comms_media_post(task);
}


/*
 * An operation is never finished before the function that began it has
 * returned; without memory even for that, it is left to its deadline.
 */

static ngx_comms_media_work_t *
ngx_comms_media_work(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_comms_op_t *op, ngx_thread_task_t **task)
{
    ngx_pool_t              *pool;
    ngx_comms_media_work_t  *w;

    pool = ngx_create_pool(1024, media->log);
    if (pool == NULL) {
        return NULL;
    }

    *task = ngx_thread_task_alloc(pool, sizeof(ngx_comms_media_work_t *));
    w = ngx_pcalloc(pool, sizeof(ngx_comms_media_work_t));

    if (*task == NULL || w == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    w->own = pool;
    w->fd = (ngx_socket_t) -1;
    w->media = media;
    w->op = op;

    w->pending.handler = ngx_comms_media_still_pending;
    w->pending.data = w;
    w->pending.log = media->log;

    *(ngx_comms_media_work_t **) (*task)->ctx = w;
    (*task)->handler = ngx_comms_media_run;
    (*task)->event.handler = ngx_comms_media_end;
    (*task)->event.data = w;
    (*task)->event.log = media->log;

    if (!ngx_comms_media_id_valid(media_id)) {
        return w;
    }

    w->media_id.len = media_id->len;
    w->media_id.data = w->id;
    ngx_memcpy(w->id, media_id->data, media_id->len);

    w->path = ngx_pnalloc(pool, media->dir.len + sizeof("/xx/")
                                + NGX_COMMS_MEDIA_ID_LEN);
    if (w->path == NULL) {
        w->failed = "malloc()";
        return w;
    }

    *ngx_comms_media_write_path(media, media_id, w->path) = '\0';
    w->dir_len = media->dir.len + sizeof("/xx") - 1;

    return w;
}


static void
ngx_comms_media_post(ngx_thread_task_t *task)
{
    ngx_event_t             *ev;
    ngx_comms_media_work_t  *w;

    w = *(ngx_comms_media_work_t **) task->ctx;

    w->rc = NGX_ERROR;

    if (w->path == NULL) {
        /* no id, no file */
        w->rc = w->failed ? NGX_ERROR : NGX_DECLINED;

    } else if (ngx_thread_task_post(w->media->pool, task) == NGX_OK) {
        ngx_add_timer(&w->pending, NGX_COMMS_MEDIA_PENDING);
        return;

    } else {
        w->failed = "thread pool";
    }

    ev = &task->event;
    ngx_post_event(ev, &ngx_posted_events);
}


static void
ngx_comms_media_run(void *data, ngx_log_t *log)
{
    ngx_comms_media_work_t  *w;

    w = *(ngx_comms_media_work_t **) data;

    switch (w->job) {

    case NGX_COMMS_MEDIA_PUT:
        ngx_comms_media_put_file(w);
        break;

    case NGX_COMMS_MEDIA_GET:
        ngx_comms_media_get_file(w);
        break;

    default: /* NGX_COMMS_MEDIA_REMOVE */
        ngx_comms_media_remove_file(w);
        break;
    }
}


static void
ngx_comms_media_end(ngx_event_t *ev)
{
    json_t                  *answer;
    ngx_int_t                rc;
    ngx_comms_op_t          *op;
    ngx_comms_media_work_t  *w;

    w = ev->data;
    op = w->op;
    rc = w->rc;
    answer = NULL;

    if (w->pending.timer_set) {
        ngx_del_timer(&w->pending);
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, w->media->log, w->err,
                      "comms media: %s failed in \"%V\"",
                      w->failed ? w->failed : "it", &w->media->dir);

    } else if (w->job == NGX_COMMS_MEDIA_PUT) {
        answer = ngx_comms_media_said(w);

        if (answer == NULL) {
            rc = NGX_ERROR;
        }

    } else if (w->job == NGX_COMMS_MEDIA_GET && rc == NGX_OK
               && op->handler != NULL)
    {
        rc = ngx_comms_media_hand_over(w);
    }

    ngx_comms_media_free(w);

    ngx_comms_op_finish(op, rc, answer);
}


static json_t *
ngx_comms_media_said(ngx_comms_media_work_t *w)
{
    u_char  hex[2 * NGX_COMMS_SHA256_LEN];

    if (w->rc != NGX_OK) {
        return json_pack("{s:s}", "refused", w->refused ? w->refused : "type");
    }

    (void) ngx_hex_dump(hex, w->digest, NGX_COMMS_SHA256_LEN);

    return json_pack("{s:s%, s:s, s:I, s:s%}",
                     "media_id", w->media_id.data, w->media_id.len,
                     "content_type", w->type,
                     "size", (json_int_t) w->bytes.len,
                     "sha256", hex, sizeof(hex));
}


/* the bytes go with the pool of whoever asked, who waits for them still */

static ngx_int_t
ngx_comms_media_hand_over(ngx_comms_media_work_t *w)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(w->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_comms_media_freed;
    cln->data = w->bytes.data;

    *w->result = w->bytes;
    ngx_str_null(&w->bytes);

    return NGX_OK;
}


static void
ngx_comms_media_freed(void *data)
{
    ngx_free(data);
}


static void
ngx_comms_media_free(ngx_comms_media_work_t *w)
{
    if (w->job == NGX_COMMS_MEDIA_GET && w->bytes.data != NULL) {
        ngx_free(w->bytes.data);
    }

    ngx_destroy_pool(w->own);
}


/* the disk takes its time; the worker must not go meanwhile */

static void
ngx_comms_media_still_pending(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_COMMS_MEDIA_PENDING);
}


static ngx_uint_t
ngx_comms_media_id_valid(ngx_str_t *media_id)
{
    ngx_str_t  ulid;

    if (media_id->len != NGX_COMMS_MEDIA_ID_LEN
        || ngx_strncmp(media_id->data, "md_", 3) != 0)
    {
        return 0;
    }

    ulid.data = media_id->data + 3;
    ulid.len = media_id->len - 3;

    return ngx_comms_ulid_valid(&ulid);
}


ngx_int_t
ngx_comms_media_path(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_pool_t *pool, ngx_str_t *path)
{
    u_char  *last;

    if (!ngx_comms_media_id_valid(media_id)) {
        return NGX_DECLINED;
    }

    path->data = ngx_pnalloc(pool, media->dir.len + sizeof("/xx/")
                                   + media_id->len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    last = ngx_comms_media_write_path(media, media_id, path->data);

    *last = '\0';
    path->len = last - path->data;

    return NGX_OK;
}


static u_char *
ngx_comms_media_write_path(ngx_comms_media_t *media, ngx_str_t *media_id,
    u_char *p)
{
    return ngx_sprintf(p, "%V/%*s/%V", &media->dir, (size_t) 2,
                       media_id->data + media_id->len - 2, media_id);
}
