#include "tests/support/support.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/x509.h"

/* Requests and CAs are made by the openssl command, and it judges what is issued. */

#define DAY ((int64_t)86400)

struct ca {
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};

static void
ca_done(struct ca *ca)
{
	x509_keyp(&ca->key);
	x509_chainp(&ca->chain);
}

/* A CA (or not) as `openssl req -x509 OPTIONS` makes it; its certificate stays in the file "NAME.pem". */
static struct ca
make_ca(const char *name, const char *options)
{
	AUTO(str_freep) char *pem = NULL;
	struct err err = { 0 };
	struct ca ca = { 0 };

	pem = support_sh("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
			 "-nodes -keyout %s.key -out %s.pem %s 2>/dev/null && cat %s.key %s.pem",
	    support_tmpdir(), name, name, options, name, name);
	ck_ok(x509_key_read(text_of(pem), &ca.key, &err));
	ck_ok(x509_chain_read(text_of(pem), &ca.chain, &err));
	return ca;
}

#define GOOD_CA                                                                      \
	"-subj /CN=ca -days 3650 -addext basicConstraints=critical,CA:TRUE -addext " \
	"keyUsage=critical,keyCertSign"

/* A request by `openssl req -new`, key in NAME.key; ext is a section of its configuration. */
static X509_REQ *
make_request(const char *name, const char *ext)
{
	AUTO(str_freep) char *config = NULL;
	AUTO(str_freep) char *pem = NULL;
	X509_REQ *req = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&config, &err, "[req]\ndistinguished_name=dn\n%s[dn]\n[ext]\n%s\n",
	    *ext ? "req_extensions=ext\n" : "", ext));
	support_write(support_path("req.cnf"), config);
	pem = support_sh("cd %s && openssl req -new -config req.cnf -newkey ec -pkeyopt "
			 "ec_paramgen_curve:P-256 -nodes -keyout %s.key -subj /O=plant/CN=%s "
			 "2>/dev/null",
	    support_tmpdir(), name, name);
	ck_ok(x509_request_read(text_of(pem), &req, &err));
	return req;
}

static void
save(const char *name, X509 *cert)
{
	AUTO(str_freep) char *pem = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct err err = { 0 };

	sk_X509_push(chain, cert);
	ck_ok(x509_chain_write(chain, &pem, &err));
	sk_X509_free(chain);
	support_write(support_path(name), pem);
}

static void
assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text);
}

START_TEST(test_leaf)
{
	AUTO(ca_done) struct ca ca = make_ca("ca", GOOD_CA);
	AUTO(x509_reqp)
	X509_REQ *req =
	    make_request("leaf", "subjectAltName=DNS:leaf.test\nextendedKeyUsage=serverAuth");
	AUTO(x509_certp) X509 *cert = NULL;
	AUTO(str_freep) char *shown = NULL;
	AUTO(str_freep) char *verdict = NULL;
	AUTO(str_freep) char *same = NULL;
	struct x509_issue in = { .request = req,
		.issuer = sk_X509_value(ca.chain, 0),
		.issuer_key = ca.key,
		.lifetime_s = 30 * DAY };
	int64_t before = 0, after = 0, now = clock_unix();
	struct err err = { 0 };

	ck_ok(x509_issue_cert(&in, &cert, &err));
	save("leaf.pem", cert);
	verdict = support_sh("cd %s && openssl verify -x509_strict -purpose sslserver "
			     "-verify_hostname leaf.test -CAfile ca.pem leaf.pem",
	    support_tmpdir());
	ck_assert_str_eq(verdict, "leaf.pem: OK");
	/* certd.md 2.1: version 3, subject and key of the request, its extensions, then SKID and AKID; SHA-256 */
	shown = support_sh("openssl x509 -in %s -noout -text", support_path("leaf.pem"));
	assert_has(shown, "Version: 3 (0x2)");
	assert_has(shown, "Signature Algorithm: ecdsa-with-SHA256");
	assert_has(shown, "Subject: O = plant, CN = leaf");
	assert_has(shown, "Issuer: CN = ca");
	assert_has(shown, "DNS:leaf.test");
	assert_has(shown, "TLS Web Server Authentication");
	/* SKID and AKID are what the openssl command would have put there */
	same =
	    support_sh("cd %s && openssl req -new -key leaf.key -subj /CN=x -out x.csr && printf "
		       "'subjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n' >x.ext && "
		       "openssl x509 -req -in x.csr -CA ca.pem -CAkey ca.key -extfile x.ext "
		       "-out x.pem 2>/dev/null && for f in leaf x; do openssl x509 -in $f.pem "
		       "-noout -ext subjectKeyIdentifier,authorityKeyIdentifier | sort | "
		       "sha256sum; done | uniq | wc -l",
		support_tmpdir());
	ck_assert_str_eq(same, "1");
	ck_ok(x509_times(cert, &before, &after, &err));
	ck_assert(before >= now && before <= now + 5);
	ck_assert_int_eq(after - before, 30 * DAY);
}
END_TEST

