
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What runs in the threads of the media store: files.
 *
 * A file is written under another name, made durable, renamed, and the
 * directory made durable: whoever sees a name sees all of the file, also
 * after a power cut.  The directory is divided by the last two characters of
 * the ids, which are random.
 *
 * How much there is: counted when the first file is put and every five
 * minutes from then on, since other processes and machines use the directory
 * too; kept up to date by what this process does in between.  Counting also
 * removes what a crash left half written.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <media/ngx_comms_media_private.h>


#define NGX_COMMS_MEDIA_COUNT    (5 * 60 * 1000)     /* ms */
#define NGX_COMMS_MEDIA_LEFT     3600                /* seconds */


static ngx_int_t ngx_comms_media_room(ngx_comms_media_work_t *w);
static void ngx_comms_media_count(ngx_comms_media_t *media);
static ngx_int_t ngx_comms_media_count_file(ngx_tree_ctx_t *ctx,
    ngx_str_t *path);
static ngx_int_t ngx_comms_media_count_other(ngx_tree_ctx_t *ctx,
    ngx_str_t *path);
static ngx_int_t ngx_comms_media_write(ngx_comms_media_work_t *w,
    u_char *temp);
static ngx_int_t ngx_comms_media_write_all(ngx_fd_t fd, ngx_str_t *bytes);
static ngx_int_t ngx_comms_media_sync_dir(ngx_comms_media_work_t *w,
    size_t len);
static void ngx_comms_media_failed(ngx_comms_media_work_t *w,
    const char *call);
static int64_t ngx_comms_media_size_of(u_char *path);


void
ngx_comms_media_put_file(ngx_comms_media_work_t *w)
{
    u_char    *temp;
    int64_t    before;
    ngx_int_t  rc;

    w->rc = NGX_DECLINED;

    if (w->bytes.len == 0 || w->bytes.len > w->media->max_size) {
        w->refused = "size";
        return;
    }

    w->type = ngx_comms_media_type(&w->content_type, &w->bytes);

    if (w->type == NULL) {
        w->refused = "type";
        return;
    }

    if (ngx_comms_media_room(w) != NGX_OK) {
        w->refused = "full";
        return;
    }

    w->rc = NGX_ERROR;

    if (ngx_comms_sha256(&w->bytes, w->digest) != NGX_OK) {
        w->failed = "SHA-256";
        return;
    }

    temp = ngx_alloc(ngx_strlen(w->path) + sizeof(".-2147483648.tmp"),
                     ngx_cycle->log);
    if (temp == NULL) {
        w->failed = "malloc()";
        return;
    }

    (void) ngx_sprintf(temp, "%s.%P.tmp%Z", w->path, ngx_pid);

    before = ngx_comms_media_size_of(w->path);
    rc = ngx_comms_media_write(w, temp);

    if (rc != NGX_OK) {
        (void) ngx_delete_file(temp);

    } else {
        (void) __atomic_add_fetch(&w->media->total,
                                  (int64_t) w->bytes.len - before,
                                  __ATOMIC_RELAXED);
    }

    ngx_free(temp);

    w->rc = rc;
}


/* NGX_DECLINED: it does not fit */

