#ifndef PLATFORM_DAEMON_ARGS_H
#define PLATFORM_DAEMON_ARGS_H

#include <stdbool.h>

#include "platform/daemon.h"

#define DAEMON_EXIT_USAGE 2

/* What a daemon was told on its command line; NULL where nothing was said.  For daemon.c only. */
struct daemon_args {
	const char *config_file, *config_dir, *user, *role;
	int sandbox; /* enum sandbox_mode; -1: not said */
	bool check, probe;
	bool done; /* --version, --help: answered */
};

/* Returns 0, or DAEMON_EXIT_USAGE after saying on stderr what is wrong. */
int daemon_args_parse(
    const struct daemon_spec *spec, int argc, char **argv, struct daemon_args *args);

#endif
