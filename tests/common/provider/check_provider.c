#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/x509.h"
#include "tests/common/provider/fixture.h"

/* Rows by the traps of design/provider.md that apply to a built-in provider in the default library context. */

static void
namep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

static const char *const key_ids[] = { EC_ID, RSA_ID };

static X509_NAME *
subject_of(const char *cn)
{
	const struct x509_subject_entry entry = { "CN", cn };
	X509_NAME *name = NULL;
	struct err err = { 0 };

	ck_ok(x509_subject(&entry, 1, &name, &err));
	return name;
}

/* A self-signed certificate of the key that libcrypto signs, with the digest named. */
static X509 *
make_cert(EVP_PKEY *key, const EVP_MD *md)
{
	AUTO(namep) X509_NAME *name = subject_of("localhost");
	X509 *cert = X509_new();

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_subject_name(cert, name);
	X509_set_issuer_name(cert, name);
	ck_assert_int_eq(X509_set_pubkey(cert, key), 1);
	ck_assert_int_gt(X509_sign(cert, key, md), 0);
	return cert;
}

static void
save_cert(X509 *cert, const char *name)
{
	FILE *f = fopen(support_path(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(PEM_write_X509(f, cert), 1);
	fclose(f);
}

START_TEST(test_requests)
{
	static const char *const digests[] = { "SHA256", "SHA384" };

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(key_ids); i++) {
		for (size_t j = 0; j < ARRAY_LEN(digests); j++) {
			AUTO(x509_keyp) EVP_PKEY *key = open_id(key_ids[i]);
			AUTO(x509_reqp) X509_REQ *req = X509_REQ_new();
			AUTO(namep) X509_NAME *name = subject_of("dev");
			AUTO(str_freep) char *shown = NULL;
			FILE *f;

			X509_REQ_set_version(req, X509_REQ_VERSION_1);
			X509_REQ_set_subject_name(req, name);
			ck_assert_int_eq(X509_REQ_set_pubkey(req, key), 1);
			ck_assert_int_gt(
			    X509_REQ_sign(req, key, EVP_get_digestbyname(digests[j])), 0);
			/* trap 3: the request still holds our key */
			ck_assert_int_eq(X509_REQ_verify(req, key), 1);
			ck_assert_int_eq(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
			ck_assert_uint_eq(ERR_peek_error(), 0);
			f = fopen(support_path("csr"), "w");
			PEM_write_X509_REQ(f, req);
			fclose(f);
			shown = support_sh(
			    "openssl req -in %s -noout -verify 2>&1", support_path("csr"));
			ck_assert_str_eq(shown, "Certificate request self-signature verify OK");
		}
	}
}
END_TEST

START_TEST(test_certificates)
{
	set_up();
	for (size_t i = 0; i < ARRAY_LEN(key_ids); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(key_ids[i]);
		AUTO(x509_keyp) EVP_PKEY *other = open_id(key_ids[1 - i]);
		AUTO(x509_certp) X509 *cert = make_cert(key, EVP_sha256());
		AUTO(str_freep) char *verdict = NULL;

		ck_assert_int_eq(X509_check_private_key(cert, key), 1);
		ck_assert_int_eq(X509_verify(cert, key), 1);
		ck_assert_int_eq(X509_verify(cert, X509_get0_pubkey(cert)), 1);
		ck_assert_uint_eq(ERR_peek_error(), 0);
		ck_assert_int_ne(X509_check_private_key(cert, other), 1);
		ERR_clear_error();
		/* the comparison has exported the public half: signing must still find the private one (trap 2) */
		ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
		ck_assert_uint_eq(ERR_peek_error(), 0);
		save_cert(cert, "cert.pem");
		verdict = support_sh("cd %s && openssl verify -check_ss_sig -CAfile cert.pem "
				     "cert.pem",
		    support_tmpdir());
		ck_assert_str_eq(verdict, "cert.pem: OK");
	}
}
END_TEST

/* trap 4: RSASSA-PSS is padded here; the algorithm identifier says so */
START_TEST(test_pss_request)
{
	static const struct {
		const char *md, *mgf1;
		int salt_len;
		const char *shown;
	} rows[] = {
		{ "SHA256", NULL, RSA_PSS_SALTLEN_DIGEST, "Salt Length: 0x20" },
		{ "SHA384", NULL, RSA_PSS_SALTLEN_DIGEST, "Salt Length: 0x30" },
		{ "SHA256", NULL, 0, "Salt Length: 0x00" },
		{ "SHA256", NULL, 20, "Hash Algorithm: SHA2-256" },
		{ "SHA256", "SHA512", RSA_PSS_SALTLEN_DIGEST, "mgf1 with" },
		{ "SHA256", NULL, RSA_PSS_SALTLEN_MAX, "Salt Length: 0xDE" },
	};

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(RSA_ID);
		AUTO(x509_reqp) X509_REQ *req = X509_REQ_new();
		AUTO(namep) X509_NAME *name = subject_of("dev");
		AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		AUTO(str_freep) char *shown = NULL;
		EVP_PKEY_CTX *pctx = NULL;
		FILE *f;

		X509_REQ_set_subject_name(req, name);
		X509_REQ_set_pubkey(req, key);
		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(ctx, &pctx, rows[i].md, NULL, NULL, key, NULL), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, rows[i].salt_len), 1);
		if (rows[i].mgf1)
			ck_assert_int_eq(
			    EVP_PKEY_CTX_set_rsa_mgf1_md_name(pctx, rows[i].mgf1, NULL), 1);
		ck_assert_int_gt(X509_REQ_sign_ctx(req, ctx), 0);
		ck_assert_uint_eq(ERR_peek_error(), 0);
		f = fopen(support_path("csr"), "w");
		PEM_write_X509_REQ(f, req);
		fclose(f);
		shown =
		    support_sh("openssl req -in %s -noout -text -verify 2>&1", support_path("csr"));
		ck_assert_msg(strstr(shown, "verify OK") != NULL, "row %zu: %s", i, shown);
		ck_assert_msg(strstr(shown, "rsassaPss") != NULL, "row %zu: %s", i, shown);
	}
}
END_TEST