/* certd.md 2.1: a configured subject wins; the request's own SKID stays */
START_TEST(test_overrides)
{
	AUTO(ca_done) struct ca ca = make_ca("ca", GOOD_CA);
	AUTO(x509_reqp) X509_REQ *req = make_request("leaf", "subjectKeyIdentifier=01:02:03:04\n");
	AUTO(x509_certp) X509 *cert = NULL;
	AUTO(str_freep) char *shown = NULL;
	X509_NAME *subject = NULL;
	struct x509_subject_entry entry = { "CN", "from-config" };
	struct x509_issue in = { .request = req,
		.issuer = sk_X509_value(ca.chain, 0),
		.issuer_key = ca.key,
		.lifetime_s = 1 };
	struct err err = { 0 };

	ck_ok(x509_subject(&entry, 1, &subject, &err));
	in.subject = subject;
	ck_ok(x509_issue_cert(&in, &cert, &err));
	save("leaf.pem", cert);
	shown = support_sh("openssl x509 -in %s -noout -text", support_path("leaf.pem"));
	assert_has(shown, "Subject: CN = from-config\n");
	assert_has(shown, "Subject Key Identifier: \n                01:02:03:04\n");
	X509_NAME_free(subject);
}
END_TEST

/* certd.md 2.1: notAfter is min(now + lifetime, the issuer's) */
START_TEST(test_not_after_cut)
{
	AUTO(ca_done)
	struct ca ca = make_ca("ca", "-subj /CN=ca -days 5 -addext basicConstraints=CA:TRUE");
	AUTO(x509_reqp) X509_REQ *req = make_request("leaf", "");
	AUTO(x509_certp) X509 *cert = NULL;
	AUTO(str_freep) char *ends = NULL;
	struct x509_issue in = { .request = req,
		.issuer = sk_X509_value(ca.chain, 0),
		.issuer_key = ca.key,
		.lifetime_s = 30 * DAY };
	struct err err = { 0 };

	ck_ok(x509_issue_cert(&in, &cert, &err));
	save("leaf.pem", cert);
	ends = support_sh("cd %s && for f in ca leaf; do openssl x509 -in $f.pem -noout -enddate; "
			  "done | uniq | wc -l",
	    support_tmpdir());
	ck_assert_str_eq(ends, "1");
	x509_certp(&cert);
	for (size_t i = 0; i < 3; i++) {
		in.lifetime_s = (int64_t[]){ 0, -1, INT64_MAX }[i];
		ck_err(x509_issue_cert(&in, &cert, &err), ERR_INVALID);
	}
}
END_TEST

/* S6 of index-identity.md: random serials, positive and of 128 bits (RFC 5280 4.1.2.2: at most 20 octets) */
START_TEST(test_serials)
{
	AUTO(ca_done) struct ca ca = make_ca("ca", GOOD_CA);
	AUTO(x509_reqp) X509_REQ *req = make_request("leaf", "");
	struct x509_issue in = { .request = req,
		.issuer = sk_X509_value(ca.chain, 0),
		.issuer_key = ca.key,
		.lifetime_s = DAY };
	char *serials[16];

	for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
		AUTO(x509_certp) X509 *cert = NULL;
		struct err err = { 0 };

		ck_ok(x509_issue_cert(&in, &cert, &err));
		save("leaf.pem", cert);
		serials[i] =
		    support_sh("openssl x509 -in %s -noout -serial", support_path("leaf.pem"));
		ck_assert_uint_eq(strlen(serials[i]), strlen("serial=") + 32);
		ck_assert_ptr_null(strchr(serials[i], '-'));
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(serials[i], serials[j]);
	}
	for (size_t i = 0; i < ARRAY_LEN(serials); i++)
		str_freep(&serials[i]);
}
END_TEST

