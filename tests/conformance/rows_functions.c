#include <stdio.h>
#include <string.h>

#include "tests/conformance/functions.h"

/* The rules of the C interface that keyd's host hides from a backend's callers: lists, buffers, pointers, verify, DERIVED. */

#define OK	AZIOT_KEYS_RC_OK
#define INVALID AZIOT_KEYS_RC_ERR_INVALID_PARAMETER

static void
make_key(const char *id)
{
	must_offer("create_key_if_not_exists", subject->create_key(id, KEYD_USE_SIGN));
}

static void
expect(const char *what, AZIOT_KEYS_RC got, AZIOT_KEYS_RC wanted)
{
	if (got != wanted)
		fail("%s: %u, not %u", what, got, wanted);
}

/* --- the entry and its lists */

static void
entry_point(void)
{
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL, *again = NULL;

	expect("version 9", entry(0x09000000, &list), INVALID);
	expect("version 0", entry(0, &list), INVALID);
	expect("a NULL pointer", entry(AZIOT_KEYS_VERSION_2_0_0_0, NULL), INVALID);
	expect("its own version", entry(functions.base.version, &list), OK);
	expect("its own version again", entry(functions.base.version, &again), OK);
	if (list != again)
		fail("asked twice it gives two lists");
}

/* Every member at the place that the structures give it (section 3.1). */
static void
check_list(unsigned version, size_t n_functions)
{
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL;
	void *member;

	if (entry(version, &list) != OK || !list)
		not_offered("this version");
	if (list->version != version)
		fail("base.version is %#x", list->version);
	for (size_t i = 0; i < n_functions; i++) {
		memcpy(&member, (const char *)list + (i + 1) * sizeof(member), sizeof(member));
		if (!member)
			fail("function %zu is NULL", i + 1);
	}
}

static void
list_2_1(void)
{
	check_list(AZIOT_KEYS_VERSION_2_1_0_0, 15);
}

/* The functions of the older list are the same ones by another structure: used for a key here. */
static void
list_2_0(void)
{
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL;
	const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *f;

	check_list(AZIOT_KEYS_VERSION_2_0_0_0, 12);
	entry(AZIOT_KEYS_VERSION_2_0_0_0, &list);
	f = (const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *)list;
	make_key(id_of("a"));
	expect("load_key of 2.0", f->load_key(id_of("a")), OK);
	expect("load_key_pair of 2.0", f->load_key_pair(id_of("absent")), INVALID);
}

static void
parameters(void)
{
	expect(
	    "an unknown name", functions.set_parameter("conformance: no such name", "x"), INVALID);
	expect("a NULL name", functions.set_parameter(NULL, "x"), INVALID);
}

/* --- NULL and unknown */

static void
null_ids(void)
{
	static const uint8_t in[32];
	uintptr_t len = 0;
	int ok;

	expect("create_key", functions.create_key_if_not_exists(NULL, 1), INVALID);
	expect("create_key_pair", functions.create_key_pair_if_not_exists(NULL, "*"), INVALID);
	expect("load_key", functions.load_key(NULL), INVALID);
	expect("load_key_pair", functions.load_key_pair(NULL), INVALID);
	expect("import_key", functions.import_key(NULL, in, 32, 1), INVALID);
	expect("parameter", functions.get_key_pair_parameter(NULL, 1, NULL, &len), INVALID);
	expect("derive_key", functions.derive_key(NULL, in, 32, NULL, &len), INVALID);
	expect("sign", functions.sign(NULL, 2, NULL, in, 32, NULL, &len), INVALID);
	expect("verify", functions.verify(NULL, 2, NULL, in, 32, in, 32, &ok), INVALID);
	if (!functions.delete_key)
		return;
	expect("delete_key", functions.delete_key(NULL), INVALID);
	expect("delete_key_pair", functions.delete_key_pair(NULL), INVALID);
	expect("move to NULL", functions.move_key_pair(id_of("a"), NULL), INVALID);
	expect("move from NULL", functions.move_key_pair(NULL, id_of("a")), INVALID);
}

