#ifndef TESTS_MESSAGE_H
#define TESTS_MESSAGE_H

#include "data/fields.h"

/* Messages with every kind of row, for the tests of the table engine. */
enum mech { MECH_ECDSA, MECH_HMAC, MECH_NONE };
enum shape { SHAPE_FILE, SHAPE_SLOT };

struct part {
	char *name;
	int64_t uid;
};

struct limit {
	char *key;
	int64_t most;
};

struct every {
	char *str, *nulls, *raw;
	struct bytes bytes;
	int64_t small, any, maybe;
	bool flag, maybe_flag, has_maybe, has_flag;
	double real;
	struct part inside;
	struct part *ref;
	FIELDS_LIST(struct part) parts;
	FIELDS_LIST(char *) strs;
	FIELDS_LIST(struct limit) limits;
	fields_map labels;
	unsigned usage;
	bool has_usage;
};

/* as /sign: a tag, and an object that goes by it */
struct tagged {
	int mech;
	struct bytes digest;
	char *message;
};

/* the same flattened, and with a tag that may be absent */
struct flat {
	int shape;
	bool has_shape;
	char *path;
	int64_t slot;
};

/* an array as the whole document */
struct whole {
	FIELDS_LIST(struct part) parts;
};

FIELDS_DECLARE(part);
FIELDS_DECLARE(every);
FIELDS_DECLARE(tagged);
FIELDS_DECLARE(flat);
FIELDS_DECLARE(whole);

#endif
