#include "edged/createopts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "edged/engine.h"

/* --- the parts of a create body that edged knows; the rest stays JSON text */

struct member {
	char *name, *value;
};
typedef FIELDS_LIST(struct member) members;
typedef FIELDS_LIST(char *) strings;

FIELDS_DECLARE(member);
FIELDS(member, KEY(name), RAW(value, NULL, VALUE | NULLS));

struct host {
	strings binds, cap_add, cap_drop;
	bool privileged, has_privileged;
	members rest;
};
struct networking {
	members endpoints;
	members rest;
};
struct body {
	char *image;
	strings env;
	fields_map labels;
	struct host *host;
	struct networking *networking;
	members rest;
};

FIELDS_DECLARE(host);
FIELDS_DECLARE(networking);
FIELDS_DECLARE(body);

FIELDS(host, STRS(binds, "Binds", OPTIONAL), STRS(cap_add, "CapAdd", OPTIONAL),
    STRS(cap_drop, "CapDrop", OPTIONAL), BOOL_OPT(privileged, has_privileged, "Privileged"),
    TABLE(rest, NULL, OPTIONAL, member_fields));
FIELDS(networking, TABLE(endpoints, "EndpointsConfig", OPTIONAL, member_fields),
    TABLE(rest, NULL, OPTIONAL, member_fields));
FIELDS(body, STR(image, "Image", OPTIONAL), STRS(env, "Env", OPTIONAL),
    TABLE(labels, "Labels", OPTIONAL, fields_pair_fields),
    REF(host, "HostConfig", OPTIONAL, host_fields),
    REF(networking, "NetworkingConfig", OPTIONAL, networking_fields),
    TABLE(rest, NULL, OPTIONAL, member_fields));

/* --- names in another case */

/* Members of API 1.41's create body and HostConfig. */
static const char *const body_names[] = { "Hostname", "Domainname", "User", "AttachStdin",
	"AttachStdout", "AttachStderr", "ExposedPorts", "Tty", "OpenStdin", "StdinOnce", "Env",
	"Cmd", "Healthcheck", "ArgsEscaped", "Image", "Volumes", "WorkingDir", "Entrypoint",
	"NetworkDisabled", "MacAddress", "OnBuild", "Labels", "StopSignal", "StopTimeout", "Shell",
	"HostConfig", "NetworkingConfig", NULL };
static const char *const host_names[] = { "Binds", "ContainerIDFile", "LogConfig", "NetworkMode",
	"PortBindings", "RestartPolicy", "AutoRemove", "VolumeDriver", "VolumesFrom", "CapAdd",
	"CapDrop", "Capabilities", "CgroupnsMode", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts",
	"GroupAdd", "IpcMode", "Cgroup", "Links", "OomScoreAdj", "PidMode", "Privileged",
	"PublishAllPorts", "ReadonlyRootfs", "SecurityOpt", "StorageOpt", "Tmpfs", "UTSMode",
	"UsernsMode", "ShmSize", "Sysctls", "Runtime", "ConsoleSize", "Isolation", "CpuShares",
	"Memory", "NanoCpus", "CgroupParent", "BlkioWeight", "BlkioWeightDevice",
	"BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps",
	"CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpusetCpus",
	"CpusetMems", "Devices", "DeviceCgroupRules", "DeviceRequests", "KernelMemory",
	"KernelMemoryTCP", "MemoryReservation", "MemorySwap", "MemorySwappiness", "OomKillDisable",
	"PidsLimit", "Ulimits", "CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth",
	"Mounts", "MaskedPaths", "ReadonlyPaths", "Init", "Annotations", NULL };
static const char *const networking_names[] = { "EndpointsConfig", NULL };

