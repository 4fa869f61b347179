#include "tests/keyd/fixture.h"

#include <openssl/hmac.h>

#include "base/b64.h"
#include "data/json.h"

/*
 * The four kinds of handles and all that can be done with one, as uid 1000.  Keys: "dev-key" (32 bytes 00..1f), "dev-pair"
 * (P-256), "dev-ed" (Ed25519), "dev-rsa", "dev-slow" (RSA 4096, whose work is done in the pool).
 */
enum { KEY, EC_PAIR, ED_PAIR, RSA_PAIR, SLOW_PAIR, OF_KEY, OF_PAIR, HANDLES };

static char *handles[HANDLES];

static char *
derive(uint32_t uid, const char *base, const char *data)
{
	char body[1024];

	snprintf(
	    body, sizeof(body), "{\"baseKeyHandle\":\"%s\",\"derivationData\":\"%s\"}", base, data);
	return must(uid, "POST /derivedkey", body, "keyHandle");
}

static char *
rsa_pair(const char *id, unsigned bits)
{
	char body[64];

	fixture_rsa(id, bits);
	snprintf(body, sizeof(body), "{\"keyId\":\"%s\"}", id);
	return must(1000, "POST /keypair", body, "keyHandle");
}

static void
begin(void)
{
	fixture_begin();
	handles[KEY] = must(1000, "POST /key",
	    "{\"keyId\":\"dev-key\",\"usage\":\"sign\",\"keyBytes\":"
	    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}",
	    "keyHandle");
	handles[EC_PAIR] = must(1000, "POST /keypair", "{\"keyId\":\"dev-pair\"}", "keyHandle");
	handles[ED_PAIR] = must(1000, "POST /keypair",
	    "{\"keyId\":\"dev-ed\",\"preferredAlgorithms\":\"ed25519\"}", "keyHandle");
	handles[RSA_PAIR] = rsa_pair("dev-rsa", 2048);
	handles[OF_KEY] = derive(1000, handles[KEY], "eA==");
	handles[OF_PAIR] = derive(1000, handles[EC_PAIR], "eA==");
}

static void
make_slow(void)
{
	handles[SLOW_PAIR] = rsa_pair("dev-slow", 4096);
}

static void
end(void)
{
	for (size_t i = 0; i < HANDLES; i++)
		str_freep(&handles[i]);
	fixture_end();
}

#define DIGEST "ERERERERERERERERERERERERERERERERERERERERERE="
#define SEALED "AmbZ2bLayrptPV5S+RxSgdiTIDhb2w==" /* keyd.md 4.9, the vector; by dev-key */
#define AEAD                                                                          \
	"\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":" \
	"\"YWFk\"}"

enum {
	SIGN_ECDSA,
	SIGN_HMAC,
	SIGN_EDDSA,
	SEAL,
	OPEN,
	SIGN_RSA,
	DERIVE,
	EXPORT,
	DELETE_KEY,
	DELETE_PAIR
};

/* Every use of a key; with: the handles that it can be done with (keyd.md 4.5 to 4.9). */
static const struct operation {
	const char *what, *body; /* behind the handle */
	enum permit_verb verb;
	enum permit_algorithm algorithm;
	unsigned with;
} operations[] = {
	[SIGN_ECDSA] = { "POST /sign",
	    ",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"" DIGEST "\"}}", PERMIT_SIGN,
	    PERMIT_ECDSA, 1 << EC_PAIR },
	[SIGN_HMAC] = { "POST /sign",
	    ",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"eA==\"}}", PERMIT_SIGN,
	    PERMIT_HMAC_SHA256, 1 << KEY | 1 << OF_KEY | 1 << OF_PAIR },
	[SIGN_EDDSA] = { "POST /sign",
	    ",\"algorithm\":\"EdDSA\",\"parameters\":{\"message\":\"eA==\"}}", PERMIT_SIGN,
	    PERMIT_EDDSA, 1 << ED_PAIR },
	[SEAL] = { "POST /encrypt", "," AEAD ",\"plaintext\":\"aGVsbG8=\"}", PERMIT_ENCRYPT,
	    PERMIT_AEAD, 1 << KEY | 1 << OF_KEY | 1 << OF_PAIR },
	[OPEN] = { "POST /decrypt", "," AEAD ",\"ciphertext\":\"" SEALED "\"}", PERMIT_DECRYPT,
	    PERMIT_AEAD, 1 << KEY },
	[SIGN_RSA] = { "POST /encrypt", ",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"aGVsbG8=\"}",
	    PERMIT_SIGN, PERMIT_RSA_PKCS1, 1 << RSA_PAIR | 1 << SLOW_PAIR },
	[DERIVE] = { "POST /derivedkey", ",\"derivationData\":\"eQ==\"}", PERMIT_DERIVE,
	    PERMIT_NO_ALGORITHM,
	    1 << KEY | 1 << EC_PAIR | 1 << ED_PAIR | 1 << RSA_PAIR | 1 << SLOW_PAIR },
	[EXPORT] = { "POST /derivedkey/export", "}", PERMIT_EXPORT, PERMIT_NO_ALGORITHM,
	    1 << OF_KEY | 1 << OF_PAIR },
	[DELETE_KEY] = { "DELETE /key", "}", PERMIT_DELETE, PERMIT_NO_ALGORITHM, 1 << KEY },
	[DELETE_PAIR] = { "DELETE /keypair", "}", PERMIT_DELETE, PERMIT_NO_ALGORITHM,
	    1 << EC_PAIR | 1 << ED_PAIR | 1 << RSA_PAIR | 1 << SLOW_PAIR },
};

