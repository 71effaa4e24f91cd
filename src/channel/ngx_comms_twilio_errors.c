
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's error codes and what each means for a message.
 *
 * The code decides and not the HTTP status: Twilio answers 400 to a person
 * who opted out, to a wrong template and to a number that does not exist.
 * Codes that are not here are judged by the status (ngx_comms_twilio.c).
 *
 * Source of all rows: "Error and warning dictionary",
 * https://www.twilio.com/docs/api/errors
 *
 * Codes from 30001 on, and most of those from 63000 on, come in a status
 * callback after the message was taken.
 *
 * To add a code: add a row, in ascending order, and one in docs/errors.md.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_twilio.h>


static const ngx_comms_code_t  ngx_comms_twilio_errors[] = {

    { 20001, NGX_COMMS_SEND_REFUSED, "bad_parameter",
      "a parameter of the message is invalid",
      0 },

    { 20003, NGX_COMMS_SEND_CONFIG, "authentication",
      "Twilio refused the credentials: check account_sid and auth_token "
      "(or the API key)",
      0 },

    { 20005, NGX_COMMS_SEND_CONFIG, "account_inactive",
      "the Twilio account is suspended or closed",
      0 },

    { 20008, NGX_COMMS_SEND_CONFIG, "test_credentials",
      "test credentials cannot use this resource",
      0 },

    { 20404, NGX_COMMS_SEND_CONFIG, "not_found",
      "Twilio does not know this account: check account_sid",
      0 },

    { 20429, NGX_COMMS_SEND_RETRY, "rate_limited",
      "too many requests to Twilio at once",
      0 },

    { 20503, NGX_COMMS_SEND_RETRY, "unavailable",
      "Twilio says that the service is unavailable",
      0 },

    { 21211, NGX_COMMS_SEND_REFUSED, "invalid_recipient",
      "the recipient's number is invalid",
      0 },

    { 21212, NGX_COMMS_SEND_CONFIG, "invalid_sender",
      "the company's number is invalid",
      0 },

    { 21408, NGX_COMMS_SEND_CONFIG, "region_not_enabled",
      "sending to the recipient's country is not enabled: see the "
      "geographic permissions in Twilio's console",
      0 },

    { 21601, NGX_COMMS_SEND_CONFIG, "sender_not_sms",
      "the company's number cannot send SMS",
      0 },

    { 21602, NGX_COMMS_SEND_REFUSED, "empty_body",
      "the message has no text",
      0 },

    { 21603, NGX_COMMS_SEND_CONFIG, "no_sender",
      "the message has no sender",
      0 },

    { 21604, NGX_COMMS_SEND_REFUSED, "no_recipient",
      "the message has no recipient",
      0 },

    { 21606, NGX_COMMS_SEND_CONFIG, "sender_not_ours",
      "the company's number does not belong to this Twilio account, or "
      "cannot send this kind of message",
      0 },

    { 21608, NGX_COMMS_SEND_CONFIG, "trial_account",
      "a trial account sends to verified numbers only",
      0 },

    { 21609, NGX_COMMS_SEND_CONFIG, "status_callback",
      "Twilio refuses the address of the status callback: check "
      "comms_public_base_url",
      0 },

    { 21610, NGX_COMMS_SEND_OPTED_OUT, "opted_out",
      "the recipient has opted out (STOP)",
      0 },

    { 21611, NGX_COMMS_SEND_RETRY, "queue_full",
      "Twilio's queue for the company's number is full",
      0 },

    { 21612, NGX_COMMS_SEND_REFUSED, "unroutable",
      "no route from the company's number to the recipient's",
      0 },

    { 21614, NGX_COMMS_SEND_REFUSED, "not_sms_capable",
      "the recipient's number cannot receive SMS",
      0 },

    { 21617, NGX_COMMS_SEND_REFUSED, "too_long",
      "the message is longer than 1600 characters",
      0 },

    { 21619, NGX_COMMS_SEND_REFUSED, "empty_message",
      "the message has neither text nor a file",
      0 },

    { 21620, NGX_COMMS_SEND_REFUSED, "invalid_media_url",
      "the address of the message's file is invalid",
      0 },

    { 21623, NGX_COMMS_SEND_REFUSED, "too_many_media",
      "the message has too many files",
      0 },

    { 21635, NGX_COMMS_SEND_REFUSED, "landline_recipient",
      "the recipient's number is a landline",
      0 },

    { 21655, NGX_COMMS_SEND_CONFIG, "invalid_template",
      "the template does not exist: check whatsapp_template_sid",
      0 },

    { 21656, NGX_COMMS_SEND_CONFIG, "invalid_template_variables",
      "the template's variables do not fit it: check "
      "whatsapp_template_variables",
      0 },

    { 21703, NGX_COMMS_SEND_CONFIG, "service_without_sender",
      "the messaging service has no sender for this message",
      0 },

    { 21704, NGX_COMMS_SEND_CONFIG, "service_empty",
      "the messaging service has no senders",
      0 },

    { 21705, NGX_COMMS_SEND_CONFIG, "invalid_service",
      "the messaging service does not exist",
      0 },

    { 21910, NGX_COMMS_SEND_CONFIG, "mixed_channels",
      "the company's and the recipient's address are of different channels",
      0 },

    { 30001, NGX_COMMS_SEND_RETRY, "queue_overflow",
      "Twilio's queue for the company's number overflowed",
      0 },

    { 30002, NGX_COMMS_SEND_CONFIG, "account_suspended",
      "the Twilio account was suspended",
      0 },

    { 30003, NGX_COMMS_SEND_RETRY, "unreachable",
      "the recipient's phone cannot be reached",
      900000 },

    { 30004, NGX_COMMS_SEND_REFUSED, "blocked",
      "the recipient or the carrier blocks this message",
      0 },

    { 30005, NGX_COMMS_SEND_REFUSED, "unknown_recipient",
      "the recipient's number is not in use",
      0 },

    { 30006, NGX_COMMS_SEND_REFUSED, "landline",
      "the recipient's number is a landline or its carrier is not reached",
      0 },

    { 30007, NGX_COMMS_SEND_REFUSED, "filtered",
      "the carrier filtered the message",
      0 },

    { 30008, NGX_COMMS_SEND_RETRY, "carrier_failure",
      "the carrier failed for a reason that it does not tell",
      900000 },

    { 30010, NGX_COMMS_SEND_CONFIG, "price_exceeded",
      "the message costs more than its limit",
      0 },

    { 30017, NGX_COMMS_SEND_RETRY, "carrier_congestion",
      "the carrier's network is congested",
      60000 },

    { 30022, NGX_COMMS_SEND_RETRY, "a2p_rate_limited",
      "the rate that A2P 10DLC allows to the campaign was exceeded",
      60000 },

    { 30023, NGX_COMMS_SEND_RETRY, "a2p_daily_limit",
      "the daily limit of A2P 10DLC was reached",
      3600000 },

    { 30032, NGX_COMMS_SEND_CONFIG, "toll_free_unverified",
      "the toll-free number is not verified",
      0 },

    { 30034, NGX_COMMS_SEND_CONFIG, "unregistered_sender",
      "the company's number is not registered for A2P 10DLC",
      0 },

    { 30036, NGX_COMMS_SEND_REFUSED, "validity_expired",
      "the message was not sent within its validity period",
      0 },

    { 30410, NGX_COMMS_SEND_REFUSED, "provider_timeout",
      "the carrier did not answer in time",
      0 },

    { 63001, NGX_COMMS_SEND_CONFIG, "channel_authentication",
      "WhatsApp refused the credentials of the sender",
      0 },

    { 63003, NGX_COMMS_SEND_REFUSED, "not_on_channel",
      "the recipient is not on WhatsApp",
      0 },

    { 63005, NGX_COMMS_SEND_REFUSED, "channel_content",
      "WhatsApp did not accept the content",
      0 },

    { 63007, NGX_COMMS_SEND_CONFIG, "sender_not_on_channel",
      "the company's number is no WhatsApp sender of this account",
      0 },

    { 63010, NGX_COMMS_SEND_RETRY, "channel_internal",
      "Twilio had an internal failure with WhatsApp",
      0 },

    { 63012, NGX_COMMS_SEND_RETRY, "channel_failure",
      "WhatsApp had an internal failure",
      0 },

    { 63013, NGX_COMMS_SEND_REFUSED, "channel_policy",
      "the message violates WhatsApp's policy",
      0 },

    { 63014, NGX_COMMS_SEND_REFUSED, "blocked_by_person",
      "the recipient blocked the company",
      0 },

    { 63015, NGX_COMMS_SEND_CONFIG, "sandbox",
      "the recipient has not joined the WhatsApp sandbox",
      0 },

    { 63016, NGX_COMMS_SEND_WINDOW, "outside_window",
      "outside the 24-hour window only a template may be sent",
      0 },

    { 63017, NGX_COMMS_SEND_RETRY, "account_rate_limited",
      "the account sends more than its throughput allows",
      0 },

    { 63018, NGX_COMMS_SEND_RETRY, "channel_rate_limited",
      "WhatsApp's rate limit was reached",
      0 },

    { 63019, NGX_COMMS_SEND_REFUSED, "media_download",
      "the file of the message cannot be downloaded",
      0 },

    { 63020, NGX_COMMS_SEND_CONFIG, "business_not_accepted",
      "the WhatsApp business has not accepted Twilio's invitation",
      0 },

    { 63021, NGX_COMMS_SEND_CONFIG, "channel_invalid_content",
      "WhatsApp refuses the content or the sender's setup",
      0 },

    { 63022, NGX_COMMS_SEND_CONFIG, "sender_certificate",
      "the certificate of the sender's name is invalid",
      0 },

    { 63023, NGX_COMMS_SEND_REFUSED, "channel_generic",
      "WhatsApp failed the message for a reason that it does not tell",
      0 },

    { 63024, NGX_COMMS_SEND_REFUSED, "invalid_channel_recipient",
      "the recipient is no valid WhatsApp recipient",
      0 },

    { 63027, NGX_COMMS_SEND_CONFIG, "no_template",
      "the template does not exist in this language or is not approved",
      0 },

    { 63028, NGX_COMMS_SEND_CONFIG, "template_variables",
      "the number of variables does not fit the template: check "
      "whatsapp_template_variables",
      0 },

    { 63029, NGX_COMMS_SEND_REFUSED, "template_too_long",
      "the template cannot be shown on the recipient's device",
      0 },

    { 63030, NGX_COMMS_SEND_REFUSED, "unsupported_parameter",
      "WhatsApp does not support a parameter of the message",
      0 },

    { 63032, NGX_COMMS_SEND_REFUSED, "experiment",
      "Meta withheld the message as part of an experiment",
      0 },

    { 63038, NGX_COMMS_SEND_RETRY, "daily_limit",
      "the account's daily limit of messages was reached",
      3600000 },

    { 63049, NGX_COMMS_SEND_REFUSED, "not_delivered_by_choice",
      "Meta chose not to deliver: the recipient had enough marketing",
      0 },

    { 63051, NGX_COMMS_SEND_CONFIG, "account_locked",
      "Meta locked the WhatsApp account",
      0 }
};


const ngx_comms_code_t *
ngx_comms_twilio_error(ngx_uint_t code)
{
    return ngx_comms_code_find(ngx_comms_twilio_errors,
                               sizeof(ngx_comms_twilio_errors)
                               / sizeof(ngx_comms_twilio_errors[0]),
                               code);
}
