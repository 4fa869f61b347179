#include "ctl/keys_pem.h"

#include <string.h>

#include "client/keyd.h"
#include "data/key_uri.h"

/* What the provider asks of a key, by its algorithm. */
static const struct {
	const char *algorithm;
	const char *parameters[2];
} kinds[] = {
	{ "ECDSA", { "ec-curve-oid", "ec-point" } },
	{ "RSA", { "rsa-modulus", "rsa-exponent" } },
};

static enum err_code
check_pair(struct keyd_client *keyd, const char *handle, struct err *err)
{
	AUTO(str_freep) char *algorithm = NULL;

	if (keyd_client_parameter(keyd, handle, "algorithm", &algorithm, err))
		return err->code;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(algorithm, kinds[i].algorithm) != 0)
			continue;
		for (size_t j = 0; j < ARRAY_LEN(kinds[i].parameters); j++) {
			AUTO(str_freep) char *value = NULL;

			if (keyd_client_parameter(
				keyd, handle, kinds[i].parameters[j], &value, err))
				return err->code;
		}
		return ERR_OK;
	}
	return err_set(
	    err, ERR_INVALID, "keys of algorithm %.16s cannot be used through OpenSSL", algorithm);
}

static const char *
remedy(const struct err *err)
{
	switch (err->code) {
	case ERR_UNREACHABLE:
		return "is keyd running, and may this user open its socket (group aziotks)?";
	case ERR_PEER:
		if (err->status == 401)
			return "run this as root, or give the user a [[principal]] for the key";
		return err->status == 400 ? "there is no key pair of that id" : NULL;
	default:
		return NULL;
	}
}

enum err_code
keys_pem(struct keyd_client *keyd, const char *id, char **ret, struct err *err)
{
	const struct key_uri uri = { .value = (char *)id };
	AUTO(str_freep) char *handle = NULL;
	const char *advice;

	if (!*id)
		return err_set(err, ERR_INVALID, "the key's id is empty");
	if (!keyd_client_load_key_pair(keyd, id, &handle, err) && !check_pair(keyd, handle, err))
		return key_uri_pem(&uri, ret, err);
	advice = remedy(err);
	if (advice)
		err_wrap(err, "%s", advice);
	return err_wrap(err, "key pair \"%s\"", id);
}
