
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The bus over SNS and SQS, with a client that is a small SQS of its own: it
 * keeps to what AWS documents, also where that is inconvenient (deleting by a
 * stale handle is answered OK, receives are never taken back).
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"
#include "bus/ngx_comms_bus_aws.h"


#define MESSAGES  256
#define PENDING   64

/* U+FFFF, an e with an accent, a face */
#define TEXT      "\xef\xbf\xbf \xc3\xa9 \xf0\x9f\x98\x80"


typedef struct {
    char         queue[96];
    json_t      *text;
    json_t      *attributes;
    int64_t      visible;
    int64_t      sent;
    int          count;
    int          handed;       /* the handle in force */
    int          id;
} message_t;


typedef struct {
    ngx_comms_aws_service_e   service;
    char                      operation[64];
    json_t                   *in;
    ngx_comms_op_t           *op;
} call_t;


static message_t         messages[MESSAGES];
static call_t            pending[PENDING];
static int               npending, nmessages, nhandles, npublished;
static int               stopped;
static char              failing[64];
static ngx_int_t         failing_rc;
static json_t           *published;
static int64_t           now;
static int               notices;
static ngx_comms_bus_t  *bus;
static json_t           *answer;
static int               finished;
static ngx_pool_t       *cycle_pool;


/* the client */

void
ngx_comms_aws_call(ngx_comms_aws_t *aws, ngx_comms_aws_service_e service,
    const char *operation, json_t *in, ngx_msec_t timeout,
    ngx_comms_op_t *op)
{
    call_t  *call;

    assert_true(npending < PENDING);

    call = &pending[npending++];
    call->service = service;
    call->in = in;
    call->op = op;

    ngx_cpystrn((u_char *) call->operation, (u_char *) operation, 64);
}


void
ngx_comms_aws_cancel(ngx_comms_aws_t *aws, ngx_comms_op_t *op)
{
    int  i;

    for (i = 0; i < npending; i++) {
        if (pending[i].op == op) {
            json_decref(pending[i].in);
            pending[i] = pending[--npending];
            ngx_comms_op_finish(op, NGX_ERROR, NULL);
            return;
        }
    }
}


void
ngx_comms_notice_post(ngx_comms_zone_t *zone, ngx_comms_notice_e kind,
    ngx_str_t *key)
{
    notices++;
}


static void
tick(int64_t ms)
{
    now += ms;
    unit_clock_set(now);
}


static message_t *
sent(const char *queue, json_t *text, int64_t delay)
{
    message_t  *m;

    assert_true(nmessages < MESSAGES);

    m = &messages[nmessages++];
    ngx_memzero(m, sizeof(message_t));
    ngx_cpystrn((u_char *) m->queue, (u_char *) queue, 96);
    m->text = json_incref(text);
    m->sent = now;
    m->visible = now + delay * 1000;
    m->id = nmessages;

    return m;
}


static message_t *
of_handle(json_t *in, const char *key)
{
    int         i;
    const char *handle;

    handle = json_string_value(json_object_get(in, key));

    for (i = 0; i < nmessages; i++) {
        if (messages[i].text != NULL
            && messages[i].handed == atoi(handle + 1))
        {
            return &messages[i];
        }
    }

    return NULL;
}


static const char *
queue_of(json_t *in)
{
    return strrchr(json_string_value(json_object_get(in, "QueueUrl")), '/')
           + 1;
}


static json_t *
received(json_t *in)
{
    int          i, max, seconds;
    char         id[16], handle[16], count[16], at[32];
    json_t      *list;
    message_t   *m;
    const char  *queue;

    list = json_array();
    queue = queue_of(in);
    max = json_integer_value(json_object_get(in, "MaxNumberOfMessages"));
    seconds = json_integer_value(json_object_get(in, "VisibilityTimeout"));

    assert_in_range(max, 1, 10);
    assert_in_range(seconds, 1, 43200);
    assert_in_range(json_integer_value(json_object_get(in,
                                                       "WaitTimeSeconds")),
                    0, 20);

    for (i = 0; i < nmessages && max > 0; i++) {
        m = &messages[i];

        if (m->text == NULL || strcmp(m->queue, queue) != 0
            || m->visible > now)
        {
            continue;
        }

        m->visible = now + seconds * 1000;
        m->handed = ++nhandles;
        m->count++;
        max--;

        snprintf(id, 16, "m%d", m->id);
        snprintf(handle, 16, "h%d", m->handed);
        snprintf(count, 16, "%d", m->count);
        snprintf(at, 32, "%lld", (long long) m->sent);

        json_array_append_new(list, json_pack(
            "{s:s, s:s, s:O, s:{s:s, s:s}}", "MessageId", id,
            "ReceiptHandle", handle, "Body", m->text, "Attributes",
            "ApproximateReceiveCount", count, "SentTimestamp", at));
    }

    /* absent when there is none */

    if (json_array_size(list) == 0) {
        json_decref(list);
        return json_object();
    }

    return json_pack("{s:o}", "Messages", list);
}


