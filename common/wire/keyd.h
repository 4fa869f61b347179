#ifndef WIRE_KEYD_H
#define WIRE_KEYD_H

#include "data/fields.h"

/* Messages of keyd (contracts/keyd.md 4). */

#define KEYD_SOCKET	 "/run/aziot/keyd.sock"
#define KEYD_API_VERSION "2021-05-01" /* what our clients send */
#define KEYD_ID_MAX	 128	      /* bytes of a key id we create */
#define KEYD_HANDLE_MAX	 512

/* Bits of `usage`, contract 4.1. */
enum keyd_usage { KEYD_USE_SIGN = 1, KEYD_USE_DERIVE = 2, KEYD_USE_ENCRYPT = 4 };

enum keyd_mech { KEYD_ECDSA, KEYD_HMAC_SHA256, KEYD_EDDSA }; /* /sign; EdDSA is an addition */
enum keyd_cipher { KEYD_AEAD, KEYD_RSA_PKCS1, KEYD_RSA_NO_PADDING }; /* /encrypt, /decrypt */
extern const char *const keyd_mech_names[];
extern const char *const keyd_cipher_names[];

struct keyd_create_key_req {
	char *key_id;
	unsigned usage;
	struct bytes key_bytes;
	bool has_key_bytes;
};
struct keyd_create_key_pair_req {
	char *key_id;
	char *preferred_algorithms;
};
struct keyd_handle_msg {
	char *key_handle;
}; /* answers 1 2 4 5 9; requests 3 7 8 10 */
struct keyd_move_req {
	char *from;
};
struct keyd_parameter_resp {
	char *value;
};
struct keyd_derive_req {
	char *base_key_handle;
	struct bytes derivation_data;
};
struct keyd_export_resp {
	struct bytes key;
};
struct keyd_sign_req {
	char *key_handle;
	int mech;
	struct bytes data;
};
struct keyd_sign_resp {
	struct bytes signature;
};
struct keyd_encrypt_req {
	char *key_handle;
	int cipher;
	struct bytes iv, aad;
	struct bytes plaintext;
};
struct keyd_encrypt_resp {
	struct bytes ciphertext;
};
struct keyd_decrypt_req {
	char *key_handle;
	int cipher;
	struct bytes iv, aad;
	struct bytes ciphertext;
};
struct keyd_decrypt_resp {
	struct bytes plaintext;
};

FIELDS_DECLARE(keyd_create_key_req);
FIELDS_DECLARE(keyd_create_key_pair_req);
FIELDS_DECLARE(keyd_handle_msg);
FIELDS_DECLARE(keyd_move_req);
FIELDS_DECLARE(keyd_parameter_resp);
FIELDS_DECLARE(keyd_derive_req);
FIELDS_DECLARE(keyd_export_resp);
FIELDS_DECLARE(keyd_sign_req);
FIELDS_DECLARE(keyd_sign_resp);
FIELDS_DECLARE(keyd_encrypt_req);
FIELDS_DECLARE(keyd_encrypt_resp);
FIELDS_DECLARE(keyd_decrypt_req);
FIELDS_DECLARE(keyd_decrypt_resp);

#endif
