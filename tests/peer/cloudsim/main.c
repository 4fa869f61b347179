#include <getopt.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/file.h"
#include "data/toml.h"
#include "tests/peer/cloudsim/http.h"

#define SPECS_MAX 256
#define NAMES	  "localhost,127.0.0.1,dps.demo,hub.demo"

/* What the command line says about devices, applied once the hub's name is known. */
struct spec {
	char kind; /* e: --enroll, g: --enroll-group, d: --device */
	const char *value;
};

struct options {
	const char *listen, *dir, *hub, *scope, *log, *state;
	char *names;	     /* owned; NULL: NAMES */
	struct bytes text;   /* of --config */
	struct toml *config; /* values of options may point into it */
	struct spec specs[SPECS_MAX];
	size_t n_specs;
};

/* clang-format off */
static const char help[] =
    "edgekeep-cloudsim - try a device without a cloud subscription\n"
    "\n"
    "Serves, over TLS on one port, the device side of the Device Provisioning Service and the registry of\n"
    "module identities of IoT Hub; judges every request as the cloud would and writes the verdict as a line of JSON.\n"
    "\n"
    "  edgekeep-cloudsim --enroll my-device\n"
    "\n"
    "makes a certificate authority in ./cloudsim, invents a key for the device, and prints what to put into the\n"
    "device's configuration.  The device must trust ./cloudsim/ca.pem (SSL_CERT_FILE, or update-ca-certificates).\n"
    "\n"
    "  --config FILE            TOML; its keys are the options below, without the dashes: enroll = [\"a\", \"b\"]\n"
    "  --listen ADDRESS:PORT    where to listen; port 0: any free one (127.0.0.1:8443)\n"
    "  --dir DIR                where ca.pem and its key are kept (./cloudsim)\n"
    "  --name NAME[,NAME...]    names and addresses in its certificate; may be repeated (localhost,127.0.0.1,dps.demo,hub.demo)\n"
    "  --hub NAME[:PORT]        the hub that devices are assigned to (localhost and the port listened on)\n"
    "  --scope ID               id scope (0ne00000000)\n"
    "  --enroll ID[=KEY[,KEY]]  individual enrollment by symmetric key, in base64; without one it is invented and printed\n"
    "  --enroll-group KEY[,KEY] group enrollment: device keys derive from it\n"
    "  --device ID[=KEY[,KEY]]  a device that is in the hub already, for manual provisioning\n"
    "  --edge                   devices come with $edgeAgent and $edgeHub, as IoT Edge devices do\n"
    "  --assigning N            polls answered `assigning` before a device is assigned (1)\n"
    "  --retry-after SECONDS    what DPS asks devices to wait between polls (1)\n"
    "  --max-lifetime SECONDS   tokens that live longer are refused as far-future (86400)\n"
    "  --max-modules N          modules that a device may have (50)\n"
    "  --errors SHAPE           bodies of the hub's errors: classic, json, edgehub, empty (classic)\n"
    "  --fault SPEC             make something go wrong, see below; may be repeated\n"
    "  --log FILE               where the lines of JSON go, appended (standard output)\n"
    "  --state FILE             keep the registry there over a restart\n"
    "  --version, --help\n"
    "\n"
    "Faults: KIND[:step=STEP][,nth=N][,times=N][,after][,retry-after=SECONDS]\n"
    "  drop hang 401 429 500                    close, stay silent, or refuse; with `after` once the request has taken effect\n"
    "  assigning failed disabled                what a poll says\n"
    "  truncated not-json oversized empty 201   what an answer looks like\n"
    "  steps: register poll lookup list get create update delete event; none: any\n"
    "  strikes at the Nth such request (1) and so many TIMES (1; 0 for ever).  `drop:step=update,after`, `429:times=0,retry-after=5`\n"
    "\n"
    "While it runs, from this machine:\n"
    "  curl --cacert cloudsim/ca.pem https://localhost:8443/sim/faults -d '\"500:step=create\"'   add; a list adds several\n"
    "  curl ... -X DELETE .../sim/faults     clear;     curl ... .../sim/state     devices and modules\n"
    "\n"
    "Verdicts: accepted, or no-authorization bad-token wrong-audience expired far-future wrong-skn wrong-key unknown-scope\n"
    "unknown-registration unknown-device unknown-module unknown-operation no-if-match stale-if-match exists\n"
    "wrong-content-type bad-body id-mismatch bad-api-version ...; a module shows its token by\n"
    "  POST /devices/DEVICE/modules/MODULE/messages/events?api-version=2020-03-13\n";
