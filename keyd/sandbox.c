#include <sys/socket.h>

#include "keyd/service.h"

/*
 * All that keyd may do once it serves: its key directory and its sockets, which were opened before.  It makes no socket and
 * calls nobody, so it has neither socket() nor connect().
 */
static const struct sandbox_calls *const calls[] = {
	&sandbox_runtime,
	&sandbox_serve,
	&sandbox_files,
	NULL,
};

static const int families[] = { AF_UNSPEC };

const struct sandbox_role keyd_sandbox = {
	.name = "keyd",
	.calls = calls,
	.families = families,
};
