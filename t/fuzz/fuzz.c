
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "fuzz.h"


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void fuzz_require_text(json_t *event, const char *name);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_require(unit_setup(NULL) == 0);

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void       *pool;
    u_char     *copy;
    ngx_str_t   input;

    fuzz_require(unit_pool_setup(&pool) == 0);

    /* an allocation of exactly its size, so that a read behind it is seen */

    copy = malloc(size ? size : 1);
    fuzz_require(copy != NULL);

    ngx_memcpy(copy, data, size);

    input.data = copy;
    input.len = size;

    fuzz_run(pool, &input);

    free(copy);
    unit_pool_teardown(&pool);

    return 0;
}


ngx_str_t
fuzz_first_line(ngx_str_t *input)
{
    u_char     *p;
    ngx_str_t   line;

    line = *input;

    p = ngx_strlchr(input->data, input->data + input->len, '\n');

    if (p == NULL) {
        input->len = 0;
        return line;
    }

    line.len = p - line.data;
    input->len -= line.len + 1;
    input->data = p + 1;

    return line;
}


void
fuzz_require_events(json_t *events)
{
    json_t      *event;
    size_t       i;
    const char  *kind;

    fuzz_require(json_is_array(events));
    fuzz_require(json_array_size(events) > 0);

    json_array_foreach(events, i, event) {

        kind = json_string_value(json_object_get(event, "kind"));
        fuzz_require(kind != NULL);

        if (strcmp(kind, "ignored") == 0) {
            fuzz_require_text(event, "reason");
            continue;
        }

        fuzz_require_text(event, "channel");
        fuzz_require_text(event, "provider");
        fuzz_require_text(event, "dedupe_id");

        if (strcmp(kind, "status") == 0) {
            fuzz_require_text(event, "status");
            fuzz_require(json_is_integer(json_object_get(event, "at")));
            fuzz_require(json_object_get(event, "marker") != NULL
                         || json_object_get(event, "provider_message_id")
                            != NULL);
            continue;
        }

        if (strcmp(kind, "consent") == 0) {
            fuzz_require_text(event, "person_address");
            fuzz_require_text(event, "proof");
            fuzz_require(json_is_boolean(json_object_get(event, "opted_out")));
            continue;
        }

        if (strcmp(kind, "identity") == 0) {
            fuzz_require_text(event, "company_address");
            fuzz_require_text(event, "previous");
            fuzz_require_text(event, "person_address");
            fuzz_require(json_is_integer(json_object_get(event, "at")));
            continue;
        }

        fuzz_require(strcmp(kind, "message") == 0);

        fuzz_require_text(event, "provider_message_id");
        fuzz_require_text(event, "company_address");
        fuzz_require_text(event, "person_address");
        fuzz_require_text(event, "content");
    }
}


static void
fuzz_require_text(json_t *event, const char *name)
{
    json_t  *value;

    value = json_object_get(event, name);

    fuzz_require(json_is_string(value));
    fuzz_require(json_string_length(value) > 0);
}
