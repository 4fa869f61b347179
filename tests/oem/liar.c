/*
 * liar.c: a key library that breaks one rule at a time, for the tests of who hosts one.  The environment variable LIAR says how it
 * hands out its functions, the parameter `lie` what its functions do.  It has every key, and all are alike.  `hardware` is no lie
 * but what a library does that has a device; `reach` looks for what is not its own, from its first parameter on.
 */
#include <aziot-keys.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

static char lie[32];
static char previous[64]; /* parameter: a host hands them over in the order of their names */

static int
lies(const char *what)
{
	return strcmp(lie, what) == 0;
}

/* --- hardware: an I2C device is given its address, then waited for; here a device that has no such call */

static AZIOT_KEYS_RC
uses_hardware(void)
{
	struct timeval soon = { 0, 1000 };
	struct rusage usage;
	int device = open("/dev/null", O_RDWR | O_CLOEXEC), queue = epoll_create1(EPOLL_CLOEXEC);
	int good = device >= 0 && queue >= 0 && ioctl(device, I2C_SLAVE, 0x60) && errno == ENOTTY &&
		   !isatty(device) && errno == ENOTTY && !select(0, NULL, NULL, NULL, &soon) &&
		   !getrusage(RUSAGE_SELF, &usage) && getppid() > 0;

	close(device);
	close(queue);
	return good ? AZIOT_KEYS_RC_OK : AZIOT_KEYS_RC_ERR_EXTERNAL;
}

/* --- reach: everything that it gets at is told on standard error */

static char target[256]; /* a key file of keyd's */
static int reached, loaded;

static void
try_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char octet;

	if (fd >= 0 && read(fd, &octet, 1) == 1) {
		fprintf(stderr, "reached: %s\n", path);
		reached = 1;
	}
	if (fd >= 0)
		close(fd);
}

static void
try_process(const char *pid)
{
	static const char *const names[] = { "environ", "maps", "auxv" };
	char path[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", pid, names[i]);
		try_file(path);
	}
	snprintf(path, sizeof(path), "/proc/%s/root%s", pid, target);
	try_file(path);
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	/* signals are refused while it is loaded only where Landlock knows them (Linux 6.12) */
	if (open(path, O_RDWR | O_CLOEXEC) >= 0 || (loaded && kill(atoi(pid), 0) == 0)) {
		fprintf(stderr, "reached: process %s\n", pid);
		reached = 1;
	}
}

