#ifndef BASE_SNAPSHOT_H
#define BASE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * A content in force, which may be replaced while others work by it: a configuration that SIGHUP reads again.  Whoever works by it
 * holds a reference, and so sees one content from beginning to end without holding a lock.
 */
struct snapshot;

/*
 * Takes *first, size bytes, which are zero afterwards (on success only).
 *   done  releases what a content owns, when it has been replaced and the last reference is back; on any thread, no lock held
 */
enum err_code snapshot_new(void *first, size_t size, void (*done)(void *content),
    struct snapshot **ret, struct err *err) MUST_CHECK;
/* References that are still out stay good. */
void snapshot_free(struct snapshot *s);
/* Put another content of the same size in force; takes *next as snapshot_new does. */
enum err_code snapshot_set(struct snapshot *s, void *next, struct err *err) MUST_CHECK;

/* A reference to the content in force. */
const void *snapshot_get(struct snapshot *s);
/* Give it back: the address of the pointer that snapshot_get returned, which is NULL afterwards; NULL in it is allowed.  For AUTO(). */
void snapshot_putp(void *at);
/* Does nobody hold a reference to any content of it? */
bool snapshot_idle(struct snapshot *s);

#endif