static json_t *
changed(json_t *in)
{
    size_t      i;
    json_t     *entry, *failed, *good;
    message_t  *m;

    failed = json_array();
    good = json_array();

    assert_in_range(json_array_size(json_object_get(in, "Entries")), 1, 10);

    json_array_foreach(json_object_get(in, "Entries"), i, entry) {
        m = of_handle(entry, "ReceiptHandle");

        if (m == NULL) {
            json_array_append_new(failed, json_pack("{s:O, s:s, s:b}", "Id",
                json_object_get(entry, "Id"), "Code",
                "ReceiptHandleIsInvalid", "SenderFault", 1));
            continue;
        }

        m->visible = now + 1000 * json_integer_value(
                               json_object_get(entry, "VisibilityTimeout"));
        json_array_append_new(good, json_pack("{s:O}", "Id",
                                              json_object_get(entry, "Id")));
    }

    return json_pack("{s:o, s:o}", "Successful", good, "Failed", failed);
}


static json_t *
counted(json_t *in)
{
    int          i, ready, hidden;
    char         a[16], b[16];
    const char  *queue;

    ready = hidden = 0;
    queue = queue_of(in);

    for (i = 0; i < nmessages; i++) {
        if (messages[i].text != NULL
            && strcmp(messages[i].queue, queue) == 0)
        {
            messages[i].visible > now ? hidden++ : ready++;
        }
    }

    snprintf(a, 16, "%d", ready);
    snprintf(b, 16, "%d", hidden);

    return json_pack("{s:{s:s, s:s, s:s}}", "Attributes",
                     "ApproximateNumberOfMessages", a,
                     "ApproximateNumberOfMessagesNotVisible", b,
                     "ApproximateNumberOfMessagesDelayed", "0");
}


static void
serve(call_t *call)
{
    char        url[160];
    json_t     *out, *in;
    message_t  *m;

    in = call->in;
    out = json_object();

    if (strcmp(failing, call->operation) == 0) {
        json_decref(out);
        json_decref(in);
        ngx_comms_op_finish(call->op, failing_rc,
                            json_pack("{s:s}", "code", "TestFailure"));
        return;
    }

    if (strcmp(call->operation, "GetQueueUrl") == 0) {
        snprintf(url, sizeof(url), "http://sqs/000000000000/%s",
                 json_string_value(json_object_get(in, "QueueName")));
        json_object_set_new(out, "QueueUrl", json_string(url));

    } else if (strcmp(call->operation, "SendMessage") == 0) {
        m = sent(queue_of(in), json_object_get(in, "MessageBody"),
                 json_integer_value(json_object_get(in, "DelaySeconds")));
        m->attributes = json_incref(json_object_get(in, "MessageAttributes"));
        assert_in_range(json_integer_value(json_object_get(in,
                                                           "DelaySeconds")),
                        0, 900);

    } else if (strcmp(call->operation, "ReceiveMessage") == 0) {
        json_decref(out);
        out = received(in);

    } else if (strcmp(call->operation, "ChangeMessageVisibilityBatch") == 0) {
        json_decref(out);
        out = changed(in);

    } else if (strcmp(call->operation, "ChangeMessageVisibility") == 0) {
        m = of_handle(in, "ReceiptHandle");
        m->visible = now + 1000 * json_integer_value(
                               json_object_get(in, "VisibilityTimeout"));

    } else if (strcmp(call->operation, "DeleteMessage") == 0) {
        m = of_handle(in, "ReceiptHandle");

        if (m != NULL) {
            json_decref(m->text);
            json_decref(m->attributes);
            m->text = NULL;
            m->attributes = NULL;
        }

    } else if (strcmp(call->operation, "GetQueueAttributes") == 0) {
        json_decref(out);
        out = counted(in);

    } else if (strcmp(call->operation, "Publish") == 0) {
        npublished++;
        json_decref(published);
        published = json_incref(in);
    }

    json_decref(in);
    ngx_comms_op_finish(call->op, NGX_OK, out);
}


