
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One exchange: a request becomes the options of a curl handle, and what
 * curl hears becomes an answer.  Handles are kept for the next transfers.
 *
 * Invariants: an answer is bounded, headers and body; a connection is
 * verified by TLS where the URL says https; no redirect is followed; what was
 * cut short is no answer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_private.h>


#define NGX_COMMS_CURL_CONNECT       5000    /* ms */
#define NGX_COMMS_CURL_BUFFER        4096
#define NGX_COMMS_CURL_MAX_HEADERS   64
#define NGX_COMMS_CURL_HEADER_BYTES  (32 * 1024)


static ngx_int_t ngx_comms_curl_transfer_request(ngx_comms_curl_transfer_t *t,
    ngx_str_t *url, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_curl_transfer_headers(ngx_comms_curl_transfer_t *t,
    ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_curl_transfer_options(ngx_comms_curl_transfer_t *t,
    ngx_str_t *url, ngx_msec_t timeout, ngx_uint_t direct);
static size_t ngx_comms_curl_transfer_header(char *text, size_t size,
    size_t n, void *data);
static size_t ngx_comms_curl_transfer_body(char *text, size_t size, size_t n,
    void *data);
static void ngx_comms_curl_transfer_done(ngx_comms_curl_transfer_t *t,
    CURLcode code);
static void ngx_comms_curl_transfer_judge(ngx_comms_curl_transfer_t *t,
    CURLcode code);


ngx_comms_curl_transfer_t *
ngx_comms_curl_transfer(ngx_comms_curl_loop_t *loop, ngx_str_t *url,
    ngx_comms_request_t *rq, ngx_msec_t timeout, ngx_uint_t direct,
    ngx_comms_curl_transfer_pt handler, void *data)
{
    ngx_comms_curl_transfer_t  *t;

    t = ngx_comms_curl_transfer_create(loop);
    if (t == NULL) {
        return NULL;
    }

    t->handler = handler;
    t->data = data;

    if (ngx_comms_curl_transfer_request(t, url, rq) != NGX_OK
        || ngx_comms_curl_transfer_headers(t, rq) != NGX_OK
        || ngx_comms_curl_transfer_options(t, url, timeout, direct) != NGX_OK
        || ngx_comms_curl_transfer_add(t) != NGX_OK)
    {
        ngx_comms_curl_transfer_end(t);
        return NULL;
    }

    return t;
}


ngx_comms_curl_transfer_t *
ngx_comms_curl_transfer_create(ngx_comms_curl_loop_t *loop)
{
    ngx_pool_t                 *pool;
    ngx_comms_curl_transfer_t  *t;

    if (loop->multi == NULL) {
        return NULL;
    }

    pool = ngx_create_pool(NGX_COMMS_CURL_BUFFER, loop->log);
    if (pool == NULL) {
        return NULL;
    }

    t = ngx_pcalloc(pool, sizeof(ngx_comms_curl_transfer_t));
    if (t == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    t->pool = pool;
    t->loop = loop;
    t->ended = ngx_comms_curl_transfer_done;
    t->max_size = NGX_COMMS_CURL_MAX_ANSWER;
    ngx_queue_insert_tail(&loop->transfers, &t->queue);
    loop->timer.cancelable = 0;

    if (loop->nspare != 0) {
        t->easy = loop->spare[--loop->nspare];

    } else {
        t->easy = curl_easy_init();
    }

    if (t->easy == NULL
        || ngx_array_init(&t->answer.headers, pool, 16, sizeof(ngx_keyval_t))
           != NGX_OK)
    {
        ngx_comms_curl_transfer_end(t);
        return NULL;
    }

    return t;
}


ngx_int_t
ngx_comms_curl_transfer_get(ngx_comms_curl_transfer_t *t, ngx_str_t *url,
    ngx_comms_request_t *rq, ngx_msec_t timeout)
{
    u_char  *text;

    text = ngx_pnalloc(t->pool, url->len + 1);
    if (text == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(text, url->data, url->len + 1);

    if (curl_easy_setopt(t->easy, CURLOPT_URL, (char *) text)
        || ngx_comms_curl_transfer_headers(t, rq) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_curl_transfer_options(t, url, timeout, 0);
}


ngx_int_t
ngx_comms_curl_transfer_add(ngx_comms_curl_transfer_t *t)
{
    if (curl_multi_add_handle(t->loop->multi, t->easy) != CURLM_OK) {
        return NGX_ERROR;
    }

    t->added = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_curl_transfer_request(ngx_comms_curl_transfer_t *t, ngx_str_t *url,
    ngx_comms_request_t *rq)
{
    CURL    *easy;
    u_char  *text, *method;

    easy = t->easy;

    text = ngx_pnalloc(t->pool, url->len + rq->path.len + rq->args.len + 3);
    method = ngx_pnalloc(t->pool, rq->method.len + 1);

    if (text == NULL || method == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(text, "%V/%V%s%V%Z", url, &rq->path,
                       rq->args.len ? "?" : "", &rq->args);
    (void) ngx_sprintf(method, "%V%Z", &rq->method);

    if (curl_easy_setopt(easy, CURLOPT_URL, (char *) text)) {
        return NGX_ERROR;
    }

    if (ngx_strcmp(method, "GET") == 0) {
        return NGX_OK;
    }

    if (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) rq->body.len)
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                            rq->body.len ? (char *) rq->body.data : "")
        || curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, (char *) method))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_curl_transfer_headers(ngx_comms_curl_transfer_t *t,
    ngx_comms_request_t *rq)
{
    u_char             *text;
    ngx_uint_t          i;
    ngx_keyval_t       *header;
    struct curl_slist  *list;

    header = rq->headers.elts;

    for (i = 0; i < rq->headers.nelts; i++) {
        text = ngx_pnalloc(t->pool,
                           header[i].key.len + header[i].value.len + 3);
        if (text == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(text, "%V: %V%Z", &header[i].key,
                           &header[i].value);

        list = curl_slist_append(t->headers, (char *) text);
        if (list == NULL) {
            return NGX_ERROR;
        }

        t->headers = list;
    }

    /* a round trip for nothing: the services read the body in any case */

    list = curl_slist_append(t->headers, "Expect:");
    if (list == NULL) {
        return NGX_ERROR;
    }

    t->headers = list;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_curl_transfer_options(ngx_comms_curl_transfer_t *t, ngx_str_t *url,
    ngx_msec_t timeout, ngx_uint_t direct)
{
    CURL                      *easy;
    long                       connect;
    const char                *proxy;
    ngx_comms_curl_network_t  *net;

    easy = t->easy;
    net = t->loop->network;

    timeout = ngx_max(timeout, 1);
    connect = (long) ngx_min(timeout, NGX_COMMS_CURL_CONNECT);
    proxy = "";

    if (!direct) {
        proxy = (const char *) (ngx_strncmp(url->data, "https:", 6) == 0
                                ? net->https_proxy.data
                                : net->http_proxy.data);
    }

    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, t)
        || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers)
        || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L)
        || curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L)
        || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) timeout)
        || curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect)
        || curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                            (long) NGX_COMMS_CURL_BUFFER)
        || curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        || curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                            (long) CURL_HTTP_VERSION_1_1)
        || curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L)
        || curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 0L)
        || curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L)
        || curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L)
        || curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L)
        || curl_easy_setopt(easy, CURLOPT_PROXY, proxy ? proxy : "")
        || curl_easy_setopt(easy, CURLOPT_NOPROXY,
                            net->no_proxy.len ? (char *) net->no_proxy.data
                                              : "")
        || curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION,
                            ngx_comms_curl_transfer_header)
        || curl_easy_setopt(easy, CURLOPT_HEADERDATA, t)
        || curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION,
                            ngx_comms_curl_transfer_body)
        || curl_easy_setopt(easy, CURLOPT_WRITEDATA, t))
    {
        return NGX_ERROR;
    }

    if (net->ca_bundle.len
        && curl_easy_setopt(easy, CURLOPT_CAINFO,
                            (char *) net->ca_bundle.data))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* one line; returning less than it was given ends the transfer */

