#include "edged/edge_ca.h"

#include <stdlib.h>

#include "crypto/x509.h"
#include "provider/provider.h"

static void
name_freep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

static enum err_code
subject_configured(const fields_map *map, X509_NAME **ret, struct err *err)
{
	struct x509_subject_entry *entries = calloc(map->n, sizeof(*entries));
	enum err_code code;

	if (!entries)
		return err_nomem(err);
	for (size_t i = 0; i < map->n; i++)
		entries[i] = (struct x509_subject_entry){ map->at[i].key, map->at[i].value };
	code = x509_subject(entries, map->n, ret, err);
	free(entries);
	return code;
}

static enum err_code
subject(const struct edge_ca *ca, const char *device_id, X509_NAME **ret, struct err *err)
{
	AUTO(str_freep) char *made = NULL;
	struct x509_subject_entry cn = { "CN", ca->config->common_name };

	if (ca->config->subject.n)
		return subject_configured(&ca->config->subject, ret, err);
	if (!cn.value) {
		if (str_format(&made, err, "aziot-edge CA %s", device_id))
			return err->code;
		cn.value = made;
	}
	return x509_subject(&cn, 1, ret, err);
}

static enum err_code
request(const struct edge_ca *ca, const char *device_id, char **ret_csr, struct err *err)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(name_freep) X509_NAME *name = NULL;

	if (provider_key_by_id(ca->config->key, &key, err) || subject(ca, device_id, &name, err))
		return err->code;
	return x509_request(key, name, X509_EDGE_CA, NULL, 0, ret_csr, err);
}

enum err_code
edge_ca_ensure(const struct edge_ca *ca, const char *device_id, struct err *err)
{
	AUTO(str_freep) char *handle = NULL;
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *csr = NULL;

	if (keyd_client_create_key_pair(ca->keyd, ca->config->key, "rsa-2048:*", &handle, err))
		return err_wrap(err, "could not make the Edge CA's key");
	if (certd_client_get(ca->certd, ca->config->cert, &pem, err) == ERR_OK)
		return ERR_OK;
	/* only certd's own "there is none" leads to a new one: no answer is no reason to replace a CA */
	if (err->code != ERR_PEER || err->status >= 500)
		return err_wrap(err, "could not look for the Edge CA's certificate");
	err_clear(err);
	if (request(ca, device_id, &csr, err))
		return err_wrap(err, "could not make the Edge CA's request");
	if (certd_client_create(ca->certd, ca->config->cert, csr, NULL, NULL, &pem, err))
		return err_wrap(err, "could not get the Edge CA's certificate");
	return ERR_OK;
}
