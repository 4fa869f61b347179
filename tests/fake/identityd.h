#ifndef TESTS_FAKE_IDENTITYD_H
#define TESTS_FAKE_IDENTITYD_H

#include "client/identityd.h"

/*
 * client/identityd.h without a daemon: a device "press-07" on "hub.example" and its modules, each with generation "gen1" and the key
 * handle "fake:key:<module>" of tests/fake/keyd.  Thread-safe.
 */
void fake_identityd_reset(void);
/* A module the hub knows; generation NULL: "gen1". */
void fake_identityd_put(const char *module_id, const char *generation);
bool fake_identityd_has(const char *module_id);
/* Calls of any kind since the reset. */
unsigned fake_identityd_calls(void);
/* Every call fails so until the next reset or a code of ERR_OK. */
void fake_identityd_fail(enum err_code code, uint16_t status, const char *text);

#endif