/* S6: what may be asked for.  The extensions as openssl's configuration writes them. */
static const struct {
	const char *title, *ext;
	enum err_code plain, with_allow_ca;
} extension_rows[] = {
	{ "nothing", "", ERR_OK, ERR_OK },
	{ "CA:FALSE", "basicConstraints=critical,CA:FALSE", ERR_OK, ERR_OK },
	{ "CA:TRUE", "basicConstraints=CA:TRUE", ERR_DENIED, ERR_OK },
	{ "CA:TRUE, critical", "basicConstraints=critical,CA:TRUE,pathlen:0", ERR_DENIED, ERR_OK },
	{ "CA and keyCertSign", "basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,digitalSignature",
	    ERR_DENIED, ERR_OK },
	{ "keyCertSign alone", "keyUsage=digitalSignature,keyCertSign", ERR_DENIED, ERR_DENIED },
	{ "keyCertSign with CA:FALSE", "basicConstraints=CA:FALSE\nkeyUsage=keyCertSign",
	    ERR_DENIED, ERR_DENIED },
	{ "Netscape CA", "nsCertType=sslCA", ERR_DENIED, ERR_DENIED },
	{ "Netscape client", "nsCertType=client", ERR_OK, ERR_OK },
	{ "key usage of a leaf", "keyUsage=critical,digitalSignature,keyEncipherment", ERR_OK,
	    ERR_OK },
	{ "basic constraints that cannot be read", "2.5.29.19=DER:04:00", ERR_DENIED, ERR_DENIED },
	{ "key usage that cannot be read", "2.5.29.15=DER:30:00", ERR_DENIED, ERR_DENIED },
	{ "basic constraints twice", "basicConstraints=CA:FALSE\n2.5.29.19=DER:30:03:01:01:ff",
	    ERR_DENIED, ERR_DENIED },
	{ "an unknown extension", "1.2.3.4=critical,DER:05:00", ERR_OK, ERR_OK },
};

START_TEST(test_extensions)
{
	AUTO(ca_done) struct ca ca = make_ca("ca", GOOD_CA);

	for (size_t i = 0; i < ARRAY_LEN(extension_rows); i++) {
		AUTO(x509_reqp) X509_REQ *req = NULL;
		struct x509_issue in = { .issuer = sk_X509_value(ca.chain, 0),
			.issuer_key = ca.key,
			.lifetime_s = DAY };
		struct err err = { 0 };

		req = make_request("leaf", extension_rows[i].ext);
		in.request = req;
		for (int allow = 0; allow < 2; allow++) {
			AUTO(x509_certp) X509 *cert = NULL;
			enum err_code want =
			    allow ? extension_rows[i].with_allow_ca : extension_rows[i].plain;

			in.allow_ca = allow;
			ck_assert_msg(x509_issue_cert(&in, &cert, &err) == want, "%s: %s",
			    extension_rows[i].title, err.text);
			ck_assert_int_eq(cert != NULL, want == ERR_OK);
			/* what libcrypto's verifier would make of it */
			if (cert && !allow)
				ck_assert_int_eq(X509_check_ca(cert), 0);
		}
	}
}
END_TEST

