#include "tests/support/support.h"

#include <string.h>

#include "crypto/x509.h"

/* The judge is the openssl command; our own reader is judged by what that command wrote. */

static void
namep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

static X509_NAME *
subject_of(const char *cn)
{
	const struct x509_subject_entry entry = { "CN", cn };
	X509_NAME *name = NULL;
	struct err err = { 0 };

	ck_ok(x509_subject(&entry, 1, &name, &err));
	return name;
}

static EVP_PKEY *
new_key(enum x509_key_kind kind)
{
	EVP_PKEY *key = NULL;
	struct err err = { 0 };

	ck_ok(x509_key_new(kind, &key, &err));
	return key;
}

static void
assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text);
}

static void
assert_lacks(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) == NULL, "'%s' in:\n%s", part, text);
}

#define A16 "aaaaaaaaaaaaaaaa"
#define A63 A16 A16 A16 "aaaaaaaaaaaaaaa"
#define E4  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define E16 E4 E4 E4 E4
#define E64 E16 E16 E16 E16

START_TEST(test_subject)
{
	static const struct {
		struct x509_subject_entry entries[3];
		size_t n;
		const char *shown; /* by openssl req -nameopt; NULL: refused */
	} rows[] = {
		{ { { "CN", "press-17" } }, 1, "subject=CN=press-17" },
		/* contracts/certd.md 5: names as short names, long names or OIDs; in the order given */
		{ { { "CN", "a" }, { "localityName", "AQ" }, { "2.5.4.8", "Antarctica" } }, 3,
		    "subject=CN=a,L=AQ,ST=Antarctica" },
		{ { { "O", "a,b+CN=c" } }, 1, "subject=O=a\\,b\\+CN=c" },
		/* CN cut to 64 characters, never inside one; S11 */
		{ { { "CN", A63 "bc" } }, 1, "subject=CN=" A63 "b" },
		{ { { "CN", E64 } }, 1, "subject=CN=" E64 },
		{ { { "CN", E64 "x" } }, 1, "subject=CN=" E64 },
		{ { { "CN", A63 "\xe2\x82\xacx" } }, 1, "subject=CN=" A63 "\xe2\x82\xac" },
		/* others are not cut */
		{ { { "O", A63 "bc" } }, 1, NULL },
		{ { { "C", "ABC" } }, 1, NULL },
		{ { { "NoSuchField", "a" } }, 1, NULL },
		{ { { "CN", "" } }, 1, NULL },
		{ { { "CN", "\xc3" } }, 1, NULL },
		{ { { "CN", "\xff\xfe" } }, 1, NULL },
	};
	AUTO(x509_keyp) EVP_PKEY *key = new_key(X509_KEY_EC_P256);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(namep) X509_NAME *name = NULL;
		AUTO(str_freep) char *pem = NULL;
		AUTO(str_freep) char *shown = NULL;
		struct err err = { 0 };

		if (!rows[i].shown) {
			ck_err(x509_subject(rows[i].entries, rows[i].n, &name, &err), ERR_INVALID);
			ck_assert_ptr_null(name);
			continue;
		}
		ck_ok(x509_subject(rows[i].entries, rows[i].n, &name, &err));
		ck_ok(x509_request(key, name, X509_PLAIN, NULL, 0, &pem, &err));
		support_write(support_path("csr"), pem);
		shown = support_sh("openssl req -in %s -noout -subject -nameopt "
				   "sep_comma_plus,esc_2253,utf8,sname",
		    support_path("csr"));
		ck_assert_str_eq(shown, rows[i].shown);
	}
}
END_TEST

