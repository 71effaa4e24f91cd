
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A call from its document to its operation's end.
 *
 *   call -> (event) -> credentials -> sign -> transfer -> judge
 *             ^           waits          |
 *             +--- delay, other clock, other credentials ---+
 *
 * Invariants:
 *   1. A call is started from an event, so that no operation is finished
 *      inside of the function that brought it.
 *   2. At any time a call waits for exactly one thing: its event, the
 *      credentials, or a transfer.  ngx_comms_aws_call_stop() ends each.
 *   3. Once an attempt may have been carried out, the call cannot end with
 *      "nothing was done" any more.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <aws/ngx_comms_aws_call.h>


#define NGX_COMMS_AWS_MAX_SKEW  240    /* seconds */
#define NGX_COMMS_AWS_MAX_WAIT  20


static ngx_int_t ngx_comms_aws_call_prepare(ngx_comms_aws_call_t *call,
    json_t *in);
static ngx_int_t ngx_comms_aws_call_id(ngx_comms_aws_call_t *call);
static void ngx_comms_aws_call_event(ngx_event_t *ev);
static void ngx_comms_aws_call_told(void *data);
static void ngx_comms_aws_call_try(ngx_comms_aws_call_t *call);
static void ngx_comms_aws_call_lost(ngx_comms_aws_call_t *call,
    ngx_comms_exchange_e outcome, const char *failure);
static void ngx_comms_aws_call_refused(ngx_comms_aws_call_t *call,
    ngx_comms_answer_t *an);
static void ngx_comms_aws_call_failure(ngx_comms_aws_call_t *call,
    ngx_int_t rc, ngx_comms_aws_error_t *error, ngx_uint_t status);
static void ngx_comms_aws_call_again(ngx_comms_aws_call_t *call,
    ngx_comms_aws_verdict_e verdict, ngx_int_t hint);
static ngx_uint_t ngx_comms_aws_call_skew(ngx_comms_aws_call_t *call,
    ngx_comms_answer_t *an);
static ngx_uint_t ngx_comms_aws_call_renew(ngx_comms_aws_call_t *call);
static void ngx_comms_aws_call_fail(ngx_comms_aws_call_t *call,
    const char *code, const char *message);
static void ngx_comms_aws_call_end(ngx_comms_aws_call_t *call);
static void ngx_comms_aws_call_complain(ngx_comms_aws_call_t *call);
static void ngx_comms_aws_call_stop(ngx_comms_aws_call_t *call);
static void ngx_comms_aws_call_finish(ngx_comms_aws_call_t *call,
    ngx_int_t rc, json_t *answer);


/*
 * Refusals that are answers: a condition that does not hold; something that is
 * not there, where whoever asks knows best what that means, and says so.
 */
static struct {
    const char  *operation;    /* NULL: any */
    ngx_str_t    code;
} ngx_comms_aws_answers[] = {
    { NULL, ngx_string("ConditionalCheckFailedException") },
    { "GetSecretValue", ngx_string("ResourceNotFoundException") },
    { "DescribeTable", ngx_string("ResourceNotFoundException") },
    { NULL, ngx_null_string }
};


