#ifndef KEYD_PLUGIN_KEY_H
#define KEYD_PLUGIN_KEY_H

#include "keyd/backend.h"
#include "keyd/plugin_library.h"

/* What the files of the backend share; nobody else includes this. */

struct plugin {
	const struct backend_config *config;
	struct library *library;
};

/* The library has no handles: an opened key is its id, and the library finds it anew for every use. */
struct plugin_key {
	struct key key;
	struct plugin *plugin;
};

typedef const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 plugin_calls;

enum err_code plugin_may_block(struct err *err) MUST_CHECK;
/* Where the bytes lie; somewhere if there are none, as NULL stands for "no argument" in this interface. */
const uint8_t *plugin_data(const struct bytes *b);
/* load_key or load_key_pair.  ERR_INVALID: there is no key of that kind. */
enum err_code plugin_load(
    struct library *library, const char *id, enum key_kind kind, struct err *err) MUST_CHECK;

/* --- with an opened key, as backend.h says (plugin_use.c) */

enum err_code plugin_check(struct key *key, enum key_kind kind, struct err *err) MUST_CHECK;
enum err_code plugin_parameter(
    struct key *key, enum key_parameter which, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code plugin_sign(struct key *key, enum keyd_mech mech, const struct bytes *data,
    struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code plugin_encrypt(struct key *key, const struct key_cipher *how,
    const struct bytes *plaintext, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code plugin_decrypt(struct key *key, const struct key_cipher *how,
    const struct bytes *ciphertext, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code plugin_derive(
    struct key *key, const struct bytes *data, struct bytes *ret, struct err *err) MUST_CHECK;

#endif