static size_t
ngx_comms_curl_transfer_header(char *text, size_t size, size_t n, void *data)
{
    ngx_comms_curl_transfer_t *t = data;

    size_t         len;
    u_char        *p, *last, *colon;
    ngx_keyval_t  *header;

    len = size * n;

    if (len >= 5 && ngx_strncmp(text, "HTTP/", 5) == 0) {
        /* of an answer behind "100 Continue", too */
        t->answer.headers.nelts = 0;
        t->header_bytes = 0;
        return len;
    }

    t->header_bytes += len;

    if (t->header_bytes > NGX_COMMS_CURL_HEADER_BYTES
        || t->answer.headers.nelts >= NGX_COMMS_CURL_MAX_HEADERS)
    {
        t->too_large = 1;
        return 0;
    }

    colon = ngx_strlchr((u_char *) text, (u_char *) text + len, ':');
    if (colon == NULL) {
        return len;
    }

    p = ngx_pnalloc(t->pool, len);
    header = ngx_array_push(&t->answer.headers);

    if (p == NULL || header == NULL) {
        return 0;
    }

    ngx_memcpy(p, text, len);

    colon = p + (colon - (u_char *) text);
    last = p + len;

    header->key.data = p;
    header->key.len = colon - p;

    for (p = colon + 1; p < last && (*p == ' ' || *p == '\t'); p++) {
        /* void */
    }

    while (last > p && (last[-1] == CR || last[-1] == LF || last[-1] == ' '
                        || last[-1] == '\t'))
    {
        last--;
    }

    header->value.data = p;
    header->value.len = last - p;

    return len;
}