void
ngx_comms_aws_call(ngx_comms_aws_t *aws, ngx_comms_aws_service_e service,
    const char *operation, json_t *in, ngx_msec_t timeout, ngx_comms_op_t *op)
{
    ngx_pool_t            *pool;
    ngx_event_t           *ev;
    ngx_comms_aws_call_t  *call;

    if (aws->loop == NULL) {
        /* no event will come any more that could answer */
        json_decref(in);
        ngx_comms_op_cancel(op);
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
        return;
    }

    call = NULL;
    pool = ngx_create_pool(4096, aws->log);

    if (pool != NULL) {
        call = ngx_pcalloc(pool, sizeof(ngx_comms_aws_call_t));
    }

    if (call == NULL) {
        if (pool != NULL) {
            ngx_destroy_pool(pool);
        }

        json_decref(in);

        /* linked through a field that nobody reads before the end */
        op->answer = (json_t *) aws->unserved;
        aws->unserved = op;

        ev = &aws->event;
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    call->fd = (ngx_socket_t) -1;
    call->pool = pool;
    call->aws = aws;
    call->op = op;
    call->service = service;
    call->proto = ngx_comms_aws_protocol(service);
    call->operation = operation;
    call->timeout = timeout;
    call->waiter.handler = ngx_comms_aws_call_told;
    call->waiter.data = call;
    call->rc = NGX_ERROR;

    ev = &call->event;
    ev->handler = ngx_comms_aws_call_event;
    ev->data = call;
    ev->log = aws->log;

    ngx_queue_insert_tail(&aws->calls, &call->queue);

    if (ngx_comms_aws_call_prepare(call, in) != NGX_OK) {
        ngx_comms_aws_call_fail(call, "NotSent", "the document cannot be sent "
                                "in this protocol, or there is no memory");
        call->ending = 1;
    }

    json_decref(in);

    ngx_post_event(ev, &ngx_posted_events);
}


static ngx_int_t
ngx_comms_aws_call_prepare(ngx_comms_aws_call_t *call, json_t *in)
{
    int64_t    wait;
    ngx_str_t  operation;

    operation.data = (u_char *) call->operation;
    operation.len = ngx_strlen(call->operation) + 1;

    call->operation = (char *) ngx_pstrdup(call->pool, &operation);

    if (call->operation == NULL || ngx_comms_aws_call_id(call) != NGX_OK) {
        call->operation = "?";
        return NGX_ERROR;
    }

    if (ngx_comms_json_int(in, "WaitTimeSeconds", &wait) == NGX_OK
        && wait > 0 && wait <= NGX_COMMS_AWS_MAX_WAIT)
    {
        call->timeout += (ngx_msec_t) wait * 1000;
    }

    return ngx_comms_aws_wire_body(call->pool, call->proto, call->operation,
                                   in, &call->body);
}


/* a UUID version 4, the same for all attempts */

static ngx_int_t
ngx_comms_aws_call_id(ngx_comms_aws_call_t *call)
{
    u_char      bytes[16];
    u_char     *p;
    ngx_uint_t  i;

    if (ngx_comms_random(bytes, sizeof(bytes)) != NGX_OK) {
        return NGX_ERROR;
    }

    bytes[6] = (u_char) ((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (u_char) ((bytes[8] & 0x3f) | 0x80);

    p = call->id;

    for (i = 0; i < sizeof(bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, &bytes[i], 1);
    }

    return NGX_OK;
}


void
ngx_comms_aws_unserved(ngx_event_t *ev)
{
    ngx_comms_op_t   *op, *next;
    ngx_comms_aws_t  *aws;

    aws = ev->data;

    op = aws->unserved;
    aws->unserved = NULL;

    for ( /* void */ ; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;
        op->answer = NULL;

        ngx_comms_op_finish(op, NGX_ERROR, NULL);
    }
}


static void
ngx_comms_aws_call_event(ngx_event_t *ev)
{
    ngx_comms_aws_call_t  *call;

    call = ev->data;

    if (call->ending) {
        ngx_comms_aws_call_end(call);
        return;
    }

    ngx_comms_aws_call_try(call);
}


static void
ngx_comms_aws_call_told(void *data)
{
    ngx_comms_aws_call_t *call = data;

    call->waiting = 0;

    ngx_comms_aws_call_try(call);
}


static void
ngx_comms_aws_call_try(ngx_comms_aws_call_t *call)
{
    ngx_int_t                 rc;
    ngx_comms_aws_identity_t  identity;

    rc = ngx_comms_aws_credentials_get(call->aws->credentials, &identity,
                                       &call->waiter);

    if (rc == NGX_AGAIN) {
        call->waiting = 1;
        return;
    }

    if (rc == NGX_OK && call->renewing
        && identity.generation == call->generation)
    {
        /* there were no others: what the service said stands */
        ngx_comms_aws_call_end(call);
        return;
    }

    if (rc != NGX_OK) {
        ngx_comms_aws_call_fail(call, "NoCredentials",
                                "no AWS credentials, or no region");
        ngx_comms_aws_call_end(call);
        return;
    }

    call->renewing = 0;
    call->generation = identity.generation;
    call->attempt++;

    if (ngx_comms_aws_call_send(call, &identity) != NGX_OK) {
        ngx_comms_aws_call_fail(call, "NotSent",
                                "the request could not be made");
        ngx_comms_aws_call_end(call);
    }
}


void
ngx_comms_aws_call_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_call_t *call = data;

    json_t     *out;
    ngx_int_t   rc;

    call->transfer = NULL;

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_comms_aws_call_lost(call, an->outcome, an->failure);
        return;
    }

    if (an->status < 200 || an->status > 299) {
        ngx_comms_aws_call_refused(call, an);
        return;
    }

    rc = ngx_comms_aws_wire_answer(call->pool, call->proto, an, &out);

    if (rc != NGX_OK) {
        ngx_comms_aws_call_lost(call, NGX_COMMS_EXCHANGE_UNKNOWN,
                                "the answer is damaged");
        return;
    }

    ngx_comms_aws_quota_give(&call->aws->quota, call->retried);
    ngx_comms_aws_call_finish(call, NGX_OK, out);
}


static void
ngx_comms_aws_call_lost(ngx_comms_aws_call_t *call,
    ngx_comms_exchange_e outcome, const char *failure)
{
    const char  *code;

    if (outcome == NGX_COMMS_EXCHANGE_UNKNOWN) {
        call->unsure = 1;
    }

    if (!call->unsure) {
        code = "NotSent";

    } else if (ngx_strcmp(failure, "timed out") == 0) {
        code = "Timeout";

    } else {
        code = "ConnectionLost";
    }

    ngx_comms_aws_call_fail(call, code, failure);
    ngx_comms_aws_call_again(call, NGX_COMMS_AWS_TRANSIENT, -1);
}


static void
ngx_comms_aws_call_refused(ngx_comms_aws_call_t *call, ngx_comms_answer_t *an)
{
    ngx_int_t                 rc, hint;
    ngx_str_t                *after;
    ngx_comms_aws_error_t     error;
    ngx_comms_aws_verdict_e   verdict;

    ngx_comms_aws_wire_error(call->pool, call->proto, an, &error);

    verdict = ngx_comms_aws_judge(an->status, &error.code);
    rc = NGX_DECLINED;

    if (verdict == NGX_COMMS_AWS_THROTTLED) {
        rc = NGX_BUSY;

    } else if (verdict == NGX_COMMS_AWS_TRANSIENT) {

        /* what broke inside may have broken behind the write */

        if (an->status >= 500 && an->status != 503) {
            call->unsure = 1;
            rc = NGX_ERROR;

        } else {
            rc = NGX_BUSY;
        }
    }

    ngx_comms_aws_call_failure(call, rc, &error, an->status);

    if (verdict == NGX_COMMS_AWS_SKEWED && ngx_comms_aws_call_skew(call, an)) {
        ngx_comms_aws_call_try(call);
        return;
    }

    if (verdict == NGX_COMMS_AWS_EXPIRED && ngx_comms_aws_call_renew(call)) {
        return;
    }

    after = ngx_comms_answer_header(an, "x-amz-retry-after");
    hint = (after != NULL) ? ngx_atoi(after->data, after->len) : -1;

    ngx_comms_aws_call_again(call, verdict, hint);
}


/* keeps what the call ends with, unless another attempt does better */

static void
ngx_comms_aws_call_failure(ngx_comms_aws_call_t *call, ngx_int_t rc,
    ngx_comms_aws_error_t *error, ngx_uint_t status)
{
    json_t  *answer;

    answer = json_object();

    if (answer != NULL) {
        (void) ngx_comms_json_set_str(answer, "code", &error->code);

        if (ngx_comms_json_set_str(answer, "message", &error->message)
            != NGX_OK)
        {
            (void) json_object_set_new(answer, "message", json_string(""));
        }

        if (status != 0) {
            (void) json_object_set_new(answer, "status",
                                       json_integer((json_int_t) status));
        }

        if (error->item != NULL) {
            (void) json_object_set(answer, "item", error->item);
        }
    }

    json_decref(error->item);
    json_decref(call->answer);

    call->rc = rc;
    call->answer = answer;
}


static void
ngx_comms_aws_call_again(ngx_comms_aws_call_t *call,
    ngx_comms_aws_verdict_e verdict, ngx_int_t hint)
{
    ngx_msec_t  delay;

    if ((verdict != NGX_COMMS_AWS_TRANSIENT
         && verdict != NGX_COMMS_AWS_THROTTLED)
        || call->attempt >= ngx_comms_aws_call_attempts(call))
    {
        ngx_comms_aws_call_end(call);
        return;
    }

    delay = ngx_comms_aws_delay(verdict, call->attempt, call->proto->base,
                                hint, (ngx_uint_t) ngx_random() & 0xffff);

    if (ngx_comms_aws_quota_take(&call->aws->quota, verdict) != NGX_OK) {

        /* who polls would come again at once, and hammer */

        if (ngx_strcmp(call->operation, "ReceiveMessage") != 0) {
            ngx_comms_aws_call_end(call);
            return;
        }

        call->ending = 1;
    }

    call->retried = verdict;

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, call->aws->log, 0,
                   "comms aws %s: attempt %ui again in %M", call->operation,
                   call->attempt, delay);

    ngx_add_timer(&call->event, ngx_max(delay, 1));
}


