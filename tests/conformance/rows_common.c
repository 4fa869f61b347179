#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/conformance.h"

/* The rules that hold for every backend, whether it is called by keyd or by its bare functions. */

/* --- helpers: calls that must succeed */

static void
make_key(const char *id)
{
	must_offer("create a key", subject->create_key(id, KEYD_USE_SIGN));
}

static void
make_pair(const char *id, enum key_algorithm algorithm)
{
	must_offer("create a key pair", subject->create_pair(id, algorithm));
}

static struct bytes
parameter(const char *id, enum key_parameter which)
{
	struct bytes value = { 0 };

	must("read a public parameter", subject->parameter(id, which, &value), DONE);
	return value;
}

static struct bytes
hmac(const char *id, const struct bytes *data)
{
	struct bytes out = { 0 };

	must("sign by HMAC-SHA256", subject->sign(id, KEYD_HMAC_SHA256, data, &out), DONE);
	return out;
}

static void
import(const char *id, unsigned usage, const struct bytes *value)
{
	must_offer("import a key", subject->import(id, usage, value));
}

static void
same(const char *what, const struct bytes *a, const struct bytes *b)
{
	if (!bytes_equal(a, b))
		fail("%s: %zu bytes, and not those expected", what, a->len);
}

/* What tells one pair from another. */
static struct bytes
public_of(const char *id)
{
	AUTO(bytes_done) struct bytes algorithm = parameter(id, KEY_PARAM_ALGORITHM);

	return parameter(id, text_equal(text_of_bytes(&algorithm), "RSA") ? KEY_PARAM_RSA_MODULUS
									  : KEY_PARAM_EC_POINT);
}

/* A pair of whichever algorithm there is. */
static void
make_any_pair(const char *id)
{
	if (subject->create_pair(id, KEY_EC_P256) != DONE)
		make_pair(id, KEY_RSA_2048);
}

/* --- symmetric keys */

static void
missing(void)
{
	must("load a key that is not there", subject->load(id_of("a"), KEY_SYMMETRIC), REFUSED);
	must("load a pair that is not there", subject->load(id_of("a"), KEY_PAIR), REFUSED);
}

static void
keeps_key(void)
{
	const struct bytes data = text_bytes("data");
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };

	make_key(id_of("a"));
	must("load it", subject->load(id_of("a"), KEY_SYMMETRIC), DONE);
	before = hmac(id_of("a"), &data);
	make_key(id_of("a"));
	after = hmac(id_of("a"), &data);
	if (!bytes_equal(&before, &after))
		fail("creating a key replaces the one that is there");
}

static void
keys_differ(void)
{
	const struct bytes data = text_bytes("data");
	AUTO(bytes_done) struct bytes a = { 0 };
	AUTO(bytes_done) struct bytes b = { 0 };

	make_key(id_of("a"));
	make_key(id_of("b"));
	a = hmac(id_of("a"), &data);
	b = hmac(id_of("b"), &data);
	if (bytes_equal(&a, &b))
		fail("two keys are the same");
}

static void
hmac_is_right(void)
{
	static const size_t lengths[] = { 0, 1, 63, 64, 65, 1000, 100000 };
	AUTO(bytes_done) struct bytes key = judge_random(32);

	import(id_of("a"), KEYD_USE_SIGN, &key);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes data = judge_random(lengths[i]);
		AUTO(bytes_done) struct bytes want = judge_hmac(&key, &data);
		AUTO(bytes_done) struct bytes got = hmac(id_of("a"), &data);
		char what[64];

		snprintf(what, sizeof(what), "HMAC of %zu bytes", lengths[i]);
		same(what, &got, &want);
	}
}

/* As the cloud gives them: 64 bytes for an individual enrolment, less than a hash elsewhere. */
static void
keys_of_any_size(void)
{
	static const size_t lengths[] = { 64, 31, 16 };
	const struct bytes data = text_bytes("data");

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes key = judge_random(lengths[i]);
		AUTO(bytes_done) struct bytes want = judge_hmac(&key, &data);
		AUTO(bytes_done) struct bytes got = { 0 };
		char what[64];

		snprintf(what, sizeof(what), "import a key of %zu bytes", lengths[i]);
		must_offer(what, subject->import(id_of("a"), KEYD_USE_SIGN, &key));
		got = hmac(id_of("a"), &data);
		snprintf(what, sizeof(what), "HMAC with a key of %zu bytes", lengths[i]);
		same(what, &got, &want);
	}
}

