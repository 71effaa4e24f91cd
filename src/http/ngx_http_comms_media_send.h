
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_HTTP_COMMS_MEDIA_SEND_H_INCLUDED_
#define _NGX_HTTP_COMMS_MEDIA_SEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>
#include <media/ngx_comms_media.h>


/* the note of a medium that is kept, by its id, in a record; NULL: none */
json_t *ngx_http_comms_media_find(json_t *record, ngx_str_t *media_id);

/*
 * Sends the file of a note, as nginx sends files.  Returns what the request
 * is to be finalized with; NGX_DECLINED: there is no such file, and nothing
 * was sent.
 */
ngx_int_t ngx_http_comms_media_send(ngx_http_request_t *r,
    ngx_comms_media_t *media, json_t *note);


#endif /* _NGX_HTTP_COMMS_MEDIA_SEND_H_INCLUDED_ */
