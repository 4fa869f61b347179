#include "identityd/device.h"

#include <stdlib.h>
#include <string.h>

#include "identityd/names.h"

static void
device_free(struct device *d)
{
	str_freep(&d->hub);
	str_freep(&d->gateway);
	str_freep(&d->id);
	str_freep(&d->key_id);
	free(d);
}

enum err_code
device_new(const char *hub, const char *gateway, const char *id, const char *key_id,
    struct device **ret, struct err *err)
{
	struct device *d;

	if (!host_valid(hub) || (gateway && !host_valid(gateway)))
		return err_set(err, ERR_PROTOCOL, "the hub's name is not a host name");
	if (!id_valid(id))
		return err_set(err, ERR_PROTOCOL, "the device id is not a device id");
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_nomem(err);
	d->refs = 1;
	d->auth = key_id ? DEVICE_SAS : DEVICE_TPM;
	if (str_copy(&d->hub, hub, err) || str_copy(&d->gateway, gateway ? gateway : hub, err) ||
	    str_copy(&d->id, id, err) || (key_id && str_copy(&d->key_id, key_id, err))) {
		device_free(d);
		return err->code;
	}
	*ret = d;
	return ERR_OK;
}

struct device *
device_ref(struct device *d)
{
	if (d)
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

void
device_unrefp(struct device **d)
{
	if (*d && __atomic_sub_fetch(&(*d)->refs, 1, __ATOMIC_ACQ_REL) == 0)
		device_free(*d);
	*d = NULL;
}

enum err_code
device_identity(
    const struct device *d, struct keyd_client *keyd, struct identity *ret, struct err *err)
{
	AUTO(identity_done) struct identity out = { .type = IDENTITY_AZIOT };

	out.auth = calloc(1, sizeof(*out.auth));
	if (!out.auth)
		return err_nomem(err);
	if (str_copy(&out.hub_name, d->hub, err) || str_copy(&out.gateway_host, d->gateway, err) ||
	    str_copy(&out.device_id, d->id, err))
		return err->code;
	if (d->auth == DEVICE_TPM) {
		out.auth->type = IDENTITY_TPM;
	} else {
		out.auth->type = IDENTITY_SAS;
		if (keyd_client_load_key(keyd, d->key_id, &out.auth->key_handle, err))
			return peer_failed(err, "Key client error");
	}
	*ret = out;
	out = (struct identity){ 0 };
	return ERR_OK;
}

enum err_code
peer_failed(struct err *err, const char *who)
{
	switch (err->code) {
	case ERR_NOMEM:
	case ERR_UNREACHABLE:
	case ERR_TIMEOUT:
	case ERR_PEER:
		return err_wrap(err, "%s", who);
	default:
		return err_wrap_code(err, ERR_PROTOCOL, "%s", who);
	}
}

void
peer_text(const char *said, char *out, size_t size)
{
	size_t n = 0;

	for (; said && said[n] && n + 1 < size; n++)
		out[n] = said[n] >= ' ' && said[n] <= '~' ? said[n] : '?';
	out[n] = '\0';
}
