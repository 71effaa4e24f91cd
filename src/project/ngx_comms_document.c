
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A value is shown in a message only when it is a short, harmless one: never
 * of a secret document, and never where the field may hold a number or
 * address of a person or a company.  Parser messages quote the text, so that
 * part is cut off, and those of a secret document are replaced.
 */


#include <project/ngx_comms_document.h>
#include <base/ngx_comms_json.h>


#define NGX_COMMS_DOCUMENT_MAX_SHOWN  64
#define NGX_COMMS_DOCUMENT_MAX_FIELD  256


static ngx_int_t ngx_comms_document_inspect(ngx_comms_document_t *doc,
    ngx_fd_t fd, size_t *size);
static ngx_int_t ngx_comms_document_load(ngx_comms_document_t *doc,
    ngx_fd_t fd, size_t size);
static ngx_int_t ngx_comms_document_parse(ngx_comms_document_t *doc);
static u_char *ngx_comms_document_show(u_char *p, u_char *last,
    json_t *value);


ngx_int_t
ngx_comms_document_read(ngx_comms_document_t *doc)
{
    size_t     size;
    ngx_fd_t   fd;
    ngx_int_t  rc;

    ngx_str_null(&doc->text);
    doc->root = NULL;
    doc->mistakes = 0;

    fd = ngx_open_file(doc->path.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, doc->log, ngx_errno,
                      ngx_open_file_n " \"%V\" failed", &doc->path);
        doc->mistakes++;
        return NGX_ERROR;
    }

    rc = ngx_comms_document_inspect(doc, fd, &size);

    if (rc == NGX_OK) {
        rc = ngx_comms_document_load(doc, fd, size);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, doc->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &doc->path);
    }

    if (rc == NGX_OK) {
        rc = ngx_comms_document_parse(doc);
    }

    if (rc != NGX_OK) {
        doc->mistakes++;
    }

    return rc;
}


static ngx_int_t
ngx_comms_document_inspect(ngx_comms_document_t *doc, ngx_fd_t fd,
    size_t *size)
{
    ngx_uint_t       mode;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, doc->log, ngx_errno,
                      ngx_fd_info_n " \"%V\" failed", &doc->path);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&fi)) {
        ngx_log_error(NGX_LOG_EMERG, doc->log, 0,
                      "\"%V\" is not a regular file", &doc->path);
        return NGX_ERROR;
    }

    mode = ngx_file_access(&fi);

    if (doc->secret && (mode & 077) != 0) {
        ngx_log_error(NGX_LOG_EMERG, doc->log, 0,
                      "\"%V\" has mode 0%ui%ui%ui, must be 0600", &doc->path,
                      mode >> 6, (mode >> 3) & 7, mode & 7);
        return NGX_ERROR;
    }

    if (ngx_file_size(&fi) > NGX_COMMS_DOCUMENT_MAX_SIZE) {
        ngx_log_error(NGX_LOG_EMERG, doc->log, 0,
                      "\"%V\" has %O bytes, must have at most %ui",
                      &doc->path, ngx_file_size(&fi),
                      (ngx_uint_t) NGX_COMMS_DOCUMENT_MAX_SIZE);
        return NGX_ERROR;
    }

    *size = (size_t) ngx_file_size(&fi);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_document_load(ngx_comms_document_t *doc, ngx_fd_t fd, size_t size)
{
    ssize_t  n;

    doc->text.data = ngx_alloc(size + 1, doc->log);
    if (doc->text.data == NULL) {
        return NGX_ERROR;
    }

    while (doc->text.len < size) {
        n = ngx_read_fd(fd, doc->text.data + doc->text.len,
                        size - doc->text.len);

        if (n == -1) {
            ngx_log_error(NGX_LOG_EMERG, doc->log, ngx_errno,
                          ngx_read_fd_n " \"%V\" failed", &doc->path);
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        doc->text.len += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_document_parse(ngx_comms_document_t *doc)
{
    u_char                  *quoted;
    ngx_comms_json_error_t   err;

    doc->root = ngx_comms_json_parse(&doc->text, &err);

    if (doc->root == NULL) {
        quoted = (u_char *) ngx_strstr(err.text, " near ");

        if (quoted != NULL) {
            *quoted = '\0';
        }

        ngx_log_error(NGX_LOG_EMERG, doc->log, 0,
                      "\"%V\" line %ui column %ui: %s", &doc->path,
                      err.line, err.column,
                      doc->secret ? (u_char *) "invalid JSON" : err.text);
        return NGX_ERROR;
    }

    if (!json_is_object(doc->root)) {
        ngx_log_error(NGX_LOG_EMERG, doc->log, 0,
                      "\"%V\" line 1: must be a JSON object", &doc->path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_comms_document_close(ngx_comms_document_t *doc)
{
    if (doc->text.data != NULL) {

        if (doc->secret) {
            ngx_explicit_memzero(doc->text.data, doc->text.len);
        }

        ngx_free(doc->text.data);
        ngx_str_null(&doc->text);
    }

    json_decref(doc->root);
    doc->root = NULL;
}


void
ngx_comms_document_mistake(ngx_comms_document_t *doc,
    ngx_comms_json_path_t *path, json_t *value, ngx_uint_t hidden,
    const char *must)
{
    u_char  *p, *last;
    u_char   words[1024];

    last = words + sizeof(words) - 1;

    if (value == NULL) {
        p = ngx_slprintf(words, last, "is missing");

    } else if (hidden || doc->secret) {
        p = ngx_slprintf(words, last, "is not valid");

    } else {
        p = ngx_comms_document_show(words, last, value);
    }

    p = ngx_slprintf(p, last, ", must be %s", must);
    *p = '\0';

    ngx_comms_document_wrong(doc, path, (char *) words);
}


void
ngx_comms_document_wrong(ngx_comms_document_t *doc,
    ngx_comms_json_path_t *path, const char *words)
{
    u_char  *p;
    u_char   field[NGX_COMMS_DOCUMENT_MAX_FIELD + 1];

    p = ngx_comms_json_path_text(field,
                                 field + NGX_COMMS_DOCUMENT_MAX_FIELD, path);
    *p = '\0';

    doc->mistakes++;

    ngx_log_error(NGX_LOG_EMERG, doc->log, 0,
                  "\"%V\" line %ui: field \"%s\" %s", &doc->path,
                  ngx_comms_json_line(&doc->text, path), field, words);
}


static u_char *
ngx_comms_document_show(u_char *p, u_char *last, json_t *value)
{
    size_t  len;

    switch (json_typeof(value)) {

    case JSON_STRING:
        len = json_string_length(value);

        if (len > NGX_COMMS_DOCUMENT_MAX_SHOWN) {
            return ngx_slprintf(p, last, "is a string of %uz bytes", len);
        }

        return ngx_slprintf(p, last, "is \"%s\"", json_string_value(value));

    case JSON_INTEGER:
        return ngx_slprintf(p, last, "is \"%L\"",
                            (int64_t) json_integer_value(value));

    case JSON_REAL:
        return ngx_slprintf(p, last, "is a fraction");

    case JSON_TRUE:
        return ngx_slprintf(p, last, "is \"true\"");

    case JSON_FALSE:
        return ngx_slprintf(p, last, "is \"false\"");

    case JSON_OBJECT:
        return ngx_slprintf(p, last, "is an object");

    case JSON_ARRAY:
        return ngx_slprintf(p, last, "is an array");

    default: /* JSON_NULL */
        return ngx_slprintf(p, last, "is null");
    }
}
