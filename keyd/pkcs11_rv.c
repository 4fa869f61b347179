#include "keyd/pkcs11_rv.h"

#include "base/mem.h"

#define ROW(name, code, class, text)           \
	{                                      \
		name, #name, code, class, text \
	}

/* clang-format off */
static const struct pkcs11_rv rows[] = {
	ROW(CKR_OK,				ERR_OK,		 PKCS11_FINAL, "no error"),

	/* the token, a session or an object went away */
	ROW(CKR_SESSION_HANDLE_INVALID,		ERR_UNREACHABLE, PKCS11_LOST, "the session has ended"),
	ROW(CKR_SESSION_CLOSED,			ERR_UNREACHABLE, PKCS11_LOST, "the session has ended"),
	ROW(CKR_DEVICE_REMOVED,			ERR_UNREACHABLE, PKCS11_LOST, "the token was removed"),
	ROW(CKR_TOKEN_NOT_PRESENT,		ERR_UNREACHABLE, PKCS11_LOST, "there is no token in the slot"),
	ROW(CKR_TOKEN_NOT_RECOGNIZED,		ERR_UNREACHABLE, PKCS11_LOST, "the module does not know this token"),
	ROW(CKR_SLOT_ID_INVALID,		ERR_UNREACHABLE, PKCS11_LOST, "there is no such slot"),
	ROW(CKR_DEVICE_ERROR,			ERR_UNREACHABLE, PKCS11_LOST, "the token has a fault"),
	ROW(CKR_USER_NOT_LOGGED_IN,		ERR_UNREACHABLE, PKCS11_LOST, "the token asks for a login"),
	ROW(CKR_OBJECT_HANDLE_INVALID,		ERR_UNREACHABLE, PKCS11_LOST, "the object has gone"),
	ROW(CKR_KEY_HANDLE_INVALID,		ERR_UNREACHABLE, PKCS11_LOST, "the key has gone"),
	ROW(CKR_OPERATION_ACTIVE,		ERR_UNREACHABLE, PKCS11_LOST, "the session is in use"),
	ROW(CKR_OPERATION_NOT_INITIALIZED,	ERR_UNREACHABLE, PKCS11_LOST, "the module forgot what was begun"),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED,	ERR_UNREACHABLE, PKCS11_LOST, "the module was ended"),

	/* try later */
	ROW(CKR_SESSION_COUNT,			ERR_BUSY, PKCS11_FINAL, "the token has no session left"),
	ROW(CKR_HOST_MEMORY,			ERR_NOMEM, PKCS11_FINAL, "the module is out of memory"),
	ROW(CKR_FUNCTION_CANCELED,		ERR_BUSY, PKCS11_FINAL, "the operation was cancelled"),
	ROW(CKR_CANCEL,				ERR_BUSY, PKCS11_FINAL, "the operation was cancelled"),

	/* not here; elsewhere it may be */
	ROW(CKR_FUNCTION_NOT_SUPPORTED,		ERR_UNSUPPORTED, PKCS11_FINAL, "the module cannot do that"),
	ROW(CKR_MECHANISM_INVALID,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not have the mechanism"),
	ROW(CKR_MECHANISM_PARAM_INVALID,	ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not take this form of the mechanism"),
	ROW(CKR_KEY_SIZE_RANGE,			ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not take keys of this size"),
	ROW(CKR_TEMPLATE_INCOMPLETE,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token wants to know more of the key"),
	ROW(CKR_TEMPLATE_INCONSISTENT,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not make such keys"),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not know an attribute"),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID,	ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not take an attribute's value"),
	ROW(CKR_ATTRIBUTE_READ_ONLY,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not let that be changed"),
	ROW(CKR_ACTION_PROHIBITED,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token forbids that"),
	ROW(CKR_CURVE_NOT_SUPPORTED,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not have the curve"),
	ROW(CKR_DOMAIN_PARAMS_INVALID,		ERR_UNSUPPORTED, PKCS11_FINAL, "the token does not have the curve"),

	/* the caller's mistake */
	ROW(CKR_KEY_TYPE_INCONSISTENT,		ERR_INVALID, PKCS11_FINAL, "the key is of another type"),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED,	ERR_INVALID, PKCS11_FINAL, "the key is not made for that"),
	ROW(CKR_KEY_UNEXTRACTABLE,		ERR_DENIED,  PKCS11_FINAL, "the key does not leave the token"),
	ROW(CKR_ATTRIBUTE_SENSITIVE,		ERR_DENIED,  PKCS11_FINAL, "the token does not tell that"),
	ROW(CKR_DATA_INVALID,			ERR_CRYPTO,  PKCS11_FINAL, "the data does not fit the operation"),
	ROW(CKR_DATA_LEN_RANGE,			ERR_CRYPTO,  PKCS11_FINAL, "the data has a wrong length"),
	ROW(CKR_ENCRYPTED_DATA_INVALID,		ERR_CRYPTO,  PKCS11_FINAL, "the ciphertext is damaged"),
	ROW(CKR_ENCRYPTED_DATA_LEN_RANGE,	ERR_CRYPTO,  PKCS11_FINAL, "the ciphertext has a wrong length"),
	ROW(CKR_SIGNATURE_INVALID,		ERR_CRYPTO,  PKCS11_FINAL, "the signature is wrong"),
	ROW(CKR_SIGNATURE_LEN_RANGE,		ERR_CRYPTO,  PKCS11_FINAL, "the signature has a wrong length"),

	/* the operator's */
	ROW(CKR_PIN_INCORRECT,			ERR_UNREACHABLE, PKCS11_FINAL, "the PIN is wrong"),
	ROW(CKR_PIN_INVALID,			ERR_UNREACHABLE, PKCS11_FINAL, "the PIN has a form that the token does not take"),
	ROW(CKR_PIN_LEN_RANGE,			ERR_UNREACHABLE, PKCS11_FINAL, "the PIN is too short or too long"),
	ROW(CKR_PIN_EXPIRED,			ERR_UNREACHABLE, PKCS11_FINAL, "the PIN has expired"),
	ROW(CKR_PIN_LOCKED,			ERR_UNREACHABLE, PKCS11_FINAL, "the PIN is locked"),
	ROW(CKR_USER_PIN_NOT_INITIALIZED,	ERR_UNREACHABLE, PKCS11_FINAL, "the token has no user PIN yet"),
	ROW(CKR_USER_TYPE_INVALID,		ERR_UNREACHABLE, PKCS11_FINAL, "the token has no users"),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN,	ERR_UNREACHABLE, PKCS11_FINAL, "another user is logged in"),
	ROW(CKR_USER_TOO_MANY_TYPES,		ERR_UNREACHABLE, PKCS11_FINAL, "another user is logged in"),
	ROW(CKR_USER_ALREADY_LOGGED_IN,		ERR_INTERNAL, PKCS11_FINAL, "the user is logged in already"),
	ROW(CKR_TOKEN_WRITE_PROTECTED,		ERR_IO, PKCS11_FINAL, "the token is write-protected"),
	ROW(CKR_SESSION_READ_ONLY,		ERR_IO, PKCS11_FINAL, "the token may only be read"),
	ROW(CKR_SESSION_READ_ONLY_EXISTS,	ERR_IO, PKCS11_FINAL, "the token may only be read"),
	ROW(CKR_SESSION_READ_WRITE_SO_EXISTS,	ERR_UNREACHABLE, PKCS11_FINAL, "the security officer is logged in"),
	ROW(CKR_DEVICE_MEMORY,			ERR_IO, PKCS11_FINAL, "the token is full"),

	/* the module's */
	ROW(CKR_GENERAL_ERROR,			ERR_CRYPTO, PKCS11_ODD, "the module gives no reason"),
	ROW(CKR_FUNCTION_FAILED,		ERR_CRYPTO, PKCS11_ODD, "the module gives no reason"),
	ROW(CKR_RANDOM_NO_RNG,			ERR_CRYPTO, PKCS11_FINAL, "the token has no random numbers"),
	ROW(CKR_BUFFER_TOO_SMALL,		ERR_PROTOCOL, PKCS11_FINAL, "the module wants to answer more than is possible"),
	ROW(CKR_ARGUMENTS_BAD,			ERR_INTERNAL, PKCS11_FINAL, "the module refuses the call's arguments"),
	ROW(CKR_NEED_TO_CREATE_THREADS,		ERR_CONFIG, PKCS11_FINAL, "the module wants threads of its own"),
	ROW(CKR_CANT_LOCK,			ERR_CONFIG, PKCS11_FINAL, "the module cannot serve several threads"),
	ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED,	ERR_INTERNAL, PKCS11_FINAL, "the module was begun already"),
	ROW(CKR_SESSION_EXISTS,			ERR_INTERNAL, PKCS11_FINAL, "a session is open"),
	ROW(CKR_SESSION_PARALLEL_NOT_SUPPORTED,	ERR_INTERNAL, PKCS11_FINAL, "the module wants serial sessions"),
};
/* clang-format on */

static const struct pkcs11_rv unknown = { (ck_rv_t)-1, "CKR_?", ERR_CRYPTO, PKCS11_ODD,
	"a value that the standard does not know" };

const struct pkcs11_rv *
pkcs11_rv(ck_rv_t rv)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].rv == rv)
			return &rows[i];
	return &unknown;
}

enum err_code
pkcs11_failed(struct err *err, const char *what, ck_rv_t rv)
{
	const struct pkcs11_rv *row = pkcs11_rv(rv);
	/* an error that says OK would pass for success */
	enum err_code code = row->code ? row->code : ERR_INTERNAL;

	return err_set(err, code, "%s: %s (%s, 0x%lx)", what, row->text, row->name, rv);
}