static void
derive_is_hmac(void)
{
	const struct bytes data = text_bytes("modules/$edgeAgent/123");
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(bytes_done) struct bytes got = { 0 };

	make_key(id_of("a"));
	want = hmac(id_of("a"), &data);
	must("derive a key", subject->derive(id_of("a"), &data, &got), DONE);
	same("derived key", &got, &want);
}

static void
derive_is_right(void)
{
	AUTO(bytes_done) struct bytes key = judge_random(32);
	AUTO(bytes_done) struct bytes data = judge_random(100);
	AUTO(bytes_done) struct bytes want = judge_hmac(&key, &data);
	AUTO(bytes_done) struct bytes got = { 0 };

	import(id_of("a"), KEYD_USE_SIGN, &key);
	must("derive a key", subject->derive(id_of("a"), &data, &got), DONE);
	same("derived key", &got, &want);
}

static void
import_replaces(void)
{
	const struct bytes data = text_bytes("data");
	AUTO(bytes_done) struct bytes first = judge_random(32);
	AUTO(bytes_done) struct bytes second = judge_random(32);
	AUTO(bytes_done) struct bytes want = judge_hmac(&second, &data);
	AUTO(bytes_done) struct bytes got = { 0 };

	import(id_of("a"), KEYD_USE_SIGN, &first);
	import(id_of("a"), KEYD_USE_SIGN, &second);
	got = hmac(id_of("a"), &data);
	if (!bytes_equal(&got, &want))
		fail("importing a key does not replace the one that is there");
}

static void
deletes_key(void)
{
	make_key(id_of("a"));
	must("delete a key", subject->remove(id_of("a"), KEY_SYMMETRIC), DONE);
	must("load it then", subject->load(id_of("a"), KEY_SYMMETRIC), REFUSED);
	must("delete it again", subject->remove(id_of("a"), KEY_SYMMETRIC), DONE);
}

/* --- AEAD */

static struct bytes
aead_key(const char *id)
{
	struct bytes key = judge_random(32);

	import(id, KEYD_USE_ENCRYPT, &key);
	return key;
}

static void
seal_and_open(
    const char *id, const struct bytes *key, const struct how *how, const struct bytes *plain)
{
	AUTO(bytes_done) struct bytes want = judge_seal(2, key, how, plain);
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };

	must("encrypt", subject->encrypt(id, how, plain, &sealed), DONE);
	same("ciphertext", &sealed, &want);
	must("decrypt", subject->decrypt(id, how, &sealed, &opened), DONE);
	same("plaintext", &opened, plain);
}

static void
aead(void)
{
	AUTO(bytes_done) struct bytes key = aead_key(id_of("a"));
	AUTO(bytes_done) struct bytes iv = judge_random(12);
	AUTO(bytes_done) struct bytes plain = judge_random(5000);
	const struct how how = { KEYD_AEAD, iv, text_bytes("aad") };

	seal_and_open(id_of("a"), &key, &how, &plain);
}

static void
aead_empty(void)
{
	AUTO(bytes_done) struct bytes key = aead_key(id_of("a"));
	AUTO(bytes_done) struct bytes iv = judge_random(12);
	const struct how how = { KEYD_AEAD, iv, { 0 } };
	const struct bytes nothing = { 0 };

	seal_and_open(id_of("a"), &key, &how, &nothing);
}

/* contracts/client-facts.md 13: clients use 4 bytes, words, anything */
static void
aead_iv(void)
{
	static const size_t lengths[] = { 1, 4, 13, 16, 100 };
	AUTO(bytes_done) struct bytes key = aead_key(id_of("a"));
	const struct bytes plain = text_bytes("hello");

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes iv = judge_random(lengths[i]);
		AUTO(bytes_done) struct bytes sealed = { 0 };
		const struct how how = { KEYD_AEAD, iv, { 0 } };

		if (subject->encrypt(id_of("a"), &how, &plain, &sealed) == REFUSED)
			not_offered("an IV of %zu bytes", lengths[i]);
		seal_and_open(id_of("a"), &key, &how, &plain);
	}
}

