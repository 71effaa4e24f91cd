# ngx_http_comms_module
#
#   make          builds the dynamic module into build/module
#   make deps     installs what is missing (Debian packages, npm packages)
#   make install  puts the module where load_module finds it
#   make demo     a real conversation, on this machine alone
#   make test     every test

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := module

TOP      := $(CURDIR)
BUILD    := $(TOP)/build
OBJS     := $(BUILD)/module
NGX_SRC  ?= /usr/share/nginx/src
NGINX    ?= /usr/sbin/nginx
MODULE   := $(OBJS)/ngx_http_comms_module.so
WARNINGS := -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
            -Wno-cast-function-type

SOURCES  := $(shell find src -name '*.c' | LC_ALL=C sort)
HEADERS  := $(shell find src -name '*.h' | LC_ALL=C sort)

.PHONY: module configure deps install demo test unit asan bench clean \
        nginx-source

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

clean:
	rm -rf $(BUILD)
