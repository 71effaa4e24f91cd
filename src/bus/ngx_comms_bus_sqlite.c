
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The embedded bus: ngx_comms_bus_t over an ngx_comms_sqlite_t.  Here is only
 * which work belongs to which operation, and whether it writes.  Putting is
 * in sqlite/ngx_comms_sqlite_queue.c, because the store puts, too.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <bus/ngx_comms_bus_sqlite.h>
#include <bus/ngx_comms_bus_sqlite_works.h>


static void ngx_comms_bus_sqlite_op_put(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_publish(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_receive(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_extend(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_remove(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_give_back(ngx_comms_bus_t *bus,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_bury(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_sqlite_op_depths(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
static ngx_int_t ngx_comms_bus_sqlite_init_process(ngx_comms_bus_t *bus,
    ngx_cycle_t *cycle);
static void ngx_comms_bus_sqlite_exit_process(ngx_comms_bus_t *bus);


ngx_comms_bus_t *
ngx_comms_bus_sqlite(ngx_conf_t *cf, ngx_comms_sqlite_t *db)
{
    ngx_comms_bus_t  *bus;

    bus = ngx_pcalloc(cf->pool, sizeof(ngx_comms_bus_t));
    if (bus == NULL) {
        return NULL;
    }

    ngx_str_set(&bus->name, "sqlite");
    bus->data = db;

    bus->put = ngx_comms_bus_sqlite_op_put;
    bus->publish = ngx_comms_bus_sqlite_op_publish;
    bus->receive = ngx_comms_bus_sqlite_op_receive;
    bus->extend = ngx_comms_bus_sqlite_op_extend;
    bus->remove = ngx_comms_bus_sqlite_op_remove;
    bus->give_back = ngx_comms_bus_sqlite_op_give_back;
    bus->bury = ngx_comms_bus_sqlite_op_bury;
    bus->depths = ngx_comms_bus_sqlite_op_depths;
    bus->ages = 1;
    bus->init_process = ngx_comms_bus_sqlite_init_process;
    bus->exit_process = ngx_comms_bus_sqlite_exit_process;

    return bus;
}


static void
ngx_comms_bus_sqlite_op_put(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_put, 1, in, op);
}


static void
ngx_comms_bus_sqlite_op_publish(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_publish, 1, in, op);
}


static void
ngx_comms_bus_sqlite_op_receive(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_receive,
                          NGX_COMMS_SQLITE_PERMIT, in, op);
}


static void
ngx_comms_bus_sqlite_op_extend(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_extend, 1, in, op);
}


static void
ngx_comms_bus_sqlite_op_remove(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_remove, 1, in, op);
}


static void
ngx_comms_bus_sqlite_op_give_back(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_give_back, 1, in,
                          op);
}


static void
ngx_comms_bus_sqlite_op_bury(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_bury, 1, in, op);
}


static void
ngx_comms_bus_sqlite_op_depths(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_sqlite_post(bus->data, ngx_comms_bus_sqlite_depths, 0, in, op);
}


static ngx_int_t
ngx_comms_bus_sqlite_init_process(ngx_comms_bus_t *bus, ngx_cycle_t *cycle)
{
    return ngx_comms_sqlite_init_process(bus->data, cycle);
}


static void
ngx_comms_bus_sqlite_exit_process(ngx_comms_bus_t *bus)
{
    ngx_comms_sqlite_exit_process(bus->data);
}