/* Of a key that it has made itself. */
static void
aead_created(void)
{
	AUTO(bytes_done) struct bytes iv = judge_random(12);
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };
	const struct how how = { KEYD_AEAD, iv, text_bytes("aad") };
	const struct bytes plain = text_bytes("hello");

	must_offer("create a key to encrypt", subject->create_key(id_of("a"), KEYD_USE_ENCRYPT));
	must("encrypt", subject->encrypt(id_of("a"), &how, &plain, &sealed), DONE);
	if (sealed.len != plain.len + 17 || sealed.data[0] != 2)
		fail("the ciphertext of %zu bytes is not 02, %zu bytes and a tag", sealed.len,
		    plain.len);
	must("decrypt", subject->decrypt(id_of("a"), &how, &sealed, &opened), DONE);
	same("plaintext", &opened, &plain);
}

static void
aead_version_1(void)
{
	AUTO(bytes_done) struct bytes key = aead_key(id_of("a"));
	AUTO(bytes_done) struct bytes iv = judge_random(12);
	const struct how how = { KEYD_AEAD, iv, text_bytes("aad") };
	const struct bytes plain = text_bytes("hello");
	AUTO(bytes_done) struct bytes sealed = judge_seal(1, &key, &how, &plain);
	AUTO(bytes_done) struct bytes opened = { 0 };

	must_offer("decrypt version 1", subject->decrypt(id_of("a"), &how, &sealed, &opened));
	same("plaintext", &opened, &plain);
}

static void
aead_tampered(void)
{
	AUTO(bytes_done) struct bytes key = aead_key(id_of("a"));
	AUTO(bytes_done) struct bytes iv = judge_random(12);
	const struct bytes plain = text_bytes("hello");
	const struct how how = { KEYD_AEAD, iv, text_bytes("aad") };
	const struct how other = { KEYD_AEAD, iv, text_bytes("add") };
	AUTO(bytes_done) struct bytes sealed = judge_seal(2, &key, &how, &plain);
	AUTO(bytes_done) struct bytes opened = { 0 };

	for (size_t i = 1; i < sealed.len; i++) {
		sealed.data[i] ^= 1;
		if (subject->decrypt(id_of("a"), &how, &sealed, &opened) == DONE)
			fail("byte %zu of a ciphertext can be changed", i);
		must("decrypt what was changed",
		    subject->decrypt(id_of("a"), &how, &sealed, &opened), TROUBLE);
		sealed.data[i] ^= 1;
	}
	must("decrypt with other additional data",
	    subject->decrypt(id_of("a"), &other, &sealed, &opened), TROUBLE);
}

static void
aead_malformed(void)
{
	AUTO(bytes_done) struct bytes key = aead_key(id_of("a"));
	AUTO(bytes_done) struct bytes iv = judge_random(12);
	const struct bytes plain = text_bytes("hello");
	const struct how how = { KEYD_AEAD, iv, { 0 } };
	AUTO(bytes_done) struct bytes sealed = judge_seal(2, &key, &how, &plain);
	AUTO(bytes_done) struct bytes opened = { 0 };
	struct bytes cut = { sealed.data, 16 };

	must("decrypt 16 bytes", subject->decrypt(id_of("a"), &how, &cut, &opened), REFUSED);
	cut.len = 0;
	must("decrypt nothing", subject->decrypt(id_of("a"), &how, &cut, &opened), REFUSED);
	sealed.data[0] = 3;
	must("decrypt version 3", subject->decrypt(id_of("a"), &how, &sealed, &opened), REFUSED);
}

/* --- key pairs */

