#include "tests/fake/tpmd.h"

#include <stdlib.h>

#include "crypto/digest.h"

struct tpmd_client {
	int unused;
};

static struct {
	struct bytes key;
	unsigned times;
} fake;

void
fake_tpmd_reset(void)
{
	bytes_done(&fake.key);
	fake.times = 0;
}

unsigned
fake_tpmd_signed(void)
{
	return fake.times;
}

/* --- client/tpmd.h --- */

enum err_code
tpmd_client_new(const struct unix_client_config *config, struct tpmd_client **ret, struct err *err)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ERR_OK : err_nomem(err);
}

void
tpmd_client_free(struct tpmd_client *c)
{
	free(c);
}

enum err_code
tpmd_client_keys(struct tpmd_client *c, struct tpmd_keys_resp *ret, struct err *err)
{
	(void)c;
	if (bytes_copy(&ret->endorsement_key, "ek", 2, err))
		return err->code;
	return bytes_copy(&ret->storage_root_key, "srk", 3, err);
}

enum err_code
tpmd_client_import(struct tpmd_client *c, const struct bytes *blob, struct err *err)
{
	(void)c;
	bytes_done(&fake.key);
	return bytes_copy(&fake.key, blob->data, blob->len, err);
}

enum err_code
tpmd_client_sign(
    struct tpmd_client *c, const struct bytes *data, struct bytes *ret_digest, struct err *err)
{
	static const uint8_t zero[SHA256_LEN];
	uint8_t digest[SHA256_LEN];

	(void)c;
	fake.times++;
	if (digest_hmac_sha256(fake.key.len ? fake.key.data : zero,
		fake.key.len ? fake.key.len : sizeof(zero), data->data, data->len, digest, err))
		return err->code;
	return bytes_copy(ret_digest, digest, sizeof(digest), err);
}
