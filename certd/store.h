#ifndef CERTD_STORE_H
#define CERTD_STORE_H

#include "certd/config.h"

/*
 * Certificates on disk (contracts/certd.md 4): `<homedir>/certs/<file name of the id>.cer`, or where `preloaded_certs` says.
 * Whatever text was stored is what is read; nothing is parsed here.
 */
struct store;

#define STORE_TEXT_MAX ((size_t)1024 * 1024) /* bytes of one text, or of a list */

/* Makes the directory, 0700, unless it is there; removes what a crash left of a write. */
enum err_code store_open(const char *homedir, struct store **ret, struct err *err) MUST_CHECK;
void store_free(struct store *s);
/*
 * Read the preloaded certificates that are on tokens, once and for all: before the policy and before any thread (token.h).
 * After an error those ids are ERR_INTERNAL, all others work.
 */
enum err_code store_read_tokens(
    struct store *s, const struct certd_config *config, struct err *err) MUST_CHECK;

/*
 * The text of an id; of a list what its ids have, in order, a line end between them where one is missing, absent ones left out.
 * ERR_NOT_FOUND "not found": there is none.  ERR_INTERNAL: longer than STORE_TEXT_MAX, or no UTF-8.
 */
enum err_code store_read(struct store *s, const struct certd_config *config, const char *id,
    char **ret, struct err *err) MUST_CHECK;
/* Could a text be stored under this id?  ERR_INTERNAL: it is a list, or on a token.  ERR_INVALID: too long for a file name. */
enum err_code store_writable(
    struct store *s, const struct certd_config *config, const char *id, struct err *err) MUST_CHECK;
/* Replace the text in one step; errors as store_writable.  A preloaded file keeps its mode. */
enum err_code store_write(struct store *s, const struct certd_config *config, const char *id,
    struct text text, struct err *err) MUST_CHECK;
/* Success when absent already.  ERR_INTERNAL: a list. */
enum err_code store_delete(
    struct store *s, const struct certd_config *config, const char *id, struct err *err) MUST_CHECK;

/*
 * Call found with each text in our own directory, by the name of its file, in no order.  It returns an error, set by itself, to
 * end that.  ERR_IO: the directory cannot be read.
 */
enum err_code store_each(struct store *s,
    enum err_code (*found)(void *ctx, const char *file, struct text text), void *ctx,
    struct err *err) MUST_CHECK;

#endif
