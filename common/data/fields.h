#ifndef DATA_FIELDS_H
#define DATA_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "data/json.h"

/*
 * Tables between JSON (or TOML turned into the same tree) and structs.  One table per message, used by client and server
 * and by the configuration (architecture rule 5).
 *
 *   wire/keyd.h    struct keyd_sign_req { char *key_handle; int mech; struct bytes data; };
 *                  FIELDS_DECLARE(keyd_sign_req);
 *   wire/keyd.c    FIELDS(keyd_sign_req,
 *                      STR (key_handle, "keyHandle", REQUIRED),
 *                      ENUM(mech, "algorithm", REQUIRED, keyd_mech_names),
 *                      SELECT(mech, "parameters", keyd_sign_params));
 *
 * which gives: keyd_sign_req_fields, the table; keyd_sign_req_read(), _write() and _done().
 *
 * Reading: null counts as absent; members that no row names are ignored; a wrong type, range, enum or base64, and a missing
 * required member, are ERR_SYNTAX with the member's path in the text ("parameters.digest: ...").  On failure the struct is
 * left released and zero.  Writing: an absent optional member is left out, or written as null with NULLS.
 * Members are read into a zeroed struct; everything owned is freed, and wiped, by _done(), which goes through all arms of a
 * SELECT: arms may share a struct's members, but not as a union of different kinds.
 *
 * Paths are written "principal[0].uid"; a member name that holds a dot or bracket stands in double quotes.
 *
 * A row with VALUE stands for the value itself in place of an object's member, so a table of one such row describes an array
 * or a string: FIELDS(hub_modules, LIST(at, NULL, VALUE | REQUIRED, hub_module_fields)).
 */

enum field_kind {
	FIELD_STR,   /* char *                     string */
	FIELD_BYTES, /* struct bytes               strict base64 string */
	FIELD_INT,   /* int64_t                    whole number within min..max */
	FIELD_BOOL,  /* bool */
	FIELD_REAL,  /* double                     written with a fraction */
	FIELD_ENUM,  /* int                        index into a NULL-terminated list of names */
	FIELD_RAW, /* char *                     any value, kept as compact JSON text, written as it is */
	FIELD_OBJECT, /* struct                     nested object, in place */
	FIELD_REF,    /* struct *                   nested object, NULL when absent */
	FIELD_LIST,   /* FIELDS_LIST(struct x)      array of objects */
	FIELD_STRS,   /* FIELDS_LIST(char *)        array of strings */
	FIELD_TABLE, /* FIELDS_LIST(struct x)      object whose member names go to x's KEY row; values are objects.
						    With VALUE in x the value itself goes to that row's kind.  With name NULL: the
						    members of this object that no other row of its table names */
	FIELD_KEY, /* char *                     only in a FIELD_TABLE element: its member name */
	FIELD_SELECT, /* -                          a nested object (name NULL: the same object) read by the table that an ENUM
						    row above chose; all tables describe the same struct */
	FIELD_PARSE, /* any                        string handed to a parser, written by its printer */
};

enum {
	OPTIONAL = 0,
	REQUIRED = 1,
	NULLS = 2,    /* write null when absent */
	NONEMPTY = 4, /* STR: the empty string is refused */
	VALUE = 8,    /* takes the value itself, in place of the object it would be a member of */
	PRESENT =
	    16, /* any but SELECT: a bool at offset2 says whether it was there; written only if set */
	CLOSED =
	    32, /* OBJECT, LIST, TABLE: a member that no row names is an error, for what configuration must not misspell */
};

struct fields;
typedef const struct fields *fields_fn(void);

struct field {
	const char *name;
	enum field_kind kind;
	unsigned flags;
	size_t offset;
	size_t offset2;		  /* PRESENT: the bool; SELECT: the enum's int */
	int64_t min, max;	  /* INT */
	fields_fn *sub;		  /* OBJECT, REF, LIST, TABLE */
	fields_fn *const *select; /* SELECT: by enum value; a NULL entry reads and writes nothing */
	size_t n_select;
	const char *const *names;					    /* ENUM */
	enum err_code (*parse)(const char *in, void *ret, struct err *err); /* PARSE */
	void (*parse_done)(void *value);				    /* PARSE, may be NULL */
	/* PARSE: the string to write; NULL: such a member is read only and never written */
	enum err_code (*print)(const void *value, char **ret, struct err *err);
};