/* what the profiles ask for: identityd.md 5, edged-workload.md 3.2 and 3.4 */
static const struct {
	const char *title;
	enum x509_profile profile;
	struct x509_san sans[2];
	size_t n;
	const char *has[4], *lacks[2];
} profiles[] = {
	{ "identityd.md 5: no extension", X509_PLAIN, { { 0 } }, 0, { "Version: 1 (0x0)" },
	    { "X509v3" } },
	{ "edged-workload.md 3.4", X509_EDGE_CA, { { 0 } }, 0,
	    { "X509v3 Key Usage: critical\n                    Digital Signature, Certificate "
	      "Sign\n",
		"X509v3 Basic Constraints: critical\n                    CA:TRUE, pathlen:0\n" },
	    { "Alternative Name", "Extended" } },
	{ "edged-workload.md 3.2, server", X509_SERVER,
	    { { X509_SAN_DNS, "mod1.example" }, { X509_SAN_DNS, "mod1" } }, 2,
	    { "X509v3 Extended Key Usage: \n                    TLS Web Server Authentication\n",
		"DNS:mod1.example, DNS:mod1\n" },
	    { "Basic Constraints", "X509v3 Key Usage" } },
	{ "edged-workload.md 3.2, server by address", X509_SERVER,
	    { { X509_SAN_IP, "10.1.2.3" }, { X509_SAN_IP, "fe80::1" } }, 2,
	    { "IP Address:10.1.2.3, IP Address:FE80:0:0:0:0:0:0:1\n" }, { 0 } },
	{ "edged-workload.md 3.2, identity", X509_CLIENT,
	    { { X509_SAN_DNS, "URI: azureiot://h/devices/d/modules/m" } }, 1,
	    { "TLS Web Client Authentication\n", "DNS:URI: azureiot://h/devices/d/modules/m\n" },
	    { "Basic Constraints" } },
	{ "identityd.md 5, local identity", X509_LOCAL_CLIENT, { { 0 } }, 0,
	    { "X509v3 Basic Constraints: critical\n                    CA:FALSE\n",
		"X509v3 Key Usage: critical\n                    Digital Signature, Non "
		"Repudiation, "
		"Key Encipherment\n",
		"X509v3 Extended Key Usage: critical\n                    TLS Web Client "
		"Authentication\n" },
	    { "Server Authentication" } },
	{ "identityd.md 5, local server", X509_LOCAL_SERVER, { { 0 } }, 0,
	    { "critical\n                    TLS Web Client Authentication, TLS Web Server "
	      "Authentication\n" },
	    { 0 } },
	{ "a true URI", X509_CLIENT, { { X509_SAN_URI, "azureiot://h" } }, 1,
	    { "URI:azureiot://h\n" }, { 0 } },
	{ "a comma starts no second name", X509_SERVER, { { X509_SAN_DNS, "a,IP:1.2.3.4" } }, 1,
	    { "DNS:a,IP:1.2.3.4\n" }, { "IP Address" } },
};

static void
check_profile(size_t i, EVP_PKEY *key)
{
	AUTO(namep) X509_NAME *name = subject_of("m");
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *shown = NULL;
	struct err err = { 0 };

	ck_ok(x509_request(
	    key, name, profiles[i].profile, profiles[i].sans, profiles[i].n, &pem, &err));
	support_write(support_path("csr"), pem);
	shown = support_sh("openssl req -in %s -noout -text -verify 2>&1", support_path("csr"));
	assert_has(shown, "self-signature verify OK");
	assert_has(
	    shown, EVP_PKEY_is_a(key, "RSA") ? "sha256WithRSAEncryption" : "ecdsa-with-SHA256");
	for (size_t j = 0; j < ARRAY_LEN(profiles[i].has) && profiles[i].has[j]; j++)
		assert_has(shown, profiles[i].has[j]);
	for (size_t j = 0; j < ARRAY_LEN(profiles[i].lacks) && profiles[i].lacks[j]; j++)
		assert_lacks(shown, profiles[i].lacks[j]);
}

START_TEST(test_request)
{
	AUTO(x509_keyp) EVP_PKEY *ec = new_key(X509_KEY_EC_P256);
	AUTO(x509_keyp) EVP_PKEY *rsa = new_key(X509_KEY_RSA_2048);

	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		check_profile(i, ec);
		check_profile(i, rsa);
	}
}
END_TEST

