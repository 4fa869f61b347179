#ifndef IDENTITYD_DEVICE_H
#define IDENTITYD_DEVICE_H

#include <stdbool.h>

#include "base/mem.h"
#include "client/keyd.h"
#include "wire/identityd.h"

/*
 * The device's identity: which hub, by what name, proven how.  Never changed once made, so any thread may read one that it
 * holds a reference to; a reprovisioning makes another.
 */
enum device_auth { DEVICE_SAS, DEVICE_TPM };

struct device {
	char *hub;     /* host, maybe with a port */
	char *gateway; /* where requests go: the parent, or the hub itself */
	char *id;
	enum device_auth auth;
	char *key_id; /* DEVICE_SAS: keyd's id of the device key */
	unsigned refs;
};

/* gateway NULL: the hub; key_id NULL: DEVICE_TPM.  ERR_PROTOCOL: hub or id is not one that could be (a peer's word). */
enum err_code device_new(const char *hub, const char *gateway, const char *id, const char *key_id,
    struct device **ret, struct err *err) MUST_CHECK;
struct device *device_ref(struct device *d);
void device_unrefp(struct device **d); /* for AUTO() */

/*
 * The identity object of identityd.md 1 with a freshly loaded key handle; free with identity_done.
 * ERR_PEER and the like, "Key client error": keyd would not give it.
 */
enum err_code device_identity(const struct device *d, struct keyd_client *keyd,
    struct identity *ret, struct err *err) MUST_CHECK;

/*
 * What a failed call to a peer (keyd, hub, DPS) becomes: who as the outermost text, and a code that says "a peer failed" and
 * never "you sent nonsense" or "you may not".
 */
enum err_code peer_failed(struct err *err, const char *who);

/* A peer's words made fit to be shown: printable ASCII, the rest as '?'; cut to size.  NULL gives "". */
#define PEER_TEXT_MAX 256
void peer_text(const char *said, char *out, size_t size);

#endif
