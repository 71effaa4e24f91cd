# Copyright (C) the ngx_http_comms_module authors
#
# The tests of src/aws that need nginx, Python's botocore or engines.
#
#   make -f t/aws/aws.mk check     all of them
#   make -f t/aws/aws.mk signer    the signer against botocore
#   make -f t/aws/aws.mk calls     calls of each service, credentials, faults
#   make -f t/aws/aws.mk check SANITIZE=1
#                                  by nginx and a module with sanitizers;
#                                  "make asan-build" made that nginx

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:

TOP      := $(CURDIR)
SANITIZE ?=
PYTHON   ?= /usr/bin/python3
NODE     ?= util/node
UNIT     := $(TOP)/build/unit
LIBS     := libcurl jansson sqlite3 libcrypto gmime-3.0 cmocka
WARNINGS := -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
            -Wno-cast-function-type

ifneq ($(SANITIZE),)
OBJS     := $(TOP)/build/aws-test-asan
NGX_SRC  := $(TOP)/build/nginx-src
NGINX    := $(OBJS)/nginx
FLAGS    := -fsanitize=address,undefined \
            -fno-sanitize=function,alignment,nonnull-attribute \
            -fno-sanitize=pointer-overflow -fno-omit-frame-pointer \
            -DNGX_DEBUG_PALLOC=1
else
OBJS     := $(TOP)/build/aws-test
NGX_SRC  ?= /usr/share/nginx/src
NGINX    ?= /usr/sbin/nginx
endif

MODULE   := $(OBJS)/ngx_http_comms_aws_test_module.so

.PHONY: check signer calls module

check: signer calls

signer: $(UNIT)/aws_sign_print
	@$(PYTHON) t/aws/sign_botocore.py $<

$(UNIT)/aws_sign_print: t/aws/sign_print.c src/aws/ngx_comms_aws_sign.c
	@$(MAKE) -s -f t/unit/unit.mk build TESTS=aws_sign
	@$(CC) -O1 -g -Isrc -It/unit \
	    $(foreach d,core event event/modules os/unix,-isystem \
	      build/nginx-src/src/$(d)) -isystem $(UNIT)/nginx \
	    $(shell pkg-config --cflags $(LIBS)) -o $@ $< t/unit/nginx_env.c \
	    $(UNIT)/libcomms.a $(UNIT)/libnginx.a \
	    $(shell pkg-config --libs $(LIBS)) -lssl -lcrypt -lpthread -ldl

module: $(MODULE)

calls: $(MODULE) t/aws/node_modules
	@NGINX_BINARY=$(NGINX) COMMS_AWS_MODULE=$(MODULE) $(NODE) --test \
	    --test-concurrency=1 t/aws/aws.test.mjs

t/aws/node_modules:
	@cd t/aws && npm ci --no-audit --no-fund --silent

$(OBJS)/Makefile: t/aws/config $(wildcard src/aws/*.c)
	@mkdir -p $(OBJS)
ifneq ($(SANITIZE),)
	@cd $(NGX_SRC) && bash ./configure --builddir=$(OBJS) \
	    --with-cc=clang --with-cc-opt='-O1 -g $(FLAGS) $(WARNINGS)' \
	    --with-ld-opt='$(FLAGS) -Wl,-E' --prefix=$(OBJS)/prefix \
	    --with-debug --with-threads --with-http_ssl_module --with-compat \
	    --add-dynamic-module=$(TOP)/t/aws > $(OBJS)/configure.log
else
	@cd $(NGX_SRC) && . ./conf_flags && bash ./configure \
	    --with-cc-opt='-g -O2 -fPIC -D_FORTIFY_SOURCE=2 $(WARNINGS)' \
	    --with-ld-opt='-fPIC -Wl,-z,relro' \
	    "$${NGX_CONF_FLAGS[@]}" --builddir=$(OBJS) \
	    --add-dynamic-module=$(TOP)/t/aws > $(OBJS)/configure.log
endif

$(MODULE): $(OBJS)/Makefile t/aws/ngx_http_comms_aws_test_module.c \
           $(shell find src/base src/guard src/curl src/aws -name '*.[ch]')
	@$(MAKE) -s -j2 -f $(OBJS)/Makefile -C $(NGX_SRC) \
	    $(if $(SANITIZE),binary) modules