/*
 * 1: the clock that the call was signed by was wrong.  Of many calls in flight
 * the first one corrects it, and each of them goes on.
 */

static ngx_uint_t
ngx_comms_aws_call_skew(ngx_comms_aws_call_t *call, ngx_comms_answer_t *an)
{
    time_t      date, skew;
    ngx_str_t  *value;

    value = ngx_comms_answer_header(an, "date");

    if (value == NULL || call->skewed) {
        return 0;
    }

    date = ngx_parse_http_time(value->data, value->len);

    if (date == (time_t) NGX_ERROR) {
        return 0;
    }

    skew = date - ngx_time();

    if (ngx_abs(skew - call->skew) < NGX_COMMS_AWS_MAX_SKEW) {
        return 0;
    }

    call->skewed = 1;

    if (ngx_abs(skew - call->aws->skew) < NGX_COMMS_AWS_MAX_SKEW) {
        return 1;
    }

    call->aws->skew = skew;

    ngx_log_error(NGX_LOG_WARN, call->aws->log, 0,
                  "the clock of this machine differs from AWS's by "
                  "%T seconds", skew);

    return 1;
}


/* 1: the call goes on, now or when other credentials have come */

static ngx_uint_t
ngx_comms_aws_call_renew(ngx_comms_aws_call_t *call)
{
    ngx_int_t  rc;

    if (call->renewed) {
        return 0;
    }

    rc = ngx_comms_aws_credentials_refused(call->aws->credentials,
                                           call->generation, &call->waiter);

    if (rc == NGX_DECLINED) {
        return 0;
    }

    call->renewed = 1;
    call->renewing = 1;

    if (rc == NGX_AGAIN) {
        call->waiting = 1;
        return 1;
    }

    ngx_comms_aws_call_try(call);

    return 1;
}


