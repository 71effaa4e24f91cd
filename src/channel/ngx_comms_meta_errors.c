
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The error codes of Meta's Cloud API and what each means for a message.
 *
 * Source of all rows: "Error codes" of the WhatsApp Business Platform,
 * https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
 * which asks to build on "code" and not on titles, subcodes or the HTTP
 * status; the same code comes with 400 in one place and with 429 in another.
 *
 * A code is RETRY only where the API says that it did nothing.  Where Meta
 * chose not to deliver (131026, 131048, 131049, 130472) a second attempt is
 * what the documentation warns of: they are refused.
 *
 * To add a code: add a row, in ascending order, and one in docs/errors.md.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_meta.h>


/* 200 to 299 are one row: "API Permission" */
#define NGX_COMMS_META_PERMISSION       200
#define NGX_COMMS_META_PERMISSION_LAST  299


static const ngx_comms_code_t  ngx_comms_meta_errors[] = {

    { 0, NGX_COMMS_SEND_CONFIG, "authentication",
      "Meta cannot authenticate the app: the access token is not valid any "
      "more", 0 },

    { 1, NGX_COMMS_SEND_RETRY, "api_unknown",
      "Meta had a failure that it does not name", 0 },

    { 2, NGX_COMMS_SEND_RETRY, "api_service",
      "Meta's API is overloaded or down", 0 },

    { 3, NGX_COMMS_SEND_CONFIG, "api_method",
      "the access token lacks a permission", 0 },

    { 4, NGX_COMMS_SEND_RETRY, "app_rate_limited",
      "the app calls Meta more often than it may", 60000 },

    { 10, NGX_COMMS_SEND_CONFIG, "permission_denied",
      "the access token lacks the permission whatsapp_business_messaging", 0 },

    { 33, NGX_COMMS_SEND_CONFIG, "number_deleted",
      "the company's number does not exist any more: check phone_number_id",
      0 },

    { 100, NGX_COMMS_SEND_REFUSED, "bad_parameter",
      "a parameter of the message is invalid", 0 },

    { 190, NGX_COMMS_SEND_CONFIG, "token_expired",
      "the access token has expired", 0 },

    { 200, NGX_COMMS_SEND_CONFIG, "api_permission",
      "a permission was not granted to the access token, or was taken back",
      0 },

    { 368, NGX_COMMS_SEND_CONFIG, "policy_blocked",
      "Meta blocked the WhatsApp account for a violation of its policy", 0 },

    { 80007, NGX_COMMS_SEND_RETRY, "account_rate_limited",
      "the WhatsApp account calls Meta more often than it may", 60000 },

    { 130429, NGX_COMMS_SEND_RETRY, "rate_limited",
      "the company's number sends more than its throughput allows", 0 },

    { 130472, NGX_COMMS_SEND_REFUSED, "experiment",
      "Meta withheld the message as part of an experiment", 0 },

    { 130497, NGX_COMMS_SEND_REFUSED, "country_restricted",
      "the company may not send to the recipient's country", 0 },

    { 131000, NGX_COMMS_SEND_RETRY, "something_went_wrong",
      "Meta had a failure that it does not name", 0 },

    { 131005, NGX_COMMS_SEND_CONFIG, "access_denied",
      "a permission was not granted to the access token, or was taken back",
      0 },

    { 131008, NGX_COMMS_SEND_REFUSED, "parameter_missing",
      "the message lacks a required parameter", 0 },

    { 131009, NGX_COMMS_SEND_REFUSED, "parameter_value",
      "a parameter of the message has a value that is not allowed", 0 },

    { 131016, NGX_COMMS_SEND_RETRY, "service_unavailable",
      "a service of Meta's is not available", 0 },

    { 131021, NGX_COMMS_SEND_REFUSED, "recipient_is_sender",
      "the recipient is the company's own number", 0 },

    { 131026, NGX_COMMS_SEND_REFUSED, "undeliverable",
      "the recipient is not on WhatsApp, has an old version, or has not "
      "accepted its terms", 0 },

    { 131030, NGX_COMMS_SEND_CONFIG, "recipient_not_allowed",
      "a test number sends to numbers in its list only", 0 },

    { 131031, NGX_COMMS_SEND_CONFIG, "account_locked",
      "Meta locked the WhatsApp account", 0 },

    { 131037, NGX_COMMS_SEND_CONFIG, "display_name",
      "the display name of the company's number is not approved", 0 },

    { 131042, NGX_COMMS_SEND_CONFIG, "payment",
      "the WhatsApp account cannot be billed", 0 },

    { 131045, NGX_COMMS_SEND_CONFIG, "certificate",
      "the company's number is not registered properly", 0 },

    { 131047, NGX_COMMS_SEND_WINDOW, "outside_window",
      "outside the 24-hour window only a template may be sent", 0 },

    { 131048, NGX_COMMS_SEND_REFUSED, "spam_rate_limited",
      "too many people blocked or reported the company's number", 0 },

    { 131049, NGX_COMMS_SEND_REFUSED, "not_delivered_by_choice",
      "Meta chose not to deliver: the recipient had enough marketing", 0 },

    { 131050, NGX_COMMS_SEND_OPTED_OUT, "opted_out",
      "the recipient has stopped marketing messages of the company", 0 },

    { 131051, NGX_COMMS_SEND_REFUSED, "unsupported_type",
      "WhatsApp does not support this type of message", 0 },

    { 131052, NGX_COMMS_SEND_REFUSED, "media_download",
      "the file of the message cannot be downloaded", 0 },

    { 131053, NGX_COMMS_SEND_REFUSED, "media_upload",
      "the file of the message cannot be taken: check its type and size", 0 },

    { 131056, NGX_COMMS_SEND_RETRY, "pair_rate_limited",
      "too many messages to this recipient in a short time", 6000 },

    { 131057, NGX_COMMS_SEND_RETRY, "maintenance",
      "the WhatsApp account is in maintenance", 60000 },

    { 132000, NGX_COMMS_SEND_CONFIG, "template_variables",
      "the number of variables does not fit the template: check "
      "whatsapp_template_variables", 0 },

    { 132001, NGX_COMMS_SEND_CONFIG, "no_template",
      "the template does not exist in this language or is not approved", 0 },

    { 132005, NGX_COMMS_SEND_REFUSED, "template_too_long",
      "the template with its variables is too long", 0 },

    { 132007, NGX_COMMS_SEND_CONFIG, "template_policy",
      "the template violates WhatsApp's policy", 0 },

    { 132008, NGX_COMMS_SEND_REFUSED, "template_format",
      "a variable of the template has a format that is not allowed", 0 },

    { 132012, NGX_COMMS_SEND_CONFIG, "template_parameter_format",
      "a variable of the template is of another kind: check "
      "whatsapp_template_variables", 0 },

    { 132015, NGX_COMMS_SEND_CONFIG, "template_paused",
      "the template is paused because of its quality", 0 },

    { 132016, NGX_COMMS_SEND_CONFIG, "template_disabled",
      "the template was disabled because of its quality", 0 },

    { 132068, NGX_COMMS_SEND_CONFIG, "flow_blocked",
      "the flow of the template is blocked", 0 },

    { 132069, NGX_COMMS_SEND_CONFIG, "flow_throttled",
      "the flow of the template is throttled", 0 },

    { 133000, NGX_COMMS_SEND_CONFIG, "deregistration",
      "the company's number was not deregistered properly", 0 },

    { 133004, NGX_COMMS_SEND_RETRY, "server_unavailable",
      "a server of Meta's is not available", 0 },

    { 133010, NGX_COMMS_SEND_CONFIG, "not_registered",
      "the company's number is not registered", 0 },

    { 134011, NGX_COMMS_SEND_CONFIG, "payments_terms",
      "the terms of payments on WhatsApp are not accepted", 0 },

    { 135000, NGX_COMMS_SEND_REFUSED, "generic_user_error",
      "Meta refused the message for a reason that it does not tell", 0 }
};


const ngx_comms_code_t *
ngx_comms_meta_error(ngx_uint_t code)
{
    if (code > NGX_COMMS_META_PERMISSION
        && code <= NGX_COMMS_META_PERMISSION_LAST)
    {
        code = NGX_COMMS_META_PERMISSION;
    }

    return ngx_comms_code_find(ngx_comms_meta_errors,
                               sizeof(ngx_comms_meta_errors)
                               / sizeof(ngx_comms_meta_errors[0]),
                               code);
}


ngx_int_t
ngx_comms_meta_error_code(ngx_pool_t *pool, json_t *error, ngx_str_t *text,
    const ngx_comms_code_t **row)
{
    int64_t  code;

    *row = NULL;
    ngx_str_null(text);

    if (!json_is_object(error)
        || ngx_comms_json_int(error, "code", &code) != NGX_OK
        || code < 0 || code > 99999999)
    {
        return NGX_DECLINED;
    }

    text->data = ngx_pnalloc(pool, NGX_INT64_LEN);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = ngx_sprintf(text->data, "%L", code) - text->data;

    *row = ngx_comms_meta_error((ngx_uint_t) code);

    return NGX_OK;
}
