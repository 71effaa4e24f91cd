
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's error codes and what each means for a message.
 *
 * The code decides and not the HTTP status: Twilio answers 400 to a person
 * who opted out, to a wrong template and to a number that does not exist.
 * Codes that are not here are judged by the status (ngx_comms_twilio.c).
 *
 * To add a code: add a row, in ascending order.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_twilio.h>


#define NGX_COMMS_TWILIO_DOCS  "https://www.twilio.com/docs/api/errors"


static const ngx_comms_twilio_error_t  ngx_comms_twilio_errors[] = {

    { 20001, NGX_COMMS_SEND_REFUSED, "bad_parameter",
      "a parameter of the message is invalid",
      NGX_COMMS_TWILIO_DOCS },

    { 20003, NGX_COMMS_SEND_CONFIG, "authentication",
      "Twilio refused the credentials: check account_sid and auth_token "
      "(or the API key)",
      NGX_COMMS_TWILIO_DOCS },

    { 20005, NGX_COMMS_SEND_CONFIG, "account_inactive",
      "the Twilio account is suspended or closed",
      NGX_COMMS_TWILIO_DOCS },

    { 20008, NGX_COMMS_SEND_CONFIG, "test_credentials",
      "test credentials cannot use this resource",
      NGX_COMMS_TWILIO_DOCS },

    { 20404, NGX_COMMS_SEND_CONFIG, "not_found",
      "Twilio does not know this account: check account_sid",
      NGX_COMMS_TWILIO_DOCS },

    { 20429, NGX_COMMS_SEND_RETRY, "rate_limited",
      "too many requests to Twilio at once",
      NGX_COMMS_TWILIO_DOCS },

    { 20503, NGX_COMMS_SEND_RETRY, "unavailable",
      "Twilio says that the service is unavailable",
      NGX_COMMS_TWILIO_DOCS },

    { 21211, NGX_COMMS_SEND_REFUSED, "invalid_recipient",
      "the recipient's number is invalid",
      NGX_COMMS_TWILIO_DOCS },

    { 21212, NGX_COMMS_SEND_CONFIG, "invalid_sender",
      "the company's number is invalid",
      NGX_COMMS_TWILIO_DOCS },

    { 21408, NGX_COMMS_SEND_CONFIG, "region_not_enabled",
      "sending to the recipient's country is not enabled: see the "
      "geographic permissions in Twilio's console",
      NGX_COMMS_TWILIO_DOCS },

    { 21601, NGX_COMMS_SEND_CONFIG, "sender_not_sms",
      "the company's number cannot send SMS",
      NGX_COMMS_TWILIO_DOCS },

    { 21602, NGX_COMMS_SEND_REFUSED, "empty_body",
      "the message has no text",
      NGX_COMMS_TWILIO_DOCS },

    { 21603, NGX_COMMS_SEND_CONFIG, "no_sender",
      "the message has no sender",
      NGX_COMMS_TWILIO_DOCS },

    { 21604, NGX_COMMS_SEND_REFUSED, "no_recipient",
      "the message has no recipient",
      NGX_COMMS_TWILIO_DOCS },

    { 21606, NGX_COMMS_SEND_CONFIG, "sender_not_ours",
      "the company's number does not belong to this Twilio account, or "
      "cannot send this kind of message",
      NGX_COMMS_TWILIO_DOCS },

    { 21608, NGX_COMMS_SEND_CONFIG, "trial_account",
      "a trial account sends to verified numbers only",
      NGX_COMMS_TWILIO_DOCS },

    { 21609, NGX_COMMS_SEND_CONFIG, "status_callback",
      "Twilio refuses the address of the status callback: check "
      "comms_public_base_url",
      NGX_COMMS_TWILIO_DOCS },

    { 21610, NGX_COMMS_SEND_OPTED_OUT, "opted_out",
      "the recipient has opted out (STOP)",
      NGX_COMMS_TWILIO_DOCS },

    { 21611, NGX_COMMS_SEND_RETRY, "queue_full",
      "Twilio's queue for the company's number is full",
      NGX_COMMS_TWILIO_DOCS },

    { 21612, NGX_COMMS_SEND_REFUSED, "unroutable",
      "no route from the company's number to the recipient's",
      NGX_COMMS_TWILIO_DOCS },

    { 21614, NGX_COMMS_SEND_REFUSED, "not_sms_capable",
      "the recipient's number cannot receive SMS",
      NGX_COMMS_TWILIO_DOCS },

    { 21617, NGX_COMMS_SEND_REFUSED, "too_long",
      "the message is longer than 1600 characters",
      NGX_COMMS_TWILIO_DOCS },

    { 21655, NGX_COMMS_SEND_CONFIG, "invalid_template",
      "the template does not exist: check whatsapp_template_sid",
      NGX_COMMS_TWILIO_DOCS },

    { 21656, NGX_COMMS_SEND_CONFIG, "invalid_template_variables",
      "the template's variables do not fit it: check "
      "whatsapp_template_variables",
      NGX_COMMS_TWILIO_DOCS },

    { 30001, NGX_COMMS_SEND_RETRY, "queue_overflow",
      "Twilio's queue for the company's number overflowed",
      NGX_COMMS_TWILIO_DOCS },

    { 30002, NGX_COMMS_SEND_CONFIG, "account_suspended",
      "the Twilio account was suspended",
      NGX_COMMS_TWILIO_DOCS },

    { 30003, NGX_COMMS_SEND_REFUSED, "unreachable",
      "the recipient's phone cannot be reached",
      NGX_COMMS_TWILIO_DOCS },

    { 30004, NGX_COMMS_SEND_REFUSED, "blocked",
      "the recipient or the carrier blocks this message",
      NGX_COMMS_TWILIO_DOCS },

    { 30005, NGX_COMMS_SEND_REFUSED, "unknown_recipient",
      "the recipient's number is not in use",
      NGX_COMMS_TWILIO_DOCS },

    { 30006, NGX_COMMS_SEND_REFUSED, "landline",
      "the recipient's number is a landline or its carrier is not reached",
      NGX_COMMS_TWILIO_DOCS },

    { 30007, NGX_COMMS_SEND_REFUSED, "filtered",
      "the carrier filtered the message",
      NGX_COMMS_TWILIO_DOCS },

    { 30008, NGX_COMMS_SEND_REFUSED, "carrier_failure",
      "the carrier failed for a reason that it does not tell",
      NGX_COMMS_TWILIO_DOCS },

    { 30034, NGX_COMMS_SEND_CONFIG, "unregistered_sender",
      "the company's number is not registered for A2P 10DLC",
      NGX_COMMS_TWILIO_DOCS },

    { 63003, NGX_COMMS_SEND_REFUSED, "not_on_channel",
      "the recipient is not on WhatsApp",
      NGX_COMMS_TWILIO_DOCS },

    { 63007, NGX_COMMS_SEND_CONFIG, "sender_not_on_channel",
      "the company's number is no WhatsApp sender of this account",
      NGX_COMMS_TWILIO_DOCS },

    { 63012, NGX_COMMS_SEND_RETRY, "channel_failure",
      "WhatsApp had an internal failure",
      NGX_COMMS_TWILIO_DOCS },

    { 63016, NGX_COMMS_SEND_WINDOW, "outside_window",
      "outside the 24-hour window only a template may be sent",
      NGX_COMMS_TWILIO_DOCS },

    { 63017, NGX_COMMS_SEND_RETRY, "account_rate_limited",
      "the account sends more than its throughput allows",
      NGX_COMMS_TWILIO_DOCS },

    { 63018, NGX_COMMS_SEND_RETRY, "channel_rate_limited",
      "WhatsApp's rate limit was reached",
      NGX_COMMS_TWILIO_DOCS },

    { 63020, NGX_COMMS_SEND_CONFIG, "business_not_accepted",
      "the WhatsApp business has not accepted Twilio's invitation",
      NGX_COMMS_TWILIO_DOCS },

    { 63021, NGX_COMMS_SEND_CONFIG, "channel_invalid_content",
      "WhatsApp refuses the content or the sender's setup",
      NGX_COMMS_TWILIO_DOCS },

    { 63024, NGX_COMMS_SEND_REFUSED, "invalid_channel_recipient",
      "the recipient is no valid WhatsApp recipient",
      NGX_COMMS_TWILIO_DOCS },

    { 63038, NGX_COMMS_SEND_RETRY, "daily_limit",
      "the account's daily limit of messages was reached",
      NGX_COMMS_TWILIO_DOCS }
};


const ngx_comms_twilio_error_t *
ngx_comms_twilio_error(ngx_uint_t code)
{
    ngx_uint_t  left, right, mid;

    left = 0;
    right = sizeof(ngx_comms_twilio_errors)
            / sizeof(ngx_comms_twilio_errors[0]);

    while (left < right) {
        mid = left + (right - left) / 2;

        if (ngx_comms_twilio_errors[mid].code == code) {
            return &ngx_comms_twilio_errors[mid];
        }

        if (ngx_comms_twilio_errors[mid].code < code) {
            left = mid + 1;

        } else {
            right = mid;
        }
    }

    return NULL;
}
