#ifndef KEYD_SERVICE_H
#define KEYD_SERVICE_H

#include "http/server.h"
#include "keyd/config.h"
#include "keyd/keys.h"
#include "keyd/layout.h"
#include "platform/daemon.h"

/* The state of the daemon, which its routes are given. */
struct keyd {
	const struct daemon *daemon;
	struct keyd_config config;
	struct layout layout; /* borrows from config */
	struct policy *policy;
	struct permit *permit;
	struct keys *keys;
	struct http_server *http;
	int socket;		      /* -1 once the server has it */
	struct file_convert *convert; /* in the roles wrap and unwrap (file_convert.h) */
};

/* The steps of platform/daemon.h. */
enum err_code keyd_load(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_open(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code keyd_serve(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_reload(struct daemon *d, struct err *err) MUST_CHECK;
void keyd_stop(struct daemon *d, unsigned grace_ms);
void keyd_done(struct daemon *d);

/* sandbox.c */
extern const struct sandbox_role keyd_sandbox;
extern const struct sandbox_role keyd_convert_sandbox;

#endif