static void
ec_parameters(void)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07 };
	AUTO(bytes_done) struct bytes algorithm = { 0 };
	AUTO(bytes_done) struct bytes oid = { 0 };
	AUTO(bytes_done) struct bytes point = { 0 };
	AUTO(bytes_done) struct bytes no = { 0 };

	make_pair(id_of("a"), KEY_EC_P256);
	must("load it", subject->load(id_of("a"), KEY_PAIR), DONE);
	algorithm = parameter(id_of("a"), KEY_PARAM_ALGORITHM);
	if (!text_equal(text_of_bytes(&algorithm), "ECDSA"))
		fail("ALGORITHM is not EC");
	oid = parameter(id_of("a"), KEY_PARAM_EC_CURVE_OID);
	if (oid.len != sizeof(p256) || memcmp(oid.data, p256, sizeof(p256)) != 0)
		fail("EC_CURVE_OID is not that of P-256 in DER");
	point = parameter(id_of("a"), KEY_PARAM_EC_POINT);
	if (!(point.len == 33 && (point.data[0] | 1) == 3) &&
	    !(point.len == 65 && point.data[0] == 4))
		fail("EC_POINT of %zu bytes is no bare point", point.len);
	must("read RSA_MODULUS of it", subject->parameter(id_of("a"), KEY_PARAM_RSA_MODULUS, &no),
	    REFUSED);
}

static void
rsa_parameters(void)
{
	AUTO(bytes_done) struct bytes algorithm = { 0 };
	AUTO(bytes_done) struct bytes modulus = { 0 };
	AUTO(bytes_done) struct bytes exponent = { 0 };
	AUTO(bytes_done) struct bytes no = { 0 };

	make_pair(id_of("a"), KEY_RSA_2048);
	algorithm = parameter(id_of("a"), KEY_PARAM_ALGORITHM);
	if (!text_equal(text_of_bytes(&algorithm), "RSA"))
		fail("ALGORITHM is not RSA");
	modulus = parameter(id_of("a"), KEY_PARAM_RSA_MODULUS);
	if (modulus.len != 256 || modulus.data[0] < 0x80)
		fail("RSA_MODULUS of %zu bytes is not of 2048 bits", modulus.len);
	exponent = parameter(id_of("a"), KEY_PARAM_RSA_EXPONENT);
	if (exponent.len != 3 || memcmp(exponent.data, "\1\0\1", 3) != 0)
		fail("RSA_EXPONENT is not 65537");
	must("read EC_POINT of it", subject->parameter(id_of("a"), KEY_PARAM_EC_POINT, &no),
	    REFUSED);
}

static void
keeps_pair(void)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };

	make_any_pair(id_of("a"));
	before = public_of(id_of("a"));
	make_any_pair(id_of("a"));
	after = public_of(id_of("a"));
	if (!bytes_equal(&before, &after))
		fail("creating a pair replaces the one that is there");
}

static void
ecdsa(void)
{
	static const size_t lengths[] = { 32, 20, 48, 64 };
	AUTO(bytes_done) struct bytes point = { 0 };

	make_pair(id_of("a"), KEY_EC_P256);
	point = parameter(id_of("a"), KEY_PARAM_EC_POINT);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes digest = judge_random(lengths[i]);
		AUTO(bytes_done) struct bytes signature = { 0 };

		must("sign by ECDSA", subject->sign(id_of("a"), KEYD_ECDSA, &digest, &signature),
		    DONE);
		if (!judge_ecdsa(&point, &digest, &signature))
			fail("%s over a digest of %zu bytes does not verify",
			    signature.data[0] == 0x30 ? "the signature"
						      : "what is no SEQUENCE in DER",
			    lengths[i]);
	}
}

/* In DER an r or s may need a zero in front, which each second one does, or be shorter, as one of 256: enough to meet both. */
static void
ecdsa_often(void)
{
	AUTO(bytes_done) struct bytes point = { 0 };

	make_pair(id_of("a"), KEY_EC_P256);
	point = parameter(id_of("a"), KEY_PARAM_EC_POINT);
	for (size_t i = 0; i < 256; i++) {
		AUTO(bytes_done) struct bytes digest = judge_random(32);
		AUTO(bytes_done) struct bytes signature = { 0 };

		must("sign by ECDSA", subject->sign(id_of("a"), KEYD_ECDSA, &digest, &signature),
		    DONE);
		if (!judge_ecdsa(&point, &digest, &signature))
			fail("signature %zu, of %zu bytes, does not verify", i, signature.len);
	}
}