/* lets everything happen that is under way */

static void
pump(void)
{
    call_t  call;

    for ( ;; ) {
        ngx_event_process_posted((ngx_cycle_t *) ngx_cycle,
                                 &ngx_posted_events);

        if (npending == 0 || stopped) {
            return;
        }

        call = pending[0];
        npending--;
        memmove(pending, pending + 1, npending * sizeof(call_t));

        serve(&call);
    }
}


/* the driver */

static void
ask_done(ngx_comms_op_t *op)
{
    finished = 1;
    *(ngx_int_t *) op->data = op->rc;

    json_decref(answer);
    answer = json_incref(op->answer);
}


static ngx_int_t
ask(ngx_comms_bus_op_pt start, json_t *in)
{
    static ngx_int_t  rc;

    assert_non_null(in);

    finished = 0;
    rc = NGX_ABORT;

    start(bus, in, ngx_comms_op_create(ask_done, &rc, 0));

    assert_int_equal(finished, 0);

    pump();

    return rc;
}


static json_t *
receive(const char *queue, int max, int max_receives)
{
    assert_int_equal(ask(bus->receive,
        json_pack("{s:s, s:i, s:i, s:i}", "queue", queue, "max", max,
                  "visibility", 60000, "max_receives", max_receives)),
        NGX_OK);

    return json_object_get(answer, "messages");
}


/* the receipt of a message that was put and received; a new reference */

static json_t *
held(const char *queue)
{
    json_t  *list;

    assert_int_equal(ask(bus->put, json_pack("{s:s, s:{s:i}, s:s}", "queue",
                                             queue, "body", "n", 1, "group",
                                             "th_1")),
                     NGX_OK);

    list = receive(queue, 1, 5);
    assert_int_equal(json_array_size(list), 1);

    return json_incref(json_object_get(json_array_get(list, 0), "receipt"));
}


static int
alive(const char *queue)
{
    int  i, n;

    n = 0;

    for (i = 0; i < nmessages; i++) {
        n += (messages[i].text != NULL
              && strcmp(messages[i].queue, queue) == 0);
    }

    return n;
}


static int
setup_with(void **state, const char *topic)
{
    ngx_conf_t                cf;
    ngx_comms_bus_aws_conf_t  conf;

    unit_pool_setup(state);

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    ngx_memzero(&conf, sizeof(ngx_comms_bus_aws_conf_t));

    cf.pool = *state;
    cf.log = ngx_cycle->log;

    conf.topic = unit_str(topic);
    conf.queue_prefix = unit_str("t-");
    conf.wait = 0;

    cycle_pool = ngx_cycle->pool;
    ((ngx_cycle_t *) ngx_cycle)->pool = *state;

    ngx_queue_init(&ngx_posted_events);
    ngx_event_timer_init(ngx_cycle->log);

    now = 1900000000000LL;
    tick(0);

    nmessages = npending = nhandles = notices = npublished = stopped = 0;
    failing[0] = '\0';
    ngx_exiting = 0;

    bus = ngx_comms_bus_aws(&cf, NULL, &conf);
    assert_non_null(bus);
    assert_int_equal(bus->init_process(bus, (ngx_cycle_t *) ngx_cycle),
                     NGX_OK);
    pump();

    return 0;
}


static int
setup(void **state)
{
    return setup_with(state, "arn:aws:sns:eu-west-1:123456789012:comms");
}


static int
setup_fifo(void **state)
{
    return setup_with(state, "arn:aws:sns:eu-west-1:123456789012:comms.fifo");
}


static int
teardown(void **state)
{
    int  i;

    bus->exit_process(bus);

    for (i = 0; i < nmessages; i++) {
        json_decref(messages[i].text);
        json_decref(messages[i].attributes);
        messages[i].text = NULL;
        messages[i].attributes = NULL;
    }

    for (i = 0; i < npending; i++) {
        json_decref(pending[i].in);
        ngx_comms_op_finish(pending[i].op, NGX_ERROR, NULL);
    }

    json_decref(answer);
    json_decref(published);
    answer = published = NULL;

    ((ngx_cycle_t *) ngx_cycle)->pool = cycle_pool;

    return unit_pool_teardown(state);
}


