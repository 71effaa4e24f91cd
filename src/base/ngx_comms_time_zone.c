
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Time zones of the system's tz database.
 *
 * The C library knows one zone at a time, that of the process, and reads its
 * file when it likes to.  Here the rules of all zones (some 600 files of a
 * kilobyte or two: read in about ten milliseconds) are read while nginx reads
 * its configuration; workers inherit them and never touch a disk, whatever
 * zone a start request names.  A new tz database counts from the next reload.
 *
 * A file is a list of transitions, and a rule for the time behind them
 * (ngx_comms_time_zone_rule.c).  Only the 64-bit part of it is read; files
 * of version 1, older than 2006, are read in their 32-bit part.  Leap
 * seconds are passed over: the system's clock does not count them either.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_time_zone_private.h>


#define NGX_COMMS_TZIF_HEADER    44
#define NGX_COMMS_TZIF_MAX_SIZE  65536
#define NGX_COMMS_TZIF_MAX_TIMES 2000
#define NGX_COMMS_TZIF_MAX_TYPES 256
#define NGX_COMMS_TZIF_FARTHEST  (26 * 3600)    /* RFC 8536, 3.2, utoff */

/* "America/Argentina/Ushuaia" */
#define NGX_COMMS_TIME_ZONE_DEPTH  3
#define NGX_COMMS_TIME_ZONE_NAME   64
#define NGX_COMMS_TIME_ZONE_MAX    4096


struct ngx_comms_time_zone_s {
    ngx_comms_time_zone_rule_t   rule;
    int64_t                      before;     /* offset, before the first */
    size_t                       n;          /* of transitions */
    int64_t                     *at;
    int64_t                     *offsets;
};


typedef struct {
    uint32_t                     times;
    uint32_t                     types;
    uint32_t                     chars;
    uint32_t                     leaps;
    uint32_t                     standards;
    uint32_t                     utcs;
    u_char                       version;
    size_t                       size;       /* of the block behind it */
} ngx_comms_tzif_header_t;


typedef struct {
    u_char                       name[NGX_COMMS_TIME_ZONE_NAME];
    size_t                       len;
    ngx_comms_time_zone_t       *zone;
} ngx_comms_time_zone_entry_t;


typedef struct {
    ngx_comms_time_zone_entry_t *elts;
    size_t                       n;
} ngx_comms_time_zones_t;


static void ngx_comms_time_zones_free(ngx_comms_time_zones_t *zones);
static ngx_int_t ngx_comms_time_zones_walk(ngx_comms_time_zones_t *zones,
    u_char *path, size_t root, size_t len, ngx_uint_t depth, ngx_log_t *log);
static ngx_int_t ngx_comms_time_zones_add(ngx_comms_time_zones_t *zones,
    u_char *path, size_t root, size_t len, off_t size, ngx_log_t *log);
static int ngx_libc_cdecl ngx_comms_time_zones_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_comms_tzif_header(u_char *p, u_char *last,
    size_t width, ngx_comms_tzif_header_t *header);
static ngx_int_t ngx_comms_tzif_block(ngx_comms_time_zone_t *zone, u_char *p,
    size_t width, ngx_comms_tzif_header_t *header);
static int64_t ngx_comms_tzif_number(u_char *p, size_t width);


static ngx_comms_time_zones_t  ngx_comms_time_zones;


