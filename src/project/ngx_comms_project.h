
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Configuration of companies' projects, and their secrets.
 *
 * The file backend reads everything when nginx reads its configuration, so a
 * mistake is a configuration error (file, line, field, what is allowed) and a
 * reload with one keeps the old configuration.  Backends that fetch on need
 * answer NGX_AGAIN and finish the operation when it is worth asking again.
 */


#ifndef _NGX_COMMS_PROJECT_H_INCLUDED_
#define _NGX_COMMS_PROJECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>
#include <channel/ngx_comms_channel.h>


typedef struct {
    ngx_str_t     company_id;
    ngx_str_t     project_id;

    ngx_uint_t    active;                /* project_status is "active" */
    ngx_uint_t    channels;              /* allowed_channels: 1 << channel */

    ngx_uint_t    requests_per_minute;   /* 0: no limit, for all of these */
    ngx_uint_t    requests_per_day;
    ngx_uint_t    concurrent_conversations;

    ngx_array_t   keys;                  /* of ngx_str_t: SHA-256 digests of
                                            API keys, 32 raw bytes each */

    json_t       *config;                /* the whole document, valid;
                                            read only */
} ngx_comms_project_t;


typedef struct ngx_comms_projects_s  ngx_comms_projects_t;
typedef struct ngx_comms_secrets_s   ngx_comms_secrets_t;


struct ngx_comms_projects_s {
    ngx_str_t    name;                   /* for the log: "files <dir>" */
    void        *data;

    /*
     * NGX_OK, with the project (it lives as long as the cycle); NGX_DECLINED:
     * unknown; NGX_AGAIN: being fetched, "op" (whose rc means nothing) is
     * finished when asking again makes sense; NGX_ERROR.  Unless NGX_AGAIN is
     * returned "op" is untouched; it may be NULL where the caller cannot
     * wait.
     */
    ngx_int_t  (*find)(ngx_comms_projects_t *projects, ngx_str_t *company_id,
                   ngx_str_t *project_id, ngx_comms_project_t **project,
                   ngx_comms_op_t *op);

    /*
     * Does an API key open the company?  NGX_OK or NGX_DECLINED (unknown
     * company and wrong key alike, in the same time); NGX_AGAIN, NGX_ERROR as
     * above.
     */
    ngx_int_t  (*opens)(ngx_comms_projects_t *projects,
                   ngx_str_t *company_id, ngx_str_t *api_key,
                   ngx_comms_op_t *op);

    /*
     * The companies that an API key opens, as an array of ngx_str_t in the
     * pool; empty when none.  For endpoints that name no company.
     */
    ngx_int_t  (*companies)(ngx_comms_projects_t *projects,
                   ngx_str_t *api_key, ngx_pool_t *pool,
                   ngx_array_t **companies, ngx_comms_op_t *op);
};


struct ngx_comms_secrets_s {
    ngx_str_t    name;
    void        *data;

    /* the credentials object of that id, borrowed; returns as find above */
    ngx_int_t  (*get)(ngx_comms_secrets_t *secrets, ngx_str_t *id,
                   json_t **credentials, ngx_comms_op_t *op);

    /*
     * All credentials of a provider, for webhooks that must find out whose
     * they are: an array in the pool of ngx_comms_credentials_t.
     */
    ngx_int_t  (*of_provider)(ngx_comms_secrets_t *secrets,
                   ngx_str_t *provider, ngx_pool_t *pool,
                   ngx_array_t **list, ngx_comms_op_t *op);

    /*
     * A provider refused the credentials of that id: they may have been
     * rotated.  NGX_OK: the next get fetches them anew; NGX_DECLINED: it
     * would bring no others, or brought these a moment ago.  NULL where there
     * can be no others.
     */
    ngx_int_t  (*refused)(ngx_comms_secrets_t *secrets, ngx_str_t *id);
};


typedef struct {
    ngx_str_t   id;
    json_t     *credentials;
} ngx_comms_credentials_t;


/* 1 when the key's SHA-256 is one of the project's, in constant time */
ngx_uint_t ngx_comms_project_key(ngx_comms_project_t *project,
    ngx_str_t *api_key);

/* the company's address on a channel, with kind; NGX_DECLINED: none */
ngx_int_t ngx_comms_project_address(ngx_pool_t *pool,
    ngx_comms_project_t *project, ngx_uint_t channel, ngx_str_t *address);

/* channel_config of a channel, or NULL; borrowed */
json_t *ngx_comms_project_channel(ngx_comms_project_t *project,
    ngx_uint_t channel);


/*
 * File backends, at configuration time.  Every mistake in every file is
 * logged before NULL is returned.  A secrets file that others may read (mode
 * & 077) is refused.  Projects refer to credentials, hence the order.
 */
ngx_comms_secrets_t *ngx_comms_secrets_files(ngx_conf_t *cf, ngx_str_t *path);
ngx_comms_projects_t *ngx_comms_projects_files(ngx_conf_t *cf,
    ngx_str_t *dir, ngx_comms_secrets_t *secrets);


/*
 * Is there a provider location for each provider that the projects name, and
 * does it speak the protocol of the credentials used with it?  "protocol_of"
 * gives the protocol of a provider's name, NGX_DECLINED when there is no such
 * location.  Logs each mistake; NGX_OK or NGX_ERROR.
 */
typedef ngx_int_t (*ngx_comms_protocol_of_pt)(void *data, ngx_str_t *name,
    ngx_str_t *protocol);

ngx_int_t ngx_comms_projects_check(ngx_conf_t *cf,
    ngx_comms_projects_t *projects, ngx_comms_protocol_of_pt protocol_of,
    void *data);


#endif /* _NGX_COMMS_PROJECT_H_INCLUDED_ */
