#ifndef TESTS_IDENTITYD_CLOUD_SUPPORT_H
#define TESTS_IDENTITYD_CLOUD_SUPPORT_H

#include "tests/fake/https_client.h"
#include "tests/fake/keyd.h"
#include "tests/fake/tpmd.h"
#include "tests/support/support.h"

#include <string.h>

#include "identityd/cloud.h"

/* A cloud whose pauses are counted instead of waited for. */
struct pauses {
	unsigned at[64];
	size_t n;
	size_t limit; /* the pause that is the last one; 0: none is */
};

static inline bool
pauses_note(void *ctx, unsigned ms)
{
	struct pauses *p = ctx;

	if (p->n < ARRAY_LEN(p->at))
		p->at[p->n++] = ms;
	return p->limit == 0 || p->n < p->limit;
}

struct world {
	struct keyd_client *keyd;
	struct tpmd_client *tpmd;
	struct cloud *cloud;
	struct pauses pauses;
};

/* Fresh fakes; keyd has the device key `device-id` with bytes 00..1f (identityd.md 6.1). */
static inline void
world_begin(struct world *w)
{
	struct unix_client_config none = { 0 };
	struct cloud_config config = { .timeout_ms = 70000, .retries = 1 };
	struct err err = { 0 };
	uint8_t key[32];

	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	fake_https_reset();
	fake_keyd_reset();
	fake_keyd_put_key("device-id", key, sizeof(key));
	fake_keyd_put_key("aziot_identityd_master_id", key, sizeof(key));
	ck_ok(keyd_client_new(&none, &w->keyd, &err));
	fake_tpmd_reset();
	ck_ok(tpmd_client_new(&none, &w->tpmd, &err));
	config.keyd = w->keyd;
	config.tpmd = w->tpmd;
	config.pause = pauses_note;
	config.pause_ctx = &w->pauses;
	ck_ok(cloud_new(&config, &w->cloud, &err));
}

static inline void
world_end(struct world *w)
{
	cloud_free(w->cloud);
	keyd_client_free(w->keyd);
	tpmd_client_free(w->tpmd);
	fake_https_reset();
	fake_keyd_reset();
}

static inline void
answer_n(const char *method, const char *url, unsigned turns, unsigned status, const char *body)
{
	struct fake_https_rule rule = {
		.method = method, .url = url, .turns = turns, .status = status, .body = body
	};

	fake_https_add(&rule);
}

static inline void
answer(const char *method, const char *url, unsigned status, const char *body)
{
	answer_n(method, url, 0, status, body);
}

#endif
