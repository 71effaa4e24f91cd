
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that write consent down.
 *
 * A word about consent is the person's, not the address's: who says STOP to a
 * text message does not mean "write me a mail instead".  So an entry goes to
 * the ledger for each address of the thread's person that is known: those of
 * the start request, the one that the word came from, and its aliases.
 *
 * The address that the word came from is the first to be written.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


static ngx_int_t ngx_comms_consent_add(json_t *addresses, json_t *address);
static ngx_int_t ngx_comms_consent_known(ngx_comms_flow_t *f,
    json_t *addresses, json_t *facts);


ngx_int_t
ngx_comms_consent_of(ngx_comms_flow_t *f, json_t *facts, json_t *from,
    json_t *aliases)
{
    size_t               i;
    json_t              *alias, *addresses;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    addresses = json_array();
    if (addresses == NULL) {
        return NGX_ERROR;
    }

    json_decref(t->consent.addresses);
    t->consent.addresses = addresses;
    t->consent.next = 0;

    if (ngx_comms_consent_add(addresses, from) != NGX_OK) {
        return NGX_ERROR;
    }

    json_array_foreach(aliases, i, alias) {
        if (ngx_comms_consent_add(addresses, alias) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_comms_consent_known(f, addresses, facts);
}


/* what is there already, or is no address, is passed over */

static ngx_int_t
ngx_comms_consent_add(json_t *addresses, json_t *address)
{
    size_t   i;
    json_t  *one;

    if (!json_is_string(address) || json_string_length(address) == 0) {
        return NGX_OK;
    }

    json_array_foreach(addresses, i, one) {
        if (json_equal(one, address)) {
            return NGX_OK;
        }
    }

    return json_array_append(addresses, address) == 0 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_consent_known(ngx_comms_flow_t *f, json_t *addresses, json_t *facts)
{
    json_t      *one;
    ngx_int_t    rc;
    ngx_str_t    bare, address;
    ngx_uint_t   i;

    static const char  *members[] = {
        "recipient_tel", "recipient_email", NULL
    };

    for (i = 0; members[i] != NULL; i++) {

        if (ngx_comms_json_str(facts, members[i], &bare) != NGX_OK
            || bare.len == 0)
        {
            continue;
        }

        rc = (i == 0) ? ngx_comms_address_tel(f->pool, &bare, &address)
                      : ngx_comms_address_email(f->pool, &bare, &address);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        one = ngx_comms_json_string(&address);

        rc = ngx_comms_consent_add(addresses, one);
        json_decref(one);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_consent_write(ngx_comms_flow_t *f, ngx_uint_t opted_out,
    const char *source, ngx_str_t *proof)
{
    json_t              *in, *address;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    address = json_array_get(t->consent.addresses, t->consent.next);

    if (address == NULL) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:O, s:b, s:s, s:s%}",
                   "company_id", t->company_id.data, t->company_id.len,
                   "person_address", address,
                   "opted_out", (int) opted_out, "source", source,
                   "proof", proof->len ? (char *) proof->data : "",
                   proof->len);

    return ngx_comms_thread_store(f, f->engine->store->consent, in);
}


ngx_int_t
ngx_comms_consent_written(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_written(f);
    if (rc != NGX_OK) {
        return rc;
    }

    t->consent.next++;

    return t->consent.next < json_array_size(t->consent.addresses) ? NGX_BUSY
                                                                   : NGX_OK;
}
