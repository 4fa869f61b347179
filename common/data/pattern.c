#include "data/pattern.h"

#include <stddef.h>

/* The character behind this one: over its first byte and the continuation bytes that follow. */
static const char *
next_char(const char *at)
{
	at++;
	while (((unsigned char)*at & 0xc0) == 0x80)
		at++;
	return at;
}

/*
 * Greedy: what stands before the last '*' has matched as early as it could, so only that star ever needs to take
 * one character more, and no earlier choice is tried again.
 */
bool
pattern_match(const char *pattern, const char *id)
{
	const char *star = NULL, *resume = NULL;

	while (*id) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = id;
		} else if (*pattern == '?') {
			pattern++;
			id = next_char(id);
		} else if (*pattern == *id) {
			pattern++;
			id++;
		} else if (star) {
			pattern = star;
			id = resume = next_char(resume);
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