/* clang-format on */

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "listen", required_argument, NULL, 'l' },
	{ "dir", required_argument, NULL, 'D' },
	{ "name", required_argument, NULL, 'n' },
	{ "hub", required_argument, NULL, 'H' },
	{ "scope", required_argument, NULL, 's' },
	{ "enroll", required_argument, NULL, 'e' },
	{ "enroll-group", required_argument, NULL, 'g' },
	{ "device", required_argument, NULL, 'd' },
	{ "edge", no_argument, NULL, 'E' },
	{ "assigning", required_argument, NULL, 'a' },
	{ "retry-after", required_argument, NULL, 'r' },
	{ "max-lifetime", required_argument, NULL, 'm' },
	{ "max-modules", required_argument, NULL, 'M' },
	{ "errors", required_argument, NULL, 'x' },
	{ "fault", required_argument, NULL, 'f' },
	{ "log", required_argument, NULL, 'L' },
	{ "state", required_argument, NULL, 'S' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static enum err_code
number(const char *in, long max, long *ret, struct err *err)
{
	char *end;
	long value = strtol(in, &end, 10);

	if (end == in || *end || value < 0 || value > max)
		return err_set(err, ERR_INVALID, "%s is not a number from 0 to %ld", in, max);
	*ret = value;
	return ERR_OK;
}

static enum err_code
error_shape(const char *in, enum error_shape *ret, struct err *err)
{
	for (int i = 0; error_shape_names[i]; i++)
		if (strcmp(in, error_shape_names[i]) == 0) {
			*ret = (enum error_shape)i;
			return ERR_OK;
		}
	return err_set(err, ERR_INVALID, "there is no error shape %s", in);
}

static enum err_code
take_fault(struct sim *s, const char *spec, struct err *err)
{
	struct fault f;

	if (fault_parse(spec, &f, err))
		return err->code;
	return fault_add(s, &f, err);
}

static enum err_code
take_spec(struct options *o, char kind, const char *value, struct err *err)
{
	if (o->n_specs == SPECS_MAX)
		return err_set(err, ERR_INVALID, "more than %d enrollments and devices", SPECS_MAX);
	o->specs[o->n_specs++] = (struct spec){ kind, value };
	return ERR_OK;
}

/* Names add up. */
static enum err_code
take_name(struct options *o, const char *value, struct err *err)
{
	AUTO(str_freep) char *before = o->names;

	o->names = NULL;
	if (!before)
		return str_copy(&o->names, value, err);
	return str_format(&o->names, err, "%s,%s", before, value);
}

static enum err_code
take_number(struct sim *s, int option, const char *value, struct err *err)
{
	long n = 0;

	if (number(value, option == 'm' ? 100L * 366 * 86400 : 1000000, &n, err))
		return err->code;
	switch (option) {
	case 'a':
		s->assigning_rounds = (unsigned)n;
		break;
	case 'r':
		s->retry_after = (int)n;
		break;
	case 'm':
		s->max_lifetime_s = n;
		break;
	default:
		s->max_modules = (unsigned)n;
	}
	return ERR_OK;
}

static enum err_code take_config(
    struct sim *s, struct options *o, const char *path, struct err *err);

static enum err_code
take_option(struct sim *s, struct options *o, int option, const char *value, struct err *err)
{
	switch (option) {
	case 'c':
		return take_config(s, o, value, err);
	case 'l':
		o->listen = value;
		return ERR_OK;
	case 'D':
		o->dir = value;
		return ERR_OK;
	case 'n':
		return take_name(o, value, err);
	case 'H':
		o->hub = value;
		return ERR_OK;
	case 's':
		o->scope = value;
		return ERR_OK;
	case 'L':
		o->log = value;
		return ERR_OK;
	case 'S':
		o->state = value;
		return ERR_OK;
	case 'E':
		s->edge = true;
		return ERR_OK;
	case 'x':
		return error_shape(value, &s->errors, err);
	case 'f':
		return take_fault(s, value, err);
	case 'e':
	case 'g':
	case 'd':
		return take_spec(o, (char)option, value, err);
	default:
		return take_number(s, option, value, err);
	}
}

/* One key of the file: a string, a number, true, or a list of strings. */
static enum err_code
take_toml(struct sim *s, struct options *o, int option, struct toml *value, struct err *err)
{
	char digits[24];

	switch (value->kind) {
	case TOML_STRING:
		if (option == 'E')
			break;
		return take_option(s, o, option, value->string.data, err);
	case TOML_INTEGER:
		/* numbers are copied by those options that take one */
		snprintf(digits, sizeof(digits), "%lld", (long long)value->integer);
		if (strchr("armM", option))
			return take_number(s, option, digits, err);
		break;
	case TOML_BOOL:
		if (option == 'E') {
			s->edge = value->boolean;
			return ERR_OK;
		}
		break;
	case TOML_ARRAY:
		for (size_t i = 0; i < value->items.n; i++) {
			if (value->items.at[i]->kind == TOML_ARRAY)
				return err_set(err, ERR_INVALID, "a list within a list");
			if (take_toml(s, o, option, value->items.at[i], err))
				return err->code;
		}
		return ERR_OK;
	default:
		break;
	}
	return err_set(err, ERR_INVALID, "not a value of this option");
}

static enum err_code
take_config(struct sim *s, struct options *o, const char *path, struct err *err)
{
	if (o->config)
		return err_set(err, ERR_INVALID, "--config is given twice");
	if (file_read(path, (size_t)1 << 20, &o->text, err) ||
	    toml_parse(path, text_of_bytes(&o->text), &o->config, err))
		return err->code;
	for (size_t i = 0; i < o->config->items.n; i++) {
		struct toml *item = o->config->items.at[i];
		const struct option *option = long_options;

		while (option->name && strcmp(option->name, item->key) != 0)
			option++;
		if (!option->name || strchr("cVh", option->val))
			return err_set(err, ERR_INVALID, "%s:%u: there is no option %s", path,
			    item->line, item->key);
		if (take_toml(s, o, option->val, item, err))
			return err_wrap(err, "%s:%u: %s", path, item->line, item->key);
	}
	return ERR_OK;
}

static enum err_code
invent_key(char **ret, struct err *err)
{
	uint8_t random[32];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return err_set(err, ERR_CRYPTO, "no random numbers");
	return b64_encode(B64_STD, random, sizeof(random), ret, err);
}

/* What a device's identityd needs to come here. */
static void
print_config(const struct sim *s, char kind, const char *id, const char *keys, unsigned port)
{
	printf("\n# /etc/aziot/config.toml of %s\n[provisioning]\n", id);
	if (kind == 'e')
		printf("source = \"dps\"\nglobal_endpoint = \"https://localhost:%u\"\nid_scope = "
		       "\"%s\"\n"
		       "[provisioning.attestation]\nmethod = \"symmetric_key\"\nregistration_id = "
		       "\"%s\"\n"
		       "symmetric_key = { value = \"%.*s\" }\n",
		    port, s->scope, id, (int)strcspn(keys, ","), keys);
	else
		printf("source = \"manual\"\niothub_hostname = \"%s\"\ndevice_id = \"%s\"\n"
		       "[provisioning.authentication]\nmethod = \"sas\"\ndevice_id_pk = { value = "
		       "\"%.*s\" }\n",
		    s->hub, id, (int)strcspn(keys, ","), keys);
}

static enum err_code
apply_spec(struct sim *s, const struct spec *spec, unsigned port, struct err *err)
{
	const char *equals = strchr(spec->value, '=');
	AUTO(str_freep) char *id = NULL, *invented = NULL;
	enum err_code code;

	if (spec->kind == 'g')
		return sim_enroll(s, NULL, spec->value, err);
	if (str_format(&id, err, "%.*s", (int)strcspn(spec->value, "="), spec->value) ||
	    (!equals && invent_key(&invented, err)))
		return err->code;
	if (!*id)
		return err_set(err, ERR_INVALID, "%s: wants ID or ID=KEY", spec->value);
	code = spec->kind == 'e' ? sim_enroll(s, id, equals ? equals + 1 : invented, err)
				 : sim_add_device(s, id, equals ? equals + 1 : invented, err);
	if (!code && invented)
		print_config(s, spec->kind, id, invented, port);
	return code;
}

/* A port belongs to the name that devices are told, unless it is the usual one. */
static enum err_code
name_hub(struct sim *s, const char *name, unsigned port, struct err *err)
{
	if (name)
		return str_copy(&s->hub, name, err);
	if (port == 443)
		return str_copy(&s->hub, "localhost", err);
	return str_format(&s->hub, err, "localhost:%u", port);
}

static enum err_code
start(struct sim *s, struct options *o, struct http **ret, unsigned *ret_port, char **chain,
    char **key, struct err *err)
{
	enum err_code code;

	if (tls_prepare(o->dir, o->names ? o->names : NAMES, chain, key, err) ||
	    str_copy(&s->scope, o->scope, err) ||
	    (o->state && str_copy(&s->state_path, o->state, err)) || sim_load(s, err))
		return err->code;
	s->log = o->log && strcmp(o->log, "-") != 0 ? fopen(o->log, "ae") : stdout;
	if (!s->log)
		return err_errno(err, "could not open %s", o->log);
	/* no request is served before the devices are known */
	pthread_mutex_lock(&s->lock);
	code = http_start(s, o->listen, *chain, *key, ret, ret_port, err);
	if (!code)
		code = name_hub(s, o->hub, *ret_port, err);
	for (size_t i = 0; !code && i < o->n_specs; i++)
		code = apply_spec(s, &o->specs[i], *ret_port, err);
	pthread_mutex_unlock(&s->lock);
	return code;
}

static int
run(struct sim *s, struct options *o)
{
	AUTO(str_freep) char *chain = NULL, *key = NULL;
	struct http *http = NULL;
	struct err err = { 0 };
	unsigned port = 0;
	sigset_t ends;
	int got;

	/* threads inherit the mask, so that the signal comes to sigwait */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (start(s, o, &http, &port, &chain, &key, &err)) {
		http_stop(http);
		fprintf(stderr, "edgekeep-cloudsim: %s\n", err.text);
		return 1;
	}
	printf("\nedgekeep-cloudsim: listening on port %u, scope %s, hub %s, trust %s/ca.pem\n",
	    port, s->scope, s->hub, o->dir);
	fflush(stdout);
	sigwait(&ends, &got);
	http_stop(http);
	return 0;
}

/* Returns -1 to go on, or an exit status. */
static int
read_options(struct sim *s, struct options *o, int argc, char **argv)
{
	struct err err = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'h' || option == 'V') {
			printf("%s",
			    option == 'h' ? help : "edgekeep-cloudsim " EDGEKEEP_VERSION "\n");
			return 0;
		}
		if (option == '?')
			return 2;
		if (take_option(s, o, option, optarg, &err)) {
			fprintf(stderr, "edgekeep-cloudsim: %s\n", err.text);
			return 2;
		}
	}
	if (optind == argc && o->n_specs)
		return -1;
	fprintf(stderr, "edgekeep-cloudsim: %s\n",
	    optind < argc ? "there are no arguments without --; try --help"
			  : "no device is known; try `--enroll my-device`, or --help");
	return 2;
}

int
main(int argc, char **argv)
{
	struct options o = {
		.listen = "127.0.0.1:8443",
		.dir = "./cloudsim",
		.scope = "0ne00000000",
	};
	struct sim s;
	int status;

	sim_init(&s);
	status = read_options(&s, &o, argc, argv);
	if (status < 0)
		status = run(&s, &o);
	sim_done(&s);
	str_freep(&o.names);
	toml_freep(&o.config);
	bytes_done(&o.text);
	return status;
}
