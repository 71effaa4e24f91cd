
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The AWS backends: their parameters, and how they are put together.
 *
 * The directives of ngx_http_comms_conf_directive.c hand over here when they
 * name one of these backends.  The store needs the bus, since it puts queue
 * entries; both exist by the time ngx_http_comms_conf_aws_store() makes it.
 */


#include <ngx_http_comms_conf.h>
#include <store/ngx_comms_store_dynamodb.h>
#include <store/ngx_comms_store_dynamodb_lock.h>
#include <bus/ngx_comms_bus_aws.h>
#include <project/ngx_comms_project_aws.h>


/* one parameter: "name=value" */
typedef struct {
    ngx_str_t    name;          /* with "=" */
    size_t       offset;        /* of an ngx_str_t in the main conf */
    const char  *allowed;
} ngx_http_comms_param_t;


static char *ngx_http_comms_conf_params(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_main_conf_t *mcf, ngx_http_comms_param_t *params,
    ngx_uint_t first);
static char *ngx_http_comms_conf_url(ngx_conf_t *cf, ngx_str_t *url,
    const char *name);
static ngx_int_t ngx_http_comms_conf_range(ngx_conf_t *cf, ngx_str_t *value,
    const char *name, ngx_int_t low, ngx_int_t high, ngx_int_t *number);
static void ngx_http_comms_conf_aws_put(void *data, json_t *in,
    ngx_comms_op_t *op);


#define ngx_http_comms_aws_offset(member)                                     \
    offsetof(ngx_http_comms_main_conf_t, aws.member)


static ngx_http_comms_param_t  ngx_http_comms_aws_params[] = {
    { ngx_string("region="), ngx_http_comms_aws_offset(conf.region), NULL },
    { ngx_string("profile="), ngx_http_comms_aws_offset(conf.profile), NULL },
    { ngx_string("endpoint="), ngx_http_comms_aws_offset(endpoint), NULL },
    { ngx_string("sns="),
      ngx_http_comms_aws_offset(conf.endpoints[NGX_COMMS_AWS_SNS]), NULL },
    { ngx_string("sqs="),
      ngx_http_comms_aws_offset(conf.endpoints[NGX_COMMS_AWS_SQS]), NULL },
    { ngx_string("dynamodb="),
      ngx_http_comms_aws_offset(conf.endpoints[NGX_COMMS_AWS_DYNAMODB]),
      NULL },
    { ngx_string("secretsmanager="),
      ngx_http_comms_aws_offset(conf.endpoints[NGX_COMMS_AWS_SECRETSMANAGER]),
      NULL },
    { ngx_string("sts="),
      ngx_http_comms_aws_offset(conf.endpoints[NGX_COMMS_AWS_STS]), NULL },
    { ngx_string("max_attempts="), ngx_http_comms_aws_offset(max_attempts),
      NULL },
    { ngx_null_string, 0,
      "one of \"region=\", \"profile=\", \"endpoint=\", \"sns=\", \"sqs=\", "
      "\"dynamodb=\", \"secretsmanager=\", \"sts=\" or \"max_attempts=\"" }
};


static ngx_http_comms_param_t  ngx_http_comms_dynamodb_params[] = {
    { ngx_string("table="), ngx_http_comms_aws_offset(table), NULL },
    { ngx_string("layout="), ngx_http_comms_aws_offset(layout), NULL },
    { ngx_string("inbound_table="), ngx_http_comms_aws_offset(inbound_table),
      NULL },
    { ngx_string("effects_table="), ngx_http_comms_aws_offset(effects_table),
      NULL },
    { ngx_string("consent_table="), ngx_http_comms_aws_offset(consent_table),
      NULL },
    { ngx_string("lock_table="), ngx_http_comms_aws_offset(lock_table), NULL },
    { ngx_string("retention="), ngx_http_comms_aws_offset(retention), NULL },
    { ngx_null_string, 0,
      "one of \"table=\", \"layout=\", \"inbound_table=\", "
      "\"effects_table=\", "
      "\"consent_table=\", "
      "\"lock_table=\" or \"retention=\"" }
};