/* EVP_PKEY_sign over a hash, judged by `openssl pkeyutl -verify` with the public key alone */
static const struct raw_row {
	const char *id, *md, *options;
	int padding, salt_len;
	size_t len;
} raw_rows[] = {
	{ EC_ID, NULL, "", 0, 0, 32 },
	{ EC_ID, "SHA256", "", 0, 0, 32 },
	{ EC_ID, "SHA384", "", 0, 0, 48 },
	{ RSA_ID, "SHA256", "-pkeyopt digest:sha256", 0, 0, 32 },
	{ RSA_ID, "SHA512", "-pkeyopt digest:sha512", RSA_PKCS1_PADDING, 0, 64 },
	{ RSA_ID, NULL, "", RSA_PKCS1_PADDING, 0, 36 },
	{ RSA_ID, "SHA256",
	    "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt "
	    "rsa_pss_saltlen:32",
	    RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST, 32 },
	{ RSA_ID, "SHA256",
	    "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt "
	    "rsa_pss_saltlen:0",
	    RSA_PKCS1_PSS_PADDING, 0, 32 },
	{ RSA_ID, "SHA384",
	    "-pkeyopt digest:sha384 -pkeyopt rsa_padding_mode:pss -pkeyopt "
	    "rsa_pss_saltlen:auto",
	    RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_MAX, 48 },
};

static void
set_options(EVP_PKEY_CTX *ctx, const struct raw_row *row)
{
	if (row->md)
		ck_assert_int_eq(
		    EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(row->md)), 1);
	if (row->padding)
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(ctx, row->padding), 1);
	if (row->padding == RSA_PKCS1_PSS_PADDING)
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, row->salt_len), 1);
}