static void
test_put_and_receive(void **state)
{
    json_t  *list, *m;

    assert_int_equal(ask(bus->put,
        json_pack("{s:s, s:{s:s}, s:s}", "queue", "open", "body", "text",
                  TEXT, "group", "th_1")), NGX_OK);
    assert_int_equal(notices, 1);

    /* U+FFFF is refused by SQS unless it is escaped */

    assert_null(strstr(json_string_value(messages[0].text), "\xef\xbf"));
    assert_non_null(strstr(json_string_value(messages[0].text),
                           "\\uffff \xc3\xa9 \\ud83d\\ude00"));

    list = receive("open", 10, 5);
    assert_int_equal(json_array_size(list), 1);

    m = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(
        json_object_get(m, "body"), "text")), TEXT);
    assert_string_equal(json_string_value(json_object_get(m, "group")),
                        "th_1");
    assert_int_equal(json_integer_value(json_object_get(m, "receive_count")),
                     1);
    assert_int_equal(json_integer_value(json_object_get(m, "sent_at")), now);

    assert_int_equal(json_array_size(receive("open", 10, 5)), 0);
    assert_true(json_is_null(json_object_get(answer, "next_at")));
}


static void
test_receive_fills_the_room(void **state)
{
    int  i;

    for (i = 0; i < 32; i++) {
        ask(bus->put, json_pack("{s:s, s:{s:i}, s:s}", "queue", "open",
                                "body", "n", i, "group", "g"));
    }

    assert_int_equal(json_array_size(receive("open", 25, 5)), 25);
    assert_true(json_is_integer(json_object_get(answer, "next_at")));
    assert_int_equal(json_array_size(receive("open", 25, 5)), 7);
    assert_true(json_is_null(json_object_get(answer, "next_at")));
}


static void
test_both_deliveries(void **state)
{
    char    *text;
    json_t  *inner, *outer, *s, *list;

    inner = json_pack("{s:{s:i}, s:s}", "body", "n", 7, "group", "th_2");
    text = json_dumps(inner, JSON_COMPACT);
    outer = json_pack("{s:s, s:s, s:s}", "Type", "Notification", "MessageId",
                      "x", "Message", text);
    free(text);
    text = json_dumps(outer, JSON_COMPACT);
    s = json_string(text);
    free(text);

    sent("t-sms", s, 0);

    list = receive("sms", 1, 5);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(
        json_array_get(list, 0), "body"), "n")), 7);

    json_decref(inner);
    json_decref(outer);
    json_decref(s);

    /* what is nobody's is handed out without a body */

    s = json_string("no JSON");
    sent("t-sms", s, 0);
    json_decref(s);

    list = receive("sms", 1, 5);
    assert_int_equal(json_array_size(list), 1);
    assert_null(json_object_get(json_array_get(list, 0), "body"));

    assert_int_equal(ask(bus->bury, json_pack("{s:s, s:O, s:s}", "queue",
        "sms", "receipt", json_object_get(json_array_get(list, 0),
                                          "receipt"),
        "reason", "body is no object")), NGX_OK);
    assert_int_equal(alive("t-sms-dlq"), 1);
    assert_string_equal(json_string_value(messages[nmessages - 1].text),
                        "no JSON");
}


static void
test_remove(void **state)
{
    json_t  *receipt;

    receipt = held("open");

    assert_int_equal(ask(bus->remove, json_pack("{s:s, s:O}", "queue", "sms",
                                                "receipt", receipt)),
                     NGX_DECLINED);
    assert_int_equal(ask(bus->remove, json_pack("{s:s, s:O}", "queue", "open",
                                                "receipt", receipt)),
                     NGX_OK);
    assert_int_equal(alive("t-open"), 0);
    assert_int_equal(ask(bus->remove, json_pack("{s:s, s:O}", "queue", "open",
                                                "receipt", receipt)),
                     NGX_DECLINED);
    json_decref(receipt);
}