ngx_int_t
ngx_comms_time_zones_load(const char *directory, ngx_log_t *log)
{
    size_t                   len;
    u_char                   path[NGX_MAX_PATH];
    ngx_comms_time_zones_t   zones;

    zones.n = 0;
    zones.elts = ngx_alloc(NGX_COMMS_TIME_ZONE_MAX
                           * sizeof(ngx_comms_time_zone_entry_t), log);
    if (zones.elts == NULL) {
        return NGX_ERROR;
    }

    len = ngx_min(ngx_strlen(directory), sizeof(path) / 2);
    ngx_memcpy(path, directory, len);
    path[len] = '\0';

    if (ngx_comms_time_zones_walk(&zones, path, len + 1, len,
                                  NGX_COMMS_TIME_ZONE_DEPTH, log)
        != NGX_OK)
    {
        ngx_comms_time_zones_free(&zones);
        return NGX_ERROR;
    }

    ngx_qsort(zones.elts, zones.n, sizeof(ngx_comms_time_zone_entry_t),
              ngx_comms_time_zones_cmp);

    ngx_comms_time_zones_free(&ngx_comms_time_zones);
    ngx_comms_time_zones = zones;

    return NGX_OK;
}


static void
ngx_comms_time_zones_free(ngx_comms_time_zones_t *zones)
{
    size_t  i;

    for (i = 0; i < zones->n; i++) {
        ngx_free(zones->elts[i].zone);
    }

    if (zones->elts != NULL) {
        ngx_free(zones->elts);
    }

    ngx_memzero(zones, sizeof(ngx_comms_time_zones_t));
}


/*
 * "posix" and "right" hold the same zones once more.  Whatever cannot be read,
 * or is no zone, is passed over.
 */

static ngx_int_t
ngx_comms_time_zones_walk(ngx_comms_time_zones_t *zones, u_char *path,
    size_t root, size_t len, ngx_uint_t depth, ngx_log_t *log)
{
    size_t      n;
    ngx_int_t   rc;
    ngx_dir_t   dir;
    ngx_str_t   name;

    name.data = path;
    name.len = len;

    if (ngx_open_dir(&name, &dir) == NGX_ERROR) {
        return NGX_OK;
    }

    rc = NGX_OK;

    while (rc == NGX_OK && ngx_read_dir(&dir) == NGX_OK) {
        name.data = ngx_de_name(&dir);
        name.len = ngx_de_namelen(&dir);

        if (name.len == 0 || name.data[0] < 'A' || name.data[0] > 'Z'
            || len + 1 + name.len + 1 > NGX_MAX_PATH)
        {
            continue;
        }

        path[len] = '/';
        n = len + 1 + name.len;
        ngx_memcpy(&path[len + 1], name.data, name.len);
        path[n] = '\0';

        if (ngx_de_info(path, &dir) == NGX_FILE_ERROR) {
            continue;
        }

        if (ngx_de_is_dir(&dir)) {
            if (depth > 1) {
                rc = ngx_comms_time_zones_walk(zones, path, root, n,
                                               depth - 1, log);
            }

        } else if (ngx_de_is_file(&dir)) {
            rc = ngx_comms_time_zones_add(zones, path, root, n,
                                          ngx_de_size(&dir), log);
        }

        path[len] = '\0';
    }

    (void) ngx_close_dir(&dir);

    return rc;
}


static ngx_int_t
ngx_comms_time_zones_add(ngx_comms_time_zones_t *zones, u_char *path,
    size_t root, size_t len, off_t size, ngx_log_t *log)
{
    ssize_t                       n;
    u_char                       *bytes;
    ngx_fd_t                      fd;
    ngx_str_t                     text;
    ngx_comms_time_zone_t        *zone;
    ngx_comms_time_zone_entry_t  *entry;

    if (zones->n == NGX_COMMS_TIME_ZONE_MAX || size <= NGX_COMMS_TZIF_HEADER
        || size > NGX_COMMS_TZIF_MAX_SIZE
        || len - root > NGX_COMMS_TIME_ZONE_NAME)
    {
        return NGX_OK;
    }

    bytes = ngx_alloc((size_t) size, log);
    if (bytes == NULL) {
        return NGX_ERROR;
    }

    zone = NULL;
    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE) {
        n = ngx_read_fd(fd, bytes, (size_t) size);

        if (n > 0) {
            text.data = bytes;
            text.len = n;
            zone = ngx_comms_time_zone_read(&text, log);
        }

        (void) ngx_close_file(fd);
    }

    ngx_free(bytes);

    if (zone == NULL) {
        return NGX_OK;
    }

    entry = &zones->elts[zones->n++];
    entry->zone = zone;
    entry->len = len - root;
    ngx_memcpy(entry->name, &path[root], entry->len);

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_comms_time_zones_cmp(const void *one, const void *two)
{
    const ngx_comms_time_zone_entry_t *a = one;
    const ngx_comms_time_zone_entry_t *b = two;

    return (int) ngx_memn2cmp((u_char *) a->name, (u_char *) b->name, a->len,
                              b->len);
}


