#include "tests/support/message.h"

#include <string.h>

FIELDS(part, STR(name, "name", REQUIRED | NONEMPTY), INT(uid, "uid", OPTIONAL, 0, UINT32_MAX));

static const struct fields *
limit_fields(void)
{
	typedef struct limit self;
	static const struct field rows[] = { KEY(key), INT(most, "most", REQUIRED, 1, 100) };
	static const struct fields table = { sizeof(self), rows, ARRAY_LEN(rows) };

	return &table;
}

static enum err_code
usage_parse(const char *in, void *ret, struct err *err)
{
	if (strcmp(in, "sign"))
		return err_set(err, ERR_INVALID, "unknown usage");
	*(unsigned *)ret = 1;
	return ERR_OK;
}

static enum err_code
usage_print(const void *value, char **ret, struct err *err)
{
	return str_copy(ret, *(const unsigned *)value == 1 ? "sign" : "none", err);
}

#define PARSE_OPT(member, has, name, fn, printer)                                     \
	FIELD_ROW(FIELD_PARSE, member, name, PRESENT, .offset2 = offsetof(self, has), \
	    .parse = (fn), .print = (printer))

FIELDS(every, STR(str, "str", OPTIONAL), STR(nulls, "nulls", NULLS), RAW(raw, "raw", OPTIONAL),
    BYTES(bytes, "bytes", OPTIONAL), INT(small, "small", OPTIONAL, -3, 10),
    INT(any, "any", OPTIONAL, INT64_MIN, INT64_MAX),
    INT_OPT(maybe, has_maybe, "maybe", 70, INT64_MAX), BOOL(flag, "flag", OPTIONAL),
    BOOL_OPT(maybe_flag, has_flag, "maybeFlag"), REAL(real, "real", OPTIONAL),
    OBJECT(inside, "inside", OPTIONAL, part_fields), REF(ref, "ref", OPTIONAL, part_fields),
    LIST(parts, "parts", OPTIONAL, part_fields), STRS(strs, "strs", OPTIONAL),
    TABLE(limits, "limits", OPTIONAL, limit_fields),
    TABLE(labels, "labels", OPTIONAL, fields_pair_fields),
    PARSE_OPT(usage, has_usage, "usage", usage_parse, usage_print));

static const char *const mech_names[] = { "ECDSA", "HMAC-SHA256", "NONE", NULL };

FIELDS_ARM(ecdsa_arm, tagged, BYTES(digest, "digest", REQUIRED));
FIELDS_ARM(hmac_arm, tagged, STR(message, "message", REQUIRED));

static fields_fn *const mech_arms[] = { [MECH_ECDSA] = ecdsa_arm, [MECH_HMAC] = hmac_arm };

FIELDS(
    tagged, ENUM(mech, "algorithm", REQUIRED, mech_names), SELECT(mech, "parameters", mech_arms));

static const char *const shape_names[] = { "file", "slot", NULL };

FIELDS_ARM(file_arm, flat, STR(path, "path", REQUIRED));
FIELDS_ARM(slot_arm, flat, INT(slot, "slot", REQUIRED, 0, 9));

static fields_fn *const shape_arms[] = { [SHAPE_FILE] = file_arm, [SHAPE_SLOT] = slot_arm };

#define ENUM_OPT(member, has, name, list) \
	FIELD_ROW(                        \
	    FIELD_ENUM, member, name, PRESENT, .offset2 = offsetof(self, has), .names = (list))

FIELDS(flat, ENUM_OPT(shape, has_shape, "shape", shape_names), SELECT(shape, NULL, shape_arms));

FIELDS(whole, LIST(parts, NULL, VALUE | REQUIRED, part_fields));
