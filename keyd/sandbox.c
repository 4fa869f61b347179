#include <sys/socket.h>

#include "keyd/service.h"

/*
 * All that keyd may do once it serves: its key directory and its sockets, which were opened before.  It makes no socket and
 * calls nobody, so it has neither socket() nor connect().
 */
static SANDBOX_CALLS(lock_files, "share key files with `edgekeep keys wrap`", "flock");

static const struct sandbox_calls *const calls[] = {
	&sandbox_runtime,
	&sandbox_serve,
	&sandbox_files,
	&lock_files,
	NULL,
};

static const int families[] = { AF_UNSPEC };

const struct sandbox_role keyd_sandbox = {
	.name = "keyd",
	.calls = calls,
	.families = families,
};

/* `edgekeep keys wrap`: the key files.  The TPM was asked for the key-encryption key before. */
static const struct sandbox_calls *const convert_calls[] = {
	&sandbox_runtime,
	&sandbox_files,
	&lock_files,
	NULL,
};

const struct sandbox_role keyd_convert_sandbox = {
	.name = "keyd: wrap",
	.calls = convert_calls,
	.families = families,
};