static void
null_buffers(void)
{
	static const uint8_t in[32];
	const char *id = id_of("a");
	uintptr_t len = 0;
	int ok;

	make_key(id);
	expect("import NULL", functions.import_key(id_of("b"), NULL, 32, 1), INVALID);
	expect(
	    "parameter, no length", functions.get_key_pair_parameter(id, 1, NULL, NULL), INVALID);
	expect("derive NULL", functions.derive_key(id, NULL, 32, NULL, &len), INVALID);
	expect("derive, no length", functions.derive_key(id, in, 32, NULL, NULL), INVALID);
	expect("sign NULL", functions.sign(id, 2, NULL, NULL, 32, NULL, &len), INVALID);
	expect("sign, no length", functions.sign(id, 2, NULL, in, 32, NULL, NULL), INVALID);
	expect("verify NULL", functions.verify(id, 2, NULL, NULL, 32, in, 32, &ok), INVALID);
	expect(
	    "verify, no signature", functions.verify(id, 2, NULL, in, 32, NULL, 32, &ok), INVALID);
	expect("verify, no answer", functions.verify(id, 2, NULL, in, 32, in, 32, NULL), INVALID);
	expect("encrypt, no length", functions.encrypt(id, 2, NULL, in, 32, NULL, NULL), INVALID);
	expect("decrypt, no length", functions.decrypt(id, 1, NULL, in, 32, NULL, NULL), INVALID);
}

/* The refusal may come with either call. */
static void
refused(const char *what, fill *call, const struct use *a)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	enum outcome outcome = filled(what, call, a, a->in_len, false, &out);

	must(what, outcome, REFUSED);
}

static void
unknown(void)
{
	static const uint8_t in[32] = { 2 };
	const struct use no_mechanism = { id_of("a"), 99, NULL, in, sizeof(in) };
	const struct use no_parameters = { id_of("a"), 1, NULL, in, sizeof(in) };
	const struct use no_sign_derived = { id_of("a"), AZIOT_KEYS_SIGN_MECHANISM_DERIVED, NULL,
		in, sizeof(in) };
	const struct use no_seal_derived = { id_of("a"), AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, NULL,
		in, sizeof(in) };
	const struct parameter_use no_type = { id_of("a"), 99 };
	AUTO(bytes_done) struct bytes out = { 0 };

	make_key(id_of("a"));
	refused("sign by mechanism 99", fill_sign, &no_mechanism);
	refused("encrypt by mechanism 99", fill_encrypt, &no_mechanism);
	refused("decrypt by mechanism 99", fill_decrypt, &no_mechanism);
	refused("encrypt by AEAD without parameters", fill_encrypt, &no_parameters);
	refused("decrypt by AEAD without parameters", fill_decrypt, &no_parameters);
	refused("sign by DERIVED without parameters", fill_sign, &no_sign_derived);
	refused("encrypt by DERIVED without parameters", fill_encrypt, &no_seal_derived);
	if (filled("get_key_pair_parameter", fill_parameter, &no_type, 0, false, &out) == DONE)
		fail("there is a public parameter 99");
}

/* --- buffers */

static struct use
hmac_use(void)
{
	static const uint8_t in[100];

	make_key(id_of("a"));
	return (
	    struct use){ id_of("a"), AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, in, sizeof(in) };
}

/* One byte less than the result, and none at all. */
static void
too_small(const char *what, fill *call, const void *arguments, size_t in_len)
{
	AUTO(bytes_done) struct bytes out = { 0 };

	must_offer(what, filled(what, call, arguments, in_len, false, &out));
	must(what, filled_into(what, call, arguments, out.len - 1, NULL), REFUSED);
	must(what, filled_into(what, call, arguments, 0, NULL), REFUSED);
}

static void
small_buffers(void)
{
	const struct use hmac = hmac_use();
	struct parameter_use number = { id_of("pair"), 1 };
	struct parameter_use point = { id_of("pair"), 3 };

	too_small("sign into a small buffer", fill_sign, &hmac, hmac.in_len);
	too_small("derive_key into a small buffer", fill_derive, &hmac, hmac.in_len);
	must_offer("create a pair", subject->create_pair(id_of("pair"), KEY_EC_P256));
	too_small("get_key_pair_parameter into a small buffer", fill_parameter, &point, 0);
	must("the algorithm into 3 bytes",
	    filled_into("get_key_pair_parameter", fill_parameter, &number, 3, NULL), REFUSED);
}