static void
rsa_pkcs1(void)
{
	static const size_t lengths[] = { 51, 1, 245 };
	const struct how how = { .cipher = KEYD_RSA_PKCS1 };
	AUTO(bytes_done) struct bytes n = { 0 };
	AUTO(bytes_done) struct bytes e = { 0 };
	AUTO(bytes_done) struct bytes out = { 0 };

	make_pair(id_of("a"), KEY_RSA_2048);
	n = parameter(id_of("a"), KEY_PARAM_RSA_MODULUS);
	e = parameter(id_of("a"), KEY_PARAM_RSA_EXPONENT);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes data = judge_random(lengths[i]);
		AUTO(bytes_done) struct bytes opened = { 0 };

		bytes_done(&out);
		must("encrypt by RSA_PKCS1", subject->encrypt(id_of("a"), &how, &data, &out), DONE);
		if (out.len != n.len)
			fail("the result has %zu bytes, the modulus %zu", out.len, n.len);
		opened = judge_rsa(&n, &e, true, &out);
		same("what the public half opens", &opened, &data);
	}
	must("decrypt by RSA_PKCS1", subject->decrypt(id_of("a"), &how, &out, &n), REFUSED);
}

static void
rsa_raw(void)
{
	const struct how how = { .cipher = KEYD_RSA_NO_PADDING };
	AUTO(bytes_done) struct bytes n = { 0 };
	AUTO(bytes_done) struct bytes e = { 0 };
	AUTO(bytes_done) struct bytes data = judge_random(256);
	AUTO(bytes_done) struct bytes out = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };
	struct bytes small = { data.data, 255 };

	data.data[0] = 0;
	make_pair(id_of("a"), KEY_RSA_2048);
	n = parameter(id_of("a"), KEY_PARAM_RSA_MODULUS);
	e = parameter(id_of("a"), KEY_PARAM_RSA_EXPONENT);
	must_offer("encrypt by RSA_NO_PADDING", subject->encrypt(id_of("a"), &how, &data, &out));
	opened = judge_rsa(&n, &e, false, &out);
	same("what the public half opens", &opened, &data);
	if (subject->encrypt(id_of("a"), &how, &small, &opened) == DONE)
		fail("255 bytes are encrypted without padding");
}

static void
key_misfits(void)
{
	const struct how pkcs1 = { .cipher = KEYD_RSA_PKCS1 };
	const struct bytes digest = text_bytes("0123456789abcdef0123456789abcdef");
	AUTO(bytes_done) struct bytes out = { 0 };

	make_key(id_of("key"));
	if (subject->sign(id_of("key"), KEYD_ECDSA, &digest, &out) == DONE)
		fail("a symmetric key signs by ECDSA");
	if (subject->encrypt(id_of("key"), &pkcs1, &digest, &out) == DONE)
		fail("a symmetric key encrypts by RSA");
	if (subject->load(id_of("key"), KEY_PAIR) == DONE)
		fail("a symmetric key is loaded as a pair");
}

static void
pair_misfits(void)
{
	const struct how pkcs1 = { .cipher = KEYD_RSA_PKCS1 };
	const struct bytes digest = text_bytes("0123456789abcdef0123456789abcdef");
	AUTO(bytes_done) struct bytes out = { 0 };

	make_pair(id_of("pair"), KEY_EC_P256);
	must("encrypt by RSA with an EC pair",
	    subject->encrypt(id_of("pair"), &pkcs1, &digest, &out), REFUSED);
}

static void
deletes_pair(void)
{
	make_any_pair(id_of("a"));
	must("delete a pair", subject->remove(id_of("a"), KEY_PAIR), DONE);
	must("load it then", subject->load(id_of("a"), KEY_PAIR), REFUSED);
	must("delete it again", subject->remove(id_of("a"), KEY_PAIR), DONE);
}

/* In three processes, as a small device may hold few keys at a time. */
static void
makes_new(void)
{
	AUTO(bytes_done) struct bytes public = { 0 };

	make_any_pair(id_of("new"));
	public = public_of(id_of("new"));
	keep(0, &public);
}