ngx_comms_time_zone_t *
ngx_comms_time_zone(ngx_str_t *name)
{
    size_t                        low, high, i;
    ngx_int_t                     rc;
    ngx_comms_time_zone_entry_t  *entry;

    low = 0;
    high = ngx_comms_time_zones.n;

    while (low < high) {
        i = low + (high - low) / 2;
        entry = &ngx_comms_time_zones.elts[i];

        rc = ngx_memn2cmp(name->data, entry->name, name->len, entry->len);

        if (rc == 0) {
            return entry->zone;
        }

        if (rc < 0) {
            high = i;

        } else {
            low = i + 1;
        }
    }

    return NULL;
}


int64_t
ngx_comms_time_zone_offset(ngx_comms_time_zone_t *zone, int64_t at)
{
    size_t  low, high, i;

    if (zone->n == 0 || at < zone->at[0]) {
        return (zone->n == 0 && zone->rule.known)
               ? ngx_comms_time_zone_rule_offset(&zone->rule, at)
               : zone->before;
    }

    if (at >= zone->at[zone->n - 1]) {
        return zone->rule.known
               ? ngx_comms_time_zone_rule_offset(&zone->rule, at)
               : zone->offsets[zone->n - 1];
    }

    /* at[low] <= at < at[high] */

    low = 0;
    high = zone->n - 1;

    while (high - low > 1) {
        i = low + (high - low) / 2;

        if (zone->at[i] <= at) {
            low = i;

        } else {
            high = i;
        }
    }

    return zone->offsets[low];
}


int64_t
ngx_comms_time_zone_utc(ngx_comms_time_zone_t *zone, int64_t local)
{
    int64_t     before, after, one, two;
    ngx_uint_t  one_fits, two_fits;

    before = ngx_comms_time_zone_offset(zone, local - 86400);
    after = ngx_comms_time_zone_offset(zone, local + 86400);

    one = local - before;
    two = local - after;

    one_fits = (ngx_comms_time_zone_offset(zone, one) == before);
    two_fits = (ngx_comms_time_zone_offset(zone, two) == after);

    if (one_fits && two_fits) {
        return ngx_min(one, two);
    }

    if (one_fits) {
        return one;
    }

    return two_fits ? two : ngx_max(one, two);
}


ngx_comms_time_zone_t *
ngx_comms_time_zone_read(ngx_str_t *bytes, ngx_log_t *log)
{
    u_char                   *p, *last;
    size_t                    width;
    ngx_str_t                 text;
    ngx_comms_time_zone_t    *zone;
    ngx_comms_tzif_header_t   header;

    p = bytes->data;
    last = p + bytes->len;
    width = 4;

    if (ngx_comms_tzif_header(p, last, width, &header) != NGX_OK) {
        return NULL;
    }

    if (header.version != '\0') {
        p += NGX_COMMS_TZIF_HEADER + header.size;
        width = 8;

        if (ngx_comms_tzif_header(p, last, width, &header) != NGX_OK) {
            return NULL;
        }
    }

    p += NGX_COMMS_TZIF_HEADER;

    zone = ngx_calloc(sizeof(ngx_comms_time_zone_t)
                      + header.times * 2 * sizeof(int64_t), log);
    if (zone == NULL) {
        return NULL;
    }

    zone->n = header.times;
    zone->at = (int64_t *) (zone + 1);
    zone->offsets = zone->at + zone->n;

    if (ngx_comms_tzif_block(zone, p, width, &header) != NGX_OK) {
        goto malformed;
    }

    if (width == 4) {
        return zone;
    }

    p += header.size;

    if (p == last || *p++ != LF) {
        goto malformed;
    }

    text.data = p;
    p = ngx_strlchr(p, last, LF);

    if (p == NULL) {
        goto malformed;
    }

    text.len = p - text.data;

    if (ngx_comms_time_zone_rule_read(&text, &zone->rule) != NGX_OK) {
        goto malformed;
    }

    return zone;

malformed:

    ngx_free(zone);

    return NULL;
}


