#ifndef DATA_JSON_H
#define DATA_JSON_H

#include "base/mem.h"

/*
 * JSON text in and out, by jansson; only this layer and fields.c include jansson.h.
 * A document is refused (ERR_SYNTAX) when it nests deeper than 32, repeats a member, holds NUL or bad UTF-8,
 * or has anything behind it (decisions.md, jansson).
 */
struct json_t;

#define JSON_DEPTH_MAX 32

/* In daemons: let jansson's memory be wiped when freed.  Global, so never called from provider/. */
void json_wipe_memory(void);

enum err_code json_read(struct text in, struct json_t **ret, struct err *err) MUST_CHECK;
/* Compact text, members in the order they were set. */
enum err_code json_write(const struct json_t *json, char **ret, struct err *err) MUST_CHECK;
void json_freep(struct json_t **json); /* for AUTO() */

#endif