static void
test_remove_that_failed_can_be_tried_again(void **state)
{
    json_t  *receipt;

    receipt = held("open");

    strcpy(failing, "DeleteMessage");
    failing_rc = NGX_BUSY;

    assert_int_equal(ask(bus->remove, json_pack("{s:s, s:O}", "queue", "open",
                                                "receipt", receipt)),
                     NGX_ERROR);
    failing[0] = '\0';

    assert_int_equal(ask(bus->remove, json_pack("{s:s, s:O}", "queue", "open",
                                                "receipt", receipt)),
                     NGX_OK);
    json_decref(receipt);
}


static void
test_redelivery_makes_receipts_stale(void **state)
{
    json_t  *receipt, *again;

    receipt = held("open");
    tick(61000);

    again = json_array_get(receive("open", 1, 5), 0);
    assert_int_equal(json_integer_value(json_object_get(again,
                                                        "receive_count")), 2);

    assert_int_equal(ask(bus->remove, json_pack("{s:s, s:O}", "queue", "open",
                                                "receipt", receipt)),
                     NGX_DECLINED);
    assert_int_equal(alive("t-open"), 1);
    json_decref(receipt);
}


static void
test_extend(void **state)
{
    int      i;
    json_t  *receipts, *lost;

    receipts = json_array();

    for (i = 0; i < 23; i++) {
        json_array_append_new(receipts, held("open"));
    }

    json_array_append_new(receipts, json_string("1:1"));
    messages[4].handed = 999;

    tick(50000);
    assert_int_equal(ask(bus->extend, json_pack("{s:s, s:O, s:i}", "queue",
        "open", "receipts", receipts, "visibility", 60000)), NGX_OK);

    lost = json_object_get(answer, "lost");
    assert_int_equal(json_array_size(lost), 2);
    assert_true(json_equal(json_array_get(lost, 0),
                           json_array_get(receipts, 23)));
    assert_true(json_equal(json_array_get(lost, 1),
                           json_array_get(receipts, 4)));
    assert_true(messages[0].visible == now + 60000);

    /* twelve hours are all there is */

    tick(43200 * 1000LL - 100000);
    assert_int_equal(ask(bus->extend, json_pack("{s:s, s:O, s:i}", "queue",
        "open", "receipts", receipts, "visibility", 60000)), NGX_OK);
    assert_int_equal(json_array_size(json_object_get(answer, "lost")), 24);
    json_decref(receipts);
}


static void
test_give_back(void **state)
{
    int      i;
    json_t  *receipt, *m;

    receipt = held("open");
    assert_int_equal(ask(bus->give_back, json_pack("{s:s, s:o, s:i, s:b}",
        "queue", "open", "receipt", receipt, "delay", 1500, "counted", 1)),
        NGX_OK);
    assert_int_equal(json_array_size(receive("open", 1, 5)), 0);

    tick(2000);
    m = json_array_get(receive("open", 1, 5), 0);
    assert_int_equal(json_integer_value(json_object_get(m, "receive_count")),
                     2);

    for (i = 0; i < 4; i++) {
        receipt = json_incref(json_object_get(m, "receipt"));
        assert_int_equal(ask(bus->give_back, json_pack("{s:s, s:o, s:i, s:b}",
            "queue", "open", "receipt", receipt, "delay", 0, "counted", 0)),
            NGX_OK);
        assert_int_equal(alive("t-open"), 1);

        m = json_array_get(receive("open", 1, 5), 0);
        assert_int_equal(json_integer_value(json_object_get(m,
                                                         "receive_count")),
                         2);
        assert_int_equal(json_integer_value(json_object_get(m, "sent_at")),
                         1900000000000LL);
    }
}


static void
test_long_delays(void **state)
{
    int      i;
    json_t  *list;

    assert_int_equal(ask(bus->put, json_pack("{s:s, s:{}, s:s, s:I}",
        "queue", "open", "body", "group", "g", "delay",
        (json_int_t) 3600 * 1000)), NGX_OK);

    list = NULL;

    for (i = 0; i < 61 && json_array_size(list) == 0; i++) {
        assert_int_equal(alive("t-open"), 1);
        tick(60000);
        list = receive("open", 1, 2);
    }

    assert_int_equal(i, 60);
    assert_int_equal(json_integer_value(json_object_get(
        json_array_get(list, 0), "receive_count")), 1);

    /* and what is given back for longer than SQS can hide it */

    assert_int_equal(ask(bus->give_back, json_pack("{s:s, s:O, s:I, s:b}",
        "queue", "open", "receipt",
        json_object_get(json_array_get(list, 0), "receipt"),
        "delay", (json_int_t) 86400 * 1000, "counted", 1)), NGX_OK);

    for (i = 0, list = NULL; i < 200 && json_array_size(list) == 0; i++) {
        tick(600000);
        list = receive("open", 1, 3);
    }

    assert_in_range(i, 144, 146);
    assert_int_equal(json_integer_value(json_object_get(
        json_array_get(list, 0), "receive_count")), 2);
}


