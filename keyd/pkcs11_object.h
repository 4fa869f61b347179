#ifndef KEYD_PKCS11_OBJECT_H
#define KEYD_PKCS11_OBJECT_H

#include "keyd/pkcs11_token.h"

/*
 * Key objects on a token, by name.  Cryptoki has neither unique labels nor a change of two objects in one step, so what is being
 * replaced is told by CKA_ID, which changes in one call: a crash at any point leaves exactly one key that counts.
 *
 *   "ek-new:" + random   made but not tried yet; counts for nothing
 *   "ek-old:" + random   about to be destroyed; counts where there is no other
 *   anything else        counts; two of one class and name are an error
 */
enum pkcs11_standing { PKCS11_COUNTS, PKCS11_NEW, PKCS11_OLD };

#define PKCS11_ID_MAX 256 /* bytes of a CKA_ID */

struct pkcs11_id {
	uint8_t data[PKCS11_ID_MAX];
	size_t len;
};

/* A fresh one of that standing. */
enum err_code pkcs11_id_make(
    enum pkcs11_standing standing, struct pkcs11_id *ret, struct err *err) MUST_CHECK;
bool pkcs11_id_equal(const struct pkcs11_id *a, const struct pkcs11_id *b);

/* What to look for; NULL, empty and ANY: whatever. */
struct pkcs11_name {
	const char *label;
	const struct bytes *id;
	enum pkcs11_uri_type type; /* ANY, PRIVATE or SECRET_KEY */
};

struct pkcs11_object {
	ck_object_handle_t handle; /* CK_INVALID_HANDLE: none */
	ck_object_class_t class;
	struct pkcs11_id id;
};

/* Handles are never 0; the standard calls that CK_INVALID_HANDLE. */
static inline bool
pkcs11_is_there(const struct pkcs11_object *o)
{
	return o->handle != CK_INVALID_HANDLE;
}

#define PKCS11_OBJECTS_MAX 64

/* Every private, public and secret key of a name, more than one thing or not. */
struct pkcs11_objects {
	struct pkcs11_object at[PKCS11_OBJECTS_MAX];
	size_t n;
	size_t
	    unclear; /* others, which went away meanwhile or whose class the token does not tell */
};

enum err_code pkcs11_list(struct pkcs11_session *s, const struct pkcs11_name *name,
    struct pkcs11_objects *ret, struct err *err) MUST_CHECK;

/* What counts of these: a key pair, a secret key or both. */
struct pkcs11_found {
	struct pkcs11_object private, public, secret;
};

/*
 * ERR_NOT_FOUND: there is nothing, and the token is there to say so.  ERR_INTERNAL: two keys have this name.  A public key is that of
 * the private key's CKA_ID, or the only one of the name; a pair without one is found, too.
 */
enum err_code pkcs11_find(struct pkcs11_session *s, const struct pkcs11_name *name,
    struct pkcs11_found *ret, struct err *err) MUST_CHECK;

/*
 * Read attributes; value_len says how much fits, and what came.  One that the object does not have, or does not tell, has length 0.
 * ERR_PROTOCOL: one does not fit.
 */
enum err_code pkcs11_read(struct pkcs11_session *s, ck_object_handle_t object,
    struct ck_attribute *attributes, size_t n, struct err *err) MUST_CHECK;
/* Set label and CKA_ID in one step; NULL: leave it. */
enum err_code pkcs11_rename(struct pkcs11_session *s, ck_object_handle_t object, const char *label,
    const struct pkcs11_id *id, struct err *err) MUST_CHECK;
/* Success when it is gone already. */
enum err_code pkcs11_destroy(
    struct pkcs11_session *s, ck_object_handle_t object, struct err *err) MUST_CHECK;
/* Private and secret keys first; a public key that belongs to a private key of another name stays. */
enum err_code pkcs11_destroy_all(
    struct pkcs11_session *s, const struct pkcs11_objects *objects, struct err *err) MUST_CHECK;

#endif