static ngx_http_comms_param_t  ngx_http_comms_bus_params[] = {
    { ngx_string("topic="), ngx_http_comms_aws_offset(topic), NULL },
    { ngx_string("queue_prefix="), ngx_http_comms_aws_offset(queue_prefix),
      NULL },
    { ngx_string("wait="), ngx_http_comms_aws_offset(wait), NULL },
    { ngx_string("serialise="), ngx_http_comms_aws_offset(serialise), NULL },
    { ngx_null_string, 0,
      "one of \"topic=\", \"queue_prefix=\", \"wait=\" or \"serialise=\"" }
};


static ngx_http_comms_param_t  ngx_http_comms_projects_params[] = {
    { ngx_string("table="), ngx_http_comms_aws_offset(projects_table), NULL },
    { ngx_string("term="), ngx_http_comms_aws_offset(projects_term), NULL },
    { ngx_null_string, 0, "one of \"table=\" or \"term=\"" }
};


static ngx_http_comms_param_t  ngx_http_comms_secrets_params[] = {
    { ngx_string("prefix="), ngx_http_comms_aws_offset(secrets_prefix), NULL },
    { ngx_string("term="), ngx_http_comms_aws_offset(secrets_term), NULL },
    { ngx_null_string, 0, "one of \"prefix=\" or \"term=\"" }
};


char *
ngx_http_comms_conf_aws(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    if (mcf->aws.configured) {
        return "is duplicate";
    }

    mcf->aws.configured = 1;

    return ngx_http_comms_conf_params(cf, cmd, mcf, ngx_http_comms_aws_params,
                                      1);
}


char *
ngx_http_comms_conf_aws_params(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_main_conf_t *mcf, ngx_http_comms_aws_backend_e backend)
{
    static ngx_http_comms_param_t  *params[] = {
        ngx_http_comms_dynamodb_params, ngx_http_comms_bus_params,
        ngx_http_comms_projects_params, ngx_http_comms_secrets_params
    };

    mcf->aws.uses[backend] = 1;

    return ngx_http_comms_conf_params(cf, cmd, mcf, params[backend], 2);
}


