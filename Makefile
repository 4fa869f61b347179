# edgekeep: one graph, not recursive.  `make help` lists the targets.
#
#   SAN=1      address and undefined-behaviour sanitizers, into build-san/
#   CC=clang   the other compiler, into build-clang/
#   BUILD=DIR  any other place

VERSION	:= 0.1.0
DAEMONS	:= keyd certd identityd tpmd edged

# The link line is the permission (architecture.md 2, rule 3): which daemons a daemon may call, which further rooms of common/ it
# uses, which libraries it needs.
keyd_CALLS	:= tpmd
certd_CALLS	:= keyd
identityd_CALLS	:= keyd certd tpmd
tpmd_CALLS	:=
edged_CALLS	:= keyd certd identityd
ctl_CALLS	:= status keyd

certd_USES	:= provider/provider.o
identityd_USES	:= http/https_client.o
edged_USES	:= provider/provider.o

BASE_PKGS	:= libcrypto libmicrohttpd jansson libseccomp
keyd_PKGS	:= libp11
certd_PKGS	:= libp11
identityd_PKGS	:= libssl libcurl
tpmd_PKGS	:= tss2-esys tss2-sys tss2-mu tss2-tctildr
edged_PKGS	:=
ALL_PKGS	:= $(BASE_PKGS) libssl libcurl tss2-esys tss2-sys tss2-mu tss2-tctildr libp11 p11-kit-1

PREFIX	?= /usr
DESTDIR	?=
CC	:= $(if $(filter default,$(origin CC)),gcc,$(CC))
BUILD	?= build$(if $(SAN),-san)$(if $(findstring clang,$(CC)),-clang)
CLANG_FORMAT ?= clang-format

WARN	:= -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	   -Wwrite-strings -Wvla -Wformat=2 -Wno-format-nonliteral -Wno-format-truncation -Wno-missing-field-initializers $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option)
DEFS	:= -D_GNU_SOURCE -DEDGEKEEP_VERSION='"$(VERSION)"'
CFLAGS	?= -O2 -g
HARDEN	:= -fstack-protector-strong -fPIE -fno-plt -fcf-protection
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ifdef SAN
CFLAGS	:= -O1 -g -fno-omit-frame-pointer
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
DEFS	+= -DEDGEKEEP_INSTRUMENTED
else
DEFS	+= -D_FORTIFY_SOURCE=2
endif
PKG_CFLAGS := $(filter-out -pthread,$(shell pkg-config --cflags $(ALL_PKGS) 2>/dev/null))
COMPILE	= $(CC) -std=gnu17 $(WARN) $(CFLAGS) $(HARDEN) $(SANFLAGS) $(DEFS) -pthread -Icommon -I. $(PKG_CFLAGS) -MMD -MP
LINK	= $(CC) $(CFLAGS) $(HARDEN) $(SANFLAGS) $(LDHARDEN) $(LDFLAGS) -pthread
libs	= $(shell pkg-config --libs $(BASE_PKGS) $(1))
src	= $(sort $(wildcard $(1)))
obj	= $(patsubst %.c,$(BUILD)/%.o,$(1))

.PHONY: all check unit suite soak boot lint demo bench fuzz install clean help valgrind
.DELETE_ON_ERROR:
.SECONDARY:

all: $(DAEMONS:%=$(BUILD)/bin/%) $(BUILD)/bin/edgekeep $(BUILD)/bin/edgekeep-cloudsim $(BUILD)/lib/edgekeep.so $(BUILD)/lib/libaziot_keys.so own

help:
	@sed -n 's/^#: //p' Makefile

# --- common/: one archive; clients, provider and the HTTPS client are linked only where a daemon declares them
BUILTIN	:= $(filter-out %/module.c,$(call src,common/provider/*.c))
APART	:= $(call src,common/client/*.c) $(BUILTIN) $(wildcard common/http/https_client.c)
COMMON	:= $(filter-out $(APART) common/provider/%,$(call src,common/*/*.c))
$(BUILD)/libcommon.a: $(call obj,$(COMMON))
$(BUILD)/libapart.a: $(call obj,$(APART))

$(BUILD)/%.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

Q	:= $(if $(V),,@)