START_TEST(test_request_refuses)
{
	static const struct x509_san wrong[] = {
		{ X509_SAN_IP, "10.1.2" },
		{ X509_SAN_IP, "" },
		{ X509_SAN_DNS, "" },
		{ X509_SAN_DNS, "\xc3\xa9" },
		{ X509_SAN_DNS, "a\nb" },
		{ X509_SAN_URI, "a\x7f" },
	};
	AUTO(x509_keyp) EVP_PKEY *key = new_key(X509_KEY_EC_P256);
	AUTO(namep) X509_NAME *name = subject_of("m");

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		AUTO(str_freep) char *pem = NULL;
		struct err err = { 0 };

		ck_err(x509_request(key, name, X509_SERVER, &wrong[i], 1, &pem, &err), ERR_INVALID);
		ck_assert_ptr_null(pem);
	}
}
END_TEST

START_TEST(test_request_read)
{
	AUTO(x509_reqp) X509_REQ *req = NULL;
	AUTO(str_freep) char *cn = NULL;
	AUTO(str_freep) char *good = NULL;
	AUTO(str_freep) char *shown = NULL;
	struct err err = { 0 };
	char *base64;

	good = support_sh("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
			  "-keyout /dev/null -utf8 -subj /CN=fr\xc3\xa9 2>/dev/null");
	ck_ok(x509_request_read(text_of(good), &req, &err));
	ck_ok(x509_common_name(X509_REQ_get_subject_name(req), &cn, &err));
	ck_assert_str_eq(cn, "fr\xc3\xa9");
	x509_reqp(&req);

	/* certd.md 1: not PEM; self-signature wrong */
	ck_err(x509_request_read(TEXT("junk"), &req, &err), ERR_SYNTAX);
	ck_err(x509_request_read((struct text){ 0 }, &req, &err), ERR_SYNTAX);
	ck_err(x509_request_read((struct text){ good, strlen(good) / 2 }, &req, &err), ERR_SYNTAX);
	support_write(support_path("csr"), good);
	shown = support_sh("openssl req -in %s -noout -pubkey", support_path("csr"));
	ck_err(x509_request_read(text_of(shown), &req, &err), ERR_SYNTAX);
	/* some characters before the padding are inside the signature's last integer */
	base64 = strstr(good, "\n-----END") - 8;
	base64[0] = base64[0] == 'A' ? 'B' : 'A';
	ck_err(x509_request_read(text_of(good), &req, &err), ERR_DENIED);
	ck_assert_ptr_null(req);
}
END_TEST

/* an encrypted PEM block must not make libcrypto ask the terminal */
START_TEST(test_no_prompt)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *old = NULL;
	AUTO(str_freep) char *cert = NULL;
	struct err err = { 0 };

	pem = support_sh("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128 "
			 "-pass pass:secret 2>/dev/null");
	ck_err(x509_key_read(text_of(pem), &key, &err), ERR_SYNTAX);
	old = support_sh("openssl ecparam -genkey -name prime256v1 -noout | "
			 "openssl ec -aes128 -passout pass:secret 2>/dev/null");
	ck_err(x509_key_read(text_of(old), &key, &err), ERR_SYNTAX);
	ck_assert_ptr_null(key);
	ck_ok(str_format(&cert, &err,
	    "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
	    "AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END CERTIFICATE-----\n"));
	ck_err(x509_chain_read(text_of(cert), &chain, &err), ERR_SYNTAX);
}
END_TEST

