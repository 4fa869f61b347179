#ifndef TESTS_PLAIN_H
#define TESTS_PLAIN_H

#include "data/fields.h"

/* The quick reader against the general one: it takes what the general one takes, with the same result, or nothing. */
enum plain { PLAIN_TAKEN, PLAIN_DECLINED, PLAIN_WRONG };

/* Structs of up to 1024 bytes. */
enum plain plain_compare(fields_fn *table, struct text in);

#endif
