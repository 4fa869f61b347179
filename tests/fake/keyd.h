#ifndef TESTS_FAKE_KEYD_H
#define TESTS_FAKE_KEYD_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "client/keyd.h"

/*
 * client/keyd.h without a daemon, for the unit tests of those that call keyd: the same functions over keys in memory, which one
 * process shares whatever client it calls through.  Signatures are real; symmetric keys are the SHA-256 of their id unless given,
 * so that tests know them.  Handles read "fake:pair:ID", "fake:key:ID", "fake:derived:HEX:BASE".  Thread-safe.
 */
enum fake_keyd_op {
	FAKE_CREATE_KEY,
	FAKE_LOAD_KEY,
	FAKE_DELETE_KEY,
	FAKE_CREATE_KEY_PAIR,
	FAKE_LOAD_KEY_PAIR,
	FAKE_MOVE_KEY_PAIR,
	FAKE_DELETE_KEY_PAIR,
	FAKE_PARAMETER,
	FAKE_DERIVE,
	FAKE_EXPORT_DERIVED,
	FAKE_SIGN,
	FAKE_ENCRYPT,
	FAKE_DECRYPT,
	FAKE_ANY, /* all of them */
};

/* Forget keys, counters and faults. */
void fake_keyd_reset(void);
/* Calls since the reset, also those that failed. */
unsigned fake_keyd_calls(enum fake_keyd_op op);
/* Let one later call of that kind fail after skip good ones; ERR_PEER takes a status.  One fault at a time. */
void fake_keyd_fail(
    enum fake_keyd_op op, unsigned skip, enum err_code code, uint16_t status, const char *text);
/* Put a key there, replacing one of that id; the pair's reference is taken over. */
void fake_keyd_put_pair(const char *id, EVP_PKEY *pair);
void fake_keyd_put_key(const char *id, const void *bytes, size_t len);
bool fake_keyd_has_pair(const char *id);
bool fake_keyd_has_key(const char *id);
/* The form of ec-point: compressed as upstream's keyd (the default) or not (contracts/client-facts.md 14). */
void fake_keyd_compress_points(bool yes);

/* Answer every question for that parameter with value, as on the wire (both live until the reset); NULL: the truth. */
void fake_keyd_lie(const char *name, const char *value);

#endif
