
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The check at start: the tables of the store, one after the other, with
 * their keys and indexes.  One worker process does it, and what it finds is
 * in the log: the line of what the store is connected to, or one for each
 * thing that is missing.  Nothing waits for it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <aws/ngx_comms_aws_table.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


#define NGX_COMMS_DYNAMODB_TABLES  5


typedef struct {
    ngx_comms_dynamodb_t   *db;
    ngx_uint_t              n;
    ngx_uint_t              i;
    ngx_uint_t              wrong;
    ngx_comms_aws_table_t   tables[NGX_COMMS_DYNAMODB_TABLES];
} ngx_comms_dynamodb_check_t;


static void ngx_comms_dynamodb_check_add(ngx_comms_dynamodb_check_t *check,
    ngx_comms_dynamodb_table_t *table, const ngx_comms_aws_index_t *indexes,
    const char *setting);
static void ngx_comms_dynamodb_check_next(ngx_comms_dynamodb_check_t *check);
static void ngx_comms_dynamodb_checked(void *data, ngx_int_t rc);
static void ngx_comms_dynamodb_check_end(ngx_comms_dynamodb_check_t *check);


#define ngx_comms_dynamodb_indexes                                            \
    { "company-created-index", "gsi_company_id", "gsi_created" },             \
    { "open-index", "gsi_open", NULL },                                       \
    { "sweep-index", "gsi_sweep", "gsi_sweep_at" },                           \
    { "company-whatsapp-number-recipient-tel-index",                          \
      "gsi_company_whatsapp_number", "gsi_recipient_tel" },                   \
    { "company-sms-number-recipient-tel-index",                               \
      "gsi_company_sms_number", "gsi_recipient_tel" },                        \
    { "company-email-recipient-email-index",                                  \
      "gsi_company_email", "gsi_recipient_email" },                           \
    { "MessageIdIndex", "initial_email_message_id", NULL },                   \
    { "company-id-project-id-index", "company_id", "project_id" }


static const ngx_comms_aws_index_t  ngx_comms_dynamodb_single[] = {
    ngx_comms_dynamodb_indexes,
    { NULL, NULL, NULL }
};


static const ngx_comms_aws_index_t  ngx_comms_dynamodb_per_channel[] = {
    ngx_comms_dynamodb_indexes,
    { "thread-id-index", "thread_id", NULL },
    { NULL, NULL, NULL }
};


static const ngx_comms_aws_index_t  ngx_comms_dynamodb_sweep[] = {
    { "sweep-index", "gsi_sweep", "gsi_sweep_at" },
    { NULL, NULL, NULL }
};


void
ngx_comms_dynamodb_check(ngx_comms_dynamodb_t *db)
{
    ngx_comms_dynamodb_table_t  *locks;
    ngx_comms_dynamodb_check_t  *check;

    check = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_comms_dynamodb_check_t));
    if (check == NULL) {
        return;
    }

    check->db = db;

    ngx_comms_dynamodb_check_add(check, &db->threads,
        db->conf->layout == NGX_COMMS_STORE_SINGLE
            ? ngx_comms_dynamodb_single : ngx_comms_dynamodb_per_channel,
        "\"table=\" or \"layout=\" of \"comms_store\"");
    ngx_comms_dynamodb_check_add(check, &db->inbound,
        ngx_comms_dynamodb_sweep, "\"inbound_table=\" of \"comms_store\"");
    ngx_comms_dynamodb_check_add(check, &db->consent, NULL,
        "\"consent_table=\" of \"comms_store\"");

    if (db->conf->effects_table.len != 0) {
        ngx_comms_dynamodb_check_add(check, &db->effects, NULL,
            "\"effects_table=\" of \"comms_store\"");
    }

    locks = ngx_comms_dynamodb_lock_table(db);

    if (locks != NULL) {
        ngx_comms_dynamodb_check_add(check, locks, NULL,
            "\"lock_table=\" of \"comms_store\"");
    }

    ngx_comms_dynamodb_check_next(check);
}


static void
ngx_comms_dynamodb_check_add(ngx_comms_dynamodb_check_t *check,
    ngx_comms_dynamodb_table_t *table, const ngx_comms_aws_index_t *indexes,
    const char *setting)
{
    ngx_comms_aws_table_t  *wanted;

    wanted = &check->tables[check->n++];

    wanted->name = table->name;
    wanted->hash = table->pk;
    wanted->range = table->sk;
    wanted->indexes = indexes;
    wanted->setting = setting;
}


static void
ngx_comms_dynamodb_check_next(ngx_comms_dynamodb_check_t *check)
{
    if (check->i == check->n) {
        ngx_comms_dynamodb_check_end(check);
        return;
    }

    (void) ngx_comms_aws_table_check(check->db->aws, &check->tables[check->i],
                                     ngx_comms_dynamodb_checked, check);
}


static void
ngx_comms_dynamodb_checked(void *data, ngx_int_t rc)
{
    ngx_comms_dynamodb_check_t *check = data;

    if (rc != NGX_OK) {
        check->wrong = 1;
    }

    check->i++;

    ngx_comms_dynamodb_check_next(check);
}


static void
ngx_comms_dynamodb_check_end(ngx_comms_dynamodb_check_t *check)
{
    u_char      *p, *last, text[NGX_MAX_CONF_ERRSTR];
    ngx_str_t    tables;
    ngx_uint_t   i;

    if (check->wrong) {
        return;
    }

    p = text;
    last = text + sizeof(text);

    for (i = 0; i < check->n; i++) {
        p = ngx_slprintf(p, last, "%s\"%V\"", i ? ", " : "",
                         &check->tables[i].name);
    }

    tables.data = text;
    tables.len = p - text;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "comms store is connected: dynamodb, layout %s, tables %V"
                  " with their indexes",
                  check->db->conf->layout == NGX_COMMS_STORE_SINGLE
                      ? "single" : "per_channel", &tables);
}
