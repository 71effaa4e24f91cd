
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "media/ngx_comms_media.h"


#define media_case(said, bytes, type)  { said, bytes, sizeof(bytes) - 1, type }


static const struct {
    const char  *said;
    const char  *bytes;
    size_t       len;
    const char  *type;          /* NULL: refused */
} cases[] = {
    media_case("image/jpeg", "\xff\xd8\xff\xe0..", "image/jpeg"),
    media_case("IMAGE/JPG; x=y", "\xff\xd8\xff\xe0..", "image/jpeg"),
    media_case("image/jpeg", "\x89PNG\r\n\x1a\n", "image/png"),
    media_case("", "GIF89a", "image/gif"),
    media_case("application/octet-stream", "%PDF-1.7\n", "application/pdf"),
    media_case("image/webp", "RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    media_case("audio/wav", "RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
    media_case("image/webp", "RIFF\0\0\0\0AVI ", NULL),
    media_case("image/heic", "\0\0\0\x18""ftypheic", "image/heic"),
    media_case("video/mp4", "\0\0\0\x18""ftypisom", "video/mp4"),
    media_case("audio/mp4", "\0\0\0\x18""ftypisom", "audio/mp4"),
    media_case("audio/mp4", "\0\0\0\x18""ftypM4A ", "audio/mp4"),
    media_case("audio/3gpp", "\0\0\0\x18""ftyp3gp5", "audio/3gpp"),
    media_case("video/quicktime", "\0\0\0\x14""ftypqt  ", "video/quicktime"),
    media_case("video/mp4", "\0\0\0\x18""ftypevil", NULL),
    media_case("audio/ogg; codecs=opus", "OggS\0\2", "audio/ogg"),
    media_case("audio/mpeg", "ID3\3\0", "audio/mpeg"),
    media_case("audio/aac", "\xff\xf1\x50\x80", "audio/aac"),
    media_case("audio/amr", "#!AMR\n\x3c", "audio/amr"),
    media_case("text/plain; charset=utf-8", "Caf\xc3\xa9\r\n", "text/plain"),
    media_case("text/plain", "Caf\xe9", NULL),
    media_case("text/plain", "a\0b", NULL),
    media_case("text/plain", "", NULL),
    media_case("text/vcard", "BEGIN:VCARD\r\n", "text/vcard"),
    media_case("text/vcard", "nothing of it", NULL),
    media_case("text/calendar", "BEGIN:VCALENDAR\r\n", "text/calendar"),
    media_case("application/vnd.openxmlformats-officedocument."
               "wordprocessingml.document",
               "PK\3\4....56789012345678901234[Content_Types].xml",
               NULL),
    media_case("application/zip", "PK\3\4", NULL),
    media_case("text/html", "<!DOCTYPE html><p>", NULL),
    media_case("text/plain", "<html><script>", NULL),
    media_case("text/plain", "\xef\xbb\xbf  <svg>", NULL),
    media_case("image/svg+xml", "<svg xmlns=''>", NULL),
    media_case("application/javascript", "alert(1)", NULL),
    media_case("text/javascript", "alert(1)", NULL),
    media_case("application/x-sh", "#!/bin/sh\n", NULL),
    media_case("text/plain", "#!/bin/sh\n", NULL),
    media_case("application/octet-stream", "MZ\x90\0", NULL),
    media_case("application/octet-stream", "\x7f""ELF", NULL),
    media_case("image/jpeg", "MZ\x90\0", NULL),
};


static void
test_types(void **state)
{
    ngx_str_t    said, bytes;
    ngx_uint_t   i;
    const char  *type;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        said = unit_str(cases[i].said);
        bytes.data = (u_char *) cases[i].bytes;
        bytes.len = cases[i].len;

        type = ngx_comms_media_type(&said, &bytes);

        if ((type == NULL) != (cases[i].type == NULL)
            || (type != NULL && ngx_strcmp(type, cases[i].type) != 0))
        {
            fail_msg("case %d (%s): %s and not %s", (int) i, cases[i].said,
                     type ? type : "refused",
                     cases[i].type ? cases[i].type : "refused");
        }
    }
}


static void
test_documents(void **state)
{
    u_char      file[64];
    ngx_str_t   said, bytes;

    ngx_memset(file, 'x', sizeof(file));
    ngx_memcpy(file, "PK\3\4", 4);

    bytes.data = file;
    bytes.len = sizeof(file);

    said = unit_str("application/vnd.openxmlformats-officedocument."
                    "wordprocessingml.document");

    ngx_memcpy(file + 30, "evil.exe", 8);
    assert_null(ngx_comms_media_type(&said, &bytes));

    ngx_memcpy(file + 30, "[Content_Types].xml", 19);
    assert_string_equal(ngx_comms_media_type(&said, &bytes), said.data);

    said = unit_str("application/zip");
    assert_null(ngx_comms_media_type(&said, &bytes));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_documents),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