static enum err_code
name_check(const char *name, const char *const *known, struct err *err)
{
	/* the decoder folds some letters beyond ASCII onto k and s */
	for (const char *c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			return err_set(
			    err, ERR_INVALID, "createOptions: a member name is not ASCII");
	for (size_t i = 0; known[i]; i++)
		if (strcasecmp(name, known[i]) == 0 && strcmp(name, known[i]) != 0)
			return err_set(err, ERR_INVALID,
			    "createOptions: \"%s\" is to be written \"%s\"", name, known[i]);
	return ERR_OK;
}

static enum err_code
names_check(const members *rest, const char *const *known, struct err *err)
{
	for (size_t i = 0; i < rest->n; i++)
		if (name_check(rest->at[i].name, known, err))
			return err->code;
	return ERR_OK;
}

static enum err_code
body_check(const struct body *b, struct err *err)
{
	if (names_check(&b->rest, body_names, err) ||
	    (b->host && names_check(&b->host->rest, host_names, err)) ||
	    (b->networking && names_check(&b->networking->rest, networking_names, err)))
		return err->code;
	return ERR_OK;
}

/* --- changes */

static enum err_code
strings_add(strings *list, const char *text, struct err *err)
{
	char **at = reallocarray(list->at, list->n + 1, sizeof(*at));

	if (!at)
		return err_nomem(err);
	list->at = at;
	if (str_copy(&list->at[list->n], text, err))
		return err->code;
	list->n++;
	return ERR_OK;
}

static void
strings_clear(strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		str_freep(&list->at[i]);
	free(list->at);
	*list = (strings){ 0 };
}

static void
strings_remove(strings *list, size_t i)
{
	str_freep(&list->at[i]);
	memmove(&list->at[i], &list->at[i + 1], (list->n - i - 1) * sizeof(*list->at));
	list->n--;
}

/* Length of the key of "KEY=VALUE". */
static size_t
key_len(const char *entry)
{
	return strcspn(entry, "=");
}

static bool
same_key(const char *a, const char *b)
{
	return key_len(a) == key_len(b) && memcmp(a, b, key_len(a)) == 0;
}

static int
by_key(const void *a, const void *b)
{
	const char *left = *(char *const *)a, *right = *(char *const *)b;
	size_t l = key_len(left), r = key_len(right);
	int order = memcmp(left, right, l < r ? l : r);

	return order ? order : (l > r) - (l < r);
}

/* "KEY" alone means an empty value here, while the engine would take it for "remove". */
static enum err_code
env_normalise(char **entry, struct err *err)
{
	char *whole = NULL;

	if (strchr(*entry, '='))
		return ERR_OK;
	if (str_format(&whole, err, "%s=", *entry))
		return err->code;
	str_freep(entry);
	*entry = whole;
	return ERR_OK;
}

/* Of entries with one key in createOptions.Env the last counts, and it wins over the module's own. */
static enum err_code
env_merge(struct body *b, const struct createopts *in, struct err *err)
{
	for (size_t i = 0; i < b->env.n; i++)
		if (env_normalise(&b->env.at[i], err))
			return err->code;
	for (size_t i = 0; i < b->env.n; i++)
		for (size_t j = i + 1; j < b->env.n; j++)
			if (same_key(b->env.at[i], b->env.at[j])) {
				strings_remove(&b->env, i--);
				break;
			}
	for (size_t i = 0, given = b->env.n; i < in->n_env; i++) {
		AUTO(str_freep) char *entry = NULL;
		bool overridden = false;

		if (str_format(&entry, err, "%s=%s", in->env[i].key, in->env[i].value))
			return err->code;
		for (size_t j = 0; j < given; j++)
			overridden = overridden || same_key(b->env.at[j], entry);
		if (!overridden && strings_add(&b->env, entry, err))
			return err->code;
	}
	if (b->env.n)
		qsort(b->env.at, b->env.n, sizeof(*b->env.at), by_key);
	return ERR_OK;
}

static enum err_code
label_set(fields_map *labels, const char *key, const char *value, struct err *err)
{
	struct fields_pair *at;

	for (size_t i = 0; i < labels->n; i++)
		if (strcmp(labels->at[i].key, key) == 0) {
			str_freep(&labels->at[i].value);
			return str_copy(&labels->at[i].value, value, err);
		}
	at = reallocarray(labels->at, labels->n + 1, sizeof(*at));
	if (!at)
		return err_nomem(err);
	labels->at = at;
	at[labels->n] = (struct fields_pair){ 0 };
	if (str_copy(&at[labels->n].key, key, err) || str_copy(&at[labels->n].value, value, err)) {
		str_freep(&at[labels->n].key);
		return err->code;
	}
	labels->n++;
	return ERR_OK;
}

static enum err_code
labels_set(struct body *b, const struct createopts *in, struct err *err)
{
	for (size_t i = 0; i < in->n_labels; i++)
		if (label_set(&b->labels, in->labels[i].key, in->labels[i].value, err))
			return err->code;
	if (label_set(&b->labels, ENGINE_IMAGE_LABEL, in->image, err) ||
	    label_set(&b->labels, ENGINE_OWNER_LABEL, ENGINE_OWNER_VALUE, err))
		return err->code;
	return ERR_OK;
}

/* NULL: out of memory, and err says so. */
static struct host *
host_of(struct body *b, struct err *err)
{
	if (!b->host)
		b->host = calloc(1, sizeof(*b->host));
	if (!b->host)
		(void)err_nomem(err);
	return b->host;
}

static enum err_code
binds_add(struct body *b, const struct createopts *in, struct err *err)
{
	struct host *host;

	if (!in->n_binds)
		return ERR_OK;
	host = host_of(b, err);
	if (!host)
		return err->code;
	for (size_t i = 0; i < in->n_binds; i++)
		if (strings_add(&host->binds, in->binds[i], err))
			return err->code;
	return ERR_OK;
}

/* edged-containers.md 5.3, privilege filter. */
static enum err_code
privileges_drop(struct body *b, const struct createopts *in, struct err *err)
{
	static const char *const dropped[] = { "SETUID", "CHOWN" };
	struct host *host;

	if (in->elevated)
		return ERR_OK;
	host = host_of(b, err);
	if (!host)
		return err->code;
	host->privileged = false;
	strings_clear(&host->cap_add);
	if (in->is_agent)
		return ERR_OK;
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
		/* in front of the caller's */
		if (strings_add(&host->cap_drop, dropped[i], err))
			return err->code;
		for (size_t j = host->cap_drop.n - 1; j > 0; j--) {
			char *last = host->cap_drop.at[j];

			host->cap_drop.at[j] = host->cap_drop.at[j - 1];
			host->cap_drop.at[j - 1] = last;
		}
	}
	return ERR_OK;
}

