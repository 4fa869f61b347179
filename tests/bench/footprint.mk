# footprint.mk - floor.c once for each set of libraries that a daemon links; included by bench.mk.
LINKED	:= -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
FLOOR_PKGS := $(PKGS)
all: $(BUILD)/bench/floor-identityd $(BUILD)/bench/floor-tpmd

$(BUILD)/bench/floor-identityd: FLOOR := -DFLOOR_CURL
$(BUILD)/bench/floor-identityd: FLOOR_PKGS := $(PKGS) libssl libcurl
$(BUILD)/bench/floor-tpmd: FLOOR := -DFLOOR_TSS
$(BUILD)/bench/floor-tpmd: FLOOR_PKGS := $(PKGS) tss2-esys tss2-mu
$(BUILD)/bench/floor $(BUILD)/bench/floor-identityd $(BUILD)/bench/floor-tpmd: tests/bench/floor.c tests/bench/footprint.mk
	@mkdir -p $(@D)
	@$(CC) -std=gnu17 -Wall -Wextra -Werror -O2 -D_GNU_SOURCE -pthread $(FLOOR) $(LINKED) -o $@ $< \
		$(shell pkg-config --libs $(FLOOR_PKGS))
