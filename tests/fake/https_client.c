#include "tests/fake/https_client.h"

#include <check.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES 64
#define SEEN  512

struct https_client {
	int unused;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	struct fake_https_rule rules[RULES];
	unsigned used[RULES];
	size_t n_rules;
	struct fake_https_seen seen[SEEN];
	size_t n_seen;
	void (*hook)(void *ctx, const char *method, const char *url);
	void *hook_ctx;
} fake;

void
fake_https_reset(void)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < fake.n_rules; i++) {
		free((char *)fake.rules[i].method);
		free((char *)fake.rules[i].url);
		free((char *)fake.rules[i].body);
	}
	for (size_t i = 0; i < fake.n_seen; i++) {
		free(fake.seen[i].headers);
		free(fake.seen[i].body);
	}
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_unlock(&lock);
}

void
fake_https_add(const struct fake_https_rule *rule)
{
	struct fake_https_rule *copy;

	pthread_mutex_lock(&lock);
	ck_assert_uint_lt(fake.n_rules, RULES);
	copy = &fake.rules[fake.n_rules++];
	*copy = *rule;
	copy->method = rule->method ? strdup(rule->method) : NULL;
	copy->url = strdup(rule->url);
	copy->body = strdup(rule->body ? rule->body : "");
	pthread_mutex_unlock(&lock);
}

void
fake_https_hook(void (*hook)(void *ctx, const char *method, const char *url), void *ctx)
{
	pthread_mutex_lock(&lock);
	fake.hook = hook;
	fake.hook_ctx = ctx;
	pthread_mutex_unlock(&lock);
}

size_t
fake_https_count(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = fake.n_seen;
	pthread_mutex_unlock(&lock);
	return n;
}

const struct fake_https_seen *
fake_https_seen(size_t n)
{
	ck_assert_uint_lt(n, fake_https_count());
	return &fake.seen[n];
}

unsigned
fake_https_asked(const char *method, const char *url)
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < fake.n_seen; i++)
		n += strcmp(fake.seen[i].method, method) == 0 &&
		     fnmatch(url, fake.seen[i].url, 0) == 0;
	pthread_mutex_unlock(&lock);
	return n;
}

static void
record(const struct https_call *call)
{
	struct fake_https_seen *s;
	size_t size = 1;

	ck_assert_uint_lt(fake.n_seen, SEEN);
	s = &fake.seen[fake.n_seen++];
	snprintf(s->method, sizeof(s->method), "%s", call->method);
	snprintf(s->url, sizeof(s->url), "%s", call->url);
	s->timeout_ms = call->timeout_ms;
	for (size_t i = 0; call->headers && call->headers[i]; i++)
		size += strlen(call->headers[i]) + 1;
	s->headers = calloc(1, size);
	for (size_t i = 0, at = 0; call->headers && call->headers[i]; i++)
		at += (size_t)snprintf(s->headers + at, size - at, "%s\n", call->headers[i]);
	s->body = strndup(call->body.data ? call->body.data : "", call->body.len);
}

/* --- http/https_client.h --- */

enum err_code
https_client_warm_up(struct err *err)
{
	(void)err;
	return ERR_OK;
}

enum err_code
https_client_trust_paths(struct sandbox_paths *paths, struct err *err)
{
	(void)paths, (void)err;
	return ERR_OK;
}

enum err_code
https_client_new(
    const struct https_client_config *config, struct https_client **ret, struct err *err)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ERR_OK : err_nomem(err);
}

void
https_client_free(struct https_client *c)
{
	free(c);
}

enum err_code
https_client_call(
    struct https_client *c, const struct https_call *call, struct https_reply *ret, struct err *err)
{
	void (*hook)(void *ctx, const char *method, const char *url);
	struct fake_https_rule rule = { .fail = ERR_UNREACHABLE };
	void *ctx;

	(void)c;
	pthread_mutex_lock(&lock);
	record(call);
	for (size_t i = 0; i < fake.n_rules; i++) {
		const struct fake_https_rule *r = &fake.rules[i];

		if ((r->method && strcmp(r->method, call->method) != 0) ||
		    fnmatch(r->url, call->url, 0) != 0 || (r->turns && fake.used[i] == r->turns))
			continue;
		fake.used[i]++;
		rule = *r;
		break;
	}
	hook = fake.hook;
	ctx = fake.hook_ctx;
	pthread_mutex_unlock(&lock);
	if (hook)
		hook(ctx, call->method, call->url);
	if (rule.fail)
		return err_set(err, rule.fail, "scripted failure");
	ret->status = rule.status;
	ret->retry_after = rule.retry_after ? rule.retry_after : -1;
	snprintf(ret->content_type, sizeof(ret->content_type), "application/json");
	return bytes_copy(&ret->body, rule.body, strlen(rule.body), err);
}

void
https_reply_done(struct https_reply *reply)
{
	bytes_done(&reply->body);
}