static void
small_aead_buffers(void)
{
	static const uint8_t iv[12], plain[100];
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = { iv, sizeof(iv), iv, 0 };
	struct use use = { id_of("a"), AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, plain,
		sizeof(plain) };
	AUTO(bytes_done) struct bytes sealed = { 0 };

	must_offer("create a key to encrypt", subject->create_key(id_of("a"), KEYD_USE_ENCRYPT));
	too_small("encrypt into a small buffer", fill_encrypt, &use, use.in_len);
	must("encrypt", filled("encrypt", fill_encrypt, &use, use.in_len, false, &sealed), DONE);
	use.in = sealed.data;
	use.in_len = sealed.len;
	too_small("decrypt into a small buffer", fill_decrypt, &use, use.in_len);
}

static void
exact_lengths(void)
{
	static const struct {
		enum key_algorithm algorithm;
		unsigned type;
	} rows[] = {
		{ KEY_EC_P256, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID },
		{ KEY_EC_P256, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT },
		{ KEY_RSA_2048, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS },
		{ KEY_RSA_2048, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT },
	};
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *id = id_of(rows[i].algorithm == KEY_EC_P256 ? "ec" : "rsa");
		const struct parameter_use a = { id, rows[i].type };
		AUTO(bytes_done) struct bytes out = { 0 };

		if (subject->create_pair(id, rows[i].algorithm) != DONE)
			continue;
		any = true;
		must("get_key_pair_parameter",
		    filled("get_key_pair_parameter", fill_parameter, &a, 0, true, &out), DONE);
	}
	if (!any)
		not_offered("key pairs");
}

static void
algorithm_at_once(void)
{
	const struct parameter_use a = { id_of("a"), AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM };
	AUTO(bytes_done) struct bytes out = { 0 };
	uintptr_t size = 0;

	must_offer("create a pair", subject->create_pair(id_of("a"), KEY_EC_P256));
	must("the algorithm in one call",
	    filled_into("get_key_pair_parameter", fill_parameter, &a, sizeof(unsigned), &out),
	    DONE);
	if (out.len != sizeof(unsigned))
		fail("ALGORITHM has %zu bytes", out.len);
	expect("its length", fill_parameter(&a, NULL, &size), OK);
	if (size != sizeof(unsigned))
		fail("its length is said to be %zu", (size_t)size);
}

/* Asked for its length a function changes nothing: not even a key that it could make is made. */
static void
asking_is_free(void)
{
	const struct use hmac = { id_of("absent"), AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, "x",
		1 };
	AUTO(bytes_done) struct bytes out = { 0 };

	must("sign with a missing key", filled("sign", fill_sign, &hmac, 1, false, &out), REFUSED);
	must("load it", subject->load(id_of("absent"), KEY_SYMMETRIC), REFUSED);
}

/* --- inputs */

static void
inputs_stay(void)
{
	AUTO(bytes_done) struct bytes key = judge_random(32);
	AUTO(bytes_done) struct bytes key_before = { 0 };
	AUTO(bytes_done) struct bytes data = judge_random(100);
	AUTO(bytes_done) struct bytes data_before = { 0 };
	AUTO(bytes_done) struct bytes out = { 0 };
	struct err err = { 0 };

	if (bytes_copy(&key_before, key.data, key.len, &err) ||
	    bytes_copy(&data_before, data.data, data.len, &err))
		fail("%s", err.text);
	must_offer("import_key", subject->import(id_of("a"), KEYD_USE_SIGN, &key));
	must("sign", subject->sign(id_of("a"), KEYD_HMAC_SHA256, &data, &out), DONE);
	bytes_done(&out);
	must("derive_key", subject->derive(id_of("a"), &data, &out), DONE);
	if (!bytes_equal(&key, &key_before))
		fail("import_key changes the bytes that it is given");
	if (!bytes_equal(&data, &data_before))
		fail("sign or derive_key changes the bytes that it is given");
}