static size_t
ngx_comms_curl_transfer_body(char *text, size_t size, size_t n, void *data)
{
    ngx_comms_curl_transfer_t *t = data;

    size_t      len, room;
    u_char     *p;
    ngx_str_t  *body;

    len = size * n;
    body = &t->answer.body;

    if (len > t->max_size - body->len) {
        t->too_large = 1;
        return 0;
    }

    if (body->len + len > t->size) {
        room = ngx_max(2 * t->size, NGX_COMMS_CURL_BUFFER);

        while (room < body->len + len) {
            room *= 2;
        }

        p = ngx_alloc(room, t->loop->log);
        if (p == NULL) {
            return 0;
        }

        if (body->len) {
            ngx_memcpy(p, body->data, body->len);
        }

        if (body->data != NULL) {
            ngx_free(body->data);
        }

        body->data = p;
        t->size = room;
    }

    ngx_memcpy(body->data + body->len, text, len);
    body->len += len;

    return len;
}


void
ngx_comms_curl_transfer_end(ngx_comms_curl_transfer_t *t)
{
    ngx_comms_curl_transfer_leave(t);
    ngx_comms_curl_transfer_free(t);
}


/* takes it out of curl, calls its handler, and frees it */

static void
ngx_comms_curl_transfer_done(ngx_comms_curl_transfer_t *t, CURLcode code)
{
    ngx_comms_curl_transfer_judge(t, code);

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, t->loop->log, 0,
                   "comms curl transfer %p: curl:%d status:%ui", t,
                   (int) code, t->answer.status);

    ngx_comms_curl_transfer_leave(t);

    t->handler(t->data, &t->answer);

    ngx_comms_curl_transfer_free(t);
}


static void
ngx_comms_curl_transfer_judge(ngx_comms_curl_transfer_t *t, CURLcode code)
{
    long                 status, sent;
    ngx_comms_answer_t  *an;

    an = &t->answer;
    status = 0;
    sent = 0;

    if (code == CURLE_OK) {
        (void) curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        an->outcome = NGX_COMMS_EXCHANGE_COMPLETE;
        an->status = (ngx_uint_t) status;
        t->whole = 1;
        return;
    }

    /* what was left of a body is not to be read by anybody */
    an->body.len = 0;

    (void) curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);

    an->outcome = (sent == 0) ? NGX_COMMS_EXCHANGE_UNSENT
                              : NGX_COMMS_EXCHANGE_UNKNOWN;

    if (t->starved) {
        an->failure = "no connection left (worker_connections)";

    } else if (t->too_large || code == CURLE_FILESIZE_EXCEEDED) {
        an->failure = "too large";

    } else if (t->forbidden && code == CURLE_COULDNT_CONNECT) {
        an->failure = "address is not allowed";

    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        an->failure = "timed out";

    } else {
        an->failure = curl_easy_strerror(code);
    }
}


void
ngx_comms_curl_transfer_leave(ngx_comms_curl_transfer_t *t)
{
    ngx_comms_curl_loop_t  *loop;

    loop = t->loop;

    ngx_queue_remove(&t->queue);

    if (t->added) {
        (void) curl_multi_remove_handle(loop->multi, t->easy);
        t->added = 0;
    }

    if (ngx_queue_empty(&loop->transfers)) {
        loop->timer.cancelable = 1;
    }
}


void
ngx_comms_curl_transfer_free(ngx_comms_curl_transfer_t *t)
{
    ngx_comms_curl_loop_t  *loop;

    loop = t->loop;

    if (t->easy != NULL) {

        /* one that failed may keep its buffer, and refuse a size for it */

        if (t->whole && loop->multi != NULL
            && loop->nspare < NGX_COMMS_CURL_SPARE)
        {
            curl_easy_reset(t->easy);
            loop->spare[loop->nspare++] = t->easy;

        } else {
            curl_easy_cleanup(t->easy);
        }
    }

    curl_slist_free_all(t->headers);

    if (t->answer.body.data != NULL) {
        ngx_free(t->answer.body.data);
    }

    ngx_destroy_pool(t->pool);
}
