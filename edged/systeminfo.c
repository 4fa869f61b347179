#include "edged/systeminfo.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "edged/disks.h"
#include "edged/kernel_file.h"
#include "platform/daemon.h"

#define FILE_MAX ((size_t)1024 * 1024)

#if defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#elif defined(__arm__)
#define ARCHITECTURE "arm"
#else
#define ARCHITECTURE "unknown"
#endif

struct cpu_times {
	unsigned long long busy, all;
};

struct systeminfo {
	struct edged_systeminfo shown; /* owned; server_version is not set here */
	pthread_mutex_t lock;
	struct cpu_times last;
};

/* --- os-release(5) */

enum err_code
systeminfo_os_release(struct text file, const char *key, char **ret, struct err *err)
{
	const char *at = file.data, *end = file.data + file.len;
	size_t key_len = strlen(key);

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((eol ? eol : end) - at);

		if (len > key_len && memcmp(at, key, key_len) == 0 && at[key_len] == '=') {
			const char *value = at + key_len + 1;
			size_t n = len - key_len - 1;

			while (n && isspace((unsigned char)value[n - 1]))
				n--;
			if (n >= 2 && (*value == '"' || *value == '\'') && value[n - 1] == *value) {
				value++;
				n -= 2;
			}
			return n ? str_format(ret, err, "%.*s", (int)n, value) : ERR_OK;
		}
		at += len + 1;
	}
	return ERR_OK;
}

static enum err_code
read_os_release(struct edged_systeminfo *s, struct err *err)
{
	AUTO(bytes_done) struct bytes content = { 0 };
	struct text text;

	if (file_read("/etc/os-release", FILE_MAX, &content, err) &&
	    file_read("/usr/lib/os-release", FILE_MAX, &content, err))
		return ERR_OK;
	text = text_of_bytes(&content);
	if (systeminfo_os_release(text, "ID", &s->operating_system, err) ||
	    systeminfo_os_release(text, "VERSION_ID", &s->operating_system_version, err) ||
	    systeminfo_os_release(text, "VARIANT_ID", &s->operating_system_variant, err) ||
	    systeminfo_os_release(text, "BUILD_ID", &s->operating_system_build, err))
		return err->code;
	return ERR_OK;
}

/* --- what does not change */

/* What systemd-detect-virt would say, without running it on each request (edged-weaknesses.md C9). */
static const char *
virtualized(void)
{
	AUTO(str_freep) char *cpu = NULL;

	if (access("/run/systemd/container", F_OK) == 0 || access("/.dockerenv", F_OK) == 0)
		return "yes";
	cpu = kernel_file_read("/proc/cpuinfo");
	if (!cpu)
		return "unknown";
	if (strstr(cpu, " hypervisor") || access("/proc/xen", F_OK) == 0 ||
	    access("/sys/hypervisor/type", F_OK) == 0)
		return "yes";
	return "no";
}

static enum err_code
read_machine(struct edged_systeminfo *s, struct err *err)
{
	struct utsname name;
	struct sysinfo memory;

	if (uname(&name))
		memcpy(name.sysname, "UNKNOWN", sizeof("UNKNOWN"));
	else if (str_copy(&s->kernel_release, name.release, err) ||
		 str_copy(&s->kernel_version, name.version, err))
		return err->code;
	if (sysinfo(&memory) == 0)
		s->total_memory = (int64_t)memory.totalram * memory.mem_unit;
	s->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	s->product_name = kernel_file_line("/sys/devices/virtual/dmi/id/product_name");
	s->system_vendor = kernel_file_line("/sys/devices/virtual/dmi/id/sys_vendor");
	if (str_copy(&s->os_type, name.sysname, err) ||
	    str_copy(&s->architecture, ARCHITECTURE, err) ||
	    str_copy(&s->virtualized, virtualized(), err) ||
	    str_copy(&s->version, daemon_version, err) ||
	    str_copy(&s->provisioning.type, "ProvisioningType", err))
		return err->code;
	return read_os_release(s, err);
}

/* --- additional_info */

static char **
overridable(struct edged_systeminfo *s, const char *key)
{
	const struct {
		const char *key;
		char **at;
	} members[] = {
		{ "kernel", &s->os_type },
		{ "kernel_release", &s->kernel_release },
		{ "kernel_version", &s->kernel_version },
		{ "operating_system", &s->operating_system },
		{ "operating_system_version", &s->operating_system_version },
		{ "operating_system_variant", &s->operating_system_variant },
		{ "operating_system_build", &s->operating_system_build },
		{ "architecture", &s->architecture },
		{ "virtualized", &s->virtualized },
		{ "product_name", &s->product_name },
		{ "system_vendor", &s->system_vendor },
		{ "server_version", &s->server_version },
	};

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (strcmp(members[i].key, key) == 0)
			return members[i].at;
	return NULL;
}

