#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/buf.h"
#include "provider/parts.h"

/*
 * For programs that read private keys from PEM files only (nginx, curl): a file whose block is a key's URI (data/key_uri.h).
 *
 * libcrypto shows every PEM file of the host to every decoder, most of them with keys that are not ours.  So this reads one block
 * and no byte further, as libcrypto goes on from there, and is silent about whatever has another label.
 */

#define BEGIN "-----BEGIN "
#define END   "-----END "
#define LABEL KEY_URI_LABEL "-----"
/* of base64 for a URI of KEY_URI_MAX bytes, with its line breaks */
#define BODY_MAX (2 * KEY_URI_MAX)

struct decoder {
	const struct provider *provider;
	enum provider_kind kind;
};

static void *
decoder_new(void *provider, enum provider_kind kind)
{
	struct decoder *d = calloc(1, sizeof(*d));

	if (d)
		*d = (struct decoder){ provider, kind };
	return d;
}

static void *
decoder_new_ec(void *provider)
{
	return decoder_new(provider, PROVIDER_EC);
}

static void *
decoder_new_rsa(void *provider)
{
	return decoder_new(provider, PROVIDER_RSA);
}

static void
decoder_free(void *ctx)
{
	free(ctx);
}

static const char *
after(const char *line, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(line, prefix, len) == 0 ? line + len : NULL;
}

/* The characters of base64 lines without their ends; other characters stay, for the base64 decoder to refuse. */
static void
add_line(struct buf *body, const char *line)
{
	buf_add(body, line, strcspn(line, "\r\n"));
}

/* The body of the file's next block when it has our label; *ret_ours false otherwise. */
static enum err_code
read_block(
    const struct provider *p, OSSL_CORE_BIO *in, bool *ret_ours, struct buf *body, struct err *err)
{
	bool inside = false, ours = false, line_start = true;
	const char *label;
	char line[256];

	while (p->bio_gets(in, line, sizeof(line)) > 0) {
		bool first = line_start;

		line_start = strchr(line, '\n') != NULL;
		if (first && !inside && (label = after(line, BEGIN)) != NULL) {
			inside = true;
			ours = after(label, LABEL) != NULL;
		} else if (first && inside && after(line, END)) {
			*ret_ours = ours;
			return ERR_OK;
		} else if (ours) {
			add_line(body, line);
		}
	}
	if (ours)
		return err_set(err, ERR_SYNTAX, KEY_URI_LABEL ": no end line");
	*ret_ours = false;
	return ERR_OK;
}

static enum err_code
read_uri(const struct provider *p, OSSL_CORE_BIO *in, bool *ret_ours, struct key_uri *ret,
    struct err *err)
{
	AUTO(buf_done) struct buf body = { .max = BODY_MAX };
	AUTO(bytes_done) struct bytes uri = { 0 };
	struct text text;

	if (read_block(p, in, ret_ours, &body, err))
		return err->code;
	if (!*ret_ours)
		return ERR_OK;
	text = (struct text){ (const char *)body.data, body.len };
	if (body.failed || b64_decode(B64_STD, text, &uri, err) || uri.len > KEY_URI_MAX)
		return err_set(err, ERR_SYNTAX, KEY_URI_LABEL ": no base64 of a URI");
	return key_uri_read(text_of_bytes(&uri), ret, err);
}

static enum err_code
decode(const struct decoder *d, OSSL_CORE_BIO *in, struct provider_key **ret, struct err *err)
{
	AUTO(key_uri_done) struct key_uri uri = { 0 };
	bool ours = false;

	if (read_uri(d->provider, in, &ours, &uri, err))
		return err->code;
	return ours ? provider_key_open(d->provider, &uri, d->kind, ret, err) : ERR_OK;
}

static int
decoder_decode(void *ctx, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *object, void *object_arg,
    OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)
{
	AUTO(provider_keyp) struct provider_key *key = NULL;
	const struct decoder *d = ctx;
	struct err err = { 0 };
	enum err_code code;

	(void)selection, (void)ask, (void)ask_arg;
	ERR_set_mark();
	code = decode(d, in, &key, &err);
	ERR_pop_to_mark();
	if (code)
		return provider_failed(d->provider, &err);
	/* nothing for us is no failure: libcrypto asks the next decoder */
	return !key || provider_key_give(&key, object, object_arg);
}

/* A program that looks for a public key or for parameters means another file. */
static int
decoder_does(void *provider, int selection)
{
	(void)provider;
	return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

#define DECODER(name, kind)                                                  \
	const OSSL_DISPATCH name[] = {                                       \
		PROVIDER_FN(OSSL_FUNC_DECODER_NEWCTX, decoder_new_##kind),   \
		PROVIDER_FN(OSSL_FUNC_DECODER_FREECTX, decoder_free),        \
		PROVIDER_FN(OSSL_FUNC_DECODER_DOES_SELECTION, decoder_does), \
		PROVIDER_FN(OSSL_FUNC_DECODER_DECODE, decoder_decode),       \
		{ 0, NULL },                                                 \
	}

DECODER(provider_decoder_ec, ec);
DECODER(provider_decoder_rsa, rsa);
