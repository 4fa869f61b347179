#ifndef KEYD_FILE_CONVERT_H
#define KEYD_FILE_CONVERT_H

#include <stdio.h>

#include "keyd/file_store.h"
#include "platform/daemon.h"

/*
 * All key files wrapped or unwrapped in place, also beside a keyd that serves (file_store.h has the lock): what
 * `edgekeep keys wrap` and `unwrap` have keyd do, as the roles "wrap" and "unwrap".  Each file is replaced as a whole, so that
 * an end at any moment leaves every key readable, and what is done already is seen as done the next time.
 */
struct file_counts {
	unsigned long changed; /* now as wanted */
	unsigned long were_so; /* were so already */
	unsigned long failed;  /* left as they were */
};

/* The store must have a KEK.  Each failure is told on `tell`, a line. */
enum err_code file_convert(const struct file_store *store, bool wrapped, FILE *tell,
    struct file_counts *ret, struct err *err) MUST_CHECK;

/* Steps of the two roles (platform/daemon.h); exit status 1 where a file failed. */
enum err_code file_convert_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code file_convert_serve(struct daemon *d, struct err *err) MUST_CHECK;
void file_convert_done(struct daemon *d);

#endif
