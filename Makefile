# ngx_http_comms_module
#
#   make          builds the dynamic module into build/module
#   make deps     installs what is missing (Debian packages, npm packages)
#   make install  puts the module where load_module finds it
#   make demo     a real conversation, on this machine alone
#   make test     every test
#   make asan     the tests with AddressSanitizer and UBSan
#   make analyze  cppcheck and gcc's analyzer
#   make bench    figures, as ratios measured in one run

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := module

TOP      := $(CURDIR)
BUILD    := $(TOP)/build
OBJS     := $(BUILD)/module
NGX_SRC  ?= /usr/share/nginx/src
# not "NGINX": nginx takes a variable of that name for inherited sockets
NGINX_BIN ?= /usr/sbin/nginx
MODULE   := $(OBJS)/ngx_http_comms_module.so
WARNINGS := -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
            -Wno-cast-function-type

SOURCES  := $(shell find src -name '*.c' | LC_ALL=C sort)
HEADERS  := $(shell find src -name '*.h' | LC_ALL=C sort)

.PHONY: module configure deps install demo test unit asan bench clean \
        nginx-source backend-module

module: $(MODULE)

configure: $(OBJS)/Makefile

# configure runs again when a file joins or leaves, or config changes
$(BUILD)/sources.list: FORCE
	@mkdir -p $(BUILD)
	@echo '$(SOURCES) $(HEADERS)' | cmp -s - $@ \
	    || echo '$(SOURCES) $(HEADERS)' > $@

FORCE:

$(OBJS)/Makefile: config $(BUILD)/sources.list
	@mkdir -p $(OBJS)
	@[ -f $(NGX_SRC)/configure ] || { \
	    echo "no nginx headers in $(NGX_SRC): run 'make deps'" >&2; exit 1; }
	@cd $(NGX_SRC) && . ./conf_flags && bash ./configure \
	    --with-cc-opt='-g -O2 -fPIC -D_FORTIFY_SOURCE=2 $(WARNINGS)' \
	    --with-ld-opt='-fPIC -Wl,-z,relro -Wl,-z,now' \
	    "$${NGX_CONF_FLAGS[@]}" --builddir=$(OBJS) \
	    --add-dynamic-module=$(TOP) > $(OBJS)/configure.log \
	    || { tail -n 5 $(OBJS)/configure.log >&2; exit 1; }

$(MODULE): $(OBJS)/Makefile $(SOURCES) $(HEADERS)
	@$(MAKE) -s -f $(OBJS)/Makefile -C $(NGX_SRC) modules


# deps ------------------------------------------------------------------------

deps:
	@util/deps test

# where Debian's nginx looks for "load_module modules/..."
MODULES_DIR ?= /usr/lib/nginx/modules

install: $(MODULE)
	install -d $(DESTDIR)$(MODULES_DIR)
	install -m 644 $(MODULE) $(DESTDIR)$(MODULES_DIR)/
	@echo "now: load_module modules/ngx_http_comms_module.so;"

demo:
	@util/deps demo
	@$(MAKE) -s module
	@COMMS_MODULE=$(MODULE) NGINX_BINARY=$(NGINX_BIN) util/node demo/demo.mjs $(DEMO)

# tests -----------------------------------------------------------------------

# Which nginx and which modules the suites run; "make asan" names its own.
BACKEND_TEST := $(BUILD)/backend-test/ngx_http_comms_backend_test_module.so
TEST_ENV = NGINX_BINARY=$(NGINX_BIN) TEST_NGINX_BINARY=$(NGINX_BIN) \
           COMMS_MODULE=$(MODULE) TEST_NGINX_LOAD_MODULES=$(MODULE) \
           COMMS_BACKEND_TEST=$(BACKEND_TEST)

.PHONY: check-style check-unit check-nginx check-backend check-e2e \
        check-aws check-contract check-conf check-all

test:
	@util/deps test
	@$(MAKE) -s module backend-module
	@$(MAKE) -s check-all

check-all: check-style check-unit check-conf check-nginx check-backend \
           check-e2e check-aws check-contract
	@echo "make test: everything passed"

check-style:
	@echo "== style and includes"
	@util/style-check
	@util/include-check

unit check-unit:
	@echo "== unit"
	@$(MAKE) -s -f t/unit/unit.mk check
	@util/node --test t/corpus/outgoing.test.mjs

check-conf:
	@echo "== conf/"
	@$(TEST_ENV) util/conf-check

check-nginx:
	@echo "== Test::Nginx"
	@$(TEST_ENV) util/prove $(T)

BACKENDS := embedded,dynamodb_single,dynamodb_per_channel

check-backend:
	@echo "== behaviour of store and bus, on each backend"
	@$(TEST_ENV) COMMS_BACKENDS=$(BACKENDS) util/node --test --test-concurrency=1 \
	    t/backend/behaviours.mjs

