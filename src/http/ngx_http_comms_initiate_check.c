
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The order of the checks is part of the API: the first row that fails is
 * the answer.
 *
 *   identify   MISSING_IDENTIFIERS
 *   (the key)  UNAUTHORIZED
 *   check      sections, fields, request_id, channels, timestamp, addresses,
 *              consent
 *   (store)    RECIPIENT_OPTED_OUT
 *   allowed    COMPANY_NOT_FOUND, PROJECT_INACTIVE, CHANNEL_NOT_ALLOWED
 *
 * An absent company_data has no identifiers, so that is what it is answered
 * with.
 */


#include <http/ngx_http_comms_initiate_check.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_time_zone.h>
#include <channel/ngx_comms_address.h>


#define NGX_HTTP_COMMS_MAX_NAME   256    /* bytes */
#define NGX_HTTP_COMMS_MAX_AFTER  86400  /* seconds */

#define NGX_HTTP_COMMS_BY_TEL                                                 \
    ((1 << NGX_COMMS_WHATSAPP) | (1 << NGX_COMMS_SMS))
#define NGX_HTTP_COMMS_BY_EMAIL  (1 << NGX_COMMS_EMAIL)


typedef struct {
    const char   *key;
    const char   *missing;
    const char   *missing_message;
    const char   *invalid;
    const char   *invalid_message;
} ngx_http_comms_row_t;


