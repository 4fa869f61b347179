#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "tests/peer/cloudsim/sim.h"

/* Rules of contracts/cloud-dps.md 4, which are those of a parent edgeHub. */

#define CLOCK_SKEW_S (5 * 60)

struct token {
	struct text sr, sig, se, skn; /* raw; data NULL: absent */
};

static int
hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *
verify_decode(const char *in, size_t len, bool form)
{
	char *out = malloc(len + 1), *to = out;

	if (!out)
		abort(); /* a simulator without memory has nothing to say */
	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		if (in[i] == '%' && i + 2 < len && (hi = hex_of(in[i + 1])) >= 0 &&
		    (lo = hex_of(in[i + 2])) >= 0) {
			*to++ = (char)(hi << 4 | lo);
			i += 2;
		} else {
			*to++ = form && in[i] == '+' ? ' ' : in[i];
		}
	}
	*to = '\0';
	return out;
}

bool
verify_hmac(const struct bytes *key, const char *text, size_t len, uint8_t out[32])
{
	return HMAC(EVP_sha256(), key->data, (int)key->len, (const uint8_t *)text, len, out, NULL);
}

/* One "name=value"; a second '=' would have been the padding of a signature that was not encoded. */
static bool
token_field(struct token *t, const char *from, size_t len)
{
	static const struct {
		const char *name;
		size_t offset;
	} names[] = {
		{ "sr", offsetof(struct token, sr) },
		{ "sig", offsetof(struct token, sig) },
		{ "se", offsetof(struct token, se) },
		{ "skn", offsetof(struct token, skn) },
	};
	const char *equals = memchr(from, '=', len);

	if (!equals || memchr(equals + 1, '=', (size_t)(from + len - equals - 1)))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct text *field = (void *)((char *)t + names[i].offset);

		if (!text_equal((struct text){ from, (size_t)(equals - from) }, names[i].name))
			continue;
		if (field->data)
			return false;
		*field = (struct text){ equals + 1, (size_t)(from + len - equals - 1) };
		return true;
	}
	return false;
}

/* Two words with white space between them, the first of them fixed. */
static bool
token_parse(struct token *t, const char *in)
{
	static const char word[] = "SharedAccessSignature";
	size_t len;

	if (strncmp(in, word, sizeof(word) - 1) != 0)
		return false;
	in += sizeof(word) - 1;
	if (*in != ' ' && *in != '\t')
		return false;
	in += strspn(in, " \t");
	len = strcspn(in, " \t");
	if (in[len + strspn(in + len, " \t")])
		return false;
	while (len) {
		size_t part = 0;

		while (part < len && in[part] != '&')
			part++;
		if (!token_field(t, in, part))
			return false;
		part += part < len;
		in += part;
		len -= part;
	}
	return t->sr.data && t->sig.data && t->se.data;
}

/* Is shorter the beginning of longer, by whole segments?  Upstream lower-cases audiences, so case does not count. */
static bool
leads(const char *shorter, const char *longer)
{
	size_t len = strlen(shorter);

	return strncasecmp(shorter, longer, len) == 0 && (!longer[len] || longer[len] == '/');
}

/* A parent edgeHub decodes an audience up to three times, and clients encode ids once or twice to suit (cloud-iothub.md 3). */
static bool
audience_fits(struct text sr, const struct claim *claim)
{
	char *audience = verify_decode(sr.data, sr.len, true);
	bool fits = false;

	for (int i = 0; i < 3 && !fits; i++) {
		char *again;

		fits = leads(claim->least, audience) && leads(audience, claim->most);
		again = verify_decode(audience, strlen(audience), true);
		free(audience);
		audience = again;
	}
	free(audience);
	return fits;
}

static bool
number_of(struct text in, int64_t *ret)
{
	int64_t value = 0;

	if (!in.len || in.len > 15)
		return false;
	for (size_t i = 0; i < in.len; i++) {
		if (in.data[i] < '0' || in.data[i] > '9')
			return false;
		value = value * 10 + (in.data[i] - '0');
	}
	*ret = value;
	return true;
}

static bool
signature_fits(const struct token *t, const struct bytes *key, const struct bytes *signature)
{
	uint8_t wanted[32];
	size_t len = t->sr.len + 1 + t->se.len;
	char *text = malloc(len);
	bool fits;

	if (!text)
		abort();
	memcpy(text, t->sr.data, t->sr.len);
	text[t->sr.len] = '\n';
	memcpy(text + t->sr.len + 1, t->se.data, t->se.len);
	fits = verify_hmac(key, text, len, wanted) && signature->len == sizeof(wanted) &&
	       CRYPTO_memcmp(wanted, signature->data, sizeof(wanted)) == 0;
	free(text);
	return fits;
}

static bool
key_name_fits(const struct token *t, const char *wanted)
{
	AUTO(str_freep) char *name = NULL;

	if (!wanted || !t->skn.data)
		return !wanted && !t->skn.data;
	name = verify_decode(t->skn.data, t->skn.len, true);
	return strcmp(name, wanted) == 0;
}

const char *
verify_token(const char *authorization, const struct claim *claim, int64_t now,
    int64_t max_lifetime_s, size_t *ret_key)
{
	struct token t = { 0 };
	AUTO(str_freep) char *sig = NULL;
	AUTO(bytes_done) struct bytes signature = { 0 };
	struct err ignored;
	int64_t expiry;

	if (!authorization)
		return "no-authorization";
	if (!token_parse(&t, authorization) || !number_of(t.se, &expiry))
		return "bad-token";
	sig = verify_decode(t.sig.data, t.sig.len, true);
	if (b64_decode(B64_STD, text_of(sig), &signature, &ignored))
		return "bad-token";
	if (!audience_fits(t.sr, claim))
		return "wrong-audience";
	if (expiry < now - CLOCK_SKEW_S)
		return "expired";
	if (expiry > now + max_lifetime_s)
		return "far-future";
	if (!key_name_fits(&t, claim->key_name))
		return "wrong-skn";
	for (size_t i = 0; i < claim->n_keys; i++)
		if (signature_fits(&t, &claim->keys[i], &signature)) {
			*ret_key = i;
			return "accepted";
		}
	return "wrong-key";
}
