
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Is a DynamoDB table there, with the keys and indexes that are wanted?  For
 * the check at start: what is missing is said with what to do about it, before
 * the first person's message meets it.
 */


#ifndef _NGX_COMMS_AWS_TABLE_H_INCLUDED_
#define _NGX_COMMS_AWS_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <aws/ngx_comms_aws.h>


typedef struct {
    const char                   *name;    /* NULL ends a list of them */
    const char                   *hash;
    const char                   *range;   /* NULL: none */
} ngx_comms_aws_index_t;


/* must live until the check is over */
typedef struct {
    ngx_str_t                     name;
    const char                   *hash;
    const char                   *range;
    const ngx_comms_aws_index_t  *indexes;   /* NULL: none is wanted */
    const char                   *setting;   /* "\"table=\" of
                                                \"comms_store\"" */
} ngx_comms_aws_table_t;


/*
 * NGX_OK all is there; NGX_DECLINED something is missing or wrong; NGX_ERROR
 * no telling.  All but the first was logged, each index by its name.
 */
typedef void (*ngx_comms_aws_table_pt)(void *data, ngx_int_t rc);

/*
 * Asks with DescribeTable, and calls the handler from an event, once; not any
 * more when the worker exits before.  NGX_ERROR: out of memory, it is not
 * called.
 */
ngx_int_t ngx_comms_aws_table_check(ngx_comms_aws_t *aws,
    const ngx_comms_aws_table_t *table, ngx_comms_aws_table_pt handler,
    void *data);


#endif /* _NGX_COMMS_AWS_TABLE_H_INCLUDED_ */