static ngx_int_t ngx_http_comms_check_sections(json_t *body,
    ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_check_string(json_t *object,
    ngx_http_comms_row_t *row, ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_check_fields(json_t *request,
    ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_check_method(json_t *method,
    ngx_http_comms_error_t *error);
static ngx_uint_t ngx_http_comms_check_fallback(json_t *method);
static ngx_uint_t ngx_http_comms_check_names(json_t *list);
static ngx_int_t ngx_http_comms_check_channels(json_t *method,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_check_recipient(json_t *recipient,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_check_addresses(json_t *recipient,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_check_consent(json_t *recipient,
    ngx_http_comms_error_t *error);
static json_t *ngx_http_comms_member(json_t *object, const char *key);


static ngx_http_comms_row_t  ngx_http_comms_sections[] = {

    { "company_data",
      "MISSING_COMPANY_DATA", "company_data is required",
      "INVALID_COMPANY_DATA_TYPE", "company_data must be an object" },

    { "recipient_data",
      "MISSING_RECIPIENT_DATA", "recipient_data is required",
      "INVALID_RECIPIENT_DATA_TYPE", "recipient_data must be an object" },

    { "request_data",
      "MISSING_REQUEST_DATA", "request_data is required",
      "INVALID_REQUEST_DATA_TYPE", "request_data must be an object" },

    /* the only section that may be absent */

    { "project_data",
      NULL, NULL,
      "INVALID_PROJECT_DATA_TYPE", "project_data must be an object" },

    { NULL, NULL, NULL, NULL, NULL }
};


static ngx_http_comms_row_t  ngx_http_comms_request_id_row = {
    "request_id",
    "MISSING_REQUEST_ID", "request_data.request_id is required",
    "INVALID_REQUEST_ID_FORMAT",
    "request_data.request_id must be a non-empty string"
};


static ngx_http_comms_row_t  ngx_http_comms_timestamp_row = {
    "initial_request_timestamp",
    "MISSING_INITIAL_REQUEST_TIMESTAMP",
    "request_data.initial_request_timestamp is required",
    "INVALID_INITIAL_REQUEST_TIMESTAMP_FORMAT",
    "request_data.initial_request_timestamp must be a non-empty string"
};


ngx_int_t
ngx_http_comms_refuse(ngx_http_comms_error_t *error, ngx_uint_t status,
    const char *code, const char *message)
{
    error->status = status;
    error->code = code;
    error->message = message;
    error->retry_after = 0;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_comms_start_identify(json_t *body, ngx_http_comms_start_t *start,
    ngx_http_comms_error_t *error)
{
    json_t  *company;

    company = json_object_get(body, "company_data");

    /* for the answer alone: it may be refused later */

    (void) ngx_comms_json_str(json_object_get(body, "request_data"),
                              "request_id", &start->request_id);

    if (ngx_comms_json_str(company, "company_id", &start->company_id)
        != NGX_OK
        || start->company_id.len == 0
        || ngx_comms_json_str(company, "project_id", &start->project_id)
           != NGX_OK
        || start->project_id.len == 0)
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "MISSING_IDENTIFIERS",
                                     "company_data.company_id and "
                                     "company_data.project_id are required, "
                                     "as non-empty strings");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_comms_start_check(json_t *body, ngx_http_comms_start_t *start,
    ngx_http_comms_error_t *error)
{
    int64_t   ms;
    json_t   *request, *recipient, *method;

    if (ngx_http_comms_check_sections(body, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    request = json_object_get(body, "request_data");
    recipient = json_object_get(body, "recipient_data");
    method = json_object_get(request, "channel_method");

    start->project_data = ngx_http_comms_member(body, "project_data");

    if (ngx_http_comms_check_fields(request, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    start->request_id = ngx_comms_json_view(
                                       json_object_get(request, "request_id"));
    start->timestamp = ngx_comms_json_view(
                        json_object_get(request, "initial_request_timestamp"));

    if (!ngx_comms_uuid4_valid(&start->request_id)) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_REQUEST_ID",
                                     "request_data.request_id must be a "
                                     "canonical lower-case UUID version 4");
    }

    if (ngx_http_comms_check_channels(method, start, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_comms_iso8601_parse(&start->timestamp, &ms) != NGX_OK) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_TIMESTAMP",
                                     "request_data.initial_request_timestamp "
                                     "must be an ISO 8601 date and time with "
                                     "\"Z\" or an offset");
    }

    if (ngx_http_comms_check_recipient(recipient, start, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_comms_check_consent(recipient, error);
}


static ngx_int_t
ngx_http_comms_check_sections(json_t *body, ngx_http_comms_error_t *error)
{
    json_t                *section;
    ngx_http_comms_row_t  *row;

    for (row = ngx_http_comms_sections; row->key != NULL; row++) {
        section = ngx_http_comms_member(body, row->key);

        if (section == NULL) {

            if (row->missing == NULL) {
                continue;
            }

            return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                         row->missing, row->missing_message);
        }

        if (!json_is_object(section)) {
            return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                         row->invalid, row->invalid_message);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_check_string(json_t *object, ngx_http_comms_row_t *row,
    ngx_http_comms_error_t *error)
{
    json_t  *value;

    value = ngx_http_comms_member(object, row->key);

    if (value == NULL) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     row->missing, row->missing_message);
    }

    if (!json_is_string(value) || json_string_length(value) == 0) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     row->invalid, row->invalid_message);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_check_fields(json_t *request, ngx_http_comms_error_t *error)
{
    json_t  *method;

    if (ngx_http_comms_check_string(request, &ngx_http_comms_request_id_row,
                                    error)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    method = ngx_http_comms_member(request, "channel_method");

    if (method == NULL) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "MISSING_CHANNEL_METHOD",
                                     "request_data.channel_method is "
                                     "required");
    }

    if (ngx_http_comms_check_method(method, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_comms_check_string(request, &ngx_http_comms_timestamp_row,
                                       error);
}


static ngx_int_t
ngx_http_comms_check_method(json_t *method, ngx_http_comms_error_t *error)
{
    if (json_is_string(method) && json_string_length(method) != 0) {
        return NGX_OK;
    }

    if (json_is_object(method)) {
        if (ngx_http_comms_check_fallback(method)) {
            return NGX_OK;
        }

        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_CHANNEL_METHOD_FORMAT",
                                     "request_data.channel_method as an "
                                     "object must be {\"fallback\": [2 or 3 "
                                     "different channels], \"after\": seconds "
                                     "from 1 to 86400}");
    }

    if (ngx_http_comms_check_names(method)) {
        return NGX_OK;
    }

    return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                 "INVALID_CHANNEL_METHOD_FORMAT",
                                 "request_data.channel_method must be a "
                                 "channel, a non-empty list of channels, "
                                 "\"all\" or a fallback");
}


static ngx_uint_t
ngx_http_comms_check_fallback(json_t *method)
{
    size_t   i, n;
    json_t  *list, *after;

    list = json_object_get(method, "fallback");
    after = json_object_get(method, "after");

    if (json_object_size(method) != 2
        || !ngx_http_comms_check_names(list)
        || json_array_size(list) < 2
        || json_array_size(list) > NGX_COMMS_CHANNELS
        || !json_is_integer(after)
        || json_integer_value(after) < 1
        || json_integer_value(after) > NGX_HTTP_COMMS_MAX_AFTER)
    {
        return 0;
    }

    for (i = 1; i < json_array_size(list); i++) {
        for (n = 0; n < i; n++) {
            if (json_equal(json_array_get(list, i), json_array_get(list, n))) {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_comms_check_names(json_t *list)
{
    size_t   i;
    json_t  *value;

    json_array_foreach(list, i, value) {
        if (!json_is_string(value) || json_string_length(value) == 0) {
            return 0;
        }
    }

    return json_array_size(list) != 0;
}


static ngx_int_t
ngx_http_comms_check_channels(json_t *method, ngx_http_comms_start_t *start,
    ngx_http_comms_error_t *error)
{
    size_t      i, n;
    json_t     *value;
    ngx_int_t   channel;
    ngx_str_t   name;

    start->all = 0;
    start->channels = 0;
    start->fallback = json_object_get(method, "fallback");

    if (start->fallback != NULL) {
        start->after = json_integer_value(json_object_get(method, "after"));
        method = start->fallback;
    }

    n = json_is_array(method) ? json_array_size(method) : 1;

    for (i = 0; i < n; i++) {
        value = json_is_array(method) ? json_array_get(method, i) : method;
        name = ngx_comms_json_view(value);

        if (!json_is_array(method) && name.len == 3
            && ngx_strncmp(name.data, "all", 3) == 0)
        {
            start->all = 1;
            return NGX_OK;
        }

        channel = ngx_comms_channel_by_name(&name);

        if (channel == NGX_ERROR) {
            return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                         "UNSUPPORTED_CHANNEL",
                                         "request_data.channel_method must "
                                         "name \"whatsapp\", \"sms\" or "
                                         "\"email\"");
        }

        start->channels |= 1 << channel;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_check_recipient(json_t *recipient,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error)
{
    ngx_int_t  rc;

    if (ngx_http_comms_check_addresses(recipient, start, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_comms_json_str(recipient, "recipient_first_name",
                           &start->first_name)
        == NGX_ERROR
        || start->first_name.len > NGX_HTTP_COMMS_MAX_NAME)
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_RECIPIENT_FIRST_NAME_FORMAT",
                                     "recipient_data.recipient_first_name "
                                     "must be a string of at most 256 bytes");
    }

    if (ngx_comms_json_str(recipient, "recipient_last_name",
                           &start->last_name)
        == NGX_ERROR
        || start->last_name.len > NGX_HTTP_COMMS_MAX_NAME)
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_RECIPIENT_LAST_NAME_FORMAT",
                                     "recipient_data.recipient_last_name "
                                     "must be a string of at most 256 bytes");
    }

    rc = ngx_comms_json_str(recipient, "recipient_time_zone",
                            &start->time_zone);

    if (rc == NGX_ERROR
        || (rc == NGX_OK && ngx_comms_time_zone(&start->time_zone) == NULL))
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_RECIPIENT_TIME_ZONE",
                                     "recipient_data.recipient_time_zone "
                                     "must be the name of a time zone such "
                                     "as \"Europe/London\"");
    }

    return NGX_OK;
}


/* an address that is given must be valid, even when it is not asked for:
   it is kept in the record */

static ngx_int_t
ngx_http_comms_check_addresses(json_t *recipient,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error)
{
    ngx_int_t  tel, email;

    tel = ngx_comms_json_str(recipient, "recipient_tel", &start->tel);
    email = ngx_comms_json_str(recipient, "recipient_email", &start->email);

    if (tel == NGX_DECLINED
        && ((start->channels & NGX_HTTP_COMMS_BY_TEL)
            || (start->all && email == NGX_DECLINED)))
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "MISSING_RECIPIENT_TEL",
                                     "recipient_data.recipient_tel is "
                                     "required for \"whatsapp\" and \"sms\"");
    }

    if (tel == NGX_ERROR
        || (tel == NGX_OK && !ngx_comms_tel_valid(&start->tel)))
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_RECIPIENT_TEL",
                                     "recipient_data.recipient_tel must be "
                                     "an E.164 number such as +447700900123");
    }

    if (email == NGX_DECLINED
        && (start->channels & NGX_HTTP_COMMS_BY_EMAIL))
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "MISSING_RECIPIENT_EMAIL",
                                     "recipient_data.recipient_email is "
                                     "required for \"email\"");
    }

    if (email == NGX_ERROR
        || (email == NGX_OK && !ngx_comms_email_valid(&start->email)))
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_RECIPIENT_EMAIL",
                                     "recipient_data.recipient_email must be "
                                     "an address such as ada@example.org");
    }

    if (start->all) {
        start->channels = (tel == NGX_OK ? NGX_HTTP_COMMS_BY_TEL : 0)
                          | (email == NGX_OK ? NGX_HTTP_COMMS_BY_EMAIL : 0);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_check_consent(json_t *recipient, ngx_http_comms_error_t *error)
{
    json_t  *consent;

    consent = ngx_http_comms_member(recipient, "comms_consent");

    if (consent == NULL) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "MISSING_COMMS_CONSENT",
                                     "recipient_data.comms_consent is "
                                     "required");
    }

    if (!json_is_boolean(consent)) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_COMMS_CONSENT_TYPE",
                                     "recipient_data.comms_consent must be "
                                     "true or false");
    }

    if (!json_is_true(consent)) {
        return ngx_http_comms_refuse(error, NGX_HTTP_FORBIDDEN,
                                     "CONSENT_REQUIRED",
                                     "The recipient has not consented to "
                                     "communications");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_comms_start_allowed(ngx_http_comms_start_t *start,
    ngx_comms_project_t *project, ngx_http_comms_error_t *error)
{
    if (project == NULL) {
        return ngx_http_comms_refuse(error, NGX_HTTP_NOT_FOUND,
                                     "COMPANY_NOT_FOUND",
                                     "The company has no such project");
    }

    if (!project->active) {
        return ngx_http_comms_refuse(error, NGX_HTTP_FORBIDDEN,
                                     "PROJECT_INACTIVE",
                                     "The project is not active");
    }

    if (start->all) {
        start->channels &= project->channels;

        if (start->channels != 0) {
            return NGX_OK;
        }

    } else if ((start->channels & ~project->channels) == 0) {
        return NGX_OK;
    }

    return ngx_http_comms_refuse(error, NGX_HTTP_FORBIDDEN,
                                 "CHANNEL_NOT_ALLOWED",
                                 "The project does not allow a channel that "
                                 "was asked for");
}


/* a member, unless it is absent or null */

static json_t *
ngx_http_comms_member(json_t *object, const char *key)
{
    json_t  *value;

    value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}
