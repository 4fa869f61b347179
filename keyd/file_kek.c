#include "keyd/file_kek.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "client/tpmd.h"
#include "crypto/digest.h"
#include "data/json.h"
#include "keyd/wrap.h"

#define CREDENTIAL "edgekeep-kek"
#define BLOB_MAX   4096	 /* bytes of kek.tpm: JSON with the two parts of a sealed object */
#define FIRST_MS   100	 /* before the second try; twice as long each time */
#define CALL_MS	   10000 /* of a try: all of them are over before systemd takes a start for failed */

/* --- a systemd credential */

static enum err_code
from_credential(struct bytes *ret, struct err *err)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	AUTO(str_freep) char *path = NULL;
	AUTO(bytes_done) struct bytes kek = { 0 };

	if (!dir || !*dir)
		return err_set(err, ERR_INTERNAL,
		    "CREDENTIALS_DIRECTORY is not set: give the unit "
		    "LoadCredentialEncrypted=" CREDENTIAL
		    ":FILE, or set the variable to /run/credentials/aziot-keyd.service");
	if (str_format(&path, err, "%s/" CREDENTIAL, dir))
		return err->code;
	if (file_read(path, WRAP_KEK_LEN + 1, &kek, err))
		return err_wrap_code(err, ERR_INTERNAL,
		    "there is no usable credential " CREDENTIAL
		    ": LoadCredentialEncrypted= of the unit names it");
	if (kek.len != WRAP_KEK_LEN)
		return err_set(err, ERR_INTERNAL,
		    "credential %s is not of %d bytes: make it with `head -c %d /dev/urandom | "
		    "systemd-creds encrypt --name=" CREDENTIAL " - FILE`",
		    path, WRAP_KEK_LEN, WRAP_KEK_LEN);
	*ret = bytes_take(&kek);
	return ERR_OK;
}

/* --- sealed by the TPM */

/* May it work in a moment?  A TPM that is busy, a tpmd that is only starting. */
static bool
worth_waiting(const struct err *err)
{
	return err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT || err->code == ERR_BUSY ||
	       (err->code == ERR_PEER && err->status >= 500);
}

static const char *
remedy(const struct err *err)
{
	if (err->code == ERR_PEER && err->status == 401)
		return "give keyd's user a [[principal]] in tpmd's configuration";
	if (err->code == ERR_PEER && err->status == 400)
		return "kek.tpm is damaged or of another TPM: put back the right one";
	if (err->code == ERR_UNREACHABLE)
		return "is tpmd running, and keyd's user in the group of its socket?";
	return "look at tpmd's log and the TPM";
}

/* One call to tpmd that seals in, or unseals object; the other one is the result. */
struct sealing {
	bool seal;
	struct bytes kek;
	struct tpmd_object object;
};

static enum err_code
once(struct tpmd_client *tpmd, struct sealing *s, struct err *err)
{
	return s->seal ? tpmd_client_seal(tpmd, &s->kek, &s->object, err)
		       : tpmd_client_unseal(tpmd, &s->object, &s->kek, err);
}

static enum err_code
ask_tpmd(const char *socket, struct sealing *s, struct err *err)
{
	const struct unix_client_config config = { .path = socket, .timeout_ms = CALL_MS };
	struct tpmd_client *tpmd;
	enum err_code code;

	if (tpmd_client_new(&config, &tpmd, err))
		return err->code;
	code = once(tpmd, s, err);
	for (int i = 0; code && i < FILE_KEK_TRIES - 1 && worth_waiting(err); i++) {
		(void)poll(NULL, 0, FIRST_MS << i);
		code = once(tpmd, s, err);
	}
	tpmd_client_free(tpmd);
	if (code)
		return err_wrap_code(err, ERR_INTERNAL,
		    "the TPM did not give the key-encryption key: %s", remedy(err));
	return ERR_OK;
}

static void
sealing_done(struct sealing *s)
{
	bytes_done(&s->kek);
	tpmd_object_done(&s->object);
}

static enum err_code
make(const char *socket, const char *path, struct bytes *ret, struct err *err)
{
	AUTO(sealing_done) struct sealing s = { .seal = true };
	AUTO(str_freep) char *blob = NULL;

	if (bytes_alloc(&s.kek, WRAP_KEK_LEN, err) || digest_random(s.kek.data, s.kek.len, err) ||
	    ask_tpmd(socket, &s, err) ||
	    fields_write_text(tpmd_object_fields, &s.object, &blob, err) ||
	    file_create(path, 0600, blob, strlen(blob), err))
		return err->code;
	*ret = bytes_take(&s.kek);
	return ERR_OK;
}

/* ERR_NOT_FOUND: there is no blob. */
static enum err_code
read_sealed(const char *socket, const char *path, struct bytes *ret, struct err *err)
{
	AUTO(sealing_done) struct sealing s = { 0 };
	AUTO(bytes_done) struct bytes blob = { 0 };
	AUTO(json_freep) struct json_t *json = NULL;
	enum err_code code;

	code = file_read(path, BLOB_MAX, &blob, err);
	if (code == ERR_NOT_FOUND)
		return code;
	if (code || json_read(text_of_bytes(&blob), &json, err) ||
	    tpmd_object_read(&s.object, json, err))
		return err_wrap_code(
		    err, ERR_INTERNAL, "%s is damaged: put it back from a backup", path);
	if (ask_tpmd(socket, &s, err))
		return err->code;
	*ret = bytes_take(&s.kek);
	return ERR_OK;
}

static bool
is_sealed(const struct backend_config *config)
{
	return strcmp(config->wrap, "tpm") == 0;
}

static enum err_code
blob_path(const struct backend_config *config, char **ret, struct err *err)
{
	if (!config->homedir)
		return err_set(
		    err, ERR_INTERNAL, "wrap = \"tpm\" needs homedir_path, where kek.tpm is kept");
	return str_format(ret, err, "%s/kek.tpm", config->homedir);
}

bool
file_kek_is_new(const struct backend_config *config)
{
	AUTO(str_freep) char *path = NULL;
	struct err err = { 0 };

	return is_sealed(config) && blob_path(config, &path, &err) == ERR_OK &&
	       access(path, F_OK) != 0 && errno == ENOENT;
}

static enum err_code
from_tpm(const struct backend_config *config, bool may_make, struct bytes *ret, struct err *err)
{
	const char *socket = config->tpmd;
	AUTO(str_freep) char *path = NULL;
	enum err_code code;

	if (blob_path(config, &path, err))
		return err->code;
	code = read_sealed(socket, path, ret, err);
	if (code != ERR_NOT_FOUND)
		return code;
	if (!may_make)
		return err_set(err, ERR_INTERNAL,
		    "%s is lost and keys are wrapped by it: put it back from a backup", path);
	code = make(socket, path, ret, err);
	/* somebody else, `edgekeep keys wrap` perhaps, has made it meanwhile */
	return code == ERR_CONFLICT ? read_sealed(socket, path, ret, err) : code;
}

enum err_code
file_kek_get(const struct backend_config *config, bool may_make, struct bytes *ret, struct err *err)
{
	return is_sealed(config) ? from_tpm(config, may_make, ret, err) : from_credential(ret, err);
}
