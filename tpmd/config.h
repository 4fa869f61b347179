#ifndef TPMD_CONFIG_H
#define TPMD_CONFIG_H

#include "data/config.h"

/* tpmd's configuration (contracts/tpmd.md 4). */

#define TPMD_MAX_REQUESTS   10
#define TPMD_TCTI	    "device"
#define TPMD_AUTH_KEY_INDEX 0x000100
#define TPMD_AUTH_MAX	    64 /* bytes of a hierarchy's password: the longest digest a TPM has */

struct tpmd_config_hierarchies {
	char *endorsement, *owner; /* NULL: empty */
};

struct tpmd_config_endpoints {
	char *aziot_tpmd; /* "unix:///path" or "fd://name"; NULL: the contract's */
};

/* Who may use /keys, beside root; where none is said, the user TPMD_KEY_USER alone. */
struct tpmd_config_principal {
	int64_t uid;
};

#define TPMD_KEY_USER "aziotks"

struct tpmd_config {
	int64_t max_requests; /* connections of one uid at a time */
	char *tcti;	      /* TCTI loader string; "" and "device": the kernel's TPM */
	int64_t auth_key_index;
	bool has_auth_key_index;
	bool bus_encryption; /* of HMACs and their messages; where none is said, true */
	bool has_bus_encryption;
	struct tpmd_config_hierarchies hierarchies;
	FIELDS_LIST(struct tpmd_config_principal) principals;
	struct tpmd_config_endpoints endpoints;
};

FIELDS_DECLARE(tpmd_config);

/* Read, check and fill in what is not said.  ERR_CONFIG: file, line and key of what is wrong. */
enum err_code tpmd_config_load(
    const struct config_source *from, struct tpmd_config *ret, struct err *err) MUST_CHECK;

#endif