static void
ngx_comms_aws_call_fail(ngx_comms_aws_call_t *call, const char *code,
    const char *message)
{
    ngx_comms_aws_error_t  error;

    /* of this attempt it is true, but not of the call */

    if (call->unsure
        && (ngx_strcmp(code, "NotSent") == 0
            || ngx_strcmp(code, "NoCredentials") == 0))
    {
        code = "ConnectionLost";
    }

    error.code.data = (u_char *) code;
    error.code.len = ngx_strlen(code);
    error.message.data = (u_char *) message;
    error.message.len = ngx_strlen(message);
    error.item = NULL;

    ngx_comms_aws_call_failure(call, NGX_ERROR, &error, 0);
}


/* with what was kept */

static void
ngx_comms_aws_call_end(ngx_comms_aws_call_t *call)
{
    json_t  *answer;

    if (call->unsure && call->rc == NGX_BUSY) {
        call->rc = NGX_ERROR;
    }

    if (call->unsure && call->answer != NULL) {
        (void) json_object_set_new(call->answer, "unsure", json_true());
    }

    ngx_comms_aws_call_complain(call);

    answer = call->answer;
    call->answer = NULL;

    ngx_comms_aws_call_finish(call, call->rc, answer);
}


static void
ngx_comms_aws_call_complain(ngx_comms_aws_call_t *call)
{
    int64_t     status;
    ngx_str_t   code;
    ngx_uint_t  i;

    if (call->cancelled) {
        return;
    }

    status = 0;

    if (ngx_comms_json_str(call->answer, "code", &code) != NGX_OK) {
        ngx_str_set(&code, "NotSent");
    }

    for (i = 0; ngx_comms_aws_answers[i].code.len != 0; i++) {
        if (code.len == ngx_comms_aws_answers[i].code.len
            && ngx_memcmp(code.data, ngx_comms_aws_answers[i].code.data,
                          code.len)
               == 0
            && (ngx_comms_aws_answers[i].operation == NULL
                || ngx_strcmp(call->operation,
                              ngx_comms_aws_answers[i].operation)
                   == 0))
        {
            return;
        }
    }

    (void) ngx_comms_json_int(call->answer, "status", &status);

    ngx_comms_aws_complain(call->aws, &call->proto->name, call->operation,
                           &code, (ngx_uint_t) status);
}


