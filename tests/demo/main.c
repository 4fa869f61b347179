#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/demo/demo.h"

static const struct {
	const char *name;
	int (*run)(struct err *err);
} roles[] = { { "agent", demo_agent }, { "web", demo_web }, { "meter", demo_meter } };

/* As a container's first process we have no default action for SIGTERM. */
static void
end(int signal)
{
	(void)signal;
	_exit(0);
}

int
main(int argc, char **argv)
{
	struct err err = { 0 };

	signal(SIGTERM, end);
	for (size_t i = 0; argc == 2 && i < ARRAY_LEN(roles); i++) {
		if (strcmp(argv[1], roles[i].name) != 0)
			continue;
		if (roles[i].run(&err) == 0)
			return 0;
		demo_step(argv[1], "FAILED: %s", err.text);
		return 1;
	}
	fprintf(stderr, "usage: edgekeep-demo agent|web|meter\n");
	return 2;
}
