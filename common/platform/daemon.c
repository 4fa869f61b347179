#include "platform/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/daemon_args.h"
#include "platform/listen.h"
#include "platform/notify.h"
#include "platform/peer.h"
#include "platform/pool.h"

#define GRACE_MS   5000 /* decisions.md, Stop */
#define SETTLE_S   10	/* provisioning and the like is mostly over by then */
#define ARENAS_MAX 4	/* of malloc: bounds memory, and spares it a look at the processors later */

/* The one mutable global of a process, and only because leak checkers look at globals. */
static struct daemon the_daemon;

int
daemon_instrumented(void)
{
#ifdef EDGEKEEP_INSTRUMENTED
	return 1;
#else
	const char *said = getenv("EDGEKEEP_INSTRUMENTED");
	const char *preload = getenv("LD_PRELOAD"); /* valgrind puts its own there */

	return (said && strcmp(said, "1") == 0) || (preload && strstr(preload, "vgpreload_"));
#endif
}

static const char *
first_of(const char *said, const char *variable, const char *fallback)
{
	const char *value = said ? said : getenv(variable);

	return value && *value ? value : fallback;
}

static const struct daemon_role *
find_role(const struct daemon_spec *spec, const char *name)
{
	for (const struct daemon_role *role = spec->roles; role->sandbox; role++)
		if (name ? role->name && strcmp(role->name, name) == 0 : !role->name)
			return role->serve ? role : NULL;
	return NULL;
}

/* --- steps ------------------------------------------------------------------------------------------------------------ */

static enum err_code
find_user(struct daemon *d, const char *said, struct err *err)
{
	int n;

	/* a role is started by the spawner, which is the right user already and could not change it */
	d->switch_user = geteuid() == 0 && (!d->role->name || d->role->once);
	if (d->switch_user)
		return privs_lookup(said ? said : d->spec->user, &d->user, err);
	d->user.uid = geteuid();
	d->user.gid = getegid();
	n = getgroups(PRIVS_GROUPS_MAX, d->user.groups);
	d->user.n_groups = n < 0 ? 0 : (size_t)n;
	if (said) {
		struct privs_user other;

		if (privs_lookup(said, &other, err))
			return err->code;
		if (other.uid != d->user.uid)
			return err_set(err, ERR_DENIED, "only root can start it as user %s", said);
	}
	return ERR_OK;
}

/* What the process is like from its first instruction, whatever started it. */
static void
settle(const struct daemon_spec *spec)
{
	static const struct rlimit no_core = { 0, 0 };
	int null;

	/* a closed descriptor 0, 1 or 2 would be the next file that is opened */
	do
		null = open("/dev/null", O_RDWR);
	while (null >= 0 && null <= STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	umask(077);
	setrlimit(RLIMIT_CORE, &no_core);
	mallopt(M_ARENA_MAX, ARENAS_MAX);
	if (spec->keeps_keys)
		memory_wipe_freed();
	log_init(getenv("AZIOT_LOG"), spec->name);
}

/* Signals for the main thread to wait for; blocked before any thread exists, so that all inherit that. */
static void
block_signals(sigset_t *ret)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGHUP);
	sigaddset(ret, SIGUSR1); /* daemon_end */
	sigprocmask(SIG_BLOCK, ret, NULL);
}

/* What opens files at its first use. */
static void
warm_up(void)
{
	unsigned char random;

	tzset();
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS |
				OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL);
	RAND_bytes(&random, sizeof(random));
	sandbox_landlock_abi();
	peer_has_pidfd();
}

/* Where a sanitizer needs memory beyond any limit there is nothing to lock. */
static void
lock_memory(struct daemon *d)
{
	if (!d->spec->keeps_keys || daemon_instrumented())
		return;
	d->memory = memory_lock();
	if (d->memory != MEMORY_ALL_LOCKED && !d->role->name)
		log_warn(
		    "memory: %s; LimitMEMLOCK=infinity in the unit keeps all of it out of swap",
		    memory_lock_name(d->memory));
}

static enum err_code
confine(struct daemon *d, const struct daemon_role *role, struct err *err)
{
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };

	if (role->paths && role->paths(d, &paths, err))
		return err->code;
	if (privs_lock(daemon_instrumented(), err))
		return err->code;
	return sandbox_apply(role->sandbox, role->paths ? &paths : NULL, d->sandbox, err);
}

static enum err_code
start(struct daemon *d, struct err *err)
{
	const struct daemon_role *role = d->role;

	if (listen_init(err))
		return err->code;
	notify_open();
	if (d->switch_user)
		listen_set_owner(d->user.uid, d->user.gid);
	if (role->open && role->open(d, err))
		return err->code;
	lock_memory(d);
	if (d->switch_user && privs_become(&d->user, err))
		return err->code;
	/* first, so that a spawner that it forks is as small as it can be */
	if (role->prepare && role->prepare(d, err))
		return err->code;
	warm_up();
	if (confine(d, role, err))
		return err->code;
	return role->serve(d, err);
}

static void
reload(struct daemon *d)
{
	struct err err = { 0 };

	if (!d->role->reload) {
		log_info("SIGHUP: there is nothing to read again");
		return;
	}
	notify_reloading();
	if (d->role->reload(d, &err)) {
		err_wrap(
		    &err, "could not read the configuration again; the old one stays in force");
		log_error("%s", err.text);
	} else {
		log_info("configuration read again");
	}
	notify_ready();
}

