#include "keyd/handle.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "crypto/digest.h"
#include "data/uri.h"

#define PREFIX	   "ek1."
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define TAG_LEN	   16

/* kind, 1 byte; epoch, 8; length of the id, 2, big-endian; the id; the derivation data up to the end */
#define HEAD_LEN  11
#define PLAIN_MAX (HEAD_LEN + HANDLE_ID_MAX + HANDLE_DATA_MAX)

/* A handle that was opened before.  The same few come again and again, and comparing costs a tenth of opening. */
struct known {
	struct bytes text; /* empty: nobody's place */
	struct handle handle;
};

#define KNOWN	       256
#define KNOWN_TEXT_MAX 512 /* characters; longer ones are not kept */

struct handle_secret {
	EVP_CIPHER_CTX *seal, *open; /* keyed, copied for each handle and read-only once made */

	pthread_mutex_t lock; /* guards the rest */
	struct known known[KNOWN];
};

void
handle_done(struct handle *h)
{
	str_freep(&h->id);
	bytes_done(&h->data);
	*h = (struct handle){ 0 };
}

enum err_code
handle_secret_new(const struct bytes *secret, struct handle_secret **ret, struct err *err)
{
	EVP_CIPHER *siv = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL); /* two keys of 128 bits */
	struct handle_secret *s = calloc(1, sizeof(*s));
	bool done = s && siv && secret->len == HANDLE_SECRET_LEN &&
		    EVP_CIPHER_get_key_length(siv) == HANDLE_SECRET_LEN &&
		    (s->seal = EVP_CIPHER_CTX_new()) && (s->open = EVP_CIPHER_CTX_new()) &&
		    EVP_EncryptInit_ex2(s->seal, siv, secret->data, NULL, NULL) &&
		    EVP_DecryptInit_ex2(s->open, siv, secret->data, NULL, NULL);

	EVP_CIPHER_free(siv);
	if (s)
		pthread_mutex_init(&s->lock, NULL);
	if (!done) {
		handle_secret_free(s);
		return err_openssl(err, "could not key AES-SIV");
	}
	*ret = s;
	return ERR_OK;
}

void
handle_secret_free(struct handle_secret *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < KNOWN; i++) {
		bytes_done(&s->known[i].text);
		handle_done(&s->known[i].handle);
	}
	EVP_CIPHER_CTX_free(s->seal);
	EVP_CIPHER_CTX_free(s->open);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- the bytes inside */

static void
put_number(uint8_t *at, size_t len, uint64_t number)
{
	while (len--) {
		at[len] = (uint8_t)number;
		number >>= 8;
	}
}

static uint64_t
get_number(const uint8_t *at, size_t len)
{
	uint64_t number = 0;

	while (len--)
		number = number << 8 | *at++;
	return number;
}

static enum err_code
encode(const struct handle *h, struct bytes *ret, struct err *err)
{
	size_t id_len = strlen(h->id);

	if (id_len > HANDLE_ID_MAX || h->data.len > HANDLE_DATA_MAX)
		return err_set(err, ERR_INVALID, "too long for a handle");
	if (bytes_alloc(ret, HEAD_LEN + id_len + h->data.len, err))
		return err->code;
	ret->data[0] = (uint8_t)h->kind;
	put_number(ret->data + 1, 8, h->epoch);
	put_number(ret->data + 9, 2, id_len);
	memcpy(ret->data + HEAD_LEN, h->id, id_len);
	if (h->data.len)
		memcpy(ret->data + HEAD_LEN + id_len, h->data.data, h->data.len);
	return ERR_OK;
}

/* What K sealed is well-formed; the bounds guard against K in wrong hands, not against callers. */
static enum err_code
decode(const struct bytes *in, struct handle *ret, struct err *err)
{
	AUTO(handle_done) struct handle h = { 0 };
	const uint8_t *rest;
	size_t id_len;

	if (in->len < HEAD_LEN || in->data[0] < HANDLE_KEY || in->data[0] > HANDLE_DERIVED_PAIR)
		return err_set(err, ERR_INVALID, "invalid handle");
	id_len = (size_t)get_number(in->data + 9, 2);
	rest = in->data + HEAD_LEN;
	if (id_len > in->len - HEAD_LEN ||
	    !uri_utf8_valid((struct text){ (const char *)rest, id_len }))
		return err_set(err, ERR_INVALID, "invalid handle");
	h.kind = (enum handle_kind)in->data[0];
	h.epoch = get_number(in->data + 1, 8);
	h.id = strndup((const char *)rest, id_len);
	if (!h.id)
		return err_nomem(err);
	if (bytes_copy(&h.data, rest + id_len, in->len - HEAD_LEN - id_len, err))
		return err->code;
	*ret = h;
	h = (struct handle){ 0 };
	return ERR_OK;
}

/* --- sealing them */

