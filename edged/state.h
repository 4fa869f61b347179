#ifndef EDGED_STATE_H
#define EDGED_STATE_H

#include <stdbool.h>

#include "base/err.h"

/*
 * `<homedir>/cache/provisioning_state`: by which edged sees that the device has become another one, whose modules must go
 * (contracts/edged-lifecycle.md 3).  Standard base64 of SHA-256 over
 *   {"device_id":"..","gateway_host_name":"..","hub_name":".."}
 * bit for bit as upstream writes it, or the first start after a swap would remove every module.
 */
struct state_device {
	const char *device_id, *gateway_host, *hub_name;
};

/* Is this the device that the file was written for?  A missing file, or one that cannot be a digest, says no. */
enum err_code state_same(const char *cache_dir, const struct state_device *device, bool *ret_same,
    struct err *err) MUST_CHECK;
enum err_code state_write(
    const char *cache_dir, const struct state_device *device, struct err *err) MUST_CHECK;
/* Forget, so that the next start purges. */
enum err_code state_forget(const char *cache_dir, struct err *err) MUST_CHECK;

#endif