static enum err_code
network_join(struct body *b, const struct createopts *in, struct err *err)
{
	members *endpoints;
	struct member *at;

	if (!in->network)
		return ERR_OK;
	if (!b->networking)
		b->networking = calloc(1, sizeof(*b->networking));
	if (!b->networking)
		return err_nomem(err);
	endpoints = &b->networking->endpoints;
	for (size_t i = 0; i < endpoints->n; i++)
		if (strcmp(endpoints->at[i].name, in->network) == 0)
			return ERR_OK;
	at = reallocarray(endpoints->at, endpoints->n + 1, sizeof(*at));
	if (!at)
		return err_nomem(err);
	endpoints->at = at;
	at[endpoints->n] = (struct member){ 0 };
	if (str_copy(&at[endpoints->n].name, in->network, err) ||
	    str_copy(&at[endpoints->n].value, "{}", err)) {
		str_freep(&at[endpoints->n].name);
		return err->code;
	}
	endpoints->n++;
	return ERR_OK;
}

enum err_code
createopts_build(const struct createopts *in, char **ret_body, struct err *err)
{
	AUTO(body_done) struct body b = { 0 };

	if (fields_read_text(body_fields, &b, text_of(in->options ? in->options : "{}"), err)) {
		if (err->code == ERR_SYNTAX)
			return err_wrap_code(err, ERR_INVALID, "createOptions");
		return err->code;
	}
	if (body_check(&b, err))
		return err->code;
	str_freep(&b.image);
	if (str_copy(&b.image, in->image, err) || env_merge(&b, in, err) ||
	    labels_set(&b, in, err) || privileges_drop(&b, in, err) || binds_add(&b, in, err) ||
	    network_join(&b, in, err))
		return err->code;
	return fields_write_text(body_fields, &b, ret_body, err);
}