static void
test_received_too_often(void **state)
{
    int      i;
    json_t  *receipt, *list;

    receipt = held("open");

    for (i = 0; i < 3; i++) {
        ask(bus->give_back, json_pack("{s:s, s:o, s:i, s:b}", "queue", "open",
                                      "receipt", receipt, "delay", 0,
                                      "counted", 1));

        if (i < 2) {
            list = receive("open", 1, 3);
            receipt = json_incref(json_object_get(json_array_get(list, 0),
                                                  "receipt"));
        }
    }

    ask(bus->put, json_pack("{s:s, s:{s:i}, s:s}", "queue", "open", "body",
                            "n", 2, "group", "g"));

    list = receive("open", 1, 3);
    assert_int_equal(json_integer_value(json_object_get(answer, "dead")), 1);
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(
        json_array_get(list, 0), "body"), "n")), 2);
    assert_int_equal(alive("t-open-dlq"), 1);
    assert_int_equal(alive("t-open"), 1);
}


static void
test_bury_sends_before_it_deletes(void **state)
{
    json_t  *receipt;

    receipt = held("open");

    strcpy(failing, "SendMessage");
    failing_rc = NGX_ERROR;

    assert_int_equal(ask(bus->bury, json_pack("{s:s, s:O, s:s}", "queue",
        "open", "receipt", receipt, "reason", "bad")), NGX_ERROR);
    assert_int_equal(alive("t-open"), 1);

    failing[0] = '\0';
    assert_int_equal(ask(bus->bury, json_pack("{s:s, s:o, s:s}", "queue",
        "open", "receipt", receipt, "reason", "bad")), NGX_OK);
    assert_int_equal(alive("t-open"), 0);
    assert_int_equal(alive("t-open-dlq"), 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(
        messages[nmessages - 1].attributes, "reason"), "StringValue")),
        "bad");
}


static void
test_publish(void **state)
{
    char    *large;
    json_t  *in;

    in = json_pack("{s:s, s:[s, s], s:s, s:{s:s}}", "publish_id", "p1",
                   "channels", "whatsapp", "sms", "group", "th_1", "body",
                   "company_id", "ci-1");

    assert_int_equal(ask(bus->publish, json_deep_copy(in)), NGX_OK);
    assert_int_equal(notices, 2);
    assert_string_equal(json_string_value(json_object_get(published,
        "MessageAttributes.entry.1.Value.StringValue")),
        "[\"whatsapp\",\"sms\"]");
    assert_string_equal(json_string_value(json_object_get(published,
        "MessageGroupId")), "ci-1");

    large = test_malloc(262145);
    ngx_memset(large, 'a', 262144);
    large[262144] = '\0';
    json_object_set_new(json_object_get(in, "body"), "x",
                        json_string(large));
    test_free(large);

    assert_int_equal(ask(bus->publish, in), NGX_DECLINED);
    assert_string_equal(json_string_value(json_object_get(answer,
                                                          "message")),
                        "too large");
    assert_int_equal(npublished, 1);
}


static void
test_fifo(void **state)
{
    json_t  *in;

    in = json_pack("{s:s, s:[s], s:s, s:{s:s}}", "publish_id", "p1",
                   "channels", "sms", "group", "th_1", "body", "company_id",
                   "ci-1");

    assert_int_equal(ask(bus->publish, in), NGX_OK);
    assert_string_equal(json_string_value(json_object_get(published,
        "MessageGroupId")), "th_1");
    assert_int_equal(json_string_length(json_object_get(published,
        "MessageDeduplicationId")), 64);

    ask(bus->put, json_pack("{s:s, s:{}, s:s, s:i}", "queue", "open", "body",
                            "group", "g", "delay", 5000));
    assert_int_equal(alive("t-open.fifo"), 1);
    assert_int_equal(json_array_size(receive("open", 1, 5)), 0);
    tick(5000);
    assert_int_equal(json_array_size(receive("open", 1, 5)), 1);
}


