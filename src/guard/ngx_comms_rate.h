
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * How fast a provider may be asked, learned from what it says.
 *
 * Two rates, of requests and of tokens, each in the form of the generic cell
 * rate algorithm: "tat" is the time at which the provider would be idle again
 * if it worked at the rate; a call may go while tat is not further ahead than
 * a tolerance.  So over any time t no more than rate * (t + tolerance) calls
 * pass, after an outage too.
 *
 *   learned   the limits in x-ratelimit-limit-*; what is left by -remaining-
 *             and -reset-; and from 429s
 *   429       the rate is multiplied by 0.7, at most once in a second, and
 *             nothing passes for the time that the provider says
 *   success   each adds a little, up to the limit that was announced, or
 *             without end where none was (additive increase)
 *
 * Until something was learned nothing is limited.
 *
 * Who goes first: each class has a tolerance of its own, so that while those
 * above keep tat near their bound, those below are refused.  Who has waited
 * long is taken for the class above, and in the end passes whatever the
 * others do: nobody starves.  A project that had more than its share lately
 * is taken for the class below while there is a shortage.
 */


#ifndef _NGX_COMMS_RATE_H_INCLUDED_
#define _NGX_COMMS_RATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone.h>


#define NGX_COMMS_RATE_PROJECTS  32


typedef enum {
    NGX_COMMS_RATE_LIVE = 0,     /* somebody waits for an answer */
    NGX_COMMS_RATE_FIRST,        /* a first message */
    NGX_COMMS_RATE_FOLLOW_UP,
    NGX_COMMS_RATE_CLASSES
} ngx_comms_rate_class_e;


/* what an answer said; -1: nothing */
typedef struct {
    int64_t      limit_requests;        /* per minute */
    int64_t      limit_tokens;
    int64_t      remaining_requests;
    int64_t      remaining_tokens;
    int64_t      reset_requests;        /* ms until all is there again */
    int64_t      reset_tokens;
} ngx_comms_rate_facts_t;


typedef struct {
    double       rate;          /* per ms; 0: not learned */
    double       most;          /* announced; 0: nothing was */
    double       tat;           /* ms */
} ngx_comms_rate_flow_t;


typedef struct {
    uint32_t     project;       /* hash */
    uint32_t     served;        /* in this window */
} ngx_comms_rate_share_t;


typedef struct {
    ngx_comms_rate_flow_t    requests;
    ngx_comms_rate_flow_t    tokens;
    uint64_t                 blocked;      /* until then nothing passes */
    uint64_t                 lowered;      /* when the rate was last cut */
    uint64_t                 window;       /* number of the ten seconds */
    uint32_t                 served;       /* in this window */
    uint32_t                 before;       /* in the one before */
    uint32_t                 refused;      /* in this window */
    ngx_comms_rate_share_t   shares[NGX_COMMS_RATE_PROJECTS];
} ngx_comms_rate_t;


/* a call that wants to go */
typedef struct {
    ngx_uint_t   class;         /* ngx_comms_rate_class_e */
    uint32_t     project;       /* hash of whose it is */
    ngx_uint_t   tokens;        /* estimate, prompt and answer */
    ngx_msec_t   waited;        /* since it first wanted to */
} ngx_comms_rate_call_t;


/* pure: see the head; NGX_OK, or NGX_DECLINED with *retry_after in ms */
ngx_int_t ngx_comms_rate_ask(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_call_t *call, ngx_msec_t *retry_after);

/* an answer that was no 429; "spent" tokens, 0: not known */
void ngx_comms_rate_learn(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_call_t *call, ngx_comms_rate_facts_t *facts,
    ngx_uint_t spent);

/* a 429 for going too fast; retry_after in ms, 0: not said */
void ngx_comms_rate_slow_down(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_facts_t *facts, ngx_msec_t retry_after);

/*
 * "1s", "6m0s", "20ms", "1h2m3.5s", or a bare number of seconds.  Values that
 * make no sense (negative, over a day) are as good as absent: -1.
 */
int64_t ngx_comms_rate_duration(ngx_str_t *text);

/* a count; -1 when it is none, or 0 or less where "positive" */
int64_t ngx_comms_rate_number(ngx_str_t *text, ngx_uint_t positive);


/*
 * The same for a key ("provider#credentials_id#model") in the zone.  A zone
 * without room lets calls pass, and counts it.
 */
ngx_int_t ngx_comms_rate_admit(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_rate_call_t *call, ngx_msec_t *retry_after);

/* "throttled": it was a 429 for going too fast */
void ngx_comms_rate_report(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_rate_call_t *call, ngx_comms_rate_facts_t *facts,
    ngx_uint_t spent, ngx_uint_t throttled, ngx_msec_t retry_after);


typedef struct {
    ngx_str_t    key;           /* in the pool */
    double       requests;      /* per second; 0: not learned */
    double       tokens;
} ngx_comms_rate_view_t;

/* all of them, for the status page: array of views, or NULL (memory) */
ngx_array_t *ngx_comms_rate_list(ngx_comms_zone_t *zone, ngx_pool_t *pool);


#endif /* _NGX_COMMS_RATE_H_INCLUDED_ */
