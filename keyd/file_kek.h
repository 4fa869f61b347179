#ifndef KEYD_FILE_KEK_H
#define KEYD_FILE_KEK_H

#include "keyd/backend.h"

/*
 * The key-encryption key for files at rest (wrap.h), from where config->wrap says:
 *
 *   "credential"  $CREDENTIALS_DIRECTORY/edgekeep-kek, 32 bytes: systemd's LoadCredentialEncrypted=
 *   "tpm"         made at random and sealed by tpmd; the sealed blob is <homedir>/kek.tpm, never replaced
 *
 * Called before the policy: it opens what a serving keyd may not, and asks a tpmd that is out of reach or busy
 * FILE_KEK_TRIES times, within some 6 s, or 80 s where the TPM hangs.
 * may_make: a KEK may be made where there is none yet; false where something is already wrapped, so that it is missing.
 * ERR_INTERNAL with cause and remedy, whatever is wrong: keys that were to be encrypted are not written plain.
 */
#define FILE_KEK_TRIES 7

/* Is there none yet, so that file_kek_get would make it? */
bool file_kek_is_new(const struct backend_config *config);

enum err_code file_kek_get(const struct backend_config *config, bool may_make, struct bytes *ret,
    struct err *err) MUST_CHECK;

#endif
