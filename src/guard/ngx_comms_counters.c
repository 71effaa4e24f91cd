
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Counters and gauges.  To add one, add its name to the enum in the header
 * and its row here, in the same place; the status page follows.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone_private.h>


typedef struct {
    const char  *name;
    const char  *help;
} ngx_comms_words_t;


static const ngx_comms_words_t  ngx_comms_counters[NGX_COMMS_COUNTERS] = {

    /* NGX_COMMS_COUNT_ACCEPTED */
    { "accepted_total", "Start requests accepted." },

    /* NGX_COMMS_COUNT_REPEATED */
    { "repeated_total",
      "Start requests answered from an earlier accept." },

    /* NGX_COMMS_COUNT_REJECTED */
    { "rejected_total", "Start requests refused with a 4xx status." },

    /* NGX_COMMS_COUNT_UNAVAILABLE */
    { "unavailable_total",
      "Requests answered with 503 because they could not be written." },

    /* NGX_COMMS_COUNT_INBOUND */
    { "inbound_total", "Messages from people kept." },

    /* NGX_COMMS_COUNT_INBOUND_DUPLICATE */
    { "inbound_duplicate_total",
      "Messages from people that had been kept before." },

    /* NGX_COMMS_COUNT_INBOUND_IGNORED */
    { "inbound_ignored_total",
      "Automatic replies and the like, not answered." },

    /* NGX_COMMS_COUNT_INBOUND_UNKNOWN */
    { "inbound_unknown_total",
      "Messages from people that belong to no thread." },

    /* NGX_COMMS_COUNT_WEBHOOK_UNVERIFIED */
    { "webhook_unverified_total",
      "Webhook calls with a bad or missing signature." },

    /* NGX_COMMS_COUNT_STATUS */
    { "status_total",
      "Delivery reports and the like that were kept." },

    /* NGX_COMMS_COUNT_STATUS_UNKNOWN */
    { "status_unknown_total",
      "Delivery reports that belong to no message of ours." },

    /* NGX_COMMS_COUNT_DELIVERED */
    { "delivered_total", "Reports that a message was delivered." },

    /* NGX_COMMS_COUNT_READ */
    { "read_total", "Reports that a message was read." },

    /* NGX_COMMS_COUNT_UNDELIVERED */
    { "undelivered_total",
      "Reports that a message failed after the provider took it." },

    /* NGX_COMMS_COUNT_BOUNCED */
    { "bounced_total", "Reports that a mail came back." },

    /* NGX_COMMS_COUNT_WINDOW */
    { "window_closed_total",
      "WhatsApp messages refused outside the 24-hour window, as reported." },

    /* NGX_COMMS_COUNT_FALLBACK */
    { "fallbacks_total", "Messages that went to the next channel." },

    /* NGX_COMMS_COUNT_OPT_OUT */
    { "opt_out_total", "Persons who opted out." },

    /* NGX_COMMS_COUNT_TURN */
    { "turns_total", "Turns finished." },

    /* NGX_COMMS_COUNT_AI_CALL */
    { "ai_calls_total", "Calls to an AI provider." },

    /* NGX_COMMS_COUNT_AI_RETRY */
    { "ai_retries_total", "Calls to an AI provider that were repeated." },

    /* NGX_COMMS_COUNT_AI_REFUSED */
    { "ai_refused_total", "Answers that the AI refused to give." },

    /* NGX_COMMS_COUNT_AI_FAILED */
    { "ai_failed_total", "Calls to an AI provider that failed for good." },

    /* NGX_COMMS_COUNT_AI_TOKENS */
    { "ai_tokens_total", "AI tokens used, prompt and completion." },

    /* NGX_COMMS_COUNT_AI_SECOND */
    { "ai_second_choice_total",
      "Questions that went to a project's second AI." },

    /* NGX_COMMS_COUNT_AI_TOKENS_WASTED */
    { "ai_tokens_wasted_total",
      "AI tokens of answers that were thrown away." },

    /* NGX_COMMS_COUNT_BREAKER_OPENED */
    { "breakers_opened_total", "Times that a circuit breaker opened." },

    /* NGX_COMMS_COUNT_BREAKER_REFUSED */
    { "breaker_refused_total",
      "Calls not made because a circuit breaker was open." },

    /* NGX_COMMS_COUNT_RATE_REFUSED */
    { "rate_refused_total",
      "Calls put off to stay within a provider's learned rate." },

    /* NGX_COMMS_COUNT_RETRY_REFUSED */
    { "retry_refused_total",
      "Retries not made because the retry budget was empty." },

    /* NGX_COMMS_COUNT_SENT */
    { "sent_total", "Messages accepted by a provider." },

    /* NGX_COMMS_COUNT_SEND_RETRY */
    { "send_retries_total", "Sends that were repeated." },

    /* NGX_COMMS_COUNT_SEND_FAILED */
    { "send_failed_total", "Sends that failed for good." },

    /* NGX_COMMS_COUNT_SEND_UNKNOWN */
    { "send_unknown_total",
      "Sends of which nobody can tell whether they happened." },

    /* NGX_COMMS_COUNT_JOB_STARTED */
    { "jobs_started_total", "Jobs started." },

    /* NGX_COMMS_COUNT_JOB_DONE */
    { "jobs_done_total", "Jobs done." },

    /* NGX_COMMS_COUNT_JOB_RETRIED */
    { "jobs_retried_total", "Jobs given back to their queue." },

    /* NGX_COMMS_COUNT_JOB_PARKED */
    { "jobs_parked_total", "Jobs that waited for a lease." },

    /* NGX_COMMS_COUNT_JOB_DEAD */
    { "jobs_dead_total", "Jobs that ended in the dead letters." },

    /* NGX_COMMS_COUNT_LEASE_TAKEN_OVER */
    { "leases_taken_over_total",
      "Leases taken over from a holder that was late or dead." },

    /* NGX_COMMS_COUNT_FENCED */
    { "fenced_total", "Writes refused because their fence was old." },

    /* NGX_COMMS_COUNT_STORE_ERROR */
    { "store_errors_total", "Groups of store operations with a failure." },

    /* NGX_COMMS_COUNT_ZONE_FULL */
    { "zone_full_total",
      "Times that the shared memory zone had no room left." }
};


