
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The status of a message, and of a channel's first message: which may take
 * the place of which.  Webhooks of providers come late, twice and in any
 * order, so a status is a rank that is only ever raised; what the ranks are
 * is said by NGX_COMMS_STATUS_RANKS.
 *
 * Pure, and the same for all backends.
 */


#ifndef _NGX_COMMS_STORE_STATUS_H_INCLUDED_
#define _NGX_COMMS_STORE_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/*
 * 1: a record may put "to" in the place of "from"; 0: it would go backwards.
 * A status without a rank (the "received" of a message from a person; none at
 * all, NULL) is replaced by any, and replaces any.
 */
ngx_uint_t ngx_comms_store_status_may(json_t *from, json_t *to);

/*
 * The statuses that "to" may not take the place of: a new array, for a
 * backend that has to say so in a condition; NULL when out of memory.
 */
json_t *ngx_comms_store_status_above(json_t *to);

/* 1: a member that is written with the status, and left out with it */
ngx_uint_t ngx_comms_store_status_member(const char *member);

/*
 * Updates a message, in place, with the members that a record gives: all of
 * them, but neither "status" nor what goes with it ("status_at", "reason",
 * "reason_code") where the status would go back.
 * NGX_OK, or NGX_ERROR when out of memory.
 */
ngx_int_t ngx_comms_store_status_update(json_t *message, json_t *members);


#endif /* _NGX_COMMS_STORE_STATUS_H_INCLUDED_ */
