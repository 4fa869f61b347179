#ifndef CTL_KEYS_PEM_H
#define CTL_KEYS_PEM_H

#include "base/err.h"

struct keyd_client;

/*
 * `edgekeep keys pem ID`: the PEM file that stands for a key pair of keyd in programs that read private keys from files
 * (docs/provider.md).  It holds the key's URI and no secret.  keyd is asked first: the key must exist, be a pair, and say of itself
 * what the provider will need to know.  Free with str_freep; errors come with their remedy.
 */
enum err_code keys_pem(
    struct keyd_client *keyd, const char *id, char **ret, struct err *err) MUST_CHECK;

#endif