/* certd.md 2.1 with S6: the issuer is a CA in date and the key is its own */
START_TEST(test_issuers)
{
	static const struct {
		const char *title, *options, *request;
		enum err_code want;
	} rows[] = {
		{ "a CA", "-subj /CN=ca -addext basicConstraints=CA:TRUE", "", ERR_OK },
		{ "a leaf", "-subj /CN=ca -addext basicConstraints=CA:FALSE", "", ERR_INVALID },
		{ "CA:TRUE without keyCertSign",
		    "-subj /CN=ca -addext basicConstraints=CA:TRUE -addext "
		    "keyUsage=digitalSignature",
		    "", ERR_INVALID },
		{ "expired", "-subj /CN=ca -addext basicConstraints=CA:TRUE", "", ERR_INVALID },
		{ "pathlen 0, a leaf", "-subj /CN=ca -addext basicConstraints=CA:TRUE,pathlen:0",
		    "", ERR_OK },
		{ "pathlen 0, a CA", "-subj /CN=ca -addext basicConstraints=CA:TRUE,pathlen:0",
		    "basicConstraints=CA:TRUE", ERR_DENIED },
		{ "pathlen 1, a CA", "-subj /CN=ca -addext basicConstraints=CA:TRUE,pathlen:1",
		    "basicConstraints=CA:TRUE", ERR_OK },
	};

	support_write(support_path("bare.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *options = NULL;
		AUTO(ca_done) struct ca ca = { 0 };
		AUTO(x509_reqp) X509_REQ *req = make_request("leaf", rows[i].request);
		AUTO(x509_certp) X509 *cert = NULL;
		struct err err = { 0 };
		struct x509_issue in = { .request = req, .lifetime_s = DAY, .allow_ca = true };

		ck_ok(str_format(&options, &err, "-config bare.cnf %s", rows[i].options));
		ca = make_ca("ca", options);
		in.issuer = sk_X509_value(ca.chain, 0);
		in.issuer_key = ca.key;
		if (strcmp(rows[i].title, "expired") == 0) {
			X509_gmtime_adj(X509_getm_notAfter(in.issuer), -10);
			ck_assert_int_gt(X509_sign(in.issuer, ca.key, EVP_sha256()), 0);
		}
		ck_assert_msg(x509_issue_cert(&in, &cert, &err) == rows[i].want, "%s: %s",
		    rows[i].title, err.text);
	}
}
END_TEST

START_TEST(test_issuer_key)
{
	AUTO(ca_done) struct ca ca = make_ca("ca", GOOD_CA);
	AUTO(ca_done) struct ca other = make_ca("other", GOOD_CA);
	AUTO(x509_reqp) X509_REQ *req = make_request("leaf", "");
	AUTO(x509_certp) X509 *cert = NULL;
	struct x509_issue in = { .request = req,
		.issuer = sk_X509_value(ca.chain, 0),
		.issuer_key = other.key,
		.lifetime_s = DAY };
	struct err err = { 0 };

	ck_err(x509_issue_cert(&in, &cert, &err), ERR_INVALID);
	ck_assert_ptr_null(cert);
}
END_TEST

START_TEST(test_self_signed)
{
	AUTO(x509_reqp) X509_REQ *req = make_request("self", "basicConstraints=critical,CA:TRUE");
	AUTO(x509_certp) X509 *cert = NULL;
	AUTO(bytes_done) struct bytes pem = support_read(support_path("self.key"));
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(x509_keyp) EVP_PKEY *other = NULL;
	AUTO(str_freep) char *shown = NULL;
	AUTO(str_freep) char *verdict = NULL;
	struct x509_issue in = { .request = req, .lifetime_s = DAY, .allow_ca = true };
	struct err err = { 0 };

	ck_ok(x509_key_read(text_of_bytes(&pem), &key, &err));
	in.issuer_key = key;
	ck_ok(x509_issue_cert(&in, &cert, &err));
	save("self.pem", cert);
	verdict = support_sh(
	    "cd %s && openssl verify -check_ss_sig -CAfile self.pem self.pem", support_tmpdir());
	ck_assert_str_eq(verdict, "self.pem: OK");
	shown = support_sh("openssl x509 -in %s -noout -text", support_path("self.pem"));
	assert_has(shown, "Issuer: O = plant, CN = self");
	assert_has(shown, "Subject Key Identifier");
	/* certd.md 2.1: AKID only when there is an issuer */
	ck_assert_ptr_null(strstr(shown, "Authority Key Identifier"));
	x509_certp(&cert);

	in.allow_ca = false;
	ck_err(x509_issue_cert(&in, &cert, &err), ERR_DENIED);
	in.allow_ca = true;
	ck_ok(x509_key_new(X509_KEY_EC_P256, &other, &err));
	in.issuer_key = other;
	ck_err(x509_issue_cert(&in, &cert, &err), ERR_DENIED);
}
END_TEST

TEST_MAIN("crypto/x509_issue", test_leaf, test_overrides, test_not_after_cut, test_serials,
    test_extensions, test_issuers, test_issuer_key, test_self_signed)
