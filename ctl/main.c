/* edgekeep - the operator's program */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/status.h"

struct options {
	bool json;
	const char *run_dir;
	const char *edged;
};

static int
fail(const struct err *err)
{
	fprintf(stderr, "edgekeep: %s\n", err->text);
	return 1;
}

static int
status(const struct options *o)
{
	AUTO(status_report_done) struct status_report report = { 0 };
	struct err err = { 0 };

	if (status_collect(o->run_dir, o->edged, &report, &err))
		return fail(&err);
	if (!o->json)
		status_print_text(&report, clock_unix(), stdout);
	else if (status_print_json(&report, stdout, &err))
		return fail(&err);
	return status_all_well(&report) ? 0 : 1;
}

static int
version(const struct options *o)
{
	printf(o->json ? "{\"version\":\"%s\"}\n" : "edgekeep %s\n", EDGEKEEP_VERSION);
	return 0;
}

static const struct {
	const char *name, *summary;
	int (*run)(const struct options *o);
} commands[] = {
	{ "status", "each daemon and whether it can do its job; device, certificates, modules",
	    status },
	{ "version", "the version of this program", version },
};

static void
usage(FILE *out)
{
	fputs("usage: edgekeep [OPTION...] COMMAND\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "  --json          print JSON\n"
	      "  --run DIR       sockets of keyd, certd, identityd and tpmd (default /run/aziot)\n"
	      "  --edged SOCKET  edged's management socket (default /run/iotedge/mgmt.sock)\n"
	      "  --help          this text\n"
	      "\n"
	      "exit status: 0 all is well, 1 something cannot do its job, 2 wrong usage\n",
	    out);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "run", required_argument, NULL, 'r' },
		{ "edged", required_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct options o = { .run_dir = "/run/aziot", .edged = "/run/iotedge/mgmt.sock" };
	int c;

	log_init("warn", "edgekeep");
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.json = true;
			break;
		case 'r':
			o.run_dir = optarg;
			break;
		case 'e':
			o.edged = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			return version(&o);
		default:
			usage(stderr);
			return 2;
		}
	}
	for (size_t i = 0; optind + 1 == argc && i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[optind], commands[i].name) == 0)
			return commands[i].run(&o);
	usage(stderr);
	return 2;
}