enum err_code
handle_seal(const struct handle_secret *s, const struct handle *h, char **ret_text, struct err *err)
{
	AUTO(bytes_done) struct bytes plain = { 0 };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	EVP_CIPHER_CTX *ctx;
	size_t text_len;
	bool done;
	char *text;
	int n;

	if (encode(h, &plain, err) || bytes_alloc(&sealed, TAG_LEN + plain.len, err))
		return err->code;
	ctx = EVP_CIPHER_CTX_new();
	done = ctx && EVP_CIPHER_CTX_copy(ctx, s->seal) &&
	       EVP_EncryptUpdate(ctx, sealed.data + TAG_LEN, &n, plain.data, (int)plain.len) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, sealed.data) > 0;
	EVP_CIPHER_CTX_free(ctx);
	if (!done)
		return err_openssl(err, "could not seal a handle");
	text_len = PREFIX_LEN + b64_encoded_len(B64_URL, sealed.len);
	text = malloc(text_len + 1);
	if (!text)
		return err_nomem(err);
	memcpy(text, PREFIX, PREFIX_LEN);
	b64_encode_to(B64_URL, sealed.data, sealed.len, text + PREFIX_LEN);
	*ret_text = text;
	return ERR_OK;
}

/* --- opening them */

static enum err_code
handle_copy(struct handle *ret, const struct handle *h, struct err *err)
{
	AUTO(handle_done) struct handle copy = { .kind = h->kind, .epoch = h->epoch };

	if (str_copy(&copy.id, h->id, err) ||
	    (h->data.len && bytes_copy(&copy.data, h->data.data, h->data.len, err)))
		return err->code;
	*ret = copy;
	copy = (struct handle){ 0 };
	return ERR_OK;
}

/* Its place goes by its first characters, which are as good as random. */
static struct known *
place_of(struct handle_secret *s, const char *text)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < 8; i++)
		sum = sum * 64 + (uint8_t)text[PREFIX_LEN + i];
	return &s->known[(sum ^ sum >> 24) % KNOWN];
}

/* Did we open this very text before?  Compared in constant time: a text is as good as a password. */
static bool
recall(struct handle_secret *s, const char *text, size_t len, struct handle *ret, struct err *err)
{
	const struct bytes wanted = { (uint8_t *)(uintptr_t)text, len };
	struct known *k = place_of(s, text);
	bool found;

	pthread_mutex_lock(&s->lock);
	found = bytes_equal(&k->text, &wanted) && handle_copy(ret, &k->handle, err) == ERR_OK;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Without memory it is not remembered, and opened again next time. */
static void
remember(struct handle_secret *s, const char *text, const struct handle *h)
{
	struct known fresh = { 0 }, old;
	struct err err = { 0 };

	if (handle_copy(&fresh.handle, h, &err) ||
	    bytes_copy(&fresh.text, text, strlen(text), &err)) {
		handle_done(&fresh.handle);
		return;
	}
	pthread_mutex_lock(&s->lock);
	old = *place_of(s, text);
	*place_of(s, text) = fresh;
	pthread_mutex_unlock(&s->lock);
	bytes_done(&old.text);
	handle_done(&old.handle);
}

static enum err_code
unseal(
    const struct handle_secret *s, const struct bytes *sealed, struct handle *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes plain = { 0 };
	EVP_CIPHER_CTX *ctx;
	bool ours;
	int n;

	if (bytes_alloc(&plain, sealed->len - TAG_LEN, err))
		return err->code;
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx || !EVP_CIPHER_CTX_copy(ctx, s->open) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, sealed->data) <= 0) {
		EVP_CIPHER_CTX_free(ctx);
		return err_openssl(err, "could not open a handle");
	}
	ours = EVP_DecryptUpdate(ctx, plain.data, &n, sealed->data + TAG_LEN, (int)plain.len) > 0 &&
	       EVP_DecryptFinal_ex(ctx, plain.data + plain.len, &n) > 0;
	EVP_CIPHER_CTX_free(ctx);
	if (!ours) {
		ERR_clear_error();
		return err_set(err, ERR_INVALID, "invalid handle");
	}
	return decode(&plain, ret, err);
}

enum err_code
handle_open(struct handle_secret *s, const char *text, struct handle *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes sealed = { 0 };
	size_t len = strlen(text);

	if (strncmp(text, PREFIX, PREFIX_LEN) != 0 ||
	    len < PREFIX_LEN + b64_encoded_len(B64_URL, TAG_LEN + HEAD_LEN) ||
	    len > PREFIX_LEN + b64_encoded_len(B64_URL, TAG_LEN + PLAIN_MAX))
		return err_set(err, ERR_INVALID, "invalid handle");
	if (recall(s, text, len, ret, err))
		return ERR_OK;
	if (b64_decode(B64_URL, text_of(text + PREFIX_LEN), &sealed, err))
		return err_set(err, ERR_INVALID, "invalid handle");
	if (unseal(s, &sealed, ret, err))
		return err->code;
	if (len <= KNOWN_TEXT_MAX)
		remember(s, text, ret);
	return ERR_OK;
}
