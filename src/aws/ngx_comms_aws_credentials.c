
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The source of credentials is decided once, at configuration time; a reload
 * decides anew.  Each worker process fetches for itself, when a call needs
 * credentials and not by a timer, so that an idle worker asks nobody.
 *
 *   nothing or expired     calls wait for the fetch
 *   less than 10 minutes   calls wait for the fetch; what is valid still is
 *                          used when it fails
 *   less than 15 minutes   fetched beside the calls
 *
 * The workers of a machine take turns, by a lease in the zone: the source is
 * asked by one of them at a time.  Who has valid keys goes on with them
 * meanwhile, who has none waits for its turn.  The keys themselves stay in
 * each process: no secret is in shared memory.
 *
 * Invariants:
 *   1. One fetch at a time.  It has a pool of its own, and the keys in use
 *      change only at its end, from an event.
 *   2. A fetch that failed takes nothing away: keys are used until they
 *      expire.  The next begins a while later, not with the next call.
 *   3. A waiter is told once, when the fetch is over, and looks for itself
 *      what came out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <aws/ngx_comms_aws_credentials_private.h>


#define NGX_COMMS_AWS_AFTER_ERROR  5        /* seconds */

/* ms: a fetch is over by then, or its worker hangs */
#define NGX_COMMS_AWS_TERM         60000

/* between two looks whether it is our turn, and for how long, ms */
#define NGX_COMMS_AWS_LOOK         50
#define NGX_COMMS_AWS_PATIENCE     10000


static ngx_int_t ngx_comms_aws_credentials_profile(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr, ngx_uint_t named);
static ngx_int_t ngx_comms_aws_profile_copy(ngx_pool_t *pool,
    ngx_comms_aws_profile_t *profile);
static ngx_int_t ngx_comms_aws_credentials_source(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr);
static ngx_int_t ngx_comms_aws_credentials_endpoint(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr);
static ngx_int_t ngx_comms_aws_credentials_region(ngx_conf_t *cf,
    ngx_comms_aws_conf_t *conf, ngx_comms_aws_credentials_t *cr);
static ngx_int_t ngx_comms_aws_credentials_say(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr);
static ngx_uint_t ngx_comms_aws_credentials_fetchable(
    ngx_comms_aws_credentials_t *cr);
static ngx_int_t ngx_comms_aws_credentials_begin(
    ngx_comms_aws_credentials_t *cr, ngx_uint_t wait);
static void ngx_comms_aws_credentials_start(ngx_comms_aws_credentials_t *cr);
static ngx_int_t ngx_comms_aws_credentials_turn(
    ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_credentials_look(ngx_event_t *ev);
static void ngx_comms_aws_credentials_leave(ngx_comms_aws_credentials_t *cr);
static time_t ngx_comms_aws_credentials_now(ngx_comms_aws_credentials_t *cr);


static ngx_str_t  ngx_comms_aws_credentials_lease =
                                                ngx_string("aws#credentials");


ngx_comms_aws_credentials_t *
ngx_comms_aws_credentials_add(ngx_conf_t *cf, ngx_comms_aws_conf_t *conf,
    ngx_comms_aws_environment_t *env)
{
    ngx_uint_t                    named;
    ngx_comms_aws_credentials_t  *cr;

    cr = ngx_pcalloc(cf->pool, sizeof(ngx_comms_aws_credentials_t));
    if (cr == NULL) {
        return NULL;
    }

    cr->fd = (ngx_socket_t) -1;
    cr->env = env;
    ngx_queue_init(&cr->waiting);

    named = (conf->profile.len != 0);

    if (named) {
        cr->profile_name = conf->profile;

    } else if (env->profile.len) {
        cr->profile_name = env->profile;

    } else {
        ngx_str_set(&cr->profile_name, "default");
    }

    if (ngx_comms_aws_credentials_profile(cf, cr, named) != NGX_OK) {
        return NULL;
    }

    cr->source = ngx_comms_aws_environment_source(env, &cr->profile, named);

    if (ngx_comms_aws_credentials_source(cf, cr) != NGX_OK
        || ngx_comms_aws_credentials_region(cf, conf, cr) != NGX_OK
        || ngx_comms_aws_credentials_say(cf, cr) != NGX_OK)
    {
        return NULL;
    }

    return cr;
}


static ngx_int_t
ngx_comms_aws_credentials_profile(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr, ngx_uint_t named)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_comms_aws_files_t   files;

    files.paths[0] = (const char *) cr->env->credentials_file.data;
    files.paths[1] = (const char *) cr->env->config_file.data;

    ngx_comms_aws_files_read(&files);

    for (i = 0; i < 2; i++) {
        if (files.errors[i] != 0 && files.errors[i] != NGX_ENOENT) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, files.errors[i],
                               "\"%s\" cannot be read", files.paths[i]);
        }
    }

    ngx_comms_aws_profile_read(&files.texts[0], &files.texts[1],
                               &cr->profile_name, &cr->profile);

    rc = ngx_comms_aws_profile_copy(cf->pool, &cr->profile);

    ngx_comms_aws_files_free(&files);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (!cr->profile.found && (named || cr->env->profile.len)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "AWS profile \"%V\" not found in \"%V\" and \"%V\"",
                           &cr->profile_name, &cr->env->credentials_file,
                           &cr->env->config_file);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NUL-terminated, since one of them is the name of a file */

