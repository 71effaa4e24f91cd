
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Files with credentials are read in a thread, because a file system may
 * take its time, and tokens are mounted from elsewhere.
 *
 * Invariants: one task, posted only while no fetch step runs; between post
 * and end the files belong to the thread, which knows neither pools nor logs;
 * meanwhile a timer that is not cancelable holds the worker.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include <aws/ngx_comms_aws_credentials_private.h>


#define NGX_COMMS_AWS_READING  60000    /* ms */


static ngx_err_t ngx_comms_aws_file_read(const char *path, ngx_str_t *text);
static void ngx_comms_aws_read_task(void *data, ngx_log_t *log);
static void ngx_comms_aws_read_end(ngx_event_t *ev);
static void ngx_comms_aws_read_late(ngx_event_t *ev);


void
ngx_comms_aws_files_read(ngx_comms_aws_files_t *files)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        ngx_str_null(&files->texts[i]);
        files->errors[i] = 0;

        if (files->paths[i] != NULL) {
            files->errors[i] = ngx_comms_aws_file_read(files->paths[i],
                                                       &files->texts[i]);
        }
    }
}


static ngx_err_t
ngx_comms_aws_file_read(const char *path, ngx_str_t *text)
{
    u_char     *buf;
    size_t      len;
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_err_t   err;

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    if (fd == NGX_INVALID_FILE) {
        return ngx_errno;
    }

    buf = malloc(NGX_COMMS_AWS_MAX_FILE + 1);
    err = (buf != NULL) ? 0 : NGX_ENOMEM;
    len = 0;

    while (err == 0 && len <= NGX_COMMS_AWS_MAX_FILE) {
        n = read(fd, buf + len, NGX_COMMS_AWS_MAX_FILE + 1 - len);

        if (n == 0) {
            break;
        }

        if (n > 0) {
            len += n;

        } else if (ngx_errno != NGX_EINTR) {
            err = ngx_errno;
        }
    }

    if (err == 0 && len > NGX_COMMS_AWS_MAX_FILE) {
        err = EFBIG;
    }

    (void) ngx_close_file(fd);

    if (err != 0) {
        free(buf);
        return err;
    }

    text->data = buf;
    text->len = len;

    return 0;
}


void
ngx_comms_aws_files_free(ngx_comms_aws_files_t *files)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        if (files->texts[i].data != NULL) {
            ngx_explicit_memzero(files->texts[i].data, files->texts[i].len);
            free(files->texts[i].data);
        }

        ngx_str_null(&files->texts[i]);
    }
}


ngx_int_t
ngx_comms_aws_read_init(ngx_comms_aws_credentials_t *cr, ngx_cycle_t *cycle)
{
    static ngx_str_t  name = ngx_string("default");

    cr->threads = ngx_thread_pool_get(cycle, &name);
    if (cr->threads == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "thread pool \"%V\" not found", &name);
        return NGX_ERROR;
    }

    cr->task = ngx_thread_task_alloc(cycle->pool,
                                     sizeof(ngx_comms_aws_files_t));
    if (cr->task == NULL) {
        return NGX_ERROR;
    }

    cr->files = cr->task->ctx;
    cr->task->handler = ngx_comms_aws_read_task;
    cr->task->event.handler = ngx_comms_aws_read_end;
    cr->task->event.data = cr;
    cr->task->event.log = cycle->log;

    return NGX_OK;
}


ngx_int_t
ngx_comms_aws_read(ngx_comms_aws_credentials_t *cr, ngx_str_t *first,
    ngx_str_t *second, ngx_comms_aws_step_pt step)
{
    cr->files->paths[0] = (first != NULL && first->len)
                          ? (const char *) first->data : NULL;
    cr->files->paths[1] = (second != NULL && second->len)
                          ? (const char *) second->data : NULL;
    cr->step = step;

    if (ngx_thread_task_post(cr->threads, cr->task) != NGX_OK) {
        return NGX_ERROR;
    }

    cr->event.handler = ngx_comms_aws_read_late;
    ngx_add_timer(&cr->event, NGX_COMMS_AWS_READING);

    return NGX_OK;
}


static void
ngx_comms_aws_read_task(void *data, ngx_log_t *log)
{
    ngx_comms_aws_files_read(data);
}


static void
ngx_comms_aws_read_end(ngx_event_t *ev)
{
    ngx_comms_aws_credentials_t  *cr;

    cr = ev->data;

    if (cr->event.timer_set) {
        ngx_del_timer(&cr->event);
    }

    cr->step(cr);
}


static void
ngx_comms_aws_read_late(ngx_event_t *ev)
{
    ngx_comms_aws_credentials_t  *cr;

    cr = ev->data;

    ngx_log_error(NGX_LOG_WARN, cr->log, 0,
                  "reading AWS credentials has taken %d seconds so far",
                  NGX_COMMS_AWS_READING / 1000);

    ngx_add_timer(ev, NGX_COMMS_AWS_READING);
}