START_TEST(test_chain)
{
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
	AUTO(str_freep) char *two = NULL;
	AUTO(str_freep) char *again = NULL;
	AUTO(str_freep) char *cn = NULL;
	AUTO(str_freep) char *damaged = NULL;
	struct err err = { 0 };
	int64_t before = 0, after = 0;

	two = support_sh(
	    "cd %s && for n in one two; do openssl req -x509 -newkey rsa:2048 -nodes -keyout k-$n "
	    "-subj /CN=$n -days 10 2>/dev/null; done; cat k-one",
	    support_tmpdir());
	/* leaf first; what is no certificate is passed over */
	ck_ok(x509_chain_read(text_of(two), &chain, &err));
	ck_assert_int_eq(sk_X509_num(chain), 2);
	ck_ok(x509_common_name(X509_get_subject_name(sk_X509_value(chain, 0)), &cn, &err));
	ck_assert_str_eq(cn, "one");
	ck_ok(x509_times(sk_X509_value(chain, 0), &before, &after, &err));
	ck_assert_int_eq(after - before, 10 * 86400);
	ck_ok(x509_chain_write(chain, &again, &err));
	ck_assert_uint_eq(strncmp(two, again, strlen(again)), 0);
	x509_chainp(&chain);

	ck_err(x509_chain_read(TEXT("junk"), &chain, &err), ERR_SYNTAX);
	ck_err(x509_chain_read((struct text){ 0 }, &chain, &err), ERR_SYNTAX);
	ck_err(x509_chain_read((struct text){ two, 400 }, &chain, &err), ERR_SYNTAX);
	/* a good certificate with a damaged one behind it is not a shorter chain */
	damaged = strdup(again);
	strstr(strstr(damaged, "END"), "BEGIN CERTIFICATE-----\n")[40] = '!';
	ck_err(x509_chain_read(text_of(damaged), &chain, &err), ERR_SYNTAX);
	ck_assert_ptr_null(chain);
}
END_TEST

START_TEST(test_times)
{
	/* RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on */
	static const char *const days[] = { "1", "20000" };

	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
		AUTO(str_freep) char *pem = NULL;
		AUTO(str_freep) char *end = NULL;
		struct err err = { 0 };
		int64_t before = 0, after = 0;

		pem = support_sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null "
				 "-subj /CN=a -days %s 2>/dev/null",
		    days[i]);
		ck_ok(x509_chain_read(text_of(pem), &chain, &err));
		ck_ok(x509_times(sk_X509_value(chain, 0), &before, &after, &err));
		support_write(support_path("cert"), pem);
		end = support_sh("date +%%s -d \"$(openssl x509 -in %s -noout -enddate | cut -d= "
				 "-f2)\"",
		    support_path("cert"));
		ck_assert_int_eq(after, atoll(end));
	}
}
END_TEST

START_TEST(test_common_name)
{
	AUTO(namep) X509_NAME *name = X509_NAME_new();
	AUTO(str_freep) char *cn = NULL;
	struct err err = { 0 };

	ck_err(x509_common_name(name, &cn, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
			     (const unsigned char *)"a\0b", 3, -1, 0),
	    1);
	ck_err(x509_common_name(name, &cn, &err), ERR_INVALID);
	ck_assert_ptr_null(cn);
}
END_TEST

START_TEST(test_keys)
{
	static const struct {
		enum x509_key_kind kind;
		const char *shown;
	} rows[] = {
		{ X509_KEY_EC_P256, "NIST CURVE: P-256" },
		{ X509_KEY_RSA_2048, "Private-Key: (2048 bit, 2 primes)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = new_key(rows[i].kind);
		AUTO(x509_keyp) EVP_PKEY *again = NULL;
		AUTO(bytes_done) struct bytes pem = { 0 };
		AUTO(str_freep) char *shown = NULL;
		struct err err = { 0 };

		ck_ok(x509_key_write(key, &pem, &err));
		assert_has((const char *)pem.data, "-----BEGIN PRIVATE KEY-----\n");
		support_write(support_path("key"), (const char *)pem.data);
		shown =
		    support_sh("openssl pkey -in %s -noout -check -text 2>&1", support_path("key"));
		assert_has(shown, "Key is valid");
		assert_has(shown, rows[i].shown);
		ck_ok(x509_key_read(text_of_bytes(&pem), &again, &err));
		ck_assert_int_eq(EVP_PKEY_eq(key, again), 1);
		x509_keyp(&again);
		ck_err(x509_key_read((struct text){ (char *)pem.data, pem.len / 2 }, &again, &err),
		    ERR_SYNTAX);
	}
}
END_TEST

TEST_MAIN("crypto/x509", test_subject, test_request, test_request_refuses, test_request_read,
    test_no_prompt, test_chain, test_times, test_common_name, test_keys)
