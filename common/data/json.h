#ifndef DATA_JSON_H
#define DATA_JSON_H

#include "base/mem.h"

/*
 * JSON text in and out, by jansson; only this layer and fields.c include jansson.h.
 * A document is refused (ERR_SYNTAX) when it nests deeper than 32, repeats a member, holds NUL or bad UTF-8,
 * has anything behind it (decisions.md, jansson), or holds more than 100,000 values, each of which takes some 200 bytes of
 * memory for as few as three of text.  Error texts read "line L column C: ..." and quote nothing of the document.
 * A document may be any value, not only an object or array.
 */
struct json_t;

#define JSON_DEPTH_MAX	32
#define JSON_VALUES_MAX 100000

/* In daemons: let jansson's memory be wiped when freed.  Global, so never called from provider/. */
void json_wipe_memory(void);

enum err_code json_read(struct text in, struct json_t **ret, struct err *err) MUST_CHECK;
/* Compact text, members in the order they were set. */
enum err_code json_write(const struct json_t *json, char **ret, struct err *err) MUST_CHECK;
void json_freep(struct json_t **json); /* for AUTO() */

#endif