START_TEST(test_raw_digest)
{
	set_up();
	for (size_t i = 0; i < ARRAY_LEN(raw_rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(raw_rows[i].id);
		AUTO(ctxp) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
		AUTO(str_freep) char *verdict = NULL;
		unsigned char hash[64], signature[512];
		size_t size = 0, len = sizeof(signature);
		unsigned calls;
		FILE *f;

		memset(hash, 0xa5 + (int)i, sizeof(hash));
		ck_assert_int_eq(EVP_PKEY_sign_init(ctx), 1);
		set_options(ctx, &raw_rows[i]);
		/* trap 5: the question for the size does not reach keyd */
		calls = fake_keyd_calls(FAKE_ANY);
		ck_assert_int_eq(EVP_PKEY_sign(ctx, NULL, &size, hash, raw_rows[i].len), 1);
		ck_assert_uint_eq(size, (size_t)EVP_PKEY_get_size(key));
		ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), calls);
		ck_assert_int_eq(EVP_PKEY_sign(ctx, signature, &len, hash, raw_rows[i].len), 1);
		ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), calls + 1);
		ck_assert_uint_eq(ERR_peek_error(), 0);

		f = fopen(support_path("hash"), "w");
		fwrite(hash, 1, raw_rows[i].len, f);
		fclose(f);
		f = fopen(support_path("sig"), "w");
		fwrite(signature, 1, len, f);
		fclose(f);
		f = fopen(support_path("pub"), "w");
		ck_assert_int_eq(PEM_write_PUBKEY(f, key), 1);
		fclose(f);
		verdict = support_sh("cd %s && openssl pkeyutl -verify -pubin -inkey pub -in hash "
				     "-sigfile sig %s",
		    support_tmpdir(), raw_rows[i].options);
		ck_assert_str_eq(verdict, "Signature Verified Successfully");
		/* and by our own VERIFY, with the same settings */
		ck_assert_int_eq(EVP_PKEY_verify_init(ctx), 1);
		set_options(ctx, &raw_rows[i]);
		ck_assert_int_eq(EVP_PKEY_verify(ctx, signature, len, hash, raw_rows[i].len), 1);
		signature[len / 2] ^= 1;
		ck_assert_int_ne(EVP_PKEY_verify(ctx, signature, len, hash, raw_rows[i].len), 1);
		ERR_clear_error();
	}
}
END_TEST

START_TEST(test_refuses_parameters)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(ctxp) EVP_PKEY_CTX *ctx = NULL;
	unsigned char hash[32] = { 1 }, signature[256];
	size_t len = sizeof(signature);

	set_up();
	key = open_id(RSA_ID);
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	ck_assert_int_eq(EVP_PKEY_sign_init(ctx), 1);
	ck_assert_int_ne(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_X931_PADDING), 1);
	ck_assert_int_ne(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
	/* PSS without a digest, then with a salt that does not fit, then with a hash of another length */
	ck_assert_int_ne(EVP_PKEY_sign(ctx, signature, &len, hash, sizeof(hash)), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 223), 1);
	ck_assert_int_ne(EVP_PKEY_sign(ctx, signature, &len, hash, sizeof(hash)), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32), 1);
	ck_assert_int_ne(EVP_PKEY_sign(ctx, signature, &len, hash, 31), 1);
	len = 255;
	ck_assert_int_ne(EVP_PKEY_sign(ctx, signature, &len, hash, sizeof(hash)), 1);
	len = sizeof(signature);
	ck_assert_int_eq(EVP_PKEY_sign(ctx, signature, &len, hash, sizeof(hash)), 1);
}
END_TEST

/* the private half cannot leave: PEM, parameters, trap 2's export of everything */
START_TEST(test_no_export)
{
	set_up();
	for (size_t i = 0; i < ARRAY_LEN(key_ids); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(key_ids[i]);
		AUTO(bytes_done) struct bytes pem = { 0 };
		OSSL_PARAM *params = NULL;
		BIGNUM *number = NULL;
		struct err err = { 0 };

		ck_err(x509_key_write(key, &pem, &err), ERR_CRYPTO);
		ck_assert_uint_eq(pem.len, 0);
		ck_assert_int_ne(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params), 1);
		ck_assert_ptr_null(params);
		ck_assert_int_ne(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number), 1);
		ck_assert_int_ne(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &number), 1);
		ck_assert_int_eq(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
		OSSL_PARAM_free(params);
		ERR_clear_error();
	}
}
END_TEST

/* trap 1: the default provider's keys work as if we were not there */
START_TEST(test_default_unharmed)
{
	static const enum x509_key_kind kinds[] = { X509_KEY_EC_P256, X509_KEY_RSA_2048 };

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = NULL;
		AUTO(x509_keyp) EVP_PKEY *again = NULL;
		AUTO(x509_certp) X509 *cert = NULL;
		AUTO(bytes_done) struct bytes pem = { 0 };
		struct err err = { 0 };
		unsigned calls = fake_keyd_calls(FAKE_ANY);

		ck_ok(x509_key_new(kinds[i], &key, &err));
		ck_assert_str_eq(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "default");
		cert = make_cert(key, EVP_sha256());
		ck_assert_int_eq(X509_verify(cert, key), 1);
		ck_ok(x509_key_write(key, &pem, &err));
		ck_ok(x509_key_read(text_of_bytes(&pem), &again, &err));
		ck_assert_int_eq(EVP_PKEY_eq(key, again), 1);
		ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), calls);
		ck_assert_uint_eq(ERR_peek_error(), 0);
	}
}
END_TEST