static char *
ngx_http_comms_conf_params(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_main_conf_t *mcf, ngx_http_comms_param_t *params,
    ngx_uint_t first)
{
    ngx_str_t               *value, *slot;
    ngx_uint_t               i;
    ngx_http_comms_param_t  *p;

    value = cf->args->elts;

    for (i = first; i < cf->args->nelts; i++) {

        for (p = params; p->name.len; p++) {
            if (value[i].len > p->name.len
                && ngx_strncmp(value[i].data, p->name.data, p->name.len) == 0)
            {
                break;
            }
        }

        if (p->name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive, "
                               "it must be %s", &value[i], &cmd->name,
                               p->allowed);
            return NGX_CONF_ERROR;
        }

        slot = (ngx_str_t *) ((u_char *) mcf + p->offset);

        if (slot->len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\" in \"%V\" "
                               "directive", &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        slot->data = value[i].data + p->name.len;
        slot->len = value[i].len - p->name.len;
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_comms_conf_uses_aws(ngx_http_comms_main_conf_t *mcf)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_COMMS_AWS_BACKENDS; i++) {
        if (mcf->aws.uses[i]) {
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_comms_conf_aws_client(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf)
{
    ngx_int_t              n;
    ngx_uint_t             i;
    ngx_http_comms_aws_t  *aws;

    static const char     *names[] = {
        "sns", "sqs", "dynamodb", "secretsmanager", "sts"
    };

    aws = &mcf->aws;

    if (ngx_http_comms_conf_url(cf, &aws->endpoint, "endpoint")
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < NGX_COMMS_AWS_SERVICES; i++) {
        if (ngx_http_comms_conf_url(cf, &aws->conf.endpoints[i], names[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (aws->conf.endpoints[i].len == 0) {
            aws->conf.endpoints[i] = aws->endpoint;
        }
    }

    if (aws->max_attempts.len) {
        if (ngx_http_comms_conf_range(cf, &aws->max_attempts, "max_attempts",
                                      1, 10, &n)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        aws->conf.max_attempts = n;
    }

    aws->client = ngx_comms_aws_add(cf, &aws->conf, mcf->engine.zone);

    return aws->client ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_comms_conf_url(ngx_conf_t *cf, ngx_str_t *url, const char *name)
{
    if (url->len == 0
        || (url->len > 8 && ngx_strncmp(url->data, "https://", 8) == 0)
        || (url->len > 7 && ngx_strncmp(url->data, "http://", 7) == 0))
    {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "invalid value \"%V\" of \"%s\" in \"comms_aws\" directive, "
                  "it must be \"http://host\" or \"https://host\"", url, name);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_comms_conf_range(ngx_conf_t *cf, ngx_str_t *value, const char *name,
    ngx_int_t low, ngx_int_t high, ngx_int_t *number)
{
    *number = ngx_atoi(value->data, value->len);

    if (*number >= low && *number <= high) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "invalid value \"%V\" of \"%s=\", it must be between %i and "
                  "%i", value, name, low, high);

    return NGX_ERROR;
}


char *
ngx_http_comms_conf_aws_bus(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_int_t                  wait;
    ngx_http_comms_aws_t      *aws;
    ngx_comms_bus_aws_conf_t   bcf;

    aws = &mcf->aws;

    if (aws->topic.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_bus aws\" must have \"topic=\": the ARN of the "
                      "SNS topic");
        return NGX_CONF_ERROR;
    }

    wait = NGX_COMMS_BUS_AWS_MAX_WAIT;

    if (aws->wait.len
        && ngx_http_comms_conf_range(cf, &aws->wait, "wait", 0,
                                     NGX_COMMS_BUS_AWS_MAX_WAIT, &wait)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (aws->serialise.len) {
        if (aws->serialise.len == 5
            && ngx_strncmp(aws->serialise.data, "queue", 5) == 0)
        {
            mcf->engine.serialise_by_queue = 1;

        } else if (aws->serialise.len != 5
                   || ngx_strncmp(aws->serialise.data, "locks", 5) != 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "invalid value \"%V\" of \"serialise=\", it must be "
                          "\"locks\" or \"queue\"", &aws->serialise);
            return NGX_CONF_ERROR;
        }
    }

    ngx_memzero(&bcf, sizeof(ngx_comms_bus_aws_conf_t));

    bcf.topic = aws->topic;
    bcf.queue_prefix = aws->queue_prefix;
    bcf.wait = wait;
    bcf.zone = mcf->engine.zone;

    if (bcf.queue_prefix.len == 0) {
        ngx_str_set(&bcf.queue_prefix, "comms-");
    }

    if (mcf->engine.serialise_by_queue
        && (bcf.topic.len < 5
            || ngx_strncmp(bcf.topic.data + bcf.topic.len - 5, ".fifo", 5)
               != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"serialise=queue\" requires a FIFO topic: its ARN "
                      "must end in \".fifo\"");
        return NGX_CONF_ERROR;
    }

    mcf->engine.bus = ngx_comms_bus_aws(cf, aws->client, &bcf);

    return mcf->engine.bus ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static void
ngx_http_comms_conf_aws_put(void *data, json_t *in, ngx_comms_op_t *op)
{
    ngx_comms_bus_t *bus = data;

    bus->put(bus, in, op);
}


char *
ngx_http_comms_conf_aws_store(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_int_t                          days;
    ngx_http_comms_aws_t              *aws;
    ngx_comms_store_dynamodb_conf_t   *scf;

    aws = &mcf->aws;

    scf = ngx_pcalloc(cf->pool, sizeof(ngx_comms_store_dynamodb_conf_t));
    if (scf == NULL) {
        return NGX_CONF_ERROR;
    }

    scf->layout = NGX_COMMS_STORE_SINGLE;

    if (aws->layout.len == sizeof("per_channel") - 1
        && ngx_strncmp(aws->layout.data, "per_channel", aws->layout.len) == 0)
    {
        scf->layout = NGX_COMMS_STORE_PER_CHANNEL;

    } else if (aws->layout.len
               && (aws->layout.len != sizeof("single") - 1
                   || ngx_strncmp(aws->layout.data, "single", 6) != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid value \"%V\" of \"layout=\", it must be "
                      "\"single\" or \"per_channel\"", &aws->layout);
        return NGX_CONF_ERROR;
    }

    days = 0;

    if (aws->retention.len
        && ngx_http_comms_conf_range(cf, &aws->retention, "retention", 1,
                                     36500, &days)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    scf->retention_days = days;
    scf->table = aws->table;
    scf->inbound_table = aws->inbound_table;
    scf->effects_table = aws->effects_table;
    scf->consent_table = aws->consent_table;
    scf->zone = mcf->engine.zone;
    scf->put = ngx_http_comms_conf_aws_put;
    scf->data = mcf->engine.bus;

    if (scf->table.len == 0) {
        ngx_str_set(&scf->table, "comms-conversations");
    }

    if (scf->inbound_table.len == 0) {
        ngx_str_set(&scf->inbound_table, "comms-inbound");
    }

    if (scf->consent_table.len == 0) {
        ngx_str_set(&scf->consent_table, "comms-consent");
    }

    mcf->engine.store = ngx_comms_store_dynamodb(cf, aws->client, scf);

    if (mcf->engine.store == NULL) {
        return NGX_CONF_ERROR;
    }

    /* where the queue serialises there is nothing to lock */

    if (mcf->engine.serialise_by_queue) {
        return NGX_CONF_OK;
    }

    if (aws->lock_table.len == 0) {
        ngx_str_set(&aws->lock_table, "comms-locks");
    }

    return ngx_comms_store_dynamodb_lock(cf, mcf->engine.store,
                                         &aws->lock_table)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* how long what was fetched is kept, ms; 0: the backend's default */

static ngx_int_t
ngx_http_comms_conf_term(ngx_conf_t *cf, ngx_str_t *value, ngx_msec_t *term)
{
    ngx_int_t  ms;

    *term = 0;

    if (value->len == 0) {
        return NGX_OK;
    }

    ms = ngx_parse_time(value, 0);

    if (ms < 1000 || ms > 86400000) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid value \"%V\" of \"term=\", it must be between "
                      "1s and 1d", value);
        return NGX_ERROR;
    }

    *term = ms;

    return NGX_OK;
}


char *
ngx_http_comms_conf_aws_secrets(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf)
{
    ngx_comms_secrets_aws_conf_t  scf;

    scf.prefix = mcf->aws.secrets_prefix;

    if (ngx_http_comms_conf_term(cf, &mcf->aws.secrets_term, &scf.term)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    mcf->engine.secrets = ngx_comms_secrets_aws(cf, mcf->aws.client, &scf);

    return mcf->engine.secrets ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_comms_conf_aws_projects(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf)
{
    ngx_comms_projects_dynamodb_conf_t  pcf;

    pcf.table = mcf->aws.projects_table;

    if (pcf.table.len == 0) {
        ngx_str_set(&pcf.table, "company-data");
    }

    if (ngx_http_comms_conf_term(cf, &mcf->aws.projects_term, &pcf.term)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    mcf->engine.projects = ngx_comms_projects_dynamodb(cf, mcf->aws.client,
                                                       &pcf);

    return mcf->engine.projects ? NGX_CONF_OK : NGX_CONF_ERROR;
}