/* A length of 0 makes any pointer good, and it is not followed. */
static void
empty_inputs(void)
{
	static const uint8_t iv[12];
	const uint8_t *nowhere = (const uint8_t *)1;
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = { iv, sizeof(iv), nowhere, 0 };
	const struct use hmac = { id_of("a"), AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, nowhere,
		0 };
	const struct use seal = { id_of("b"), AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, nowhere,
		0 };
	AUTO(bytes_done) struct bytes out = { 0 };

	make_key(id_of("a"));
	must("sign nothing", filled("sign", fill_sign, &hmac, 0, false, &out), DONE);
	bytes_done(&out);
	must("derive from nothing", filled("derive_key", fill_derive, &hmac, 0, false, &out), DONE);
	must_offer("create a key to encrypt", subject->create_key(id_of("b"), KEYD_USE_ENCRYPT));
	bytes_done(&out);
	must("encrypt nothing", filled("encrypt", fill_encrypt, &seal, 0, false, &out), DONE);
}

/* --- algorithms by name */

/* The first of the list, where the library can make such a pair. */
static void
in_turn(const char *list, enum key_algorithm first, const char *algorithm)
{
	AUTO(bytes_done) struct bytes got = { 0 };

	if (subject->create_pair(id_of(algorithm), first) != DONE)
		return;
	expect(list, functions.create_key_pair_if_not_exists(id_of(list), list), OK);
	must(
	    "read its algorithm", subject->parameter(id_of(list), KEY_PARAM_ALGORITHM, &got), DONE);
	if (!text_equal(text_of_bytes(&got), algorithm))
		fail("\"%s\" makes another pair than one of the first", list);
}

static void
algorithm_names(void)
{
	static const struct {
		const char *list;
		AZIOT_KEYS_RC rc;
	} rows[] = {
		{ NULL, OK },
		{ "*", OK },
		{ "ec-p256:rsa-2048", OK },
		{ "dsa-1024:*", OK },
		{ "dsa-1024", INVALID },
		{ "", INVALID },
		{ ":", INVALID },
	};
	char name[8];

	in_turn("ec-p256:rsa-2048", KEY_EC_P256, "ECDSA");
	in_turn("rsa-2048:ec-p256:*", KEY_RSA_2048, "RSA");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		if (functions.create_key_pair_if_not_exists(id_of(name), rows[i].list) !=
		    rows[i].rc)
			fail("\"%s\" does not answer %u", rows[i].list ? rows[i].list : "NULL",
			    rows[i].rc);
		must("load what was made", subject->load(id_of(name), KEY_PAIR),
		    rows[i].rc == OK ? DONE : REFUSED);
	}
}

/* --- verify */

static void
verifies(void)
{
	static const uint8_t data[50] = { 1, 2, 3 };
	const unsigned mech = AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256;
	const struct bytes in = { (uint8_t *)data, sizeof(data) };
	AUTO(bytes_done) struct bytes mac = { 0 };
	const char *id = id_of("a");
	int ok = -1;

	make_key(id);
	must("sign", subject->sign(id, KEYD_HMAC_SHA256, &in, &mac), DONE);
	expect(
	    "verify", functions.verify(id, mech, NULL, data, sizeof(data), mac.data, 32, &ok), OK);
	if (ok != 1)
		fail("a right signature: ok is %d", ok);
	for (size_t i = 0; i < 32; i++) {
		mac.data[i] ^= 0x80;
		expect("verify a wrong one",
		    functions.verify(id, mech, NULL, data, sizeof(data), mac.data, 32, &ok), OK);
		if (ok != 0)
			fail("a signature that is wrong in byte %zu: ok is %d", i, ok);
		mac.data[i] ^= 0x80;
	}
	expect("verify a short one",
	    functions.verify(id, mech, NULL, data, sizeof(data), mac.data, 31, &ok), OK);
	if (ok != 0)
		fail("a signature of 31 bytes: ok is %d", ok);
	expect("verify with a missing key",
	    functions.verify(id_of("b"), mech, NULL, data, sizeof(data), mac.data, 32, &ok),
	    INVALID);
}

/* The key that the older keyd asks for (section 4.13).  A store may have one already, which must stay. */
static void
validation_key(void)
{
	static const char id[] = "handle-validation-key";
	const struct bytes data = text_bytes("{\"key_id\":{\"Key\":\"a\"}}");
	bool was_there = subject->load(id, KEY_SYMMETRIC) == DONE;
	AUTO(bytes_done) struct bytes mac = { 0 };
	int ok = -1;

	make_key(id);
	must("sign", subject->sign(id, KEYD_HMAC_SHA256, &data, &mac), DONE);
	expect("verify",
	    functions.verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, data.data, data.len,
		mac.data, mac.len, &ok),
	    OK);
	if (!was_there && functions.delete_key)
		functions.delete_key(id);
	if (ok != 1)
		fail("its own signature: ok is %d", ok);
}