# --- daemons: main.o plus an archive of all else, so that tests link everything but main
define daemon
$(1)_SRC := $$(filter-out $(1)/main.c,$$(call src,$(1)/*.c))
$$(BUILD)/lib$(1).a: $$(call obj,$$($(1)_SRC))
$(1)_MAY := $$($(1)_CALLS:%=$$(BUILD)/common/client/%.o) $$(filter-out %/provider.o,$$(addprefix $$(BUILD)/common/,$$($(1)_USES))) \
	$$(if $$(filter provider/provider.o,$$($(1)_USES)),$$(call obj,$$(BUILTIN)))
$$(BUILD)/bin/$(1): $$(BUILD)/$(1)/main.o $$(BUILD)/lib$(1).a $$($(1)_MAY) $$(BUILD)/libcommon.a
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) -o $$@ $$^ $$(call libs,$$($(1)_PKGS))
	@echo "  $$@"
endef
$(foreach d,$(DAEMONS),$(eval $(call daemon,$(d))))

# --- edgekeep.so, the OpenSSL provider for every program (docs/provider.md): all that runs in processes that are not ours stands in
# this list, compiled apart; one symbol leaves it
MODULE_SRC := $(filter-out %/builtin.c,$(call src,common/provider/*.c)) common/client/keyd.c common/wire/keyd.c \
	$(addprefix common/http/,kept.c unix_client.c http.c) \
	$(addprefix common/data/,fields.c fields_write.c json.c key_uri.c uri.c) \
	$(addprefix common/base/,b64.c buf.c clock.c err.c mem.c)
MODULE_OBJ := $(patsubst %.c,$(BUILD)/pic/%.o,$(MODULE_SRC))
$(BUILD)/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(subst -fPIE,-fPIC -fvisibility=hidden -ffunction-sections,$(COMPILE)) -c -o $@ $<

$(BUILD)/lib/edgekeep.so: $(MODULE_OBJ) common/provider/module.map
	@mkdir -p $(@D)
	$(Q)$(subst -fPIE,-fPIC,$(subst -pie,-shared,$(LINK))) -Wl,-z,defs -Wl,--gc-sections -Wl,--version-script=common/provider/module.map \
		-o $@ $(MODULE_OBJ) $(shell pkg-config --libs libcrypto jansson)
	@echo "  $@"

# --- libaziot_keys.so: keyd's files and tokens behind the C interface of docs/key-backends.md, for programs that expect that library
ABI_SRC := $(filter-out keyd/file_kek.c keyd/file_convert.c,$(call src,keyd/abi/*.c keyd/file*.c keyd/pkcs11*.c keyd/wrap.c)) \
	$(addprefix keyd/,cache.c layout.c mech.c pair.c spares.c stores.c) \
	$(addprefix common/base/,b64.c buf.c clock.c err.c file.c log.c mem.c) $(addprefix common/data/,key_uri.c pattern.c pkcs11_uri.c uri.c) \
	$(call src,common/crypto/*.c) common/platform/pool.c
ABI_OBJ := $(patsubst %.c,$(BUILD)/pic/%.o,$(ABI_SRC))
$(BUILD)/lib/libaziot_keys.so: $(ABI_OBJ) keyd/abi/abi.map
	@mkdir -p $(@D)
	$(Q)$(subst -fPIE,-fPIC,$(subst -pie,-shared,$(LINK))) -Wl,-z,defs -Wl,--gc-sections -Wl,-soname,$(@F) \
		-Wl,--version-script=keyd/abi/abi.map -o $@ $(ABI_OBJ) $(shell pkg-config --libs libcrypto)
	@echo "  $@"

# --- the same interface from the other side: an OEM's sample, right and with each defect, and one that lies
OEM_DEFECTS := $(shell sed -n 's/^ \*   DEFECT_\([A-Z0-9_]*\) .*/\1/p' tests/oem/sample.c)
OEM	:= $(BUILD)/oem/sample.so $(BUILD)/oem/old.so $(BUILD)/oem/liar.so $(OEM_DEFECTS:%=$(BUILD)/oem/%.so)
OEM_HEADER := $(BUILD)/include/aziot-identity-service/aziot-keys.h
OEM_BUILD = $(CC) $(WARN) $(CFLAGS) $(SANFLAGS) -D_GNU_SOURCE -shared -fPIC -fvisibility=hidden -I$(dir $(OEM_HEADER)) -o $@ $< -lcrypto
$(OEM_HEADER): keyd/aziot_keys.h
	$(Q)install -D -m 0644 $< $@
$(BUILD)/oem/old.so: tests/oem/sample.c
$(BUILD)/oem/sample.so $(BUILD)/oem/old.so $(BUILD)/oem/liar.so: $(BUILD)/oem/%.so: tests/oem/%.c $(OEM_HEADER) Makefile
	@mkdir -p $(@D)
	$(Q)$(OEM_BUILD)
$(OEM_DEFECTS:%=$(BUILD)/oem/%.so): $(BUILD)/oem/%.so: tests/oem/sample.c $(OEM_HEADER) Makefile
	@mkdir -p $(@D)
	$(Q)$(OEM_BUILD) -DDEFECT_$*
$(BUILD)/tests/keyd/check_plugin: | $(BUILD)/oem/sample.so $(BUILD)/oem/liar.so $(BUILD)/lib/libaziot_keys.so
$(BUILD)/tests/keyd/check_abi: | $(BUILD)/lib/libaziot_keys.so

# --- one contract test for every backend
CONFORMANCE := $(BUILD)/conformance/backend-conformance
$(CONFORMANCE): $(call obj,$(call src,tests/conformance/*.c)) $(BUILD)/libkeyd.a $(keyd_MAY) $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(call libs,$(keyd_PKGS)) -ldl

#: make backend-conformance  BACKEND=file|pkcs11|tpm2-pkcs11|tpm|/path/to/library.so SET="NAME=VALUE...": one contract test for every key backend
.PHONY: backend-conformance
backend-conformance: $(CONFORMANCE) $(if $(filter tpm,$(BACKEND)),$(BUILD)/bin/tpmd)
	@BUILD=$(abspath $(BUILD)) BACKEND="$(BACKEND)" SET="$(SET)" OPTIONS="$(OPTIONS)" tests/conformance/run.sh

# --- the operator's program
$(BUILD)/libctl.a: $(call obj,$(filter-out ctl/main.c,$(call src,ctl/*.c)))
$(BUILD)/bin/edgekeep: $(BUILD)/ctl/main.o $(BUILD)/libctl.a $(ctl_CALLS:%=$(BUILD)/common/client/%.o) $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(call libs,)
	@echo "  $@"

# --- the simulated cloud
$(BUILD)/libcloudsim.a: $(call obj,$(filter-out %/main.c,$(call src,tests/peer/cloudsim/*.c)))
$(BUILD)/bin/edgekeep-cloudsim: $(BUILD)/tests/peer/cloudsim/main.o $(BUILD)/libcloudsim.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(call libs,libssl)
	@echo "  $@"

# --- tests: tests/x/check_foo.c tests x/foo.c.  A daemon's tests link its archive with tests/fake/ in place of client stubs.
UNIT_SRC := $(call src,tests/common/*/check_*.c) $(foreach d,$(DAEMONS) ctl,$(call src,tests/$(d)/check_*.c)) \
	$(call src,tests/peer/*/check_*.c)
UNIT	:= $(patsubst tests/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
SUPPORT	:= $(BUILD)/libsupport.a
$(SUPPORT): $(call obj,$(call src,tests/support/*.c))
check_libs = $(shell pkg-config --libs check) $(call libs,$(ALL_PKGS))

$(BUILD)/tests/common/%: $(BUILD)/tests/common/%.o $(SUPPORT) $(BUILD)/libapart.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(SUPPORT) $(BUILD)/libapart.a $(BUILD)/libcommon.a $(check_libs)

# the provider is tested over a keyd of memory, which the linker meets before the real calls in the archive
$(BUILD)/tests/common/provider/%: $(BUILD)/tests/common/provider/%.o $(BUILD)/tests/fake/keyd.o $(SUPPORT) $(BUILD)/libapart.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(check_libs)

$(BUILD)/tests/peer/cloudsim/%: $(BUILD)/tests/peer/cloudsim/%.o $(SUPPORT) $(BUILD)/libcloudsim.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(check_libs)

# every client stub that a daemon may call, or its fake where tests/fake has one
fakes = $(foreach c,$(1),$(if $(wildcard tests/fake/$(c).c),$(BUILD)/tests/fake/$(c).o,$(BUILD)/common/client/$(c).o))
faked = $(foreach o,$(1),$(if $(wildcard tests/fake/$(notdir $(o:.o=.c))),$(BUILD)/tests/fake/$(notdir $(o)),$(o)))
define daemon_check
$(1)_TEST_MAY := $$(call fakes,$$($(1)_CALLS)) $$(call faked,$$(filter-out %/client/%,$$($(1)_MAY)))
$$(BUILD)/tests/$(1)/%: $$(BUILD)/tests/$(1)/%.o $$(BUILD)/lib$(1).a $$($(1)_TEST_MAY) $$(SUPPORT) $$(BUILD)/libcommon.a
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) -o $$@ $$^ $$(check_libs)
endef
$(foreach d,$(DAEMONS) ctl,$(eval $(call daemon_check,$(d))))

#: make all       every program, into build/bin
#: make check     lint, unit tests and suite; installs what they miss
#: make unit      unit tests
#: make suite     real daemons against real peers (root for the full set)
#: make lint      layers, format, forbidden words
#: make demo      the main job, end to end (sudo)
#: make bench     speed and size, as ratios against limits and peers
#: make fuzz      fuzz the parsers; FUZZ_SECONDS= FUZZ=
#: make soak      what takes minutes: 10,000 TLS handshakes a key of keyd
#: make boot      the units under a real systemd, as an operator has them (sudo)
#: make valgrind  unit tests and every route under valgrind
#: make install   DESTDIR= PREFIX=
check:
	@packaging/deps.sh build test || [ "$$(id -u)" -ne 0 ]
	@$(MAKE) -s lint
	@$(MAKE) -s -j$(shell nproc) all tests
	@$(MAKE) -s unit suite

unit: $(UNIT)
	@tests/run.sh $(UNIT)

# One-process unit tests, and every daemon with one request to each of its routes.
MEMCHECK := valgrind -q --vgdb=no --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
valgrind: all tests
	@WRAP="$(MEMCHECK)" CK_FORK=no CK_TIMEOUT_MULTIPLIER=20 tests/run.sh $(UNIT)
	@BUILD=$(abspath $(BUILD)) MEMCHECK="$(MEMCHECK)" tests/run.sh tests/suite/test_valgrind.sh

# the longest first, so that others run beside it
LONGEST	:= tests/suite/test_identityd_faults.sh
SUITE	:= $(LONGEST) $(filter-out %/test_valgrind.sh $(LONGEST),$(call src,tests/suite/test_*.sh))
# scripts wait more than they compute, so one more than processors runs at once
suite: all $(BUILD)/suite-tools $(BUILD)/demo/edgekeep-demo $(CONFORMANCE) $(OEM)
	@BUILD=$(abspath $(BUILD)) JOBS=$${JOBS:-$$(($(shell nproc) + 1))} tests/run.sh $(SUITE)

soak: all $(BUILD)/suite-tools
	@BUILD=$(abspath $(BUILD)) HANDSHAKES=10000 SOAK=1 tests/suite/test_provider.sh

boot:
	@packaging/deps.sh build boot
	@$(MAKE) -s -j$(shell nproc) all
	@BUILD=$(abspath $(BUILD)) tests/boot/run.sh

# everything that the tests run, built and not run
.PHONY: tests
tests: $(UNIT) $(BUILD)/suite-tools $(BUILD)/demo/edgekeep-demo $(CONFORMANCE) $(OEM)

# helpers of the suite: one file, one program
TOOLS	:= $(patsubst tests/suite/%.c,$(BUILD)/suite/%,$(call src,tests/suite/*.c))
.PHONY: $(BUILD)/suite-tools
$(BUILD)/suite-tools: $(TOOLS) $(BUILD)/suite/shim_pkcs11.so

# a token's library with faults that a file names
$(BUILD)/suite/shim_pkcs11.so: tests/suite/shim/pkcs11.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARN) -O1 -g -fPIC -shared -D_GNU_SOURCE $(shell pkg-config --cflags p11-kit-1) -o $@ $< -ldl
$(BUILD)/suite/%: $(BUILD)/tests/suite/%.o $(BUILD)/libapart.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(call libs,$(ALL_PKGS))

$(BUILD)/tests/keyd/check_pkcs11: | $(BUILD)/suite/shim_pkcs11.so

# the demo's container program
$(BUILD)/demo/edgekeep-demo: $(call obj,$(call src,tests/demo/*.c)) $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(shell pkg-config --libs libssl libcrypto jansson)

lint:
	@CLANG_FORMAT="$(CLANG_FORMAT)" tests/lint.sh

#: make format    let clang-format have its way
.PHONY: format
format:
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs $(CLANG_FORMAT) -i

demo:
	@packaging/deps.sh build demo
	@$(MAKE) -s -j$(shell nproc) all $(BUILD)/demo/edgekeep-demo
	@BUILD=$(abspath $(BUILD)) tests/demo/run.sh

bench: all $(BUILD)/suite-tools $(BUILD)/demo/edgekeep-demo
	@$(MAKE) -s -f tests/bench/bench.mk BUILD=$(BUILD)

fuzz:
	@$(MAKE) -s -f tests/fuzz/fuzz.mk

install: all
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" BUILD=$(BUILD) packaging/install.sh

# sudo make leaves a tree that its owner can build in
.PHONY: own
own: $(DAEMONS:%=$(BUILD)/bin/%) $(BUILD)/bin/edgekeep $(BUILD)/bin/edgekeep-cloudsim $(BUILD)/lib/edgekeep.so $(BUILD)/lib/libaziot_keys.so
	@if [ -n "$$SUDO_UID" ]; then chown -R "$$SUDO_UID:$$SUDO_GID" $(BUILD); fi

clean:
	rm -rf build build-san build-clang build-san-clang build-fuzz

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