/* The next signal, or -1.  Once, when the work of starting is over, memory that it took goes back. */
static int
next_signal(const struct daemon *d, const sigset_t *signals, bool *settled)
{
	static const struct timespec settling = { SETTLE_S, 0 };
	int signal = *settled ? sigwaitinfo(signals, NULL) : sigtimedwait(signals, NULL, &settling);

	if (signal < 0 && errno == EAGAIN) {
		/* the kernel takes no locked page back, and what is trimmed off the heap comes back unlocked */
		if (d->memory == MEMORY_NOT_LOCKED)
			malloc_trim(0);
		*settled = true;
	}
	return signal;
}

static void
wait_for_end(struct daemon *d, const sigset_t *signals)
{
	bool settled = false;

	for (;;) {
		switch (next_signal(d, signals, &settled)) {
		case SIGHUP:
			reload(d);
			break;
		case SIGUSR1:
			if (__atomic_load_n(&d->ending, __ATOMIC_ACQUIRE))
				return;
			break;
		case SIGTERM:
		case SIGINT:
			__atomic_store_n(&d->ending, 1, __ATOMIC_RELEASE);
			return;
		}
	}
}

void
daemon_end(struct daemon *d, int exit_status)
{
	if (__atomic_exchange_n(&d->ending, 1, __ATOMIC_ACQ_REL))
		return; /* the first one decides, and a second signal would cut the stop short */
	__atomic_store_n(&d->exit_status, exit_status, __ATOMIC_RELEASE);
	syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
}

static void
serve_until_told(struct daemon *d, const sigset_t *signals)
{
	sigset_t impatient;

	log_info("ready; sandbox %s, Landlock ABI %d, peers by pidfd: %s",
	    sandbox_mode_name(d->sandbox), sandbox_landlock_abi(), peer_has_pidfd() ? "yes" : "no");
	notify_status("ready");
	notify_ready();
	wait_for_end(d, signals);
	notify_stopping();
	log_info("stopping");
	/* a second SIGTERM or SIGINT does what it does to any process */
	sigemptyset(&impatient);
	sigaddset(&impatient, SIGTERM);
	sigaddset(&impatient, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &impatient, NULL);
	if (d->role->stop)
		d->role->stop(d, GRACE_MS);
}

static int
serve(struct daemon *d, const sigset_t *signals)
{
	struct err err = { 0 };

	if (start(d, &err)) {
		log_error("%s", err.text);
		return 1;
	}
	if (!d->role->once)
		serve_until_told(d, signals);
	if (d->role->done)
		d->role->done(d);
	return __atomic_load_n(&d->exit_status, __ATOMIC_ACQUIRE);
}

/* --- the other two things it can do ----------------------------------------------------------------------------------- */

struct probed {
	struct daemon *daemon;
	const struct daemon_role *role;
};

static enum err_code
apply_probed(void *ctx, struct err *err)
{
	const struct probed *probed = ctx;
	struct daemon *d = probed->daemon;

	if (d->switch_user && privs_become(&d->user, err))
		return err->code;
	return confine(d, probed->role, err);
}

static int
probe(struct daemon *d)
{
	const struct daemon_role *own = d->spec->roles;
	int bad = 0;

	for (const struct daemon_role *role = own; role->sandbox; role++) {
		struct sandbox_probe_target target = { d->spec->other_dir, d->engine_socket,
			role == own ? d->state_dir : NULL };

		bad |= sandbox_probe(
		    role->sandbox, &target, apply_probed, &(struct probed){ d, role });
	}
	return bad;
}

static int
load(struct daemon *d, const struct daemon_args *args)
{
	struct err err = { 0 };

	if (d->spec->load(d, &err) == ERR_OK) {
		if (args->check)
			printf("%s: the configuration is good\n", d->spec->name);
		return 0;
	}
	if (args->check) {
		fprintf(stderr, "%s: %s\n", d->spec->name, err.text);
		return 1;
	}
	log_error("%s", err.text);
	return d->spec->config_exit;
}

int
daemon_main(const struct daemon_spec *spec, int argc, char **argv)
{
	struct daemon *d = &the_daemon;
	struct daemon_args args = { .sandbox = -1 };
	struct err err = { 0 };
	sigset_t signals;
	int status;

	settle(spec);
	status = daemon_args_parse(spec, argc, argv, &args);
	if (status || args.done)
		return status;
	*d = (struct daemon){ .spec = spec,
		.argv = argv,
		.role = find_role(spec, args.role),
		.started = clock_unix() };
	if (!d->role) {
		fprintf(stderr, "%s: no role %s\n", spec->name, args.role);
		return DAEMON_EXIT_USAGE;
	}
	d->config_file = first_of(args.config_file, spec->config_file_env, spec->config_file);
	d->config_dir = first_of(args.config_dir, spec->config_dir_env, spec->config_dir);
	d->sandbox = args.sandbox >= 0	     ? (enum sandbox_mode)args.sandbox
		     : daemon_instrumented() ? SANDBOX_OFF
					     : SANDBOX_KILL;
	pool_set_may_block(true);
	if (args.check)
		return load(d, &args);
	if (!d->role->once)
		log_info("%s %s", spec->name, daemon_version);
	/* a role comes to life under the spawner's filter */
	if ((d->role->name && !d->role->once && sandbox_tell_refusals(d->sandbox, &err)) ||
	    find_user(d, args.user, &err)) {
		log_error("%s", err.text);
		return 1;
	}
	block_signals(&signals);
	status = load(d, &args);
	if (status)
		return status;
	return args.probe ? probe(d) : serve(d, &signals);
}