static void
makes_old(void)
{
	make_any_pair(id_of("old"));
}

static void
moves(void)
{
	const struct bytes wanted = kept(0);
	AUTO(bytes_done) struct bytes public = { 0 };

	must("move a pair", subject->move(id_of("new"), id_of("old")), DONE);
	public = public_of(id_of("old"));
	same("the pair at its new place", &public, &wanted);
	must("load it at its old place", subject->load(id_of("new"), KEY_PAIR), REFUSED);
	if (subject->move(id_of("new"), id_of("old")) == DONE)
		fail("a pair that is not there is moved");
	bytes_done(&public);
	public = public_of(id_of("old"));
	same("the pair after a move that failed", &public, &wanted);
}

/* --- ids */

#define TEN "0123456789"
#define LONG                                    \
	TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN \
	    "0123" /* 128 bytes with the 23 of id_of in front and one behind */

static const char *const odd_ids[] = { "a/b", "../x", "..", ".", "%2e%2e%2f", "a b", " ", "A", "a",
	"gr\xc3\xbcn", "\n", "*?[a]", "'\"`$(x)", "\\", "-rf", "\xf0\x9f\x94\x91", LONG "4",
	LONG "5" };

/* Of an id that nothing is odd about. */
static bool
makes_keys(void)
{
	return subject->create_key(id_of("plain"), KEYD_USE_SIGN) == DONE;
}

static void
ids(void)
{
	const struct bytes data = text_bytes("data");
	struct bytes macs[ARRAY_LEN(odd_ids)] = { { 0 } };

	for (size_t i = 0; i < ARRAY_LEN(odd_ids); i++) {
		const char *id = id_of(odd_ids[i]);

		const enum outcome made = subject->create_key(id, KEYD_USE_SIGN);

		if (i == 0 && made == REFUSED && !makes_keys())
			not_offered("create a key");
		if (made != DONE)
			fail("no key of the id \"%s\": %s", odd_ids[i], subject->said());
		must("load it", subject->load(id, KEY_SYMMETRIC), DONE);
		macs[i] = hmac(id, &data);
		for (size_t j = 0; j < i; j++)
			if (bytes_equal(&macs[i], &macs[j]))
				fail("\"%s\" and \"%s\" are one key", odd_ids[j], odd_ids[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(odd_ids); i++)
		bytes_done(&macs[i]);
}

/* --- a second process */

static void
before_restart(void)
{
	const struct bytes data = text_bytes("data");
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes point = { 0 };

	if (subject->create_key(id_of("key"), KEYD_USE_SIGN) == DONE)
		mac = hmac(id_of("key"), &data);
	make_any_pair(id_of("pair"));
	point = public_of(id_of("pair"));
	keep(0, &mac);
	keep(1, &point);
}

static void
after_restart(void)
{
	const struct bytes data = text_bytes("data"), mac = kept(0), point = kept(1);
	AUTO(bytes_done) struct bytes mac_now = { 0 };
	AUTO(bytes_done) struct bytes point_now = { 0 };

	must("load the pair after a restart", subject->load(id_of("pair"), KEY_PAIR), DONE);
	point_now = public_of(id_of("pair"));
	same("public key after a restart", &point_now, &point);
	if (mac.len == 0)
		return; /* there are no symmetric keys */
	must("load the key after a restart", subject->load(id_of("key"), KEY_SYMMETRIC), DONE);
	mac_now = hmac(id_of("key"), &data);
	same("HMAC after a restart", &mac_now, &mac);
}

/* --- threads: of a backend all at once, of functions one at a time */

#define THREADS	  8
#define CALLS	  25
#define MAC_BYTES 32

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void *
sign_often(void *arg)
{
	const struct bytes data = text_bytes("data");

	for (size_t i = 0; i < CALLS; i++) {
		AUTO(bytes_done) struct bytes got = { 0 };
		const struct bytes want = kept(0);

		if (subject->functions)
			pthread_mutex_lock(&one_at_a_time);
		got = hmac(arg, &data);
		if (subject->functions)
			pthread_mutex_unlock(&one_at_a_time);
		same("HMAC on another thread", &got, &want);
	}
	return NULL;
}

static void
threads(void)
{
	const struct bytes data = text_bytes("data");
	AUTO(bytes_done) struct bytes mac = { 0 };
	pthread_t thread[THREADS];

	make_key(id_of("a"));
	mac = hmac(id_of("a"), &data);
	keep(0, &mac);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, sign_often, (void *)id_of("a")))
			fail("no thread");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* Each with a key of its own, which comes and goes. */
static void *
come_and_go(void *arg)
{
	const struct bytes data = text_bytes("data");
	const char *id = arg;

	for (size_t i = 0; i < 3; i++) {
		AUTO(bytes_done) struct bytes mac = { 0 };
		AUTO(bytes_done) struct bytes again = { 0 };

		if (subject->functions)
			pthread_mutex_lock(&one_at_a_time);
		make_key(id);
		mac = hmac(id, &data);
		again = hmac(id, &data);
		same("HMAC of a key of this thread's", &again, &mac);
		must("delete it", subject->remove(id, KEY_SYMMETRIC), DONE);
		must("load it then", subject->load(id, KEY_SYMMETRIC), REFUSED);
		if (subject->functions)
			pthread_mutex_unlock(&one_at_a_time);
	}
	return NULL;
}

static void
threads_with_keys(void)
{
	pthread_t thread[THREADS];
	char name[THREADS][8];
	const char *id[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		snprintf(name[i], sizeof(name[i]), "%zu", i);
		id[i] = id_of(name[i]);
	}
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, come_and_go, (void *)id[i]))
			fail("no thread");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* clang-format off */