struct fields {
	size_t size; /* of the struct */
	const struct field *rows;
	size_t n_rows;
};

#define FIELDS_LIST(type) \
	struct {          \
		type *at; \
		size_t n; \
	}

/* A name -> string map, and its table; for configuration and labels. */
struct fields_pair {
	char *key, *value;
};
fields_fn fields_pair_fields;
typedef FIELDS_LIST(struct fields_pair) fields_map;

#define FIELDS_DECLARE(message)                                                         \
	fields_fn message##_fields;                                                     \
	enum err_code message##_read(                                                   \
	    struct message *ret, const struct json_t *in, struct err *err) MUST_CHECK;  \
	enum err_code message##_write(                                                  \
	    const struct message *in, struct json_t **ret, struct err *err) MUST_CHECK; \
	void message##_done(struct message *value)

#define FIELDS(message, ...)                                                                \
	const struct fields *message##_fields(void)                                         \
	{                                                                                   \
		typedef struct message self;                                                \
		static const struct field rows[] = { __VA_ARGS__ };                         \
		static const struct fields table = { sizeof(self), rows, ARRAY_LEN(rows) }; \
		return &table;                                                              \
	}                                                                                   \
	enum err_code message##_read(                                                       \
	    struct message *ret, const struct json_t *in, struct err *err)                  \
	{                                                                                   \
		return fields_read(message##_fields, ret, in, err);                         \
	}                                                                                   \
	enum err_code message##_write(                                                      \
	    const struct message *in, struct json_t **ret, struct err *err)                 \
	{                                                                                   \
		return fields_write(message##_fields, in, ret, err);                        \
	}                                                                                   \
	void message##_done(struct message *value)                                          \
	{                                                                                   \
		fields_done(message##_fields, value);                                       \
	}                                                                                   \
	_Static_assert(sizeof(struct message) > 0, "")

/* A table that shares another one's struct, e.g. one arm of a SELECT. */
#define FIELDS_ARM(arm, message, ...)                                                       \
	static const struct fields *arm(void)                                               \
	{                                                                                   \
		typedef struct message self;                                                \
		static const struct field rows[] = { __VA_ARGS__ };                         \
		static const struct fields table = { sizeof(self), rows, ARRAY_LEN(rows) }; \
		return &table;                                                              \
	}                                                                                   \
	_Static_assert(sizeof(struct message) > 0, "")

#define FIELD_ROW(k, member, n, f, ...)                                                   \
	{                                                                                 \
		.name = (n), .kind = (k), .flags = (f), .offset = offsetof(self, member), \
		__VA_ARGS__                                                               \
	}

#define STR(member, name, flags)   FIELD_ROW(FIELD_STR, member, name, flags, )
#define BYTES(member, name, flags) FIELD_ROW(FIELD_BYTES, member, name, flags, )
#define INT(member, name, flags, lo, hi) \
	FIELD_ROW(FIELD_INT, member, name, flags, .min = (lo), .max = (hi))
#define BOOL(member, name, flags)	FIELD_ROW(FIELD_BOOL, member, name, flags, )
#define REAL(member, name, flags)	FIELD_ROW(FIELD_REAL, member, name, flags, )
#define ENUM(member, name, flags, list) FIELD_ROW(FIELD_ENUM, member, name, flags, .names = (list))
#define RAW(member, name, flags)	FIELD_ROW(FIELD_RAW, member, name, flags, )
#define OBJECT(member, name, flags, table) \
	FIELD_ROW(FIELD_OBJECT, member, name, flags, .sub = (table))
#define REF(member, name, flags, table)	 FIELD_ROW(FIELD_REF, member, name, flags, .sub = (table))
#define LIST(member, name, flags, table) FIELD_ROW(FIELD_LIST, member, name, flags, .sub = (table))
#define STRS(member, name, flags)	 FIELD_ROW(FIELD_STRS, member, name, flags, )
#define TABLE(member, name, flags, table) \
	FIELD_ROW(FIELD_TABLE, member, name, flags, .sub = (table))
#define KEY(member) FIELD_ROW(FIELD_KEY, member, NULL, 0, )
#define PARSE(member, name, flags, fn, done) \
	FIELD_ROW(FIELD_PARSE, member, name, flags, .parse = (fn), .parse_done = (done))
#define PARSE_PRINT(member, name, flags, fn, printer, done)                            \
	FIELD_ROW(FIELD_PARSE, member, name, flags, .parse = (fn), .print = (printer), \
	    .parse_done = (done))
/* Reads nothing when the tag is absent.  A named object that is absent is an error when the chosen arm requires members. */
#define SELECT(tag, name_, arms)                                                              \
	{                                                                                     \
		.name = (name_), .kind = FIELD_SELECT, .flags = OPTIONAL,                     \
		.offset2 = offsetof(self, tag), .select = (arms), .n_select = ARRAY_LEN(arms) \
	}
/* BYTES, INT, BOOL, REAL or ENUM with a bool beside it that says whether the member was there. */
#define INT_OPT(member, has, name, lo, hi)                                                       \
	FIELD_ROW(FIELD_INT, member, name, PRESENT, .offset2 = offsetof(self, has), .min = (lo), \
	    .max = (hi))
/* The empty string and an absent member differ. */
#define BYTES_OPT(member, has, name) \
	FIELD_ROW(FIELD_BYTES, member, name, PRESENT, .offset2 = offsetof(self, has))
#define BOOL_OPT(member, has, name) \
	FIELD_ROW(FIELD_BOOL, member, name, PRESENT, .offset2 = offsetof(self, has))

/*
 * Read in into the zeroed struct at ret.  in NULL (no body): ERR_NO_BODY "missing request body".
 * The generated functions are these with the table filled in.
 */
enum err_code fields_read(
    fields_fn *table, void *ret, const struct json_t *in, struct err *err) MUST_CHECK;
/*
 * The same, and where it failed as a dotted path ("provisioning.source"), for file and line in configuration errors; err's
 * text then holds the reason alone ("missing", "expected a string").
 */
enum err_code fields_read_at(fields_fn *table, void *ret, const struct json_t *in, char *ret_path,
    size_t path_size, struct err *err) MUST_CHECK;
enum err_code fields_write(
    fields_fn *table, const void *in, struct json_t **ret, struct err *err) MUST_CHECK;
/* The same as compact text, without a tree in between: what answers are made with. */
enum err_code fields_write_text(
    fields_fn *table, const void *in, char **ret, struct err *err) MUST_CHECK;
/* json_read and fields_read in one; for answers of peers. */
enum err_code fields_read_text(
    fields_fn *table, void *ret, struct text in, struct err *err) MUST_CHECK;
/*
 * The quick way for what most requests are: one object of the members that the table names, strings of plain ASCII and at
 * most one object in it.  What STR and BYTES point to is put into room, of in.len bytes; there is nothing to release, and
 * the caller wipes struct and room.
 *
 * true   ret, zeroed before, is what fields_read_text would have made of in
 * false  it is not as plain as that, which may also mean wrong: nothing is in ret, fields_read_text knows.  So are kinds
 *        other than STR, BYTES, ENUM and SELECT, escapes, null, a member unknown, repeated or missing
 */
bool fields_read_plain(fields_fn *table, void *ret, struct text in, char *room);
void fields_done(fields_fn *table, void *value);
/* Call found(ctx, path) for every member of in that no row of the table names: typos in configuration. */
void fields_unknown(fields_fn *table, const struct json_t *in,
    void (*found)(void *ctx, const char *path), void *ctx);

#endif
