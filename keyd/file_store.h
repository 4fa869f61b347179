#ifndef KEYD_FILE_STORE_H
#define KEYD_FILE_STORE_H

#include "keyd/backend.h"

/*
 * The files that hold keys: written whole and durably or not at all, mode 0600, encrypted where the configuration says so
 * (wrap.h), under one lock with `edgekeep keys wrap` (file_convert.h), which may rewrite any of them at any time.
 * Every call waits for the disk.  Any number of threads and processes may be in here, but for the same file.
 */
struct file_store;

/*
 * Make <homedir>/keys, remove what a crash left there and beside preloaded keys, get the key-encryption key.  config must outlive
 * the result.
 * ERR_INTERNAL: keys are to be wrapped and cannot be; file_kek.h.
 */
enum err_code file_store_open(
    const struct backend_config *config, struct file_store **ret, struct err *err) MUST_CHECK;
void file_store_close(struct file_store *s);

/* Where the key of an id is.  ERR_NOT_FOUND: it has no place of its own, and there is no homedir. */
enum err_code file_store_path(
    const struct file_store *s, const char *id, char **ret, struct err *err) MUST_CHECK;

/*
 * The key itself, 1..BACKEND_KEY_MAX bytes.  ERR_NOT_FOUND: no such file.
 * ERR_INTERNAL: there is one and it cannot be read, be it empty, too long or wrapped by another key; it stays as it is.
 */
enum err_code file_store_read(
    const struct file_store *s, const char *path, struct bytes *ret, struct err *err) MUST_CHECK;
/* ERR_CONFLICT: the path exists. */
enum err_code file_store_create(const struct file_store *s, const char *path,
    const struct bytes *content, struct err *err) MUST_CHECK;
enum err_code file_store_write(const struct file_store *s, const char *path,
    const struct bytes *content, struct err *err) MUST_CHECK;
/* In place of what is at `to`.  After a crash in the middle both are there.  ERR_NOT_FOUND: no source. */
enum err_code file_store_move(
    const struct file_store *s, const char *from, const char *to, struct err *err) MUST_CHECK;
/* Success when it is gone already. */
enum err_code file_store_remove(
    const struct file_store *s, const char *path, struct err *err) MUST_CHECK;

/* --- for file_convert.c */

enum file_change {
	FILE_CHANGED,
	FILE_WAS_SO, /* it is as wanted already, and opens */
	FILE_GONE,
};

/* Wrap or unwrap one file in place.  Needs a KEK.  ERR_INVALID: it is a link. */
enum err_code file_store_change(const struct file_store *s, const char *path, bool wrapped,
    enum file_change *ret, struct err *err) MUST_CHECK;
/*
 * Call each with the path of every key file: those of <homedir>/keys, then the preloaded ones.  each returns false to end.
 * What is made or removed meanwhile may be among them or not.
 */
enum err_code file_store_each(const struct file_store *s, bool (*each)(void *ctx, const char *path),
    void *ctx, struct err *err) MUST_CHECK;

#endif