static const ngx_comms_words_t  ngx_comms_gauges[NGX_COMMS_GAUGES] = {

    /* NGX_COMMS_GAUGE_JOBS */
    { "jobs_in_flight", "Jobs in flight." },

    /* NGX_COMMS_GAUGE_PARKED */
    { "parked", "Queue messages that wait for a lease." },

    /* NGX_COMMS_GAUGE_WAITING */
    { "waiting_requests", "Requests held by Prefer: wait." }
};


void
ngx_comms_count(ngx_comms_zone_t *zone, ngx_comms_count_e what, ngx_uint_t n)
{
    (void) ngx_atomic_fetch_add(&zone->layout->counts[what], n);
}


void
ngx_comms_gauge(ngx_comms_zone_t *zone, ngx_comms_gauge_e what, ngx_int_t n)
{
    ngx_comms_slot_t  *slot;

    slot = ngx_comms_zone_slot(zone);

    if (slot != NULL) {
        (void) ngx_atomic_fetch_add(&slot->gauges[what], n);
    }
}


uint64_t
ngx_comms_counter(ngx_comms_zone_t *zone, ngx_comms_count_e what)
{
    return zone->layout->counts[what];
}


int64_t
ngx_comms_gauge_sum(ngx_comms_zone_t *zone, ngx_comms_gauge_e what)
{
    int64_t            sum;
    ngx_uint_t         i;
    ngx_comms_slot_t  *slot;

    sum = 0;

    for (i = 0; i < NGX_COMMS_ZONE_SLOTS; i++) {
        slot = &zone->layout->slots[i];

        /* slots are taken in order: behind a free one there are no others */

        if (slot->pid == 0) {
            break;
        }

        if (slot->gauges[what] == 0
            || ngx_comms_zone_process_gone((ngx_pid_t) slot->pid))
        {
            continue;
        }

        sum += (ngx_atomic_int_t) slot->gauges[what];
    }

    return sum;
}


void
ngx_comms_counter_words(ngx_comms_count_e what, const char **name,
    const char **help)
{
    *name = ngx_comms_counters[what].name;
    *help = ngx_comms_counters[what].help;
}


void
ngx_comms_gauge_words(ngx_comms_gauge_e what, const char **name,
    const char **help)
{
    *name = ngx_comms_gauges[what].name;
    *help = ngx_comms_gauges[what].help;
}
