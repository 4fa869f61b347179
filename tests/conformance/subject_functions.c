#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/functions.h"

/* The bare functions of a library, called as a host of the interface calls them. */

#define GUARD_LEN  4096
#define GUARD_BYTE 0xa5
#define BOUND_MAX  65536

AZIOT_KEYS_GET_FUNCTION_LIST *entry;
AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 functions;

static void
take_2_0(const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *f)
{
	functions = (AZIOT_KEYS_FUNCTION_LIST_2_1_0_0){
		.base = f->base,
		.set_parameter = f->set_parameter,
		.create_key_pair_if_not_exists = f->create_key_pair_if_not_exists,
		.load_key_pair = f->load_key_pair,
		.get_key_pair_parameter = f->get_key_pair_parameter,
		.create_key_if_not_exists = f->create_key_if_not_exists,
		.load_key = f->load_key,
		.import_key = f->import_key,
		.derive_key = f->derive_key,
		.sign = f->sign,
		.verify = f->verify,
		.encrypt = f->encrypt,
		.decrypt = f->decrypt,
	};
}

static void
load_entry(void)
{
	void *library = dlopen(target.library, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		fail("cannot be loaded: %s", dlerror());
	*(void **)&entry = dlsym(library, "aziot_keys_get_function_list");
	if (!entry)
		fail("does not export aziot_keys_get_function_list");
}

bool
library_is_old(void)
{
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL;

	load_entry();
	return entry(AZIOT_KEYS_VERSION_2_1_0_0, &list) != AZIOT_KEYS_RC_OK;
}

static void
open_it(void)
{
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL;

	load_entry();
	if (entry(AZIOT_KEYS_VERSION_2_1_0_0, &list) == AZIOT_KEYS_RC_OK && list)
		functions = *(const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
	else if (entry(AZIOT_KEYS_VERSION_2_0_0_0, &list) == AZIOT_KEYS_RC_OK && list)
		take_2_0((const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *)list);
	else
		fail("has neither version 2.1 nor 2.0");
	for (size_t i = 0; i < target.n_parameters; i++)
		if (functions.set_parameter(
			target.parameters[i].name, target.parameters[i].value) != AZIOT_KEYS_RC_OK)
			fail("set_parameter refuses %s", target.parameters[i].name);
}

enum outcome
outcome_of_rc(const char *name, AZIOT_KEYS_RC rc)
{
	switch (rc) {
	case AZIOT_KEYS_RC_OK:
		return DONE;
	case AZIOT_KEYS_RC_ERR_INVALID_PARAMETER:
		return REFUSED;
	case AZIOT_KEYS_RC_ERR_EXTERNAL:
		return TROUBLE;
	default:
		fail("%s answers %u, which is no result", name, rc);
	}
}

const uint8_t *
somewhere(const struct bytes *b)
{
	static const uint8_t nothing[1];

	return b->len ? b->data : nothing;
}

/* --- buffers (docs/key-backends.md 3.5) */

enum outcome
filled_into(const char *name, fill *call, const void *arguments, size_t size, struct bytes *ret)
{
	AUTO(bytes_done) struct bytes buffer = { 0 };
	struct err err = { 0 };
	uintptr_t len = size;
	enum outcome outcome;

	if (bytes_alloc(&buffer, size + GUARD_LEN, &err))
		fail("%s", err.text);
	memset(buffer.data, GUARD_BYTE, size + GUARD_LEN);
	outcome = outcome_of_rc(name, call(arguments, buffer.data, &len));
	for (size_t i = size; i < size + GUARD_LEN; i++)
		if (buffer.data[i] != GUARD_BYTE)
			fail("%s writes beyond a buffer of %zu bytes", name, size);
	/* what does not fit, and above all plaintext whose tag is wrong */
	if (outcome == REFUSED || (outcome == TROUBLE && call == fill_decrypt))
		for (size_t i = 0; i < size; i++)
			if (buffer.data[i] != GUARD_BYTE)
				fail("%s writes into the buffer of a call that fails", name);
	if (outcome != DONE)
		return outcome;
	if (len > size)
		fail("%s answers a length of %zu for a buffer of %zu bytes", name, (size_t)len,
		    size);
	buffer.len = len;
	if (ret)
		*ret = bytes_take(&buffer);
	return DONE;
}

enum outcome
filled(const char *name, fill *call, const void *arguments, size_t in_len, bool exact,
    struct bytes *ret)
{
	AUTO(bytes_done) struct bytes result = { 0 };
	uintptr_t size = 0;
	enum outcome outcome = outcome_of_rc(name, call(arguments, NULL, &size));

	if (outcome != DONE)
		return outcome;
	if (size > in_len + BOUND_MAX)
		fail("%s asks for a buffer of %zu bytes", name, (size_t)size);
	outcome = filled_into(name, call, arguments, size, &result);
	if (outcome == DONE && exact && result.len != size)
		fail("%s answers %zu bytes after it has announced %zu", name, result.len,
		    (size_t)size);
	if (outcome == DONE)
		*ret = bytes_take(&result);
	return outcome;
}

AZIOT_KEYS_RC
fill_parameter(const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct parameter_use *a = arguments;

	return functions.get_key_pair_parameter(a->id, a->type, out, out_len);
}

AZIOT_KEYS_RC
fill_sign(const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return functions.sign(a->id, a->mechanism, a->parameters, a->in, a->in_len, out, out_len);
}

AZIOT_KEYS_RC
fill_encrypt(const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return functions.encrypt(
	    a->id, a->mechanism, a->parameters, a->in, a->in_len, out, out_len);
}

AZIOT_KEYS_RC
fill_decrypt(const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return functions.decrypt(
	    a->id, a->mechanism, a->parameters, a->in, a->in_len, out, out_len);
}

AZIOT_KEYS_RC
fill_derive(const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return functions.derive_key(a->id, a->in, a->in_len, out, out_len);
}

/* --- the subject */

static enum outcome
create_key(const char *id, unsigned usage)
{
	return outcome_of_rc("create_key_if_not_exists",
	    functions.create_key_if_not_exists(id, usage & KEYD_USE_ENCRYPT
						       ? AZIOT_KEYS_KEY_USAGE_ENCRYPT
						       : AZIOT_KEYS_KEY_USAGE_SIGN));
}

static enum outcome
create_pair(const char *id, enum key_algorithm algorithm)
{
	static const char *const names[KEY_ALGORITHMS] = {
		[KEY_EC_P256] = "ec-p256",
		[KEY_RSA_2048] = "rsa-2048",
		[KEY_RSA_4096] = "rsa-4096",
	};

	return outcome_of_rc("create_key_pair_if_not_exists",
	    functions.create_key_pair_if_not_exists(id, names[algorithm]));
}

static enum outcome
load(const char *id, enum key_kind kind)
{
	return kind == KEY_PAIR ? outcome_of_rc("load_key_pair", functions.load_key_pair(id))
				: outcome_of_rc("load_key", functions.load_key(id));
}

static enum outcome
import(const char *id, unsigned usage, const struct bytes *value)
{
	return outcome_of_rc(
	    "import_key", functions.import_key(id, somewhere(value), value->len,
			      usage & KEYD_USE_ENCRYPT ? AZIOT_KEYS_KEY_USAGE_ENCRYPT
						       : AZIOT_KEYS_KEY_USAGE_SIGN));
}

static enum outcome
move(const char *from, const char *to)
{
	if (!functions.move_key_pair)
		not_offered("version 2.0 has no move_key_pair");
	return outcome_of_rc("move_key_pair", functions.move_key_pair(from, to));
}

static enum outcome
remove_it(const char *id, enum key_kind kind)
{
	if (!functions.delete_key || !functions.delete_key_pair)
		not_offered("version 2.0 deletes nothing");
	return kind == KEY_PAIR ? outcome_of_rc("delete_key_pair", functions.delete_key_pair(id))
				: outcome_of_rc("delete_key", functions.delete_key(id));
}

/* The algorithm as a number becomes the text that a backend of keyd gives. */
static enum outcome
algorithm(const char *id, struct bytes *ret)
{
	const struct parameter_use a = { id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM };
	AUTO(bytes_done) struct bytes number = { 0 };
	enum outcome outcome =
	    filled_into("get_key_pair_parameter", fill_parameter, &a, sizeof(unsigned), &number);
	const char *text = "neither";
	struct err err = { 0 };
	unsigned value = 0;

	if (outcome != DONE)
		return outcome;
	if (number.len != sizeof(value))
		fail("ALGORITHM has %zu bytes", number.len);
	memcpy(&value, number.data, sizeof(value));
	if (value == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC)
		text = "ECDSA";
	if (value == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA)
		text = "RSA";
	if (bytes_copy(ret, text, strlen(text), &err))
		fail("%s", err.text);
	return DONE;
}

static enum outcome
parameter(const char *id, enum key_parameter which, struct bytes *ret)
{
	static const unsigned types[KEY_PARAMS] = {
		[KEY_PARAM_EC_CURVE_OID] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID,
		[KEY_PARAM_EC_POINT] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT,
		[KEY_PARAM_RSA_MODULUS] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS,
		[KEY_PARAM_RSA_EXPONENT] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT,
	};
	const struct parameter_use a = { id, types[which] };

	if (which == KEY_PARAM_ALGORITHM)
		return algorithm(id, ret);
	/* whether the first length is exact has a row of its own */
	return filled("get_key_pair_parameter", fill_parameter, &a, 0, false, ret);
}

static enum outcome
sign(const char *id, enum keyd_mech mech, const struct bytes *data, struct bytes *ret)
{
	const struct use a = { id,
		mech == KEYD_ECDSA ? AZIOT_KEYS_SIGN_MECHANISM_ECDSA
				   : AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256,
		NULL, somewhere(data), data->len };

	return filled("sign", fill_sign, &a, data->len, false, ret);
}

static enum outcome
cipher(const char *name, fill *call, const char *id, const struct how *how, const struct bytes *in,
    struct bytes *ret)
{
	static const unsigned mechanisms[] = {
		[KEYD_AEAD] = AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD,
		[KEYD_RSA_PKCS1] = AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1,
		[KEYD_RSA_NO_PADDING] = AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING,
	};
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = { somewhere(&how->iv), how->iv.len,
		somewhere(&how->aad), how->aad.len };
	const struct use a = { id, mechanisms[how->cipher], how->cipher == KEYD_AEAD ? &aead : NULL,
		somewhere(in), in->len };

	return filled(name, call, &a, in->len, false, ret);
}

static enum outcome
encrypt(const char *id, const struct how *how, const struct bytes *in, struct bytes *ret)
{
	return cipher("encrypt", fill_encrypt, id, how, in, ret);
}

static enum outcome
decrypt(const char *id, const struct how *how, const struct bytes *in, struct bytes *ret)
{
	return cipher("decrypt", fill_decrypt, id, how, in, ret);
}

static enum outcome
derive(const char *id, const struct bytes *data, struct bytes *ret)
{
	const struct use a = { .id = id, .in = somewhere(data), .in_len = data->len };

	return filled("derive_key", fill_derive, &a, data->len, false, ret);
}

static const char *
said(void)
{
	return "";
}

const struct subject functions_subject = {
	.title = "the functions themselves",
	.functions = true,
	.open = open_it,
	.create_key = create_key,
	.create_pair = create_pair,
	.load = load,
	.import = import,
	.move = move,
	.remove = remove_it,
	.parameter = parameter,
	.sign = sign,
	.encrypt = encrypt,
	.decrypt = decrypt,
	.derive = derive,
	.said = said,
};