static void
test_depths(void **state)
{
    json_t  *open;

    json_decref(held("open"));
    ask(bus->put, json_pack("{s:s, s:{}, s:s}", "queue", "open", "body",
                            "group", "g"));

    assert_int_equal(ask(bus->depths, json_object()), NGX_OK);

    open = json_object_get(json_object_get(answer, "queues"), "open");
    assert_int_equal(json_integer_value(json_object_get(open, "ready")), 1);
    assert_int_equal(json_integer_value(json_object_get(open, "in_flight")),
                     1);
    assert_int_equal(json_integer_value(json_object_get(open, "dead")), 0);
    assert_null(json_object_get(open, "oldest_ready_age"));

    /* kept for a while */

    stopped = 1;
    assert_int_equal(ask(bus->depths, json_object()), NGX_OK);
}


static void
test_missing_queue(void **state)
{
    ngx_comms_bus_op_pt  put;

    put = bus->put;

    strcpy(failing, "GetQueueUrl");
    failing_rc = NGX_DECLINED;

    assert_int_equal(ask(put, json_pack("{s:s, s:{}, s:s}", "queue", "other",
                                        "body", "group", "g")), NGX_ERROR);

    failing[0] = '\0';

    /* not asked for again before some seconds have passed */

    assert_int_equal(ask(put, json_pack("{s:s, s:{}, s:s}", "queue", "other",
                                        "body", "group", "g")), NGX_ERROR);
    tick(6000);
    assert_int_equal(ask(put, json_pack("{s:s, s:{}, s:s}", "queue", "other",
                                        "body", "group", "g")), NGX_OK);
}


static void
test_operations_in_flight_at_the_end(void **state)
{
    ngx_int_t  rc;

    stopped = 1;
    rc = ask(bus->put, json_pack("{s:s, s:{}, s:s}", "queue", "open", "body",
                                 "group", "g"));
    assert_int_equal(rc, NGX_ABORT);
    assert_int_equal(npending, 1);
}


static void
test_bad_names(void **state)
{
    ngx_uint_t                i;
    ngx_conf_t                cf;
    ngx_comms_bus_aws_conf_t  conf;

    static const char  *topics[] = {
        "", "comms", "arn:aws:sqs:eu-west-1:123456789012:comms",
        "arn:aws:sns:eu-west-1:123456789012:",
        "arn:aws:sns:eu-west-1::comms",
        "arn:aws:sns:eu-west-1:123456789012:comms:x",
        "arn:aws:sns:eu-west-1:123456789012:co mms", NULL
    };

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    ngx_memzero(&conf, sizeof(ngx_comms_bus_aws_conf_t));
    cf.pool = *state;
    cf.log = ngx_cycle->log;

    for (i = 0; topics[i] != NULL; i++) {
        conf.topic = unit_str(topics[i]);
        assert_null(ngx_comms_bus_aws(&cf, NULL, &conf));
    }

    conf.topic = unit_str("arn:aws:sns:eu-west-1:123456789012:comms");
    conf.queue_prefix = unit_str("a/b");
    assert_null(ngx_comms_bus_aws(&cf, NULL, &conf));
}


#define bus_test(name)                                                        \
    cmocka_unit_test_setup_teardown(name, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        bus_test(test_put_and_receive),
        bus_test(test_receive_fills_the_room),
        bus_test(test_both_deliveries),
        bus_test(test_remove),
        bus_test(test_remove_that_failed_can_be_tried_again),
        bus_test(test_redelivery_makes_receipts_stale),
        bus_test(test_extend),
        bus_test(test_give_back),
        bus_test(test_long_delays),
        bus_test(test_received_too_often),
        bus_test(test_bury_sends_before_it_deletes),
        bus_test(test_publish),
        cmocka_unit_test_setup_teardown(test_fifo, setup_fifo, teardown),
        bus_test(test_depths),
        bus_test(test_missing_queue),
        bus_test(test_operations_in_flight_at_the_end),
        pool_test(test_bad_names),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