static struct answer
operate(uint32_t uid, const struct operation *op, const char *handle)
{
	char body[2048];
	bool derives = op->verb == PERMIT_DERIVE;

	snprintf(body, sizeof(body), "{\"%s\":\"%s\"%s", derives ? "baseKeyHandle" : "keyHandle",
	    handle, op->body);
	return call(uid, op->what, body);
}

static bool
is_granted(const struct answer *a)
{
	return a->status == 200 || a->status == 204;
}

/* No kind of handle is taken for another: what cannot be done with one is 400, whatever is tried. */
START_TEST(test_kinds)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		for (size_t j = 0; j < HANDLES; j++) {
			const struct operation *op = &operations[i];
			AUTO(answer_done) struct answer a = { 0 };

			if (!handles[j] || (op->verb == PERMIT_DELETE && op->with & 1U << j))
				continue;
			/* what the base key has sealed is not the derived one's */
			if (op->verb == PERMIT_DECRYPT && (j == OF_KEY || j == OF_PAIR))
				continue;
			a = operate(1000, op, handles[j]);
			ck_assert_msg(a.status == (op->with & 1U << j ? 200 : 400),
			    "%s %s with %zu: %u", op->what, op->body, j, a.status);
		}
	end();
}
END_TEST

static void
put_rule(const struct operation *op, uint64_t per_day, uint32_t per_second)
{
	static const char *const dev[] = { "dev-*" };
	const struct permit_rule rule = {
		.uid = 1000,
		.patterns = dev,
		.n_patterns = 1,
		.verbs = 1U << op->verb,
		.algorithms =
		    op->algorithm == PERMIT_NO_ALGORITHM ? PERMIT_ALL : 1U << op->algorithm,
		.uses_per_day = per_day,
		.rate_per_second = per_second,
		.not_after = INT64_MAX,
	};
	struct err err = { 0 };

	ck_ok(permit_set(keyd.permit, &rule, 1, false, &err));
}

static bool
same_use(const struct operation *a, const struct operation *b)
{
	return a->verb == b->verb && a->algorithm == b->algorithm;
}

/* One rule grants one verb with one algorithm, to its uid, and nothing else; the refusal is the contract's 401. */
START_TEST(test_verbs)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		put_rule(&operations[i], 0, 0);
		for (size_t j = 0; j < ARRAY_LEN(operations); j++)
			for (size_t n = 0; n < HANDLES; n++) {
				const struct operation *op = &operations[j];
				AUTO(answer_done) struct answer a = { 0 };
				AUTO(answer_done) struct answer other = { 0 };

				if (!handles[n] || !(op->with & 1U << n))
					continue;
				other = operate(1001, op, handles[n]);
				ck_assert_uint_eq(other.status, 401);
				other = (answer_done(&other), operate(0, op, handles[n]));
				ck_assert_uint_eq(other.status, 401);
				if (op->verb == PERMIT_DELETE && same_use(op, &operations[i]))
					continue; /* test_deletes */
				a = operate(1000, op, handles[n]);
				ck_assert_msg(
				    same_use(op, &operations[i]) ? is_granted(&a) : a.status == 401,
				    "rule %zu, %s %s: %u %s", i, op->what, op->body, a.status,
				    member(&a, "message"));
			}
	}
	end();
}
END_TEST