check-e2e:
	@echo "== scenarios"
	@$(TEST_ENV) util/node --test --test-concurrency=1 \
	    t/standins/*.test.mjs t/e2e/*.test.mjs

AWS_TESTS = $(filter-out %/aws.test.mjs $(NODES_TESTS),$(wildcard \
                t/aws/*.test.mjs))
NODES_TESTS = t/aws/faults.test.mjs $(wildcard t/aws/nodes.*.test.mjs)

check-aws:
	@echo "== AWS: signer, client, bus, one node"
	@$(MAKE) -s -f t/aws/aws.mk check
	@$(TEST_ENV) util/node --test --test-concurrency=1 $(AWS_TESTS)

# two machines that pause and die, and faults of the services; some minutes
.PHONY: check-nodes
check-nodes:
	@util/deps test
	@$(MAKE) -s module
	@echo "== AWS: two nodes, faults"
	@$(TEST_ENV) util/node --test --test-concurrency=2 \
	    $(NODES_TESTS)

check-contract:
	@echo "== contract"
	@$(TEST_ENV) util/node --test --test-concurrency=1 \
	    t/contract/*.test.mjs

# the module with a location that drives store and bus, for tests alone
backend-module:
	@$(MAKE) -s -f t/backend/backend.mk module

# sanitizers ------------------------------------------------------------------

# nginx and the module with AddressSanitizer and UBSan, and the whole suite
# run by them.  NGX_DEBUG_PALLOC makes each pool allocation one of its own, so
# that overflows inside pools show.
ASAN      := $(BUILD)/asan
SANITIZE  := -fsanitize=address,undefined \
  -fno-sanitize=function,alignment,nonnull-attribute,pointer-overflow \
  -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1 \
  -fsanitize-ignorelist=$(TOP)/util/asan.ignore
ASAN_WARNINGS := -Wall -Wextra -Wno-unused-parameter \
  -Wno-missing-field-initializers -Wno-sign-compare

nginx-source:
	@util/nginx-source

$(ASAN)/Makefile: config $(BUILD)/sources.list | nginx-source
	@mkdir -p $(ASAN)
	@cd $(BUILD)/nginx-src && bash ./configure --builddir=$(ASAN) \
	    --with-cc=clang --with-cc-opt='-O1 -g $(SANITIZE)' \
	    --with-ld-opt='$(SANITIZE) -Wl,-E' --prefix=$(ASAN)/prefix \
	    --with-debug --with-threads --with-http_ssl_module \
	    --with-http_v2_module --with-http_realip_module \
	    --with-http_stub_status_module --with-compat \
	    --add-dynamic-module=$(TOP) --add-dynamic-module=$(TOP)/t/backend \
	    > $(ASAN)/configure.log \
	    || { tail -n 5 $(ASAN)/configure.log >&2; exit 1; }

.PHONY: asan-build
asan-build: $(ASAN)/Makefile
	@echo "building nginx and the module with sanitizers"
	@$(MAKE) -s -j2 -f $(ASAN)/Makefile -C $(BUILD)/nginx-src \
	    binary modules > $(ASAN)/make.log 2>&1 \
	    || { tail -n 20 $(ASAN)/make.log >&2; exit 1; }

asan:
	@util/deps test
	@$(MAKE) -s asan-build
	@$(MAKE) -s -f t/unit/unit.mk check CC=clang SANITIZE=1
	@rm -rf $(ASAN)/reports && mkdir -p -m 1777 $(ASAN)/reports
	@export ASAN_OPTIONS=detect_odr_violation=0:log_path=$(ASAN)/reports/asan \
	    UBSAN_OPTIONS=print_stacktrace=1:log_path=$(ASAN)/reports/ubsan \
	    LSAN_OPTIONS=suppressions=$(TOP)/util/lsan.supp:print_suppressions=0 \
	    COMMS_SLOW=1; \
	  $(MAKE) -s check-nginx check-backend check-e2e \
	    NGINX_BIN=$(ASAN)/nginx MODULE=$(ASAN)/ngx_http_comms_module.so \
	    BACKEND_TEST=$(ASAN)/ngx_http_comms_backend_test_module.so
	@util/sanitizer-reports $(ASAN)/reports

# the module linked into nginx, as --add-module does
.PHONY: check-static
STATIC := $(BUILD)/static
check-static: | nginx-source
	@echo "== the module linked into nginx"
	@mkdir -p $(STATIC)
	@cd $(BUILD)/nginx-src && bash ./configure --builddir=$(STATIC) \
	    --with-cc-opt='-O1 $(WARNINGS)' --with-threads \
	    --with-http_ssl_module --add-module=$(TOP) \
	    > $(STATIC)/configure.log \
	    || { tail -n 5 $(STATIC)/configure.log >&2; exit 1; }
	@$(MAKE) -s -j2 -f $(STATIC)/Makefile -C $(BUILD)/nginx-src binary \
	    > $(STATIC)/make.log 2>&1 \
	    || { tail -n 20 $(STATIC)/make.log >&2; exit 1; }
	@COMMS_MODULE= NGINX_BINARY=$(STATIC)/nginx util/node demo/demo.mjs \
	    --once | tail -n 2

# static analysis -------------------------------------------------------------

.PHONY: analyze
analyze: $(OBJS)/Makefile
	@util/analyze

bench:
	@util/deps bench
	@$(MAKE) -s module
	@$(TEST_ENV) util/node bench/bench.mjs $(BENCH)

clean:
	rm -rf $(BUILD)
