#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "keyd/cache.h"
#include "keyd/mech.h"
#include "keyd/stores.h"
#include "platform/pool.h"
#include "tests/conformance/conformance.h"

/* A backend of keyd, as one place of it. */

static const struct backend *backend;
static struct backend_config config;
static struct mech *mech;
static void *ctx;
static bool old;
static _Thread_local struct err last;

/* Every call begins with it: threads of a row are new ones. */
static void
begin(void)
{
	pool_set_may_block(true);
}

static enum outcome
outcome_of(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		err_clear(&last);
		return DONE;
	case ERR_INVALID:
	case ERR_NOT_FOUND:
	case ERR_UNSUPPORTED:
		return REFUSED;
	default:
		return TROUBLE;
	}
}

static void
open_it(void)
{
	begin();
	backend = stores_backend(target.backend);
	if (!backend)
		fail("this build has no backend %s", target.backend);
	if (mech_new(&mech, &last))
		fail("%s", last.text);
	config = (struct backend_config){ .name = "conformance",
		.mech = mech,
		.homedir = target.homedir,
		.library = target.library,
		.token = target.token,
		.tpmd = target.tpmd,
		.any_id = true,
		.parameters = target.parameters,
		.n_parameters = target.n_parameters };
	old = strcmp(target.backend, "plugin") == 0 && library_is_old();
	if (backend->open(&config, &ctx, &last))
		fail("cannot be opened: %s", err_one_line(&last));
}

static enum outcome
create_key(const char *id, unsigned usage)
{
	begin();
	return outcome_of(backend->create_key(ctx, id, usage, &last));
}

static enum outcome
create_pair(const char *id, enum key_algorithm algorithm)
{
	begin();
	return outcome_of(backend->create_pair(ctx, id, algorithm, &last));
}

static enum err_code
find(const char *id, struct key **ret)
{
	begin();
	return backend->find(ctx, id, ret, &last);
}

static enum outcome
load(const char *id, enum key_kind kind)
{
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = find(id, &key);

	return outcome_of(code ? code : key->backend->check(key, kind, &last));
}

static enum outcome
import(const char *id, unsigned usage, const struct bytes *value)
{
	begin();
	return outcome_of(backend->import_key(ctx, id, usage, value, &last));
}

static enum outcome
move(const char *from, const char *to)
{
	begin();
	if (old)
		not_offered("version 2.0 has no move_key_pair");
	return outcome_of(backend->move(ctx, from, to, &last));
}

static enum outcome
remove_it(const char *id, enum key_kind kind)
{
	begin();
	(void)kind;
	if (old)
		not_offered("version 2.0 deletes nothing");
	return outcome_of(backend->remove(ctx, id, &last));
}

static enum outcome
parameter(const char *id, enum key_parameter which, struct bytes *ret)
{
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = find(id, &key);

	return outcome_of(code ? code : key->backend->parameter(key, which, ret, &last));
}

static enum outcome
sign(const char *id, enum keyd_mech mechanism, const struct bytes *data, struct bytes *ret)
{
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = find(id, &key);

	return outcome_of(code ? code : key->backend->sign(key, mechanism, data, ret, &last));
}

static enum outcome
encrypt(const char *id, const struct how *how, const struct bytes *in, struct bytes *ret)
{
	const struct key_cipher c = { how->cipher, &how->iv, &how->aad };
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = find(id, &key);

	return outcome_of(code ? code : key->backend->encrypt(key, &c, in, ret, &last));
}

static enum outcome
decrypt(const char *id, const struct how *how, const struct bytes *in, struct bytes *ret)
{
	const struct key_cipher c = { how->cipher, &how->iv, &how->aad };
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = find(id, &key);

	return outcome_of(code ? code : key->backend->decrypt(key, &c, in, ret, &last));
}

static enum outcome
derive(const char *id, const struct bytes *data, struct bytes *ret)
{
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = find(id, &key);

	return outcome_of(code ? code : key->backend->derive(key, data, ret, &last));
}

static const char *
said(void)
{
	return err_one_line(&last);
}

const struct subject backend_subject = {
	.title = "the backend of keyd",
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
