# bench.mk - speed and size as ratios; run by `make bench`, with BUILD set.  One .c file is one program.
#   ROUNDS        how often each measurement is repeated; medians are shown
CC	?= gcc
BENCH	:= $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard tests/bench/*.c)))
PKGS	:= libcrypto libmicrohttpd jansson libseccomp

.PHONY: all
all: $(BENCH)
	@for script in $(sort $(wildcard tests/bench/*.sh)); do BUILD=$(BUILD) $$script || exit 1; done

$(BUILD)/bench/%: tests/bench/%.c tests/bench/bench.mk
	@mkdir -p $(@D)
	@$(CC) -std=gnu17 -Wall -Wextra -Werror -O2 -g -D_GNU_SOURCE -Icommon -I. -pthread $(shell pkg-config --cflags $(PKGS) | sed 's/-pthread//') \
		-o $@ $< $(shell pkg-config --libs $(PKGS))

include tests/bench/footprint.mk
