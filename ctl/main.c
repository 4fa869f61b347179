/* edgekeep - the operator's program */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/keyd.h"
#include "ctl/doctor.h"
#include "ctl/keyd_role.h"
#include "ctl/keys_pem.h"
#include "ctl/status.h"

struct options {
	bool json;
	const char *run_dir;
	const char *edged;
	char *uri; /* the argument itself */
};

static int
fail(const struct err *err)
{
	fprintf(stderr, "edgekeep: %s\n", err->text);
	return 1;
}

static int
status(const struct options *o, char **args)
{
	AUTO(status_report_done) struct status_report report = { 0 };
	struct err err = { 0 };

	(void)args;
	if (status_collect(o->run_dir, o->edged, &report, &err))
		return fail(&err);
	if (!o->json)
		status_print_text(&report, clock_unix(), stdout);
	else if (status_print_json(&report, stdout, &err))
		return fail(&err);
	return status_all_well(&report) ? 0 : 1;
}

static enum err_code
connect_keyd(const struct options *o, struct keyd_client **ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct unix_client_config config = { 0 };

	if (str_format(&path, err, "%s/keyd.sock", o->run_dir))
		return err->code;
	config.path = path;
	return keyd_client_new(&config, ret, err);
}

static int
pem(const struct options *o, char **args)
{
	AUTO(str_freep) char *text = NULL;
	struct keyd_client *keyd = NULL;
	struct err err = { 0 };
	bool failed;

	failed = connect_keyd(o, &keyd, &err) || keys_pem(keyd, args[0], &text, &err);
	keyd_client_free(keyd);
	if (failed)
		return fail(&err);
	return fputs(text, stdout) < 0 || fflush(stdout) != 0;
}

/* By keyd's own program, which takes this one's place. */
static int
wrap(const struct options *o, char **args)
{
	struct err err = { 0 };

	(void)o, (void)args;
	(void)!keyd_role_exec("wrap", &err);
	return fail(&err);
}

static int
unwrap(const struct options *o, char **args)
{
	struct err err = { 0 };

	(void)o, (void)args;
	(void)!keyd_role_exec("unwrap", &err);
	return fail(&err);
}

/* A PIN may be in it, and everybody sees arguments. */
static enum err_code
take_uri(const struct options *o, char **ret, struct err *err)
{
	if (!o->uri)
		return ERR_OK;
	if (str_copy(ret, o->uri, err))
		return err->code;
	mem_wipe(o->uri, strlen(o->uri));
	return ERR_OK;
}

static int
doctor_keys(const struct options *o, char **args)
{
	AUTO(str_freep) char *uri = NULL;
	AUTO(doctor_report_done) struct doctor_report report = { 0 };
	struct err err = { 0 };

	(void)args;
	if (take_uri(o, &uri, &err) || doctor_collect(uri, &report, &err))
		return fail(&err);
	if (!o->json)
		doctor_print_text(&report, stdout);
	else if (doctor_print_json(&report, stdout, &err))
		return fail(&err);
	return doctor_all_well(&report) ? 0 : 1;
}

static int
version(const struct options *o, char **args)
{
	(void)args;
	printf(o->json ? "{\"version\":\"%s\"}\n" : "edgekeep %s\n", EDGEKEEP_VERSION);
	return 0;
}

/* A command is one word or two; behind it come as many arguments as are named. */
static const struct command {
	const char *words[2];
	const char *takes;
	int n_args;
	const char *summary;
	int (*run)(const struct options *o, char **args);
} commands[] = {
	/* clang-format off */
	{ { "status" }, "", 0, "each daemon and whether it can do its job; device, certificates, modules", status },
	{ { "keys", "pem" }, "ID", 1, "PEM file to give to programs in place of a private key that stays in keyd", pem },
	{ { "keys", "wrap" }, "", 0, "encrypt key files at rest as [backends.file] says; as root or keyd's user", wrap },
	{ { "keys", "unwrap" }, "", 0, "the reverse; stop keyd before, and take wrap out of its configuration after", unwrap },
	{ { "doctor", "keys" }, "", 0, "what is wrong with keyd's places for keys, and what to do; as root or keyd's user", doctor_keys },
	{ { "version" }, "", 0, "the version of this program", version },
	/* clang-format on */
};

static const struct command *
find(char **words, int n)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		int named = c->words[1] ? 2 : 1;

		if (n == named + c->n_args && strcmp(words[0], c->words[0]) == 0 &&
		    (named == 1 || strcmp(words[1], c->words[1]) == 0))
			return c;
	}
	return NULL;
}

static void
usage(FILE *out)
{
	fputs("usage: edgekeep [OPTION...] COMMAND\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		int used = fprintf(out, "  %s %s%s%s", c->words[0], c->words[1] ? c->words[1] : "",
		    c->n_args ? " " : "", c->takes);

		fprintf(out, "%*s%s\n", used < 18 ? 18 - used : 1, "", c->summary);
	}
	fputs("\n"
	      "  --json          print JSON\n"
	      "  --run DIR       sockets of keyd, certd, identityd and tpmd (default /run/aziot)\n"
	      "  --edged SOCKET  edged's management socket (default /run/iotedge/mgmt.sock)\n"
	      "  --uri URI       doctor keys: a token's URI in place of the configured ones\n"
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
		{ "uri", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const struct command *command;
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
		case 'u':
			o.uri = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			return version(&o, NULL);
		default:
			usage(stderr);
			return 2;
		}
	}
	command = find(argv + optind, argc - optind);
	if (command)
		return command->run(&o, argv + optind + (command->words[1] ? 2 : 1));
	usage(stderr);
	return 2;
}
