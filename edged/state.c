#include "edged/state.h"

#include <string.h>

#include "base/b64.h"
#include "base/file.h"
#include "crypto/digest.h"
#include "data/fields.h"

#define STATE_MAX 4096

struct digested {
	char *device_id, *gateway_host_name, *hub_name;
};

/* in alphabetical order, as upstream's map has them */
static const struct fields *digested_fields(void);
FIELDS_ARM(digested_fields, digested, STR(device_id, "device_id", REQUIRED),
    STR(gateway_host_name, "gateway_host_name", REQUIRED), STR(hub_name, "hub_name", REQUIRED));

static enum err_code
state_path(const char *cache_dir, char **ret, struct err *err)
{
	return str_format(ret, err, "%s/provisioning_state", cache_dir);
}

static enum err_code
state_digest(const struct state_device *device, char **ret, struct err *err)
{
	struct digested in = {
		.device_id = (char *)device->device_id,
		.gateway_host_name = (char *)device->gateway_host,
		.hub_name = (char *)device->hub_name,
	};
	AUTO(str_freep) char *json = NULL;
	uint8_t digest[SHA256_LEN];

	if (fields_write_text(digested_fields, &in, &json, err) ||
	    digest_sha256(json, strlen(json), digest, err))
		return err->code;
	return b64_encode(B64_STD, digest, sizeof(digest), ret, err);
}

enum err_code
state_same(
    const char *cache_dir, const struct state_device *device, bool *ret_same, struct err *err)
{
	AUTO(bytes_done) struct bytes stored = { 0 };
	AUTO(str_freep) char *digest = NULL;
	AUTO(str_freep) char *path = NULL;

	if (state_digest(device, &digest, err) || state_path(cache_dir, &path, err))
		return err->code;
	if (file_read(path, STATE_MAX, &stored, err)) {
		if (err->code != ERR_NOT_FOUND && err->code != ERR_INVALID)
			return err->code;
		err_clear(err);
	}
	*ret_same = text_equal(text_of_bytes(&stored), digest);
	return ERR_OK;
}

enum err_code
state_write(const char *cache_dir, const struct state_device *device, struct err *err)
{
	AUTO(str_freep) char *digest = NULL;
	AUTO(str_freep) char *path = NULL;

	if (state_digest(device, &digest, err) || state_path(cache_dir, &path, err) ||
	    file_mkdirs(cache_dir, 0700, err))
		return err->code;
	return file_write(path, 0600, digest, strlen(digest), err);
}

enum err_code
state_forget(const char *cache_dir, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (state_path(cache_dir, &path, err))
		return err->code;
	return file_remove(path, err);
}
