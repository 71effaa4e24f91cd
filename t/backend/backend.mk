# Copyright (C) the ngx_http_comms_module authors
#
# The behaviour suite of the backends of store and bus.
#
#   make -f t/backend/backend.mk check      builds what is missing, runs it
#
# The module under test must have been built (make).  It is driven through a
# second, test-only module, because store and bus have no interface of their
# own to the outside.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:

TOP      := $(CURDIR)
OBJS     := $(TOP)/build/backend-test
NGX_SRC  ?= /usr/share/nginx/src
NODE     ?= node
MODULE   := $(OBJS)/ngx_http_comms_backend_test_module.so
WARNINGS := -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
            -Wno-cast-function-type

.PHONY: check module

module: $(MODULE)

check: $(MODULE)
	@$(NODE) --test t/backend/behaviours.mjs

$(OBJS)/Makefile: t/backend/config
	@mkdir -p $(OBJS)
	@cd $(NGX_SRC) && . ./conf_flags && bash ./configure \
	    --with-cc-opt='-g -O2 -fPIC -D_FORTIFY_SOURCE=2 $(WARNINGS)' \
	    --with-ld-opt='-fPIC -Wl,-z,relro' \
	    "$${NGX_CONF_FLAGS[@]}" --builddir=$(OBJS) \
	    --add-dynamic-module=$(TOP)/t/backend > $(OBJS)/configure.log \
	    || { tail -n 5 $(OBJS)/configure.log >&2; exit 1; }

$(MODULE): $(OBJS)/Makefile t/backend/ngx_http_comms_backend_test_module.c \
           $(shell find src -name '*.h')
	@$(MAKE) -s -f $(OBJS)/Makefile -C $(NGX_SRC) modules