/* --- DERIVED */

static void
derived_signs(void)
{
	static const uint8_t data[40] = { 7 };
	const AZIOT_KEYS_SIGN_DERIVED_PARAMETERS how = { (const uint8_t *)"salt", 4,
		AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL };
	const AZIOT_KEYS_SIGN_DERIVED_PARAMETERS nested = { (const uint8_t *)"salt", 4,
		AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &how };
	const struct use sign = { id_of("a"), AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &how, data,
		sizeof(data) };
	const struct use sign_nested = { id_of("a"), AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &nested,
		data, sizeof(data) };
	const struct bytes salt = text_bytes("salt"), in = { (uint8_t *)data, sizeof(data) };
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(bytes_done) struct bytes got = { 0 };

	make_key(id_of("a"));
	must("derive_key", subject->derive(id_of("a"), &salt, &key), DONE);
	want = judge_hmac(&key, &in);
	must("sign by DERIVED", filled("sign", fill_sign, &sign, sizeof(data), false, &got), DONE);
	if (!bytes_equal(&got, &want))
		fail("DERIVED signs with another key than derive_key gives");
	refused("sign by DERIVED in DERIVED", fill_sign, &sign_nested);
}

static void
derived_encrypts(void)
{
	static const uint8_t plain[40] = { 7 }, iv[12] = { 9 };
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = { iv, sizeof(iv), (const uint8_t *)"aad",
		3 };
	const AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS how = { (const uint8_t *)"salt", 4,
		AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead };
	const struct how same = { KEYD_AEAD, { (uint8_t *)iv, sizeof(iv) }, text_bytes("aad") };
	struct use use = { id_of("a"), AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, &how, plain,
		sizeof(plain) };
	const struct bytes salt = text_bytes("salt"), in = { (uint8_t *)plain, sizeof(plain) };
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };

	make_key(id_of("a"));
	must("derive_key", subject->derive(id_of("a"), &salt, &key), DONE);
	want = judge_seal(2, &key, &same, &in);
	must_offer("encrypt by DERIVED",
	    filled("encrypt", fill_encrypt, &use, use.in_len, false, &sealed));
	if (!bytes_equal(&sealed, &want))
		fail("DERIVED encrypts with another key than derive_key gives");
	use.in = sealed.data;
	use.in_len = sealed.len;
	must("decrypt by DERIVED",
	    filled("decrypt", fill_decrypt, &use, use.in_len, false, &opened), DONE);
	if (!bytes_equal(&opened, &in))
		fail("DERIVED does not open what it has sealed");
}

/* clang-format off */
const struct row functions_rows[] = {
	{ "entry: versions and pointers",         "3.1",  { entry_point } },
	{ "list of version 2.1",                  "3.1",  { list_2_1 } },
	{ "list of version 2.0",                  "3.1",  { list_2_0 } },
	{ "set_parameter: unknown names",         "4.1",  { parameters } },
	{ "NULL as id",                           "3.3",  { null_ids } },
	{ "NULL as buffer or length",             "3.3",  { null_buffers } },
	{ "unknown mechanisms and types",         "3.3",  { unknown } },
	{ "buffers that are too small",           "3.5",  { small_buffers } },
	{ "AEAD buffers that are too small",      "3.5",  { small_aead_buffers } },
	{ "exact lengths of public parameters",   "4.8",  { exact_lengths } },
	{ "the algorithm in one call",            "3.5",  { algorithm_at_once } },
	{ "asking for a length changes nothing",  "3.5",  { asking_is_free } },
	{ "inputs are left as they are",          "3.2",  { inputs_stay } },
	{ "empty inputs",                         "3.3",  { empty_inputs } },
	{ "algorithms by name",                   "4.6",  { algorithm_names } },
	{ "verify",                               "4.13", { verifies } },
	{ "handle-validation-key",                "4.13", { validation_key } },
	{ "DERIVED signs with the derived key",   "4.12", { derived_signs } },
	{ "DERIVED encrypts with it",             "4.14", { derived_encrypts } },
};
/* clang-format on */
const size_t n_functions_rows = ARRAY_LEN(functions_rows);