/* trap 10: by id and by handle, whatever characters either has */
START_TEST(test_handles)
{
	AUTO(x509_keyp) EVP_PKEY *by_id = NULL;
	AUTO(x509_keyp) EVP_PKEY *by_handle = NULL;
	struct err err = { 0 };

	set_up();
	by_id = open_id(RSA_ID);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_LOAD_KEY_PAIR), 1);
	ck_ok(provider_key_by_handle("fake:pair:" RSA_ID, &by_handle, &err));
	ck_assert_uint_eq(fake_keyd_calls(FAKE_LOAD_KEY_PAIR), 1);
	ck_assert_int_eq(EVP_PKEY_eq(by_id, by_handle), 1);
}
END_TEST

static int
sign_once(EVP_PKEY *key)
{
	AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char signature[512];
	size_t len = sizeof(signature);

	return EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	       EVP_DigestSign(ctx, signature, &len, (const unsigned char *)"abc", 3) == 1;
}

/* keyd's words come through, once, and the next call works again */
START_TEST(test_failures)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	EVP_PKEY *none = NULL;
	struct err err = { 0 };

	set_up();
	ck_err(provider_key_by_id("absent", &none, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 400);
	ck_assert_str_eq(err.text, "a parameter has an invalid value");
	ck_err(provider_key_by_handle("garbage", &none, &err), ERR_PEER);
	for (unsigned skip = 0; skip < 3; skip++) {
		fake_keyd_fail(FAKE_PARAMETER, skip, ERR_UNREACHABLE, 0, "no keyd");
		ck_err(provider_key_by_id(EC_ID, &none, &err), ERR_UNREACHABLE);
		ck_assert_str_eq(err.text, "no keyd");
	}
	ck_assert_ptr_null(none);
	ck_assert_uint_eq(ERR_peek_error(), 0);

	key = open_id(EC_ID);
	err_clear(&err);
	ck_ok(provider_last_error(&err));
	fake_keyd_fail(FAKE_SIGN, 0, ERR_PEER, 500, "internal error");
	ck_assert_int_ne(sign_once(key), 1);
	ck_assert_uint_ne(ERR_peek_error(), 0);
	ERR_clear_error();
	ck_err(provider_last_error(&err), ERR_PEER);
	ck_assert_str_eq(err.text, "internal error");
	err_clear(&err);
	ck_ok(provider_last_error(&err));
	ck_assert_int_eq(sign_once(key), 1);
}
END_TEST

/* the store, as programs use it */
START_TEST(test_store)
{
	OSSL_STORE_CTX *store;

	set_up();
	store = OSSL_STORE_open_ex("keyd:id=" EC_ID, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	ck_assert_ptr_nonnull(store);
	ck_assert_int_eq(OSSL_STORE_expect(store, OSSL_STORE_INFO_CERT), 1);
	ck_assert_int_eq(OSSL_STORE_eof(store), 1);
	OSSL_STORE_close(store);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_LOAD_KEY_PAIR), 0);
	store = OSSL_STORE_open_ex("keyd:nonsense", NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	ck_assert_ptr_null(store);
	store = OSSL_STORE_open_ex("keyd:id=%zz", NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	ck_assert_ptr_null(store);
	ERR_clear_error();
}
END_TEST

/* --- TLS in memory */

static SSL_CTX *
tls_ctx(int version, EVP_PKEY *key, X509 *own, X509 *peer)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, own), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	ck_assert_int_eq(SSL_CTX_check_private_key(ctx), 1);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), peer);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return ctx;
}