/* Members that are there already must not be there twice (edged-weaknesses.md D12). */
static bool
is_fixed(const char *key)
{
	static const char *const fixed[] = { "osType", "cpus", "total_memory", "version",
		"provisioning" };

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (strcmp(fixed[i], key) == 0)
			return true;
	return false;
}

static enum err_code
add_pair(fields_map *map, const struct fields_pair *pair, struct err *err)
{
	struct fields_pair *at = reallocarray(map->at, map->n + 1, sizeof(*at));

	if (!at)
		return err_nomem(err);
	map->at = at;
	at = &at[map->n++];
	*at = (struct fields_pair){ 0 };
	if (str_copy(&at->key, pair->key, err) || str_copy(&at->value, pair->value, err))
		return err->code;
	return ERR_OK;
}

static enum err_code
add_configured(struct edged_systeminfo *s, const fields_map *info, struct err *err)
{
	for (size_t i = 0; i < info->n; i++) {
		const struct fields_pair *pair = &info->at[i];
		char **at = overridable(s, pair->key);

		if (at) {
			str_freep(at);
			if (str_copy(at, pair->value, err))
				return err->code;
		} else if (!is_fixed(pair->key) && add_pair(&s->additional, pair, err)) {
			return err->code;
		}
	}
	return ERR_OK;
}

enum err_code
systeminfo_new(const struct edged_config *config, struct systeminfo **ret, struct err *err)
{
	struct systeminfo *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	pthread_mutex_init(&s->lock, NULL);
	if (read_machine(&s->shown, err) ||
	    add_configured(&s->shown, &config->additional_info, err)) {
		systeminfo_free(s);
		return err->code;
	}
	*ret = s;
	return ERR_OK;
}

void
systeminfo_free(struct systeminfo *s)
{
	if (!s)
		return;
	edged_systeminfo_done(&s->shown);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
systeminfo_show(
    const struct systeminfo *s, const char *server_version, struct edged_systeminfo *ret)
{
	*ret = s->shown;
	if (!ret->server_version && *server_version)
		ret->server_version = (char *)server_version;
}

/* --- resources */

static void
cpu_times(struct cpu_times *ret)
{
	AUTO(str_freep) char *line = kernel_file_line("/proc/stat");
	unsigned long long at[8] = { 0 };

	*ret = (struct cpu_times){ 0 };
	if (!line || strncmp(line, "cpu", 3) != 0)
		return;
	char *next = line + 3;

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		at[i] = strtoull(next, &next, 10);
		ret->all += at[i];
	}
	ret->busy = ret->all - at[3] - at[4]; /* idle, iowait */
}

static double
used_cpu(struct systeminfo *s)
{
	struct cpu_times now;
	double share = 0;

	cpu_times(&now);
	pthread_mutex_lock(&s->lock);
	if (now.all > s->last.all && now.busy >= s->last.busy)
		share = 100.0 * (double)(now.busy - s->last.busy) / (double)(now.all - s->last.all);
	s->last = now;
	pthread_mutex_unlock(&s->lock);
	return share;
}

/* Field 22 of /proc/self/stat: clock ticks from the system's start to ours. */
static int64_t
start_ticks(void)
{
	AUTO(str_freep) char *line = kernel_file_line("/proc/self/stat");
	char *at = line ? strrchr(line, ')') : NULL;

	for (int i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) : 0;
}

static int64_t
available_memory(void)
{
	AUTO(str_freep) char *content = kernel_file_read("/proc/meminfo");
	const char *at = content ? strstr(content, "MemAvailable:") : NULL;

	return at ? 1024 * strtoll(at + strlen("MemAvailable:"), NULL, 10) : 0;
}

enum err_code
systeminfo_resources(struct systeminfo *s, struct edged_resources *ret, struct err *err)
{
	AUTO(edged_resources_done) struct edged_resources out = { 0 };
	struct sysinfo now;

	if (sysinfo(&now))
		return err_errno(err, "sysinfo");
	out.host_uptime = now.uptime;
	out.process_uptime = now.uptime - start_ticks() / sysconf(_SC_CLK_TCK);
	if (out.process_uptime < 0)
		out.process_uptime = 0;
	out.total_ram = (int64_t)now.totalram * now.mem_unit;
	out.used_ram = out.total_ram - available_memory();
	out.used_cpu = used_cpu(s);
	if (disks_read(&out, err))
		return err->code;
	*ret = out;
	out = (struct edged_resources){ 0 };
	return ERR_OK;
}
