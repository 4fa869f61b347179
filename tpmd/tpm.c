#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_sys.h>

#include "base/clock.h"
#include "tpmd/blob.h"
#include "tpmd/tpm_priv.h"

#define CLOSE_WAIT_MS 1000
#define NO_OBJECT     0x7fffffff /* an ESYS_TR that nothing has */

/* --- what goes wrong */

/* The code alone: a format-one code says which handle, session or parameter is meant, too (TPM 2.0 part 2, 6.6). */
static TSS2_RC
plain_code(TSS2_RC rc)
{
	return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

static const char *
remedy(TSS2_RC rc)
{
	static const struct {
		TSS2_RC rc;
		const char *text;
	} known[] = {
		{ TPM2_RC_BAD_AUTH, "a password is wrong: [hierarchy_authorization] of tpmd's "
				    "configuration must have those of the TPM, which "
				    "are empty once it is cleared" },
		{ TPM2_RC_LOCKOUT,
		    "the TPM is locked: wrong passwords, or power cuts while a key without noDA "
		    "was in use; "
		    "it recovers with time, or by tpm2_dictionarylockout --clear-lockout" },
		{ TPM2_RC_TESTING, "the TPM tests itself: try again" },
		{ TPM2_RC_RETRY, "the TPM is busy with itself: try again" },
		{ TPM2_RC_NV_RATE, "the TPM spares its memory: try again later" },
		{ TPM2_RC_INITIALIZE, "the TPM was reset and waits for TPM2_Startup" },
		{ TPM2_RC_OBJECT_MEMORY,
		    "others fill the TPM; with device:/dev/tpmrm0 each has it alone" },
		{ TPM2_RC_SESSION_MEMORY,
		    "others fill the TPM; with device:/dev/tpmrm0 each has it alone" },
		{ TPM2_RC_NV_SPACE, "no room for one more key: tpm2_evictcontrol removes others" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (plain_code(rc) == known[i].rc)
			return known[i].text;
	return NULL;
}

enum err_code
tpm_fail(struct tpm *t, const char *what, TSS2_RC rc, struct err *err)
{
	bool unreachable = (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER;
	const char *hint = remedy(rc);

	/*
	 * An error of ESYS itself: after a failed transmission a context refuses everything with BAD_SEQUENCE (tpm2.md 4), and it
	 * stumbles over a handle that it knew another key at.  A missing handle means that the TPM has been reset or exchanged behind
	 * our back, and so does a loaded object or session that is none.  A wrong authorisation, if it is not counted, may come from
	 * the name of a key that others have replaced.
	 */
	if (unreachable || (rc & TSS2_RC_LAYER_MASK) == TSS2_ESAPI_RC_LAYER ||
	    plain_code(rc) == TPM2_RC_BAD_AUTH || rc == TPM2_RC_INITIALIZE || tpm_is_missing(rc) ||
	    (rc >= TPM2_RC_REFERENCE_H0 && rc <= TPM2_RC_REFERENCE_S6))
		t->broken = true;
	return err_set(err, unreachable ? ERR_UNREACHABLE : ERR_CRYPTO, "%s: TPM error 0x%x%s%s",
	    what, rc, hint ? ": " : "", hint ? hint : "");
}

bool
tpm_is_missing(TSS2_RC rc)
{
	return !(rc & TSS2_RC_LAYER_MASK) && plain_code(rc) == TPM2_RC_HANDLE;
}

bool
tpm_is_refused(TSS2_RC rc)
{
	return !(rc & TSS2_RC_LAYER_MASK) && plain_code(rc) == TPM2_RC_AUTH_FAIL;
}

enum err_code
tpm_ask_key(bool refused, TPM2_HANDLE handle, struct err *err)
{
	if (!refused)
		return ERR_OK;
	return err_set(err, ERR_CRYPTO,
	    "the key at 0x%08x has a password, which is not tried again lest the TPM locks itself: "
	    "remove it with "
	    "tpm2_evictcontrol and start tpmd again",
	    handle);
}

void
tpm_flush(struct tpm *t, ESYS_TR *object)
{
	/* a broken connection cannot carry it; the next one sweeps */
	if (*object != ESYS_TR_NONE && !t->broken &&
	    Esys_FlushContext(t->esys, *object) != TSS2_RC_SUCCESS)
		t->broken = true;
	*object = ESYS_TR_NONE;
}

void
tpm_freep(void *pointer)
{
	void **p = pointer;

	Esys_Free(*p);
	*p = NULL;
}

void
tpm_scrub(struct tpm *t)
{
	static const TPM2B_MAX_BUFFER zeros = { .size = TPM2_MAX_DIGEST_BUFFER };
	const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	const TPM2B_PUBLIC area = { 0 };
	const TPM2B_DATA outside = { 0 };
	const TPML_PCR_SELECTION pcrs = { 0 };
	TSS2_SYS_CONTEXT *sys = NULL;

	if (!t->esys)
		return;
	(void)Esys_Create_Async(t->esys, NO_OBJECT, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
	    &sensitive, &area, &outside, &pcrs);
	if (Esys_GetSysContext(t->esys, &sys) == TSS2_RC_SUCCESS)
		(void)Tss2_Sys_Hash_Prepare(sys, &zeros, TPM2_ALG_SHA256, TPM2_RH_NULL);
}

/* --- the connection */

static void
disconnect(struct tpm *t)
{
	Esys_Finalize(&t->esys);
	t->ek = t->srk = t->auth = t->held.object = t->held.session = ESYS_TR_NONE;
	tcti_disconnect(&t->connection);
	t->broken = false;
}

/*
 * Flush what a broken connection or an earlier process left loaded.  There is room for three objects and three sessions, and where no
 * resource manager stands between, nobody else cleans up.  By handle, for ESYS cannot look at a sequence that was left.
 */
static void
sweep(struct tpm *t)
{
	static const TPM2_HANDLE kinds[] = { TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST };
	TSS2_SYS_CONTEXT *sys = NULL;

	if (Esys_GetSysContext(t->esys, &sys))
		return;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		AUTO(tpm_freep) TPMS_CAPABILITY_DATA *found = NULL;
		const TPML_HANDLE *handles;

		if (Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			TPM2_CAP_HANDLES, kinds[k], TPM2_MAX_CAP_HANDLES, NULL, &found))
			return;
		handles = &found->data.handles;
		for (UINT32 i = 0; i < handles->count; i++)
			(void)Tss2_Sys_FlushContext(sys, handles->handle[i]);
	}
}

static enum err_code
connect_tpm(struct tpm *t, struct err *err)
{
	TSS2_RC rc;

	if (tcti_connect(t->tcti, &t->connection, err))
		return err->code;
	rc = Esys_Initialize(&t->esys, t->connection, NULL);
	if (!rc)
		rc = Esys_SetTimeout(t->esys, TSS2_TCTI_TIMEOUT_BLOCK);
	if (!rc)
		rc = Esys_TR_SetAuth(t->esys, ESYS_TR_RH_ENDORSEMENT, &t->endorsement_auth);
	if (!rc)
		rc = Esys_TR_SetAuth(t->esys, ESYS_TR_RH_OWNER, &t->owner_auth);
	if (rc) {
		(void)tpm_fail(t, "could not set up the TPM's context", rc, err);
	} else {
		sweep(t);
		if (!tpm_provide_keys(t, err))
			return ERR_OK;
	}
	disconnect(t);
	return err->code;
}

void
tpm_mend(struct tpm *t)
{
	struct err err = { 0 };

	if (!t->broken)
		return;
	disconnect(t);
	/* where it cannot be had, the next call tries again and hears why */
	(void)!connect_tpm(t, &err);
}

enum err_code
tpm_with(struct tpm *t, tpm_begin *begin, tpm_work *work, void *ctx, struct err *err)
{
	struct tpm_turn turn = { .begin = begin, .ctx = ctx };
	enum err_code code = ERR_OK;

	if (tpm_take(t, &turn, TPM_WAIT_MS, err))
		return err->code;
	for (int attempt = 0; attempt < 2; attempt++) {
		if (t->broken)
			disconnect(t);
		code = t->esys ? ERR_OK : connect_tpm(t, err);
		if (code)
			break;
		code = work(t, ctx, err);
		if (!code || !t->broken)
			break;
	}
	/* whatever went wrong, nothing stays loaded */
	if (code)
		tpm_held_drop(t);
	tpm_mend(t);
	tpm_pass(t);
	return code;
}

/* --- the calls */

static void
set_auth(TPM2B_AUTH *to, const char *password)
{
	size_t len = password ? strlen(password) : 0;

	/* without the NUL that upstream sends along: a TPM drops it anyway */
	to->size = (UINT16)(len < sizeof(to->buffer) ? len : sizeof(to->buffer));
	if (len)
		memcpy(to->buffer, password, to->size);
}

enum err_code
tpm_open(const struct tpm_config *config, struct tpm **ret, struct err *err)
{
	struct tpm *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem(err);
	pthread_mutex_init(&t->lock, NULL);
	t->last = &t->first;
	clock_cond_init(&t->held.change);
	t->ek = t->srk = t->auth = t->held.object = t->held.session = ESYS_TR_NONE;
	t->bus_is_private = config->bus_is_private;
	t->tcti = config->tcti;
	t->auth_handle = TPM_AUTH_KEY_BASE + config->auth_key_index;
	set_auth(&t->endorsement_auth, config->endorsement);
	set_auth(&t->owner_auth, config->owner);
	if (connect_tpm(t, err)) {
		(void)tpm_close(t);
		return err->code;
	}
	*ret = t;
	return ERR_OK;
}

bool
tpm_close(struct tpm *t)
{
	struct tpm_turn turn = { 0 };
	struct err err = { 0 };

	if (!t)
		return true;
	if (tpm_take(t, &turn, CLOSE_WAIT_MS, &err))
		return false;
	tpm_held_drop(t);
	tpm_pass(t);
	tpm_held_end(t);
	disconnect(t);
	mem_wipe(&t->endorsement_auth, sizeof(t->endorsement_auth));
	mem_wipe(&t->owner_auth, sizeof(t->owner_auth));
	pthread_cond_destroy(&t->held.change);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return true;
}

struct keys_call {
	struct bytes ek, srk;
};

static enum err_code
read_public(struct tpm *t, ESYS_TR key, const char *what, struct bytes *ret, struct err *err)
{
	AUTO(tpm_freep) TPM2B_PUBLIC *area = NULL;
	uint8_t out[sizeof(*area)];
	size_t len = 0;
	TSS2_RC rc = Esys_ReadPublic(
	    t->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &area, NULL, NULL);

	if (!rc)
		rc = Tss2_MU_TPM2B_PUBLIC_Marshal(area, out, sizeof(out), &len);
	if (rc)
		return tpm_fail(t, what, rc, err);
	bytes_done(ret);
	return bytes_copy(ret, out, len, err);
}

static enum err_code
keys_work(struct tpm *t, void *ctx, struct err *err)
{
	struct keys_call *call = ctx;

	if (read_public(t, t->ek, "could not read the endorsement key", &call->ek, err) ||
	    read_public(t, t->srk, "could not read the storage root key", &call->srk, err))
		return err->code;
	return ERR_OK;
}

enum err_code
tpm_keys(struct tpm *t, struct bytes *ret_endorsement_key, struct bytes *ret_storage_root_key,
    struct err *err)
{
	struct keys_call call = { 0 };
	enum err_code code = tpm_with(t, NULL, keys_work, &call, err);

	if (!code) {
		*ret_endorsement_key = bytes_take(&call.ek);
		*ret_storage_root_key = bytes_take(&call.srk);
	}
	bytes_done(&call.ek);
	bytes_done(&call.srk);
	return code;
}

struct sign_call {
	const struct bytes *data;
	struct bytes digest;
};

static enum err_code
sign_work(struct tpm *t, void *ctx, struct err *err)
{
	struct sign_call *call = ctx;
	ESYS_TR key, session = ESYS_TR_NONE;
	enum err_code code;

	tpm_held_drop(t);
	/* a session counts on the key's name, so it is looked up again: others may have put another key there */
	if (!t->bus_is_private && t->auth != ESYS_TR_NONE)
		(void)Esys_TR_Close(t->esys, &t->auth);
	if (tpm_ask_key(t->auth_refused, t->auth_handle, err) || tpm_auth_key(t, &key, err))
		return err->code;
	if (t->bus_is_private)
		return tpm_hmac(t, key, ESYS_TR_PASSWORD, call->data, &call->digest, err);
	if (tpm_private_session(t, TPM_BOTH_WAYS, &session, err))
		return err->code;
	code = tpm_hmac(t, key, session, call->data, &call->digest, err);
	tpm_flush(t, &session);
	return code;
}

enum err_code
tpm_sign(struct tpm *t, const struct bytes *data, struct bytes *ret_digest, struct err *err)
{
	struct sign_call call = { .data = data };

	if (tpm_with(t, NULL, sign_work, &call, err))
		return err->code;
	*ret_digest = bytes_take(&call.digest);
	return ERR_OK;
}

static enum err_code
import_work(struct tpm *t, void *ctx, struct err *err)
{
	enum err_code code;

	tpm_held_drop(t);
	code = tpm_import_parsed(t, ctx, err);
	tpm_scrub(t);
	return code;
}

enum err_code
tpm_import(struct tpm *t, const struct bytes *blob, struct err *err)
{
	struct tpm_blob parsed;

	if (tpm_blob_parse(blob, &parsed, err))
		return err->code;
	return tpm_with(t, NULL, import_work, &parsed, err);
}

static enum err_code
check_work(struct tpm *t, void *ctx, struct err *err)
{
	AUTO(bytes_done) struct bytes ek = { 0 };
	bool *has_auth_key = ctx;
	ESYS_TR key;

	if (read_public(t, t->ek, "could not read the endorsement key", &ek, err))
		return err->code;
	*has_auth_key = tpm_auth_key(t, &key, err) == ERR_OK;
	if (!*has_auth_key && err->code != ERR_NOT_FOUND)
		return err->code;
	return ERR_OK;
}

enum err_code
tpm_check(struct tpm *t, bool *ret_has_auth_key, struct err *err)
{
	return tpm_with(t, NULL, check_work, ret_has_auth_key, err);
}
