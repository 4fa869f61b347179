#include "platform/daemon_args.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

static void
usage(const struct daemon_spec *spec, FILE *out)
{
	fprintf(out,
	    "usage: %s [--config FILE] [--config-dir DIR] [--user NAME|UID:GID[,GID...]]\n"
	    "       [--sandbox off|log|errno|kill] [--check | --sandbox-probe | --version | "
	    "--help]\n",
	    spec->name);
}

static void
help(const struct daemon_spec *spec)
{
	printf("%s - %s\n\n", spec->name, spec->summary);
	usage(spec, stdout);
	printf(
	    "\n"
	    "  --config FILE     configuration; %s (or $%s)\n"
	    "  --config-dir DIR  *.toml in it are merged in; %s (or $%s)\n"
	    "  --user USER       become this user when started as root; %s\n"
	    "  --sandbox MODE    what an undeclared system call meets: nothing (off), the "
	    "kernel's\n"
	    "                    log (log), EPERM (errno), the end of the process (kill, default)\n"
	    "  --check           say what is wrong with the configuration; exit status 0 or 1\n"
	    "  --sandbox-probe   try what the sandbox must refuse; exit status 0 or 1\n"
	    "  --version         name and version\n"
	    "  --help            this text\n\n"
	    "$AZIOT_LOG is off, error, warn, info (default), debug or trace.\n"
	    "SIGTERM ends it in good order%s.\n",
	    spec->config_file, spec->config_file_env, spec->config_dir, spec->config_dir_env,
	    spec->user,
	    spec->roles[0].reload ? ", SIGHUP reads the configuration again"
				  : "; a changed configuration counts after a restart");
}

int
daemon_args_parse(const struct daemon_spec *spec, int argc, char **argv, struct daemon_args *args)
{
	enum {
		CONFIG = 1,
		CONFIG_DIR,
		USER,
		SANDBOX,
		PROBE,
		CHECK,
		ROLE,
		VERSION = 'V',
		HELP = 'h'
	};
	static const struct option options[] = {
		{ "config", required_argument, NULL, CONFIG },
		{ "config-dir", required_argument, NULL, CONFIG_DIR },
		{ "user", required_argument, NULL, USER },
		{ "sandbox", required_argument, NULL, SANDBOX },
		{ "sandbox-probe", no_argument, NULL, PROBE },
		{ "check", no_argument, NULL, CHECK },
		{ "role", required_argument, NULL, ROLE }, /* said by the spawner only */
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "Vh", options, NULL)) != -1) {
		switch (option) {
		case CONFIG:
			args->config_file = optarg;
			break;
		case CONFIG_DIR:
			args->config_dir = optarg;
			break;
		case USER:
			args->user = optarg;
			break;
		case SANDBOX:
			args->sandbox = sandbox_mode_of(optarg);
			if (args->sandbox >= 0)
				break;
			fprintf(stderr, "%s: --sandbox is off, log, errno or kill\n", spec->name);
			usage(spec, stderr);
			return DAEMON_EXIT_USAGE;
		case PROBE:
			args->probe = true;
			break;
		case CHECK:
			args->check = true;
			break;
		case ROLE:
			args->role = optarg;
			break;
		case VERSION:
			/* by the name it was called: aziot-edged is asked for "aziot-edged X" (edged-cli.md) */
			printf("%s %s\n", program_invocation_short_name, daemon_version);
			args->done = true;
			return 0;
		case HELP:
			help(spec);
			args->done = true;
			return 0;
		default:
			usage(spec, stderr);
			return DAEMON_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: %s: not an option\n", spec->name, argv[optind]);
		usage(spec, stderr);
		return DAEMON_EXIT_USAGE;
	}
	return 0;
}