static void
handshake(SSL_CTX *client_ctx, SSL_CTX *server_ctx, const char *sigalgs)
{
	SSL *client = SSL_new(client_ctx), *server = SSL_new(server_ctx);
	BIO *to_server, *to_client;
	int done = 0;

	BIO_new_bio_pair(&to_server, 0, &to_client, 0);
	SSL_set_bio(client, to_server, to_server);
	SSL_set_bio(server, to_client, to_client);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	if (sigalgs) {
		ck_assert_int_eq(SSL_set1_sigalgs_list(client, sigalgs), 1);
		ck_assert_int_eq(SSL_set1_sigalgs_list(server, sigalgs), 1);
		ck_assert_int_eq(SSL_set1_client_sigalgs_list(server, sigalgs), 1);
	}
	for (int i = 0; i < 20 && done != 2; i++)
		done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);
	ck_assert_msg(done == 2, "%s", ERR_reason_error_string(ERR_peek_last_error()));
	ck_assert_int_eq(SSL_get_verify_result(client), X509_V_OK);
	ck_assert_int_eq(SSL_get_verify_result(server), X509_V_OK);
	ck_assert_uint_eq(ERR_peek_error(), 0);
	SSL_free(client);
	SSL_free(server);
}

/* A key that is no business of keyd; one of each kind for all rows, as making RSA keys takes seconds under valgrind. */
static EVP_PKEY *
plain_key(bool ec)
{
	static EVP_PKEY *kept[2];
	struct err err = { 0 };

	if (!kept[ec])
		ck_ok(x509_key_new(ec ? X509_KEY_EC_P256 : X509_KEY_RSA_2048, &kept[ec], &err));
	EVP_PKEY_up_ref(kept[ec]);
	return kept[ec];
}

START_TEST(test_tls)
{
	static const struct {
		int version;
		const char *id, *sigalgs;
	} rows[] = {
		{ TLS1_2_VERSION, EC_ID, NULL },
		{ TLS1_3_VERSION, EC_ID, NULL },
		{ TLS1_2_VERSION, RSA_ID, "RSA+SHA256" },
		{ TLS1_2_VERSION, RSA_ID, "RSA-PSS+SHA256" },
		{ TLS1_3_VERSION, RSA_ID, NULL },
		{ TLS1_3_VERSION, RSA_ID, "RSA-PSS+SHA384" },
	};

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int as_server = 0; as_server < 2; as_server++) {
			/* the other end has an ordinary key of the same kind */
			AUTO(x509_keyp) EVP_PKEY *key = open_id(rows[i].id);
			AUTO(x509_certp) X509 *cert = make_cert(key, EVP_sha256());
			AUTO(x509_keyp) EVP_PKEY *plain = NULL;
			AUTO(x509_certp) X509 *plain_cert = NULL;
			SSL_CTX *ours, *other;
			plain = plain_key(EVP_PKEY_is_a(key, "EC"));
			plain_cert = make_cert(plain, EVP_sha256());
			ours = tls_ctx(rows[i].version, key, cert, plain_cert);
			other = tls_ctx(rows[i].version, plain, plain_cert, cert);
			if (as_server)
				handshake(other, ours, rows[i].sigalgs);
			else
				handshake(ours, other, rows[i].sigalgs);
			SSL_CTX_free(ours);
			SSL_CTX_free(other);
		}
	}
}
END_TEST

/* references are given back: a thousand rounds leave the heap as a hundred do */
START_TEST(test_flat)
{
	size_t before = 0, after;

	set_up();
	for (int i = 0; i < 1100; i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(EC_ID);

		ck_assert_int_eq(sign_once(key), 1);
		if (i == 100)
			before = mallinfo2().uordblks;
	}
	after = mallinfo2().uordblks;
	ck_assert_msg(after < before + 16384, "%zu bytes before, %zu after", before, after);
}
END_TEST

static void *
sign_loop(void *id)
{
	for (int i = 0; i < 100; i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(id);

		ck_assert_int_eq(sign_once(key), 1);
		ck_assert_uint_eq(ERR_peek_error(), 0);
	}
	return NULL;
}

/* one key from several threads, and several keys at once */
START_TEST(test_threads)
{
	pthread_t threads[4];

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, sign_loop, (void *)(uintptr_t)EC_ID), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}
END_TEST

TEST_MAIN("provider", test_requests, test_certificates, test_pss_request, test_raw_digest,
    test_refuses_parameters, test_no_export, test_default_unharmed, test_handles, test_failures,
    test_store, test_tls, test_flat, test_threads)
