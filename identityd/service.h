#ifndef IDENTITYD_SERVICE_H
#define IDENTITYD_SERVICE_H

#include "client/certd.h"
#include "identityd/provision.h"
#include "platform/daemon.h"

struct http_server;

/* All that the daemon is while it runs. */
struct identityd {
	struct settings_box *settings;
	struct keyd_client *keyd;
	struct certd_client *certd;
	struct tpmd_client *tpmd;
	struct cloud *cloud;
	struct state *state;
	struct modules *modules;
	struct provision *provision;
	struct http_server *server;
	unsigned listener;
	unsigned first_verdict_ms; /* how long an identity call waits for it; 60,000 */
};

/* Read the settings and make the rest, without a thread, file or connection yet; check: only the settings. */
enum err_code service_load(struct daemon *d, struct err *err) MUST_CHECK;

/* The parts that need no socket, over settings that were read: what tests start from.  Takes *settings. */
enum err_code identityd_new(
    struct settings *settings, struct identityd **ret, struct err *err) MUST_CHECK;
enum err_code identityd_prepare(struct identityd *s, struct err *err) MUST_CHECK;
/* Frees everything, unless a call is still at work with it: then the end of the process does. */
void identityd_free(struct identityd *s);

extern const struct daemon_role identityd_roles[];

#endif
