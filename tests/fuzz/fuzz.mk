# make fuzz: every fuzz_NAME.c here is a target; each runs for FUZZ_SECONDS from the seeds below tests/data.
#
#   FUZZ_SECONDS=30   how long each target runs
#   FUZZ="toml uri"   only these
#
# A target needs nothing but its file.  fuzz_NAME_SEEDS names a directory of seeds, fuzz_NAME_SRC what it uses beyond common/,
# fuzz_NAME_FLAGS options of libFuzzer.  What a run finds worth keeping stays in build-fuzz/corpus/NAME; an input that breaks
# something is build-fuzz/NAME-*, and build-fuzz/fuzz_NAME FILE tries it again.

FUZZ_SECONDS ?= 30
FUZZ	?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
OUT	:= build-fuzz

fuzz_b64_SEEDS	  := tests/data/b64
fuzz_fields_SEEDS := tests/data/json
fuzz_fields_SRC	  := tests/support/message.c tests/support/plain.c
fuzz_tpm_SEEDS	  := tests/data/tpm
fuzz_tpm_SRC	  := tpmd/blob.c tpmd/wrapped.c keyd/tpm_pem.c keyd/tpm_public.c
fuzz_toml_SEEDS	  := tests/data/toml/valid
fuzz_uri_SEEDS	  := tests/data/uri
fuzz_worker_proto_SEEDS := tests/data/worker_proto
fuzz_worker_proto_SRC := keyd/worker_proto.c

CLANG	?= clang
PKGS	:= libcrypto libssl libmicrohttpd jansson libseccomp libcurl tss2-esys tss2-mu tss2-tctildr
COMPILE	:= -std=gnu17 -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	   -fno-sanitize-recover=undefined -D_GNU_SOURCE -DEDGEKEEP_VERSION='"fuzz"' -DEDGEKEEP_INSTRUMENTED \
	   -pthread -Icommon -I. $(filter-out -pthread,$(shell pkg-config --cflags $(PKGS)))
COMMON	:= $(filter-out common/client/% common/provider/% common/http/https_client.c,$(wildcard common/*/*.c))
obj	= $(patsubst %.c,$(OUT)/%.o,$(1))

.PHONY: all
.SECONDARY:
.SECONDEXPANSION:
.DELETE_ON_ERROR:

# one after the other: each may use a whole processor
all: $(FUZZ:%=$(OUT)/fuzz_%)
	@for t in $(FUZZ); do $(MAKE) -s -f tests/fuzz/fuzz.mk run-$$t || exit 1; done

run-%: $(OUT)/fuzz_%
	@mkdir -p $(OUT)/corpus/$*
	@$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -max_len=4096 -print_final_stats=1 \
	    -artifact_prefix=$(OUT)/$*- $(fuzz_$*_FLAGS) $(OUT)/corpus/$* $(fuzz_$*_SEEDS) >$(OUT)/$*.log 2>&1 || \
	    { tail -n 60 $(OUT)/$*.log; echo "FAIL  fuzz $*"; exit 1; }
	@sed -n 's/^stat::number_of_executed_units: */ok    fuzz $*: /p' $(OUT)/$*.log

$(OUT)/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/libcommon.a $$(call obj,$$(fuzz_%_SRC))
	@$(CLANG) $(COMPILE) -fsanitize=fuzzer -o $@ $(filter-out %.a,$^) $(OUT)/libcommon.a $(shell pkg-config --libs $(PKGS))

$(OUT)/libcommon.a: $(call obj,$(COMMON))
	@rm -f $@ && ar rcs $@ $^

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	@$(CLANG) $(COMPILE) -MMD -MP -c -o $@ $<

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
