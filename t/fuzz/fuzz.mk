# Copyright (C) the ngx_http_comms_module authors
#
# Fuzzing: libFuzzer against everything that bytes from outside reach first.
#
#   make -f t/fuzz/fuzz.mk fuzz                     each target FUZZ_SECONDS
#   make -f t/fuzz/fuzz.mk fuzz TARGETS=json FUZZ_SECONDS=600
#   build/fuzz/json build/fuzz/crash-...            one input again
#
# A target is t/fuzz/fuzz_<name>.c; its seeds are t/fuzz/corpus/<name>/.  What
# a run finds goes to build/fuzz/found/<name>/, and a crash stays beside it.
#
# nginx's core comes from the sanitized unit tests: built with
# NGX_DEBUG_PALLOC, so that each piece of a pool is an allocation of its own
# and an overflow of it is seen.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := fuzz
.DELETE_ON_ERROR:

TOP          := $(CURDIR)
FUZZ_SECONDS ?= 30
UNIT         := $(TOP)/build/unit-asan
LIBNGINX     ?= $(UNIT)/libnginx.a
FUZZ_OUT     ?= $(TOP)/build/fuzz
CLANG        ?= clang
TARGETS      ?= $(sort $(patsubst t/fuzz/fuzz_%.c,%,$(wildcard \
                    t/fuzz/fuzz_*.c)))

SOURCES  := $(sort $(wildcard src/base/ngx_comms_*.c) \
                $(wildcard src/channel/ngx_comms_*.c)) \
            t/fuzz/fuzz.c t/unit/nginx_env.c
OBJECTS  := $(SOURCES:%.c=$(FUZZ_OUT)/%.o)
LIBS     := jansson libcrypto gmime-3.0 cmocka

SANITIZE := -fsanitize=address,undefined \
            -fno-sanitize=function,alignment,nonnull-attribute,pointer-overflow \
            -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CPPFLAGS := -I$(TOP)/src -I$(TOP)/t/unit -I$(TOP)/t/fuzz \
            -isystem $(TOP)/build/nginx-src/src/core \
            -isystem $(TOP)/build/nginx-src/src/event \
            -isystem $(TOP)/build/nginx-src/src/event/modules \
            -isystem $(TOP)/build/nginx-src/src/os/unix \
            -isystem $(UNIT)/nginx -DNGX_DEBUG_PALLOC=1 \
            $(shell pkg-config --cflags $(LIBS))
CFLAGS   := -pipe -O1 -g -Wall -Wextra -Wno-unused-parameter \
            -Wno-missing-field-initializers -Werror $(SANITIZE)
LDLIBS   := $(shell pkg-config --libs $(LIBS)) -lssl -lcrypt -lpthread -ldl

.PHONY: fuzz build

fuzz: build
	@failed=0; \
	for t in $(TARGETS); do \
	    mkdir -p $(FUZZ_OUT)/found/$$t; \
	    $(FUZZ_OUT)/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	        -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
	        -verbosity=0 -artifact_prefix=$(FUZZ_OUT)/$$t- \
	        $(FUZZ_OUT)/found/$$t t/fuzz/corpus/$$t \
	        > $(FUZZ_OUT)/$$t.log 2>&1 \
	        || { failed=$$((failed + 1)); tail -n 40 $(FUZZ_OUT)/$$t.log; }; \
	    runs=$$(sed -n 's/^stat::number_of_executed_units: *//p' \
	        $(FUZZ_OUT)/$$t.log); \
	    echo "# fuzz $$t: $${runs:-no} runs in $(FUZZ_SECONDS) s"; \
	done; \
	echo "# fuzz: $(words $(TARGETS)) targets, $$failed failed"; \
	[ $$failed = 0 ]

build: $(TARGETS:%=$(FUZZ_OUT)/%)

$(UNIT)/libnginx.a:
	@$(MAKE) -s -f t/unit/unit.mk CC=$(CLANG) SANITIZE=1 $@

$(FUZZ_OUT)/%.o: %.c $(LIBNGINX)
	@mkdir -p $(@D)
	@$(CLANG) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP \
	    -c -o $@ $<

.PRECIOUS: $(FUZZ_OUT)/%.o

$(FUZZ_OUT)/%: $(FUZZ_OUT)/t/fuzz/fuzz_%.o $(OBJECTS)
	@$(CLANG) $(SANITIZE) -fsanitize=fuzzer -o $@ $^ $(LIBNGINX) $(LDLIBS)

-include $(OBJECTS:.o=.d) $(TARGETS:%=$(FUZZ_OUT)/t/fuzz/fuzz_%.d)
