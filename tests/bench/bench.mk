# bench.mk - speed and size as ratios; run by `make bench`, with BUILD set.  One .c file is one program.
#   ROUNDS        how often each measurement is repeated; medians are shown
#   SECONDS_EACH  how long one takes
# Programs for peers that are not installed are left out, and the scripts say so.
PKGS	:= libcrypto libmicrohttpd jansson libseccomp
CC	?= gcc
token_PKGS := p11-kit-1
esapi_PKGS := tss2-esys tss2-tctildr
found	= $(shell pkg-config --exists $($(1)_PKGS) && echo $(1))
NAMES	:= $(patsubst tests/bench/%.c,%,$(sort $(wildcard tests/bench/*.c)))
BENCH	:= $(patsubst %,$(BUILD)/bench/%,$(foreach n,$(NAMES),$(if $($(n)_PKGS),$(call found,$(n)),$(n))))

.PHONY: all
all: $(BENCH)
	@for script in $(sort $(wildcard tests/bench/*.sh)); do BUILD=$(BUILD) $$script || exit 1; done

$(BUILD)/bench/%: tests/bench/%.c tests/bench/bench.mk tests/bench/measure.h
	@mkdir -p $(@D)
	@$(CC) -std=gnu17 -Wall -Wextra -Werror -O2 -g -D_GNU_SOURCE -Icommon -I. -pthread \
		$(shell pkg-config --cflags $(PKGS) $($*_PKGS) | sed 's/-pthread//') -o $@ $< $(shell pkg-config --libs $(PKGS) $($*_PKGS))

include tests/bench/footprint.mk
