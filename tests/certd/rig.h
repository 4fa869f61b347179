#ifndef TESTS_CERTD_RIG_H
#define TESTS_CERTD_RIG_H

#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "certd/api.h"
#include "tests/fake/keyd.h"
#include "tests/support/support.h"

/* certd without sockets: its parts over a keyd of memory, requests through the route table. */

#define V "?api-version=2020-09-01"

/* Behind `homedir_path` in the test's directory. */
static inline struct certd_config
rig_config(const char *toml)
{
	AUTO(str_freep) char *text = NULL;
	struct certd_config config = { 0 };
	struct config_source from;
	struct err err = { 0 };

	ck_ok(str_format(&text, &err, "homedir_path = \"%s\"\n%s", support_path("home"), toml));
	support_write(support_path("config.toml"), text);
	from = (struct config_source){ support_path("config.toml"), support_path("config.d") };
	ck_ok(certd_config_load(&from, true, &config, &err));
	return config;
}

static inline struct certd *
rig_new(const char *toml)
{
	struct certd_config config = rig_config(toml);
	struct certd *s = NULL;
	struct err err = { 0 };

	fake_keyd_reset();
	ck_ok(certd_new(&config, &s, &err));
	ck_ok(certd_prepare(s, &err));
	return s;
}

static inline void
rig_freep(struct certd **s)
{
	certd_free(*s);
	fake_keyd_reset();
}

/* One request by that user; body NULL: none. */
static inline struct response
rig_call(struct certd *s, uid_t uid, const char *method, const char *target, const char *body)
{
	const struct peer peer = { .uid = uid, .pidfd = -1 };
	const struct route_input in = {
		.peer = &peer,
		.method = method,
		.target = target,
		.content_type = body ? "application/json" : NULL,
		.body = text_of(body),
	};
	struct response resp = { 0 };

	route_run(&certd_routes, s, &in, &resp);
	return resp;
}

/* The `pem` of an answer. */
static inline char *
rig_pem(const struct response *resp)
{
	struct certd_pem_msg msg = { 0 };
	struct err err = { 0 };

	ck_ok(fields_read_text(
	    certd_pem_msg_fields, &msg, (struct text){ resp->body, resp->body_len }, &err));
	return msg.pem;
}

/* The body of POST /certificates; issuer and handle may be NULL. */
static inline char *
rig_create_body(const char *id, const char *csr, const char *issuer, const char *handle)
{
	struct certd_issuer by = { (char *)issuer, (char *)handle };
	struct certd_create_req req = { (char *)id, (char *)csr, issuer ? &by : NULL };
	struct err err = { 0 };
	char *text = NULL;

	ck_ok(fields_write_text(certd_create_req_fields, &req, &text, &err));
	return text;
}

/* A request by the openssl command; options as for `openssl req`. */
static inline char *
rig_csr(const char *options)
{
	return support_sh("cd %s && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
			  "-nodes -keyout csr.key %s 2>/dev/null",
	    support_tmpdir(), options);
}

/* A request of a key pair in the fake keyd, put there under that id. */
static inline char *
rig_csr_of_pair(const char *id, const char *options)
{
	AUTO(bytes_done) struct bytes pem = { 0 };
	char *csr = rig_csr(options);
	EVP_PKEY *key = NULL;
	BIO *bio;

	pem = support_read(support_path("csr.key"));
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ck_assert_ptr_nonnull(key);
	fake_keyd_put_pair(id, key);
	return csr;
}

/*
 * A CA certificate by the openssl command in the file NAME.pem, its key in the fake keyd under the id; returns the certificate.
 * options decide what it is.
 */
static inline char *
rig_ca(const char *name, const char *key_id, const char *options)
{
	AUTO(bytes_done) struct bytes pem = { 0 };
	EVP_PKEY *key;
	char *cert;
	BIO *bio;

	cert = support_sh("cd %s && openssl req -x509 -nodes -keyout ca.key -out %s.pem %s "
			  "2>/dev/null && cat %s.pem && echo",
	    support_tmpdir(), name, options, name);
	pem = support_read(support_path("ca.key"));
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ck_assert_ptr_nonnull(key);
	fake_keyd_put_pair(key_id, key);
	return cert;
}

#define RIG_EC "-newkey ec -pkeyopt ec_paramgen_curve:P-256 "
#define RIG_CA                                                                     \
	"-subj /CN=local-ca -days 3650 -addext basicConstraints=critical,CA:TRUE " \
	"-addext keyUsage=critical,keyCertSign"

#endif