static ngx_int_t
ngx_comms_media_room(ngx_comms_media_work_t *w)
{
    int64_t             now, at;
    ngx_comms_media_t  *media;

    media = w->media;

    now = ngx_comms_clock_now();
    at = __atomic_load_n(&media->counted_at, __ATOMIC_ACQUIRE);

    /* one of the threads counts */

    if ((at == 0 || now - at > NGX_COMMS_MEDIA_COUNT || now < at)
        && __atomic_compare_exchange_n(&media->counted_at, &at, now, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    {
        ngx_comms_media_count(media);
    }

    return (__atomic_load_n(&media->total, __ATOMIC_RELAXED)
            + (int64_t) w->bytes.len > (int64_t) media->max_total)
           ? NGX_DECLINED : NGX_OK;
}


static void
ngx_comms_media_count(ngx_comms_media_t *media)
{
    int64_t         total;
    ngx_log_t       silent;
    ngx_tree_ctx_t  tree;

    total = 0;

    /* a thread writes no log */
    ngx_memzero(&silent, sizeof(ngx_log_t));
    ngx_memzero(&tree, sizeof(ngx_tree_ctx_t));

    tree.file_handler = ngx_comms_media_count_file;
    tree.pre_tree_handler = ngx_comms_media_count_other;
    tree.post_tree_handler = ngx_comms_media_count_other;
    tree.spec_handler = ngx_comms_media_count_other;
    tree.data = &total;
    tree.log = &silent;

    if (ngx_walk_tree(&tree, &media->dir) != NGX_OK) {
        /* counted again by the next one; until then what is known holds */
        return;
    }

    __atomic_store_n(&media->total, total, __ATOMIC_RELAXED);
}


static ngx_int_t
ngx_comms_media_count_file(ngx_tree_ctx_t *ctx, ngx_str_t *path)
{
    int64_t *total = ctx->data;

    if (path->len > 4
        && ngx_strncmp(path->data + path->len - 4, ".tmp", 4) == 0
        && ngx_comms_clock_now() / 1000 - (int64_t) ctx->mtime
           > NGX_COMMS_MEDIA_LEFT)
    {
        (void) ngx_delete_file(path->data);
        return NGX_OK;
    }

    *total += ctx->size;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_media_count_other(ngx_tree_ctx_t *ctx, ngx_str_t *path)
{
    return NGX_OK;
}


static int64_t
ngx_comms_media_size_of(u_char *path)
{
    ngx_file_info_t  fi;

    return (ngx_file_info(path, &fi) == NGX_FILE_ERROR)
           ? 0 : (int64_t) ngx_file_size(&fi);
}


static ngx_int_t
ngx_comms_media_write(ngx_comms_media_work_t *w, u_char *temp)
{
    u_char      slash;
    ngx_fd_t    fd;
    ngx_uint_t  made;

    made = 0;

    slash = w->path[w->dir_len];
    w->path[w->dir_len] = '\0';

    if (ngx_create_dir(w->path, 0700) != NGX_FILE_ERROR) {
        made = 1;

    } else if (ngx_errno != NGX_EEXIST) {
        ngx_comms_media_failed(w, ngx_create_dir_n);
    }

    w->path[w->dir_len] = slash;

    if (w->failed != NULL) {
        return NGX_ERROR;
    }

    fd = open((const char *) temp, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (fd == NGX_INVALID_FILE) {
        ngx_comms_media_failed(w, ngx_open_file_n);
        return NGX_ERROR;
    }

    if (ngx_comms_media_write_all(fd, &w->bytes) != NGX_OK) {
        ngx_comms_media_failed(w, "write()");

    } else if (fsync(fd) == -1) {
        ngx_comms_media_failed(w, "fsync()");
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_comms_media_failed(w, ngx_close_file_n);
    }

    if (w->failed != NULL) {
        return NGX_ERROR;
    }

    if (ngx_rename_file(temp, w->path) == NGX_FILE_ERROR) {
        ngx_comms_media_failed(w, ngx_rename_file_n);
        return NGX_ERROR;
    }

    if (ngx_comms_media_sync_dir(w, w->dir_len) != NGX_OK
        || (made && ngx_comms_media_sync_dir(w, w->media->dir.len) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_media_write_all(ngx_fd_t fd, ngx_str_t *bytes)
{
    size_t   off;
    ssize_t  n;

    for (off = 0; off < bytes->len; off += (size_t) n) {
        n = write(fd, bytes->data + off, bytes->len - off);

        if (n == -1) {
            if (ngx_errno != NGX_EINTR) {
                return NGX_ERROR;
            }

            n = 0;
        }
    }

    return NGX_OK;
}


/* the name of a file is in its directory, which has to be durable as well */

static ngx_int_t
ngx_comms_media_sync_dir(ngx_comms_media_work_t *w, size_t len)
{
    u_char    saved;
    ngx_fd_t  fd;

    saved = w->path[len];
    w->path[len] = '\0';

    fd = open((const char *) w->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    w->path[len] = saved;

    if (fd == NGX_INVALID_FILE || fsync(fd) == -1) {
        ngx_comms_media_failed(w, "fsync() of the directory");
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    return w->failed ? NGX_ERROR : NGX_OK;
}


static void
ngx_comms_media_failed(ngx_comms_media_work_t *w, const char *call)
{
    if (w->failed == NULL) {
        w->err = ngx_errno;
        w->failed = call;
    }
}


void
ngx_comms_media_get_file(ngx_comms_media_work_t *w)
{
    size_t           off;
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    w->rc = NGX_ERROR;

    fd = open((const char *) w->path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno == NGX_ENOENT) {
            w->rc = NGX_DECLINED;
            return;
        }

        ngx_comms_media_failed(w, ngx_open_file_n);
        return;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        ngx_comms_media_failed(w, ngx_fd_info_n);
        goto done;
    }

    /* one byte more, as no file may be of none */

    w->bytes.len = (size_t) ngx_file_size(&fi);
    w->bytes.data = ngx_alloc(w->bytes.len + 1, ngx_cycle->log);

    if (w->bytes.data == NULL) {
        w->failed = "malloc()";
        goto done;
    }

    for (off = 0; off < w->bytes.len; off += (size_t) n) {
        n = read(fd, w->bytes.data + off, w->bytes.len - off);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            ngx_comms_media_failed(w, "read()");
            goto done;
        }
    }

    w->rc = NGX_OK;

done:

    (void) ngx_close_file(fd);
}


void
ngx_comms_media_remove_file(ngx_comms_media_work_t *w)
{
    int64_t  size;

    w->rc = NGX_OK;

    size = ngx_comms_media_size_of(w->path);

    if (ngx_delete_file(w->path) == NGX_FILE_ERROR) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_comms_media_failed(w, ngx_delete_file_n);
            w->rc = NGX_ERROR;
        }

        return;
    }

    (void) __atomic_sub_fetch(&w->media->total, size, __ATOMIC_RELAXED);

    (void) ngx_comms_media_sync_dir(w, w->dir_len);

    w->rc = w->failed ? NGX_ERROR : NGX_OK;
}