/* To delete both must allow it: policy.h the id, permit.h the use. */
START_TEST(test_deletes)
{
	const struct operation *op = &operations[DELETE_KEY];
	AUTO(answer_done) struct answer a = { 0 };

	begin();
	put_rule(&operations[SIGN_ECDSA], 0, 0);
	a = operate(1000, op, handles[KEY]);
	ck_assert_uint_eq(a.status, 401);
	put_rule(op, 1, 0);
	answer_done(&a);
	a = operate(1000, op, handles[KEY]);
	ck_assert_uint_eq(a.status, 204);
	answer_done(&a);
	a = operate(1000, op, handles[KEY]);
	ck_assert_uint_eq(a.status, 401);
	end();
}
END_TEST

/* Each use is charged once, also one that is begun in the polling thread and done in the pool, and one that has to open its key. */
START_TEST(test_charged_once)
{
	begin();
	make_slow();
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		for (size_t n = 0; n < HANDLES; n++) {
			const struct operation *op = &operations[i];

			if (!(op->with & 1U << n) || op->verb == PERMIT_DELETE)
				continue;
			/* a day of its own for each */
			fixture_restart();
			free(support_sh("rm -rf %s/home/uses", support_tmpdir()));
			put_rule(op, 3, 0);
			for (int use = 0; use < 4; use++) {
				AUTO(answer_done) struct answer a = { 0 };

				keys_forget(keyd.keys);
				a = operate(1000, op, handles[n]);
				ck_assert_msg(use < 3 ? is_granted(&a) : a.status == 401,
				    "%s %s with %zu, use %d: %u", op->what, op->body, n, use,
				    a.status);
			}
		}
	end();
}
END_TEST

/* What is refused before the use, for the handle or the mechanism, is charged to nobody. */
START_TEST(test_not_charged)
{
	begin();
	put_rule(&operations[SIGN_HMAC], 1, 0);
	for (int i = 0; i < 5; i++) {
		AUTO(answer_done)
		struct answer kind = operate(1000, &operations[SIGN_HMAC], handles[EC_PAIR]);
		AUTO(answer_done)
		struct answer bad = operate(1000, &operations[SIGN_HMAC], "ek1.AAAA");
		AUTO(answer_done)
		struct answer uid = operate(1001, &operations[SIGN_HMAC], handles[KEY]);

		ck_assert_uint_eq(kind.status, 400);
		ck_assert_uint_eq(bad.status, 400);
		ck_assert_uint_eq(uid.status, 401);
	}
	{
		AUTO(answer_done)
		struct answer good = operate(1000, &operations[SIGN_HMAC], handles[KEY]);
		AUTO(answer_done)
		struct answer over = operate(1000, &operations[SIGN_HMAC], handles[KEY]);

		ck_assert_uint_eq(good.status, 200);
		ck_assert_uint_eq(over.status, 401);
		ck_assert_ptr_nonnull(strstr(member(&over, "message"), "as often as it may today"));
	}
	end();
}
END_TEST

/* A derived key is judged by its base's id, whoever derived it. */
START_TEST(test_derived_by_base)
{
	static const char *const other[] = { "other*" };
	const struct permit_rule rule = { 1000, other, 1, 1U << PERMIT_SIGN | 1U << PERMIT_EXPORT,
		PERMIT_ALL, 0, 0, INT64_MAX };
	struct err err = { 0 };

	begin();
	{
		AUTO(str_freep)
		char *base =
		    must(0, "POST /key", "{\"keyId\":\"other\",\"usage\":\"sign\"}", "keyHandle");
		AUTO(str_freep) char *of_other = derive(0, base, "eA==");
		const struct operation *sign = &operations[SIGN_HMAC],
				       *export = &operations[EXPORT];

		ck_ok(permit_set(keyd.permit, &rule, 1, false, &err));
		for (int i = 0; i < 2; i++) {
			AUTO(answer_done)
			struct answer mine = operate(1000, i ? sign : export, of_other);
			AUTO(answer_done)
			struct answer theirs = operate(1000, i ? sign : export, handles[OF_KEY]);

			ck_assert_uint_eq(mine.status, 200);
			ck_assert_uint_eq(theirs.status, 401);
		}
	}
	end();
}
END_TEST

/* --- what derived keys may not give away (index-identity.md S1) */

#define SIBLINGS 64

/* The key that a derived handle stands for, as exported. */
static struct bytes
export_of(const char *handle)
{
	AUTO(answer_done) struct answer a = operate(1000, &operations[EXPORT], handle);
	struct bytes key = { 0 };
	struct err err = { 0 };

	ck_assert_uint_eq(a.status, 200);
	ck_ok(b64_decode(B64_STD, text_of(member(&a, "key")), &key, &err));
	return key;
}

/* Data of growing length, each the beginning of the next, so that a lost end would show. */
static char *
data_of(size_t i)
{
	uint8_t data[SIBLINGS];
	char *text = NULL;
	struct err err = { 0 };

	memset(data, 'x', sizeof(data));
	ck_ok(b64_encode(B64_STD, data, i, &text, &err));
	return text;
}

