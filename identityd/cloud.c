#include "identityd/cloud.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crypto/digest.h"
#include "crypto/sas.h"
#include "http/https_client.h"
#include "identityd/device.h"

#define TOKEN_LIFE_S   300
#define REPEAT_MS      3000
#define THROTTLE_TRIES 4

struct cloud {
	struct cloud_config config;
	struct https_client *http;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
	unsigned wakes;
};

enum err_code
cloud_new(const struct cloud_config *config, struct cloud **ret, struct err *err)
{
	struct https_client_config http = { 0 };
	struct cloud *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	if (https_client_new(&http, &c->http, err)) {
		free(c);
		return err->code;
	}
	c->config = *config;
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->wake);
	*ret = c;
	return ERR_OK;
}

void
cloud_free(struct cloud *c)
{
	if (!c)
		return;
	https_client_free(c->http);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

enum err_code
cloud_warm_up(struct err *err)
{
	return https_client_warm_up(err);
}

enum err_code
cloud_trust_paths(struct sandbox_paths *paths, struct err *err)
{
	return https_client_trust_paths(paths, err);
}

/* --- waiting --- */

void
cloud_stop(struct cloud *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

void
cloud_wake(struct cloud *c)
{
	pthread_mutex_lock(&c->lock);
	c->wakes++;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

static bool
stopping(struct cloud *c)
{
	bool yes;

	pthread_mutex_lock(&c->lock);
	yes = c->stopping;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

static bool
pause_or_stop(struct cloud *c, unsigned ms)
{
	uint64_t until_ms = clock_mono_ms() + ms;
	unsigned wakes;
	bool go_on;

	pthread_mutex_lock(&c->lock);
	wakes = c->wakes;
	while (!c->stopping && wakes == c->wakes && clock_cond_wait(&c->wake, &c->lock, until_ms))
		continue;
	go_on = !c->stopping;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

static unsigned
with_jitter(unsigned ms)
{
	struct err ignored = { 0 };
	uint16_t chance = 0;

	/* without chance the wait is merely regular */
	if (digest_random(&chance, sizeof(chance), &ignored))
		return ms;
	return ms - ms / 4 + (unsigned)((uint64_t)chance * (ms / 2) / UINT16_MAX);
}

enum err_code
cloud_pause(struct cloud *c, unsigned ms, struct err *err)
{
	bool go_on = c->config.pause ? c->config.pause(c->config.pause_ctx, ms)
				     : pause_or_stop(c, with_jitter(ms));

	return go_on ? ERR_OK : err_set(err, ERR_BUSY, "stopping");
}

/* --- tokens --- */

static enum err_code
sign(struct cloud *c, const char *key_id, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	AUTO(str_freep) char *handle = NULL;

	if (!key_id) {
		if (!c->config.tpmd)
			return err_set(err, ERR_INTERNAL, "no TPM is configured");
		return tpmd_client_sign(c->config.tpmd, data, ret, err);
	}
	if (keyd_client_load_key(c->config.keyd, key_id, &handle, err))
		return err->code;
	return keyd_client_sign(c->config.keyd, handle, KEYD_HMAC_SHA256, data, ret, err);
}

static enum err_code
mint(struct cloud *c, const struct cloud_call *call, char **ret_header, struct err *err)
{
	int64_t expiry = clock_unix() + TOKEN_LIFE_S;
	AUTO(bytes_done) struct bytes to_sign = { 0 };
	AUTO(bytes_done) struct bytes signature = { 0 };
	AUTO(str_freep) char *token = NULL;

	if (sas_to_sign(call->audience, expiry, &to_sign, err))
		return err->code;
	if (sign(c, call->key_id, &to_sign, &signature, err))
		return peer_failed(err, call->key_id ? "Key client error" : "TPM client error");
	if (sas_token(call->audience, expiry, &signature, call->key_name, &token, err))
		return err->code;
	return str_format(ret_header, err, "Authorization: %s", token);
}

/* --- requests --- */

static enum err_code
send_once(struct cloud *c, const struct cloud_call *call, struct https_reply *ret, struct err *err)
{
	AUTO(str_freep) char *authorization = NULL;
	int left = clock_left_ms(call->deadline_ms);
	const char *headers[5];
	struct https_call out = {
		.method = call->method,
		.url = call->url,
		.headers = headers,
		.body = text_of(call->body),
		.timeout_ms = c->config.timeout_ms,
	};
	enum err_code code;
	size_t n = 0;

	if (stopping(c))
		return err_set(err, ERR_UNREACHABLE, "stopping");
	if (left <= 0)
		return err_set(err, ERR_TIMEOUT, "the deadline has passed");
	if (out.timeout_ms > (unsigned)left)
		out.timeout_ms = (unsigned)left;
	if (mint(c, call, &authorization, err))
		return err->code;
	headers[n++] = authorization;
	headers[n++] = "Accept: application/json";
	if (call->body)
		headers[n++] = "Content-Type: application/json";
	if (call->if_match)
		headers[n++] = "If-Match: *";
	headers[n] = NULL;
	code = https_client_call(c->http, &out, ret, err);
	if (code == ERR_DENIED)
		return err_wrap_code(err, ERR_UNREACHABLE, "the peer is not trusted");
	return code;
}

/* How long to wait before the same request is sent again; 0: at once; -1: not at all. */
struct repeats {
	unsigned failed, throttled, refused;
};

static int
repeat_after(const struct cloud *c, const struct cloud_call *call, enum err_code code,
    const struct https_reply *reply, struct repeats *r)
{
	bool silent = code == ERR_UNREACHABLE || code == ERR_TIMEOUT || code == ERR_PROTOCOL;

	if (code == ERR_OK && reply->status == 401)
		return r->refused++ == 0 ? 0
					 : -1; /* the clock may have jumped since it was minted */
	if (call->once)
		return -1;
	if (code == ERR_OK && reply->status == 429) {
		if (r->throttled++ >= THROTTLE_TRIES)
			return -1;
		return reply->retry_after > 0 ? reply->retry_after * 1000 : 1000 << r->throttled;
	}
	if (silent || (code == ERR_OK && reply->status >= 500)) {
		if (r->failed++ >= c->config.retries)
			return -1;
		return !silent && reply->retry_after > 0 ? reply->retry_after * 1000 : REPEAT_MS;
	}
	return -1;
}

enum err_code
cloud_send(struct cloud *c, const struct cloud_call *call, struct cloud_reply *ret, struct err *err)
{
	struct repeats r = { 0 };

	for (;;) {
		AUTO(https_reply_done) struct https_reply reply = { 0 };
		enum err_code code = send_once(c, call, &reply, err);
		int wait = repeat_after(c, call, code, &reply, &r);
		struct err ended = { 0 };

		if (wait >= 0 && wait < clock_left_ms(call->deadline_ms) &&
		    (wait == 0 || cloud_pause(c, (unsigned)wait, &ended) == ERR_OK))
			continue;
		if (code)
			return code;
		ret->status = reply.status;
		ret->retry_after = reply.retry_after;
		ret->body = bytes_take(&reply.body);
		return ERR_OK;
	}
}

void
cloud_reply_done(struct cloud_reply *reply)
{
	bytes_done(&reply->body);
}