/* RFC 8536, 3.1; "width": bytes of a time */

static ngx_int_t
ngx_comms_tzif_header(u_char *p, u_char *last, size_t width,
    ngx_comms_tzif_header_t *header)
{
    if (last - p < NGX_COMMS_TZIF_HEADER || ngx_strncmp(p, "TZif", 4) != 0) {
        return NGX_DECLINED;
    }

    header->version = p[4];
    header->utcs = (uint32_t) ngx_comms_tzif_number(p + 20, 4);
    header->standards = (uint32_t) ngx_comms_tzif_number(p + 24, 4);
    header->leaps = (uint32_t) ngx_comms_tzif_number(p + 28, 4);
    header->times = (uint32_t) ngx_comms_tzif_number(p + 32, 4);
    header->types = (uint32_t) ngx_comms_tzif_number(p + 36, 4);
    header->chars = (uint32_t) ngx_comms_tzif_number(p + 40, 4);

    if (header->times > NGX_COMMS_TZIF_MAX_TIMES
        || header->types == 0 || header->types > NGX_COMMS_TZIF_MAX_TYPES
        || header->chars > NGX_COMMS_TZIF_MAX_SIZE
        || header->leaps > NGX_COMMS_TZIF_MAX_SIZE
        || header->standards > NGX_COMMS_TZIF_MAX_TYPES
        || header->utcs > NGX_COMMS_TZIF_MAX_TYPES)
    {
        return NGX_DECLINED;
    }

    header->size = header->times * (width + 1) + header->types * 6
                   + header->chars + header->leaps * (width + 4)
                   + header->standards + header->utcs;

    return (size_t) (last - p) >= NGX_COMMS_TZIF_HEADER + header->size
           ? NGX_OK : NGX_DECLINED;
}


/* RFC 8536, 3.2 */

static ngx_int_t
ngx_comms_tzif_block(ngx_comms_time_zone_t *zone, u_char *p, size_t width,
    ngx_comms_tzif_header_t *header)
{
    size_t    i;
    u_char   *types, *kinds;
    int64_t   offset;

    kinds = p + header->times * width;
    types = kinds + header->times;

    for (i = 0; i < header->types; i++) {
        offset = ngx_comms_tzif_number(types + i * 6, 4);

        if (offset < -NGX_COMMS_TZIF_FARTHEST
            || offset > NGX_COMMS_TZIF_FARTHEST)
        {
            return NGX_DECLINED;
        }
    }

    zone->before = ngx_comms_tzif_number(types, 4);

    for (i = 0; i < header->times; i++) {
        zone->at[i] = ngx_comms_tzif_number(p + i * width, width);

        if (kinds[i] >= header->types
            || (i > 0 && zone->at[i] <= zone->at[i - 1]))
        {
            return NGX_DECLINED;
        }

        zone->offsets[i] = ngx_comms_tzif_number(types + kinds[i] * 6, 4);
    }

    return NGX_OK;
}


/* network byte order, two's complement */

static int64_t
ngx_comms_tzif_number(u_char *p, size_t width)
{
    size_t    i;
    uint64_t  n;

    n = (p[0] & 0x80) ? ~ (uint64_t) 0 : 0;

    for (i = 0; i < width; i++) {
        n = (n << 8) | p[i];
    }

    return (int64_t) n;
}
