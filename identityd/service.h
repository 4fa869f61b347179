#ifndef IDENTITYD_SERVICE_H
#define IDENTITYD_SERVICE_H

#include "client/certd.h"
#include "http/server.h"
#include "identityd/provision.h"
#include "platform/daemon.h"

/* All that the daemon is while it runs. */
struct identityd {
	struct snapshot *settings; /* of struct settings, which SIGHUP may replace */
	char *homedir;		   /* as at the start */
	struct keyd_client *keyd;
	struct certd_client *certd;
	struct tpmd_client *tpmd;
	struct cloud *cloud;
	struct state *state;
	struct modules *modules;
	struct provision *provision;
	struct http_server *server;
	int socket;		     /* bound, until the server takes it */
	const struct daemon *daemon; /* NULL in tests */
	unsigned first_verdict_ms;   /* how long an identity call waits for it; 60,000 */
};

/* What main.c puts into the table of roles; see platform/daemon.h. */
enum err_code identityd_load(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code identityd_open(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code identityd_warm(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code identityd_allow(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code identityd_serve(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code identityd_reload(struct daemon *d, struct err *err) MUST_CHECK;
void identityd_stop(struct daemon *d, unsigned grace_ms);
void identityd_done(struct daemon *d);

/* The parts that need no socket, over settings that were read: what tests start from.  Takes *settings. */
enum err_code identityd_new(
    struct settings *settings, struct identityd **ret, struct err *err) MUST_CHECK;
enum err_code identityd_prepare(struct identityd *s, struct err *err) MUST_CHECK;
/* Frees everything, unless a call is still at work with it: then the end of the process does. */
void identityd_free(struct identityd *s);

#endif
