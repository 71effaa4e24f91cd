# Copyright (C) the ngx_http_comms_module authors
#
# Unit tests: cmocka, nginx's own objects, no nginx process.
#
#   make -f t/unit/unit.mk check                        all of them
#   make -f t/unit/unit.mk check CC=clang SANITIZE=1    with ASan and UBSan
#   make -f t/unit/unit.mk check ROOMS='base channel'   of these rooms alone
#   make -f t/unit/unit.mk check TESTS=base_json        of this file alone
#
# ROOMS also says which rooms are compiled: name those that a test needs, too.
# LIMIT is how many seconds one program may take.
#
# How it is built: nginx is built once, out of its source tree, and all of its
# objects become one archive in which main() is called ngx_main().  Every
# src/<room>/ngx_comms_*.c (the files that need no ngx_http.h) of the rooms
# goes into a second archive.  A test links both and takes what it uses.
#
# To add a test: write t/unit/test_<room>_<what>.c that includes
# "nginx_env.h" first, runs its group with unit_setup, and returns
# the result of cmocka_run_group_tests() from main().  Nothing is registered
# anywhere.  A test that wants a fresh pool uses pool_test(name), which hands
# the pool over as *state.  See test_base_id.c for a short one.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:

TOP      := $(CURDIR)
SANITIZE ?=
LIMIT    ?= 120
VARIANT  := $(if $(SANITIZE),unit-asan,unit)
OUT      := $(TOP)/build/$(VARIANT)
TREE     := $(TOP)/build/nginx-src
NGX      := $(OUT)/nginx
LIBS     := libcurl jansson sqlite3 libcrypto gmime-3.0 cmocka

ROOMS    ?= $(sort $(foreach f,$(wildcard src/*/ngx_comms_*.c),$(notdir \
                $(patsubst %/,%,$(dir $(f))))))
SOURCES  := $(foreach room,$(ROOMS),$(sort $(wildcard \
                src/$(room)/ngx_comms_*.c)))
TESTS    ?= $(foreach room,$(ROOMS),$(patsubst t/unit/test_%.c,%,$(sort \
                $(wildcard t/unit/test_$(room)_*.c))))

OBJECTS  := $(SOURCES:%.c=$(OUT)/%.o)
BINARIES := $(TESTS:%=$(OUT)/test_%)

ifneq ($(SANITIZE),)
SANFLAGS := -fsanitize=address,undefined \
            -fno-sanitize=function,alignment \
            -fno-sanitize=nonnull-attribute,pointer-overflow \
            -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
            -DNGX_DEBUG_PALLOC=1
endif

WARNINGS := -Wall -Wextra -Wpointer-arith -Wno-unused-parameter \
            -Wno-missing-field-initializers -Wno-cast-function-type -Werror

CPPFLAGS := -I$(TOP)/src -I$(TOP)/t/unit -isystem $(TREE)/src/core \
            -isystem $(TREE)/src/event -isystem $(TREE)/src/event/modules \
            -isystem $(TREE)/src/os/unix -isystem $(NGX) \
            $(shell pkg-config --cflags $(LIBS))
CFLAGS   := -pipe -O1 -g $(WARNINGS) $(SANFLAGS)
LDLIBS   := $(shell pkg-config --libs $(LIBS)) -lssl -lcrypt -lpthread -ldl

.PHONY: check build

# every test runs, also behind one that fails or hangs
check: build
	@failed=0; \
	for t in $(BINARIES); do \
	    echo "# $${t##*/}"; \
	    UBSAN_OPTIONS=print_stacktrace=1 timeout -k 5 $(LIMIT) $$t \
	        || failed=$$((failed + 1)); \
	done; \
	echo "# unit tests: $(words $(BINARIES)) programs, $$failed failed"; \
	[ $$failed = 0 ]

build: $(BINARIES)

$(TREE)/configure:
	@util/nginx-source

# modules that need PCRE or zlib, or that no unit test can use, stay out
$(NGX)/Makefile: $(TREE)/configure
	@mkdir -p $(NGX)
	@cd $(TREE) && bash ./configure --builddir=$(NGX) --with-cc=$(CC) \
	    --with-cc-opt='-O1 -g $(SANFLAGS)' --with-ld-opt='$(SANFLAGS)' \
	    --with-threads --with-debug --with-http_ssl_module --without-pcre \
	    --without-http_rewrite_module --without-http_gzip_module \
	    --without-http_charset_module --without-http_ssi_module \
	    --without-http_userid_module --without-http_auth_basic_module \
	    --without-http_mirror_module --without-http_autoindex_module \
	    --without-http_geo_module --without-http_split_clients_module \
	    --without-http_fastcgi_module --without-http_uwsgi_module \
	    --without-http_scgi_module --without-http_grpc_module \
	    --without-http_memcached_module --without-http_empty_gif_module \
	    --without-http_browser_module --without-http-cache \
	    > $(NGX)/configure.log \
	    || { tail -n 5 $(NGX)/configure.log >&2; rm -f $@; exit 1; }
	@echo "building nginx for unit tests in build/$(VARIANT)/nginx"

$(OUT)/libnginx.a: $(NGX)/Makefile
	@$(MAKE) -s -C $(TREE) -f $(NGX)/Makefile binary > $(NGX)/make.log
	@objcopy --redefine-sym main=ngx_main $(NGX)/src/core/nginx.o \
	    $(OUT)/nginx_main.o
	@rm -f $@
	@ar rcs $@ $(OUT)/nginx_main.o $(NGX)/ngx_modules.o \
	    $$(find $(NGX)/src -name '*.o' ! -path '*/core/nginx.o')

$(OUT)/libcomms.a: $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/%.o: %.c $(OUT)/libnginx.a
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

.PRECIOUS: $(OUT)/%.o

$(OUT)/test_%: $(OUT)/t/unit/test_%.o $(OUT)/t/unit/nginx_env.o \
        $(OUT)/libcomms.a
	@$(CC) $(SANFLAGS) -o $@ $(filter %.o,$^) $(OUT)/libcomms.a \
	    $(OUT)/libnginx.a $(LDLIBS)

-include $(OBJECTS:.o=.d) $(TESTS:%=$(OUT)/t/unit/test_%.d) \
    $(OUT)/t/unit/nginx_env.d