const struct row common_rows[] = {
	{ "a missing key is missing",             "4.3",  { missing } },
	{ "creating keeps an existing key",       "4.2",  { keeps_key } },
	{ "keys differ from each other",          "4.2",  { keys_differ } },
	{ "HMAC-SHA256",                          "4.12", { hmac_is_right } },
	{ "HMAC-SHA256 with keys of other sizes", "4.4",  { keys_of_any_size } },
	{ "derived key = HMAC-SHA256 of created", "4.11", { derive_is_hmac } },
	{ "derived key = HMAC-SHA256 of imported", "4.11", { derive_is_right } },
	{ "importing replaces a key",             "4.4",  { import_replaces } },
	{ "deleting a key",                       "4.5",  { deletes_key } },
	{ "AEAD: 02, ciphertext, tag",            "4.14", { aead } },
	{ "AEAD with a created key",              "4.14", { aead_created } },
	{ "AEAD of nothing",                      "4.14", { aead_empty } },
	{ "AEAD with IVs of any length",          "4.14", { aead_iv } },
	{ "AEAD: version 1 is read",              "4.15", { aead_version_1 } },
	{ "AEAD: what was tampered with",         "4.15", { aead_tampered } },
	{ "AEAD: malformed ciphertext",           "4.15", { aead_malformed } },
	{ "EC P-256 and its public parameters",   "4.8",  { ec_parameters } },
	{ "RSA 2048 and its public parameters",   "4.8",  { rsa_parameters } },
	{ "creating keeps an existing pair",      "4.6",  { keeps_pair } },
	{ "ECDSA in DER, verified",               "4.12", { ecdsa } },
	{ "ECDSA, 256 times",                     "4.12", { ecdsa_often } },
	{ "RSA_PKCS1, opened by the public half", "4.14", { rsa_pkcs1 } },
	{ "RSA_NO_PADDING, opened as well",       "4.14", { rsa_raw } },
	{ "mechanisms that do not fit a key",     "3.3",  { key_misfits } },
	{ "mechanisms that do not fit a pair",    "3.3",  { pair_misfits } },
	{ "deleting a pair",                      "4.10", { deletes_pair } },
	{ "moving a pair replaces another",       "4.9",  { makes_new, makes_old, moves } },
	{ "ids of any characters",                "3.4",  { ids } },
	{ "keys outlive the process",             "3.2",  { before_restart, after_restart } },
	{ "calls from several threads",           "3.2",  { threads } },
	{ "threads, each with keys of its own",   "3.2",  { threads_with_keys } },
};
/* clang-format on */
const size_t n_common_rows = ARRAY_LEN(common_rows);
