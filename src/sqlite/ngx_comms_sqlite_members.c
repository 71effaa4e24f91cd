
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Checked inputs and plain statements: what every work over the embedded
 * engine needs before and around its own SQL.  Everything here runs in the
 * thread, hence no pools.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>


static ngx_uint_t ngx_comms_sqlite_member_fits(json_t *value,
    const ngx_comms_sqlite_member_t *member);
static ngx_uint_t ngx_comms_sqlite_names_fit(json_t *array);


ngx_int_t
ngx_comms_sqlite_members(const char *what, json_t *in,
    const ngx_comms_sqlite_member_t *members)
{
    json_t                           *value;
    const ngx_comms_sqlite_member_t  *member;

    for (member = members; member->name != NULL; member++) {

        value = json_object_get(in, member->name);

        if (value == NULL || json_is_null(value)) {
            if (member->optional) {
                continue;
            }

            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "comms \"%s\" was asked without \"%s\"",
                          what, member->name);
            return NGX_ERROR;
        }

        if (!ngx_comms_sqlite_member_fits(value, member)) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "comms \"%s\" was asked with a wrong \"%s\"",
                          what, member->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_sqlite_member_fits(json_t *value,
    const ngx_comms_sqlite_member_t *member)
{
    int64_t  n;

    switch (member->type) {

    case NGX_COMMS_SQLITE_NAME:
        return json_is_string(value) && json_string_length(value) != 0;

    case NGX_COMMS_SQLITE_TEXT:
        return json_is_string(value);

    case NGX_COMMS_SQLITE_INTEGER:
        n = json_integer_value(value);
        return json_is_integer(value) && n >= member->min && n <= member->max;

    case NGX_COMMS_SQLITE_BOOLEAN:
        return json_is_boolean(value);

    case NGX_COMMS_SQLITE_OBJECT:
        return json_is_object(value);

    case NGX_COMMS_SQLITE_ARRAY:
        return json_is_array(value);

    case NGX_COMMS_SQLITE_NAMES:
        return ngx_comms_sqlite_names_fit(value);
    }

    return 0;
}


static ngx_uint_t
ngx_comms_sqlite_names_fit(json_t *array)
{
    size_t   i;
    json_t  *name;

    if (!json_is_array(array)) {
        return 0;
    }

    json_array_foreach(array, i, name) {
        if (!json_is_string(name) || json_string_length(name) == 0) {
            return 0;
        }
    }

    return 1;
}


ngx_str_t
ngx_comms_sqlite_text(json_t *in, const char *name)
{
    return ngx_comms_json_view(json_object_get(in, name));
}


ngx_uint_t
ngx_comms_sqlite_has(json_t *in, const char *name)
{
    json_t  *value;

    value = json_object_get(in, name);

    return value != NULL && !json_is_null(value);
}


ngx_int_t
ngx_comms_sqlite_execute(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    ngx_int_t  rc;

    if (st == NULL) {
        return NGX_ERROR;
    }

    do {
        rc = ngx_comms_sqlite_step(txn, st);
    } while (rc == NGX_OK);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "comms database: constraint violated by \"%s\"",
                      sqlite3_sql(st));
    }

    return NGX_ERROR;
}


json_t *
ngx_comms_sqlite_rows(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st,
    json_t *(*element)(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st))
{
    json_t     *rows;
    ngx_int_t   rc;

    if (st == NULL) {
        return NULL;
    }

    rows = json_array();
    if (rows == NULL) {
        return NULL;
    }

    for ( ;; ) {
        rc = ngx_comms_sqlite_step(txn, st);

        if (rc == NGX_DONE) {
            return rows;
        }

        if (rc != NGX_OK
            || json_array_append_new(rows, element(txn, st)) != 0)
        {
            (void) sqlite3_reset(st);
            json_decref(rows);
            return NULL;
        }
    }
}
