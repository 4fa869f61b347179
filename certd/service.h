#ifndef CERTD_SERVICE_H
#define CERTD_SERVICE_H

#include "base/snapshot.h"
#include "certd/config.h"
#include "certd/store.h"
#include "client/keyd.h"
#include "platform/daemon.h"

struct http_server;

/* All that the daemon is while it runs. */
struct certd {
	const struct daemon *daemon;
	struct snapshot *settings; /* of struct certd_config, which SIGHUP may replace */
	struct store *store;
	struct keyd_client *keyd;
	struct http_server *server;
	struct sandbox_paths readable; /* what the policy let in when it was applied */
};

/* Read the configuration and make the rest, without a thread, file or connection yet. */
enum err_code service_load(struct daemon *d, struct err *err) MUST_CHECK;

/* The parts that need no socket: what tests start from.  Takes *config. */
enum err_code certd_new(
    struct certd_config *config, struct certd **ret, struct err *err) MUST_CHECK;
/* Open the store, let libcrypto find keys in keyd. */
enum err_code certd_prepare(struct certd *s, struct err *err) MUST_CHECK;
void certd_free(struct certd *s);

extern const struct daemon_role certd_roles[];

#endif
