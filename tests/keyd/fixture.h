#ifndef TESTS_KEYD_FIXTURE_H
#define TESTS_KEYD_FIXTURE_H

#include "tests/support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "keyd/api.h"
#include "keyd/service.h"
#include "platform/pool.h"

/*
 * keyd without a socket: requests go through its route table.  Its home is support_path("home"); uid 0 may name every key,
 * uid 1000 those that begin with "dev-", others none.  There are no [[use]] rules until keyd.permit is given some.
 */
static struct daemon_spec fixture_spec = { .name = "keyd" };
static struct daemon fixture_daemon = { .spec = &fixture_spec };
static struct keyd keyd = { .daemon = &fixture_daemon, .socket = -1 };

/* One place: files under "home". */
static inline struct store_config
fixture_store(void)
{
	return (struct store_config){ .backend = &file_backend,
		.config = { .name = "file", .homedir = support_path("home"), .any_id = true } };
}

static inline struct keys_config
fixture_config(const struct store_config *store)
{
	return (struct keys_config){ .homedir = support_path("home"),
		.stores = { .stores = store, .n_stores = 1 } };
}

/*
 * Put an RSA key under id, before keyd asks for it.  It is made by openssl, once for all cases of a process: under valgrind keyd's
 * own work on it takes minutes.
 */
static inline void
fixture_rsa(const char *id, unsigned bits)
{
	static struct bytes pems[2];
	struct bytes *pem = &pems[bits > 2048];
	AUTO(str_freep) char *name = NULL;
	AUTO(str_freep) char *path = NULL;
	struct err err = { 0 };

	if (!pem->data) {
		free(support_sh("openssl genrsa -out %s %u", support_path("rsa.pem"), bits));
		*pem = support_read(support_path("rsa.pem"));
	}
	ck_ok(digest_file_name(id, ".key", &name, &err));
	ck_ok(str_format(&path, &err, "%s/%s", support_path("home/keys"), name));
	ck_ok(file_write(path, 0600, pem->data, pem->len, &err));
}

static inline void
fixture_begin(void)
{
	static const char *const patterns[] = { "dev-*" };
	static const struct policy_rule rules[] = { { 1000, patterns, 1 } };
	static struct store_config file;
	const struct permit_config permit = { .homedir = support_path("home") };
	struct keys_config config;
	struct err err = { 0 };

	log_init("off", "keyd");
	pool_set_may_block(false);
	ck_ok(policy_new(&keyd.policy, &err));
	ck_ok(policy_set(keyd.policy, rules, ARRAY_LEN(rules), &err));
	file = fixture_store();
	config = fixture_config(&file);
	ck_ok(permit_new(&permit, &keyd.permit, &err));
	config.permit = keyd.permit;
	ck_ok(keys_open(&config, keyd.policy, &keyd.keys, &err));
}

static inline void
fixture_end(void)
{
	keys_close(keyd.keys);
	permit_free(keyd.permit);
	policy_free(keyd.policy);
	keyd.keys = NULL;
	keyd.permit = NULL;
	keyd.policy = NULL;
}

/* An end and a new beginning, as by a restart of the process. */
static inline void
fixture_restart(void)
{
	fixture_end();
	fixture_begin();
}

struct answer {
	unsigned status;
	json_t *body; /* NULL: none */
};

static inline void
answer_done(struct answer *a)
{
	json_decref(a->body);
	a->body = NULL;
}

/* Send one request; body NULL: none; type NULL: no Content-Type. */
static inline struct answer
send_request(
    uint32_t uid, const char *method, const char *target, const char *type, const char *body)
{
	const struct peer peer = { .uid = uid, .gid = uid, .pidfd = -1 };
	struct route_input in = { .peer = &peer,
		.method = method,
		.target = target,
		.content_type = type,
		.body = text_of(body) };
	struct response resp = { 0 };
	struct answer a = { 0 };

	route_run(&keyd_routes, &keyd, &in, &resp);
	a.status = resp.status;
	if (resp.body_len) {
		ck_assert_str_eq(resp.content_type, "application/json");
		a.body = json_loadb(resp.body, resp.body_len, 0, NULL);
		ck_assert_ptr_nonnull(a.body);
	}
	response_done(&resp);
	return a;
}

/* "POST /key" with a JSON body, current api-version. */
static inline struct answer
call(uint32_t uid, const char *what, const char *body)
{
	char method[16], path[1024], target[1100];

	ck_assert_int_eq(sscanf(what, "%15s %1023s", method, path), 2);
	snprintf(target, sizeof(target), "%s?api-version=2021-05-01", path);
	return send_request(uid, method, target, NULL, body);
}

static inline const char *
member(const struct answer *a, const char *name)
{
	return json_string_value(json_object_get(a->body, name));
}

/* A call that must answer 200; the member of its answer, to be freed. */
static inline char *
must(uint32_t uid, const char *what, const char *body, const char *name)
{
	AUTO(answer_done) struct answer a = call(uid, what, body);

	ck_assert_msg(a.status == 200, "%s %s: %u %s", what, body ? body : "", a.status,
	    member(&a, "message"));
	ck_assert_ptr_nonnull(member(&a, name));
	return strdup(member(&a, name));
}

/* All that lies below the home, with sizes and times. */
static inline char *
listing(void)
{
	return support_sh("cd %s && find home -printf '%%p %%s %%T@ %%C@ %%m\\n' | LC_ALL=C sort",
	    support_tmpdir());
}

#endif
