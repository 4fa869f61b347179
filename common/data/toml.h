#ifndef DATA_TOML_H
#define DATA_TOML_H

#include <stdbool.h>

#include "base/mem.h"
#include "data/json.h"

/*
 * TOML 1.0.0 (toml.io/en/v1.0.0): the whole language.  Debian 12 packages no C library for it.
 * Bounded: 1 MiB of text, 64 levels, 4096 members of one table.  Positions are kept, for messages that name file, line and column.
 */
#define TOML_TEXT_MAX	 (1024 * 1024)
#define TOML_MEMBERS_MAX 4096

enum toml_kind {
	TOML_TABLE,
	TOML_ARRAY,
	TOML_STRING,
	TOML_INTEGER,
	TOML_FLOAT,
	TOML_BOOL,
	TOML_OFFSET_DATETIME,
	TOML_LOCAL_DATETIME,
	TOML_LOCAL_DATE,
	TOML_LOCAL_TIME,
};

struct toml {
	enum toml_kind kind;
	const char *file;      /* borrowed from the parse call */
	unsigned line, column; /* from 1; columns count characters */
	char *key;	       /* name in its table, NULL in arrays and at the root */
	size_t key_len;	       /* TOML allows NUL in keys and strings; toml_to_json refuses it */
	union {
		struct {
			char *data;
			size_t len;
		} string; /* also the normalised text of dates and times */
		int64_t integer;
		double real;
		bool boolean;
		struct {
			struct toml **at;
			size_t n;
		} items; /* TABLE: sorted as written; ARRAY */
	};
	unsigned state; /* how a table was defined; the parser's own */
};

/* ERR_SYNTAX: "FILE:LINE:COLUMN: what is wrong".  file must outlive the result.  Free with toml_freep. */
enum err_code toml_parse(
    const char *file, struct text in, struct toml **ret, struct err *err) MUST_CHECK;
void toml_freep(struct toml **t);
/* Member of a table, or NULL. */
const struct toml *toml_get(const struct toml *table, const char *key);
/* The deepest existing node along a dotted path ("a.b[2].c", as fields_read_at writes it); never NULL. */
const struct toml *toml_find(const struct toml *root, const char *path);
/*
 * The contract's merge (contracts/common.md 2): table with table recurses, array with array concatenates, anything else is
 * replaced.  Takes from, which is NULL afterwards.  into and from are of one kind.
 */
enum err_code toml_merge(struct toml *into, struct toml **from, struct err *err) MUST_CHECK;
/*
 * As a JSON tree for fields_read: dates and times become strings, tables come in byte order of their keys.  ERR_SYNTAX: NUL,
 * inf or nan, which JSON cannot hold.
 */
enum err_code toml_to_json(const struct toml *t, struct json_t **ret, struct err *err) MUST_CHECK;

#endif