/* Of its own it may do what it likes. */
static AZIOT_KEYS_RC
reaches(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	try_file(target);
	try_file("/etc/shadow");
	if (open("/var/tmp/liar", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0)
		reached = 1;
	while (processes && (entry = readdir(processes)))
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
			try_process(entry->d_name);
	if (processes)
		closedir(processes);
	loaded = 1;
	return processes && !reached ? AZIOT_KEYS_RC_OK : AZIOT_KEYS_RC_ERR_EXTERNAL;
}

/* --- parameters */

static AZIOT_KEYS_RC
set_parameter(const char *name, const char *value)
{
	if (strcmp(name, previous) < 0)
		return AZIOT_KEYS_RC_ERR_EXTERNAL;
	strncpy(previous, name, sizeof(previous) - 1);
	if (strcmp(name, "lie") == 0)
		strncpy(lie, value, sizeof(lie) - 1);
	if (strcmp(name, "target") == 0) {
		strncpy(target, value, sizeof(target) - 1);
		(void)reaches();
	}
	return strcmp(name, "bad") == 0 ? AZIOT_KEYS_RC_ERR_INVALID_PARAMETER : AZIOT_KEYS_RC_OK;
}

/* `trouble`: its hardware is away */
static AZIOT_KEYS_RC
there(void)
{
	if (lies("crash"))
		abort();
	while (lies("hang"))
		sleep(1);
	if (lies("hardware"))
		return uses_hardware();
	if (lies("reach"))
		return reaches();
	if (lies("result"))
		return 7;
	if (lies("missing"))
		return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
	return lies("trouble") ? AZIOT_KEYS_RC_ERR_EXTERNAL : AZIOT_KEYS_RC_OK;
}

static AZIOT_KEYS_RC
by_id(const char *id)
{
	(void)id;
	return lies("pairs trouble")  ? AZIOT_KEYS_RC_ERR_INVALID_PARAMETER
	       : lies("keys trouble") ? AZIOT_KEYS_RC_ERR_EXTERNAL
				      : there();
}

static AZIOT_KEYS_RC
load_pair(const char *id)
{
	(void)id;
	return lies("pairs trouble")  ? AZIOT_KEYS_RC_ERR_EXTERNAL
	       : lies("keys trouble") ? AZIOT_KEYS_RC_ERR_INVALID_PARAMETER
				      : there();
}

static AZIOT_KEYS_RC
create_pair(const char *id, const char *preferred_algorithms)
{
	(void)id, (void)preferred_algorithms;
	return there();
}

static AZIOT_KEYS_RC
create_key(const char *id, AZIOT_KEYS_KEY_USAGE usage)
{
	(void)id, (void)usage;
	return there();
}

static AZIOT_KEYS_RC
import_key(const char *id, const uint8_t *bytes, uintptr_t bytes_len, AZIOT_KEYS_KEY_USAGE usage)
{
	(void)id, (void)bytes, (void)bytes_len, (void)usage;
	return there();
}

/* size bytes of 'x', or a lie about them */
static AZIOT_KEYS_RC
fill(unsigned char *out, uintptr_t *out_len, uintptr_t size)
{
	AZIOT_KEYS_RC rc = there();

	if (rc)
		return rc;
	if (!out) {
		*out_len = lies("bound") ? (uintptr_t)1 << 30 : size;
		return AZIOT_KEYS_RC_OK;
	}
	memset(out, 'x', lies("overrun") ? *out_len + 1 : size);
	*out_len = lies("length") ? *out_len + 1 : lies("shorter") ? size - 1 : size;
	return AZIOT_KEYS_RC_OK;
}

static AZIOT_KEYS_RC
get_parameter(const char *id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE type, unsigned char *value,
    uintptr_t *value_len)
{
	(void)id;
	return fill(
	    value, value_len, type == AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM ? 4 : 33);
}

static AZIOT_KEYS_RC
derive_key(const char *base_id, const uint8_t *data, uintptr_t data_len, unsigned char *out,
    uintptr_t *out_len)
{
	(void)base_id, (void)data, (void)data_len;
	return fill(out, out_len, 32);
}

static AZIOT_KEYS_RC
sign(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const unsigned char *in, uintptr_t in_len, unsigned char *out, uintptr_t *out_len)
{
	(void)id, (void)mechanism, (void)parameters, (void)in, (void)in_len;
	return fill(out, out_len, 32);
}

static AZIOT_KEYS_RC
verify(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const unsigned char *digest, uintptr_t digest_len, const unsigned char *signature,
    uintptr_t signature_len, int *ok)
{
	(void)id, (void)mechanism, (void)parameters, (void)digest, (void)digest_len;
	(void)signature, (void)signature_len, (void)ok;
	return there();
}

static AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 list_2_1 = {
	.base = { AZIOT_KEYS_VERSION_2_1_0_0 },
	.set_parameter = set_parameter,
	.create_key_pair_if_not_exists = create_pair,
	.move_key_pair = create_pair,
	.load_key_pair = load_pair,
	.get_key_pair_parameter = get_parameter,
	.delete_key_pair = by_id,
	.create_key_if_not_exists = create_key,
	.load_key = by_id,
	.import_key = import_key,
	.delete_key = by_id,
	.derive_key = derive_key,
	.sign = sign,
	.verify = verify,
	.encrypt = sign,
	.decrypt = sign,
};

static const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 list_2_0 = {
	.base = { AZIOT_KEYS_VERSION_2_0_0_0 },
	.set_parameter = set_parameter,
	.create_key_pair_if_not_exists = create_pair,
	.load_key_pair = load_pair,
	.get_key_pair_parameter = get_parameter,
	.create_key_if_not_exists = create_key,
	.load_key = by_id,
	.import_key = import_key,
	.derive_key = derive_key,
	.sign = sign,
	.verify = verify,
	.encrypt = sign,
	.decrypt = sign,
};

__attribute__((visibility("default"))) AZIOT_KEYS_RC
aziot_keys_get_function_list(
    AZIOT_KEYS_VERSION version, const AZIOT_KEYS_FUNCTION_LIST **function_list)
{
	const char *how = getenv("LIAR");

	previous[0] = '\0';
	if (!how)
		how = "";
	if (strcmp(how, "nothing") == 0 ||
	    (strcmp(how, "old") == 0 && version == AZIOT_KEYS_VERSION_2_1_0_0))
		return 99;
	*function_list = strcmp(how, "old") == 0	 ? &list_2_0.base
			 : strcmp(how, "null list") == 0 ? NULL
							 : &list_2_1.base;
	list_2_1.base.version =
	    strcmp(how, "other version") == 0 ? 0x02020000 : AZIOT_KEYS_VERSION_2_1_0_0;
	list_2_1.verify = strcmp(how, "no verify") == 0 ? NULL : verify;
	list_2_1.delete_key = strcmp(how, "no delete") == 0 ? NULL : by_id;
	return AZIOT_KEYS_RC_OK;
}
