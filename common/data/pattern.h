#ifndef DATA_PATTERN_H
#define DATA_PATTERN_H

#include <stdbool.h>

/*
 * Does id match a principal's pattern (contracts/common.md 8)?  The whole id, case-sensitive: `*` stands for any run of
 * characters, also an empty one, `?` for exactly one, everything else for itself; there is no escape.  Characters are
 * Unicode scalar values; both strings are valid UTF-8, as everything that JSON, TOML or a path gave us.
 * Takes at most strlen(pattern) * strlen(id) steps, whatever the pattern, and no memory.
 */
bool pattern_match(const char *pattern, const char *id);

#endif