/*
 * Derived keys of one base by different data differ, are HMAC-SHA256 of the data and never the base; their handles differ,
 * share no part that stands for the base, and derive nothing further.
 */
START_TEST(test_siblings)
{
	static const uint8_t base[32] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
		17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
	char *sibling[SIBLINGS];
	struct bytes key[SIBLINGS];

	begin();
	for (size_t i = 0; i < SIBLINGS; i++) {
		AUTO(str_freep) char *data = data_of(i);
		AUTO(answer_done) struct answer nested = { 0 };
		uint8_t want[32], message[SIBLINGS];

		sibling[i] = derive(1000, handles[KEY], data);
		key[i] = export_of(sibling[i]);
		memset(message, 'x', sizeof(message));
		HMAC(EVP_sha256(), base, sizeof(base), message, i, want, NULL);
		ck_assert_uint_eq(key[i].len, sizeof(want));
		ck_assert_mem_eq(key[i].data, want, sizeof(want));
		ck_assert_mem_ne(key[i].data, base, sizeof(base));
		nested = operate(1000, &operations[DERIVE], sibling[i]);
		ck_assert_uint_eq(nested.status, 400);
	}
	for (size_t i = 0; i < SIBLINGS; i++)
		for (size_t j = 0; j < i; j++) {
			ck_assert(!bytes_equal(&key[i], &key[j]));
			/* sealed as a whole: what two share at the beginning is the prefix alone */
			ck_assert_int_ne(strncmp(sibling[i], sibling[j], 12), 0);
			ck_assert_ptr_null(strstr(sibling[i], handles[KEY] + 4));
		}
	for (size_t i = 0; i < SIBLINGS; i++) {
		str_freep(&sibling[i]);
		bytes_done(&key[i]);
	}
	end();
}
END_TEST

/* No text made of two handles is a handle: not the head of one and the tail of the other, wherever they are cut. */
START_TEST(test_spliced)
{
	begin();
	for (size_t i = 0; i < HANDLES; i++)
		for (size_t j = 0; j < HANDLES; j++) {
			if (i == j || !handles[i] || !handles[j])
				continue;
			for (size_t cut = 1; cut < strlen(handles[i]); cut++) {
				AUTO(str_freep) char *text = NULL;
				AUTO(answer_done) struct answer a = { 0 };
				struct err err = { 0 };

				ck_ok(str_format(&text, &err, "%.*s%s", (int)cut, handles[i],
				    strlen(handles[j]) > cut ? handles[j] + cut : ""));
				if (strcmp(text, handles[i]) == 0 || strcmp(text, handles[j]) == 0)
					continue;
				a = operate(1000, &operations[EXPORT], text);
				ck_assert_uint_eq(a.status, 400);
			}
		}
	end();
}
END_TEST

/* Delete, make again, under the same id and with the same bytes: whatever was derived or sealed before is dead, for ever. */
START_TEST(test_made_again)
{
	begin();
	for (int round = 0; round < 3; round++) {
		AUTO(str_freep) char *key = strdup(handles[KEY]);
		AUTO(str_freep) char *derived = strdup(handles[OF_KEY]);
		AUTO(answer_done) struct answer a = operate(1000, &operations[DELETE_KEY], key);

		ck_assert_uint_eq(a.status, 204);
		end();
		begin(); /* a restart, and the same import */
		ck_assert_str_ne(key, handles[KEY]);
		ck_assert_str_ne(derived, handles[OF_KEY]);
		for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
			AUTO(answer_done) struct answer by_key = { 0 };
			AUTO(answer_done) struct answer by_derived = { 0 };

			if (operations[i].verb == PERMIT_DELETE)
				continue;
			by_key = operate(1000, &operations[i], key);
			by_derived = operate(1000, &operations[i], derived);
			ck_assert_uint_eq(by_key.status, 400);
			ck_assert_uint_eq(by_derived.status, 400);
		}
		/* deleting by a dead handle says that it is gone, and touches nothing */
		answer_done(&a);
		a = operate(1000, &operations[DELETE_KEY], key);
		ck_assert_uint_eq(a.status, 204);
		answer_done(&a);
		a = operate(1000, &operations[SIGN_HMAC], handles[KEY]);
		ck_assert_uint_eq(a.status, 200);
	}
	end();
}
END_TEST

TEST_MAIN("keyd/use", test_kinds, test_verbs, test_deletes, test_charged_once, test_not_charged,
    test_derived_by_base, test_siblings, test_spliced, test_made_again)