void
ngx_comms_aws_cancel(ngx_comms_aws_t *aws, ngx_comms_op_t *op)
{
    ngx_event_t           *ev;
    ngx_queue_t           *q;
    ngx_comms_aws_call_t  *call;

    for (q = ngx_queue_head(&aws->calls);
         q != ngx_queue_sentinel(&aws->calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_comms_aws_call_t, queue);

        if (call->op != op) {
            continue;
        }

        ngx_comms_aws_call_stop(call);

        call->cancelled = 1;
        call->ending = 1;
        ngx_comms_aws_call_fail(call, "ConnectionLost", "cancelled");

        ev = &call->event;
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }
}


void
ngx_comms_aws_calls_end(ngx_comms_aws_t *aws)
{
    ngx_queue_t           *q;
    ngx_comms_op_t        *op, *next;
    ngx_comms_aws_call_t  *call;

    /* as with all backends at exit: whoever asked has gone */

    if (aws->event.posted) {
        ngx_delete_posted_event(&aws->event);
    }

    for (op = aws->unserved; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;

        ngx_comms_op_cancel(op);
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
    }

    aws->unserved = NULL;

    while (!ngx_queue_empty(&aws->calls)) {
        q = ngx_queue_head(&aws->calls);
        call = ngx_queue_data(q, ngx_comms_aws_call_t, queue);

        ngx_comms_aws_call_stop(call);
        ngx_comms_op_cancel(call->op);
        ngx_comms_aws_call_finish(call, NGX_ERROR, NULL);
    }
}


static void
ngx_comms_aws_call_stop(ngx_comms_aws_call_t *call)
{
    if (call->transfer != NULL) {
        ngx_comms_curl_transfer_end(call->transfer);
        call->transfer = NULL;
    }

    if (call->waiting) {
        ngx_queue_remove(&call->waiter.queue);
        call->waiting = 0;
    }

    if (call->event.timer_set) {
        ngx_del_timer(&call->event);
    }

    if (call->event.posted) {
        ngx_delete_posted_event(&call->event);
    }
}


static void
ngx_comms_aws_call_finish(ngx_comms_aws_call_t *call, ngx_int_t rc,
    json_t *answer)
{
    ngx_comms_op_t  *op;

    op = call->op;

    ngx_queue_remove(&call->queue);
    json_decref(call->answer);
    ngx_destroy_pool(call->pool);

    ngx_comms_op_finish(op, rc, answer);
}