static ngx_int_t
ngx_comms_aws_profile_copy(ngx_pool_t *pool, ngx_comms_aws_profile_t *profile)
{
    u_char      *p;
    ngx_uint_t   i;
    ngx_str_t   *values[] = {
        &profile->keys.access_key, &profile->keys.secret_key,
        &profile->keys.token, &profile->region, &profile->role_arn,
        &profile->role_session_name, &profile->token_file
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (values[i]->len == 0) {
            continue;
        }

        p = ngx_pnalloc(pool, values[i]->len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(p, "%V%Z", values[i]);
        values[i]->data = p;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_credentials_source(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr)
{
    ngx_str_t  url;

    url = cr->env->metadata_url;

    if (ngx_comms_aws_endpoint_parse(cf->pool, &url, &cr->metadata)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\" in "
                           "AWS_EC2_METADATA_SERVICE_ENDPOINT", &url);
        return NGX_ERROR;
    }

    switch (cr->source) {

    case NGX_COMMS_AWS_ENVIRONMENT:
        cr->keys = cr->env->keys;
        break;

    case NGX_COMMS_AWS_FILES:
        cr->keys = cr->profile.keys;
        break;

    case NGX_COMMS_AWS_WEB_IDENTITY:
        if (cr->env->token_file.len == 0 || cr->env->role_arn.len == 0) {
            cr->env->token_file = cr->profile.token_file;
            cr->env->role_arn = cr->profile.role_arn;
            cr->env->role_session_name = cr->profile.role_session_name;
        }

        break;

    case NGX_COMMS_AWS_CONTAINER:
        return ngx_comms_aws_credentials_endpoint(cf, cr);

    default:

        if (cr->profile.unsupported != NULL) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "AWS profile \"%V\" gets its credentials by "
                               "\"%s\", which is not supported",
                               &cr->profile_name, cr->profile.unsupported);
        }

        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_credentials_endpoint(ngx_conf_t *cf,
    ngx_comms_aws_credentials_t *cr)
{
    u_char     *p;
    ngx_str_t   url, *path;

    url = cr->env->container_url;
    path = &cr->env->container_path;

    if (path->len) {
        p = ngx_pnalloc(cf->pool, sizeof("http://169.254.170.2/") + path->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        url.data = p;
        p = ngx_sprintf(p, "http://169.254.170.2%s%V",
                        path->data[0] == '/' ? "" : "/", path);
        url.len = p - url.data;
    }

    if (ngx_comms_aws_endpoint_parse(cf->pool, &url, &cr->endpoint) != NGX_OK
        || !ngx_comms_aws_endpoint_local(&cr->endpoint))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid AWS_CONTAINER_CREDENTIALS_FULL_URI "
                           "\"%V\": it must be https, or on this host",
                           &url);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_credentials_region(ngx_conf_t *cf, ngx_comms_aws_conf_t *conf,
    ngx_comms_aws_credentials_t *cr)
{
    if (conf->region.len) {
        cr->region = conf->region;

    } else if (cr->env->region.len) {
        cr->region = cr->env->region;

    } else {
        cr->region = cr->profile.region;
    }

    if (cr->region.len && !ngx_comms_aws_region_valid(&cr->region)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid AWS region \"%V\"", &cr->region);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_credentials_say(ngx_conf_t *cf, ngx_comms_aws_credentials_t *cr)
{
    u_char     *p;
    ngx_str_t   source;

    static ngx_str_t  sources[] = {
        ngx_string("nowhere"),
        ngx_string("environment"),
        ngx_string("web identity"),
        ngx_string("profile"),
        ngx_string("container"),
        ngx_string("instance metadata")
    };

    source = sources[cr->source];

    p = ngx_pnalloc(cf->pool, sizeof("region , credentials from  \"\"")
                              + sizeof("of the instance") + cr->region.len
                              + source.len + cr->profile_name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    cr->words.data = p;

    if (cr->region.len) {
        p = ngx_sprintf(p, "region %V", &cr->region);

    } else {
        p = ngx_sprintf(p, "region of the instance");
    }

    p = ngx_sprintf(p, ", credentials from %V", &source);

    if (cr->source == NGX_COMMS_AWS_FILES) {
        p = ngx_sprintf(p, " \"%V\"", &cr->profile_name);
    }

    cr->words.len = p - cr->words.data;

    return NGX_OK;
}


ngx_int_t
ngx_comms_aws_credentials_init(ngx_comms_aws_credentials_t *cr,
    ngx_cycle_t *cycle, ngx_comms_curl_loop_t *loop, ngx_comms_zone_t *zone,
    time_t *skew)
{
    cr->loop = loop;
    cr->zone = zone;
    cr->skew = skew;
    cr->log = cycle->log;
    cr->event.data = cr;
    cr->event.log = cycle->log;

    if (ngx_comms_aws_read_init(cr, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (cr->source == NGX_COMMS_AWS_NOWHERE) {
        ngx_log_error(NGX_LOG_WARN, cr->log, 0,
                      "there are no AWS credentials: none in the environment, "
                      "in profile \"%V\" or at a container's endpoint, and "
                      "AWS_EC2_METADATA_DISABLED is set", &cr->profile_name);
        return NGX_OK;
    }

    /* the first calls need not wait then */

    if (ngx_comms_aws_credentials_fetchable(cr)
        && (cr->keys.access_key.len == 0 || cr->region.len == 0))
    {
        return ngx_comms_aws_credentials_begin(cr, 1);
    }

    return NGX_OK;
}


void
ngx_comms_aws_credentials_exit(ngx_comms_aws_credentials_t *cr)
{
    if (cr->transfer != NULL) {
        ngx_comms_curl_transfer_end(cr->transfer);
        cr->transfer = NULL;
    }

    if (cr->event.timer_set) {
        ngx_del_timer(&cr->event);
    }

    ngx_comms_aws_credentials_leave(cr);

    if (cr->files != NULL) {
        ngx_comms_aws_files_free(cr->files);
    }

    if (cr->fetch != NULL) {
        ngx_destroy_pool(cr->fetch);
        cr->fetch = NULL;
    }

    if (cr->pool != NULL) {
        ngx_destroy_pool(cr->pool);
        cr->pool = NULL;
    }

    if (cr->regions != NULL) {
        ngx_destroy_pool(cr->regions);
        cr->regions = NULL;
    }

    ngx_memzero(&cr->keys, sizeof(ngx_comms_aws_keys_t));
}


ngx_int_t
ngx_comms_aws_credentials_get(ngx_comms_aws_credentials_t *cr,
    ngx_comms_aws_identity_t *identity, ngx_comms_aws_waiter_t *waiter)
{
    ngx_uint_t           valid;
    ngx_comms_aws_age_e  age;

    age = ngx_comms_aws_age(cr->expires, ngx_comms_aws_credentials_now(cr));

    if (cr->keys.access_key.len == 0 || cr->region.len == 0) {
        age = NGX_COMMS_AWS_OVER;
    }

    valid = (age != NGX_COMMS_AWS_OVER);

    if (age != NGX_COMMS_AWS_FRESH
        && cr->fetch == NULL
        && ngx_time() >= (valid ? cr->next : cr->soon)
        && ngx_comms_aws_credentials_fetchable(cr))
    {
        (void) ngx_comms_aws_credentials_begin(cr, !valid);
    }

    if (cr->fetch != NULL
        && (age == NGX_COMMS_AWS_REQUIRED || age == NGX_COMMS_AWS_OVER))
    {
        ngx_queue_insert_tail(&cr->waiting, &waiter->queue);
        return NGX_AGAIN;
    }

    if (!valid) {
        return NGX_DECLINED;
    }

    identity->keys = cr->keys;
    identity->region = cr->region;
    identity->generation = cr->generation;

    return NGX_OK;
}


/* is there anything that a fetch could bring? */

static ngx_uint_t
ngx_comms_aws_credentials_fetchable(ngx_comms_aws_credentials_t *cr)
{
    switch (cr->source) {

    case NGX_COMMS_AWS_NOWHERE:
        return 0;

    case NGX_COMMS_AWS_ENVIRONMENT:
        return cr->region.len == 0 && !cr->env->metadata_disabled;

    default:
        return 1;
    }
}


ngx_int_t
ngx_comms_aws_credentials_refused(ngx_comms_aws_credentials_t *cr,
    ngx_uint_t generation, ngx_comms_aws_waiter_t *waiter)
{
    if (generation != cr->generation) {
        return NGX_OK;
    }

    if (cr->source == NGX_COMMS_AWS_ENVIRONMENT
        || cr->source == NGX_COMMS_AWS_NOWHERE)
    {
        return NGX_DECLINED;
    }

    if (cr->fetch == NULL && ngx_time() >= cr->next) {
        (void) ngx_comms_aws_credentials_begin(cr, 1);
    }

    if (cr->fetch == NULL) {
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&cr->waiting, &waiter->queue);

    return NGX_AGAIN;
}


/* "wait": for our turn, when another worker fetches */

static ngx_int_t
ngx_comms_aws_credentials_begin(ngx_comms_aws_credentials_t *cr,
    ngx_uint_t wait)
{
    ngx_int_t  rc;

    rc = ngx_comms_aws_credentials_turn(cr);

    if (rc != NGX_OK && !wait) {
        cr->next = ngx_time() + 1;
        return NGX_DECLINED;
    }

    cr->fetch = ngx_create_pool(4096, cr->log);

    if (cr->fetch == NULL) {
        ngx_comms_aws_credentials_leave(cr);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        cr->patience = ngx_current_msec + NGX_COMMS_AWS_PATIENCE;
        cr->event.handler = ngx_comms_aws_credentials_look;
        ngx_add_timer(&cr->event, NGX_COMMS_AWS_LOOK);
        return NGX_OK;
    }

    ngx_comms_aws_credentials_start(cr);

    return NGX_OK;
}


static void
ngx_comms_aws_credentials_start(ngx_comms_aws_credentials_t *cr)
{
    cr->tries = 0;
    cr->fetched_expires = 0;
    ngx_memzero(&cr->fetched, sizeof(ngx_comms_aws_keys_t));
    ngx_str_null(&cr->token);
    ngx_str_null(&cr->role);

    ngx_comms_aws_fetch(cr);
}


/* NGX_OK: the turn is ours; NGX_BUSY: it is another worker's */

static ngx_int_t
ngx_comms_aws_credentials_turn(ngx_comms_aws_credentials_t *cr)
{
    ngx_int_t  rc;

    if (cr->zone == NULL) {
        return NGX_OK;
    }

    rc = ngx_comms_lease_take(cr->zone, &ngx_comms_aws_credentials_lease,
                              NGX_COMMS_AWS_TERM, &cr->turn);

    cr->leased = (rc == NGX_OK);

    /* a zone that is full must not keep anybody from its keys */

    return (rc == NGX_BUSY) ? NGX_BUSY : NGX_OK;
}


static void
ngx_comms_aws_credentials_look(ngx_event_t *ev)
{
    ngx_comms_aws_credentials_t  *cr;

    cr = ev->data;

    if (ngx_comms_aws_credentials_turn(cr) == NGX_OK) {
        ngx_comms_aws_credentials_start(cr);
        return;
    }

    if ((ngx_msec_int_t) (cr->patience - ngx_current_msec) <= 0) {
        ngx_comms_aws_credentials_end(cr, "another worker process has been "
                                      "fetching them for too long");
        return;
    }

    ngx_add_timer(ev, NGX_COMMS_AWS_LOOK
                      + (ngx_msec_t) ngx_random() % NGX_COMMS_AWS_LOOK);
}


static void
ngx_comms_aws_credentials_leave(ngx_comms_aws_credentials_t *cr)
{
    if (cr->leased) {
        cr->leased = 0;
        (void) ngx_comms_lease_drop(cr->zone,
                                    &ngx_comms_aws_credentials_lease,
                                    cr->turn);
    }
}


/* by AWS's clock, in which expirations are */

static time_t
ngx_comms_aws_credentials_now(ngx_comms_aws_credentials_t *cr)
{
    return ngx_time() + *cr->skew;
}


void
ngx_comms_aws_credentials_end(ngx_comms_aws_credentials_t *cr,
    const char *failure)
{
    ngx_uint_t               level;
    ngx_queue_t             *q, waiting;
    ngx_comms_aws_waiter_t  *waiter;

    ngx_comms_aws_credentials_leave(cr);
    ngx_comms_aws_files_free(cr->files);

    if (failure == NULL && cr->fetched.access_key.len) {

        if (cr->pool != NULL) {
            ngx_destroy_pool(cr->pool);
        }

        cr->pool = cr->fetch;
        cr->keys = cr->fetched;
        cr->expires = cr->fetched_expires;
        cr->generation++;
        cr->next = ngx_time()
                   + ngx_comms_aws_pause(cr->expires,
                                         ngx_comms_aws_credentials_now(cr),
                                         (ngx_uint_t) ngx_random());
        cr->soon = ngx_time() + 1;

    } else {
        ngx_destroy_pool(cr->fetch);
        cr->next = ngx_time() + NGX_COMMS_AWS_AFTER_ERROR
                   + (time_t) (ngx_random() % NGX_COMMS_AWS_AFTER_ERROR);
        cr->soon = cr->next;
    }

    cr->fetch = NULL;

    if (failure != NULL) {
        level = (cr->keys.access_key.len != 0) ? NGX_LOG_WARN : NGX_LOG_ERR;

        ngx_log_error(level, cr->log, 0,
                      "AWS credentials could not be fetched (%V): %s",
                      &cr->words, failure);
    }

    /* a waiter that waits again is for the next fetch */

    ngx_queue_init(&waiting);

    if (!ngx_queue_empty(&cr->waiting)) {
        ngx_queue_add(&waiting, &cr->waiting);
        ngx_queue_init(&cr->waiting);
    }

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        ngx_queue_remove(q);

        waiter = ngx_queue_data(q, ngx_comms_aws_waiter_t, queue);
        waiter->handler(waiter->data);
    }
}


ngx_str_t *
ngx_comms_aws_credentials_words(ngx_comms_aws_credentials_t *cr)
{
    return &cr->words;
}
