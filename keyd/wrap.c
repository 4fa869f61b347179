#include "keyd/wrap.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "crypto/digest.h"

#define NONCE_LEN 12

static const char first_line[] = "edgekeep wrapped key 1\n";
#define LINE_LEN (sizeof(first_line) - 1)

struct wrap {
	const struct mech *mech;
	struct bytes kek;
};

enum err_code
wrap_new(const struct mech *mech, const struct bytes *kek, struct wrap **ret, struct err *err)
{
	struct wrap *w;

	if (kek->len != WRAP_KEK_LEN)
		return err_set(err, ERR_INTERNAL,
		    "the key-encryption key has %zu bytes instead of %d", kek->len, WRAP_KEK_LEN);
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_nomem(err);
	w->mech = mech;
	if (bytes_copy(&w->kek, kek->data, kek->len, err)) {
		free(w);
		return err->code;
	}
	*ret = w;
	return ERR_OK;
}

void
wrap_free(struct wrap *w)
{
	if (!w)
		return;
	bytes_done(&w->kek);
	free(w);
}

bool
wrap_is_wrapped(const struct bytes *content)
{
	return content->len >= LINE_LEN && memcmp(content->data, first_line, LINE_LEN) == 0;
}

/* What a file is bound to: its first line and its name. */
static enum err_code
bound_to(const char *path, struct bytes *ret, struct err *err)
{
	const char *slash = strrchr(path, '/');
	struct buf out = { 0 };

	buf_puts(&out, first_line);
	buf_puts(&out, slash ? slash + 1 : path);
	return buf_take(&out, ret, err);
}

enum err_code
wrap_seal(const struct wrap *w, const char *name, const struct bytes *plain, struct bytes *ret,
    struct err *err)
{
	AUTO(bytes_done) struct bytes aad = { 0 };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(buf_done) struct buf out = { 0 };
	uint8_t nonce[NONCE_LEN];
	struct bytes iv = { nonce, sizeof(nonce) };

	if (digest_random(nonce, sizeof(nonce), err) || bound_to(name, &aad, err) ||
	    mech_aead_seal(w->mech, &w->kek, &iv, &aad, plain, &sealed, err))
		return err->code;
	buf_puts(&out, first_line);
	buf_add(&out, nonce, sizeof(nonce));
	buf_add(&out, sealed.data, sealed.len);
	return buf_take(&out, ret, err);
}

enum err_code
wrap_open(const struct wrap *w, const char *name, const struct bytes *content, struct bytes *ret,
    struct err *err)
{
	AUTO(bytes_done) struct bytes aad = { 0 };
	uint8_t *nonce = content->data + LINE_LEN;
	struct bytes iv = { nonce, NONCE_LEN }, sealed;

	if (!w)
		return err_set(err, ERR_INTERNAL,
		    "key file %s is wrapped: set wrap in [backends.file] to what wrapped it", name);
	if (content->len < WRAP_OVERHEAD)
		return err_set(err, ERR_INTERNAL, "wrapped key file %s is cut short", name);
	sealed = (struct bytes){ nonce + NONCE_LEN, content->len - LINE_LEN - NONCE_LEN };
	if (bound_to(name, &aad, err))
		return err->code;
	if (mech_aead_open(w->mech, &w->kek, &iv, &aad, &sealed, ret, err) == ERR_OK)
		return ERR_OK;
	return err->code == ERR_NOMEM
		   ? err->code
		   : err_wrap_code(err, ERR_INTERNAL,
			 "key file %s does not open: it is damaged, was renamed, or was wrapped by "
			 "another key-encryption key",
			 name);
}
