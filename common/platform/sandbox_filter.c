#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "platform/sandbox_impl.h"

#define CALLS_MAX   80	/* names in one role */
#define FOREIGN_MAX 90	/* in one that cannot know what it will need */
#define UNION_MAX   110 /* in a spawner's, which holds those of all that it starts */
#define NUMBERS	    512 /* system call numbers that the handler has names for */

#define EXIT_REFUSED 159 /* 128 + SIGSYS, as a shell shows it */

/* --- what the handler says -------------------------------------------------------------------------------------------- */

/* Filled before the handler is installed, read only afterwards: a handler may not ask libseccomp, which allocates. */
static struct {
	enum sandbox_mode mode;
	char *names;	      /* "read\0write\0..." */
	uint16_t at[NUMBERS]; /* where a number's name begins, plus 1; 0: it has none */
} refusal;

static size_t
append(char *out, size_t used, size_t size, const char *text)
{
	while (*text && used < size)
		out[used++] = *text++;
	return used;
}

static size_t
append_number(char *out, size_t used, size_t size, unsigned number)
{
	char digits[12];
	size_t n = sizeof(digits);

	digits[--n] = '\0';
	do
		digits[--n] = (char)('0' + number % 10);
	while (number /= 10);
	return append(out, used, size, digits + n);
}

static void
say_refused(unsigned number)
{
	char line[96];
	size_t used = append(line, 0, sizeof(line), "<3>sandbox: ");

	if (number < NUMBERS && refusal.at[number])
		used = append(line, used, sizeof(line), refusal.names + refusal.at[number] - 1);
	else
		used = append_number(
		    line, append(line, used, sizeof(line), "call "), sizeof(line), number);
	used = append(line, used, sizeof(line), " refused\n");
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to say so */
}

/* Make the refused call return -EPERM.  False where we do not know this machine's registers. */
static bool
return_eperm(ucontext_t *context)
{
#if defined(__x86_64__)
	context->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	context->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#elif defined(__arm__)
	context->uc_mcontext.arm_r0 = (unsigned long)-EPERM;
#else
	(void)context;
	return false;
#endif
	return true;
}

static void
on_sigsys(int signal, siginfo_t *info, void *context)
{
	const int saved = errno;

	(void)signal;
	say_refused((unsigned)info->si_syscall);
	if (refusal.mode != SANDBOX_ERRNO || !return_eperm(context))
		_exit(EXIT_REFUSED);
	errno = saved;
}

static enum err_code
collect_names(struct err *err)
{
	AUTO(buf_done) struct buf names = { 0 };
	struct bytes all = { 0 };

	for (int number = 0; number < NUMBERS; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

		if (name) {
			refusal.at[number] = (uint16_t)(names.len + 1);
			buf_add(&names, name, strlen(name) + 1);
		}
		free(name);
	}
	if (buf_take(&names, &all, err))
		return err->code;
	refusal.names = (char *)all.data;
	return ERR_OK;
}

enum err_code
sandbox_tell_refusals(enum sandbox_mode mode, struct err *err)
{
	/* SA_NODEFER: a call that the handler itself may not make must not hang in it */
	struct sigaction action = { .sa_sigaction = on_sigsys,
		.sa_flags = SA_SIGINFO | SA_NODEFER };
	sigset_t set;

	if (mode != SANDBOX_ERRNO && mode != SANDBOX_KILL)
		return ERR_OK;
	if (!refusal.names && collect_names(err))
		return err->code;
	refusal.mode = mode;
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &action, NULL) || sigprocmask(SIG_UNBLOCK, &set, NULL))
		return err_errno(err, "could not handle SIGSYS");
	return ERR_OK;
}

/* --- rules ------------------------------------------------------------------------------------------------------------ */

#define NAMESPACES                                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	    CLONE_NEWPID | CLONE_NEWNET)

/* linux/pidfd.h PIDFD_GET_INFO without the bits that hold the size of the answer, which differs by kernel */
#define PIDFD_INFO 0xff0b

/*
 * A call that is allowed with these arguments only.  "name" is how a group lists it; "name:word" is a wider or another
 * form, which a group must ask for.
 */
struct guard {
	const char *name;
	struct scmp_arg_cmp want;
};

static const struct guard guards[] = {
	/* threads, but no processes and no namespaces */
	{ "clone", { 0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | NAMESPACES, CLONE_THREAD } },
	{ "clone:fork", { 0, SCMP_CMP_MASKED_EQ, NAMESPACES, 0 } },
	/* no new code */
	{ "mmap", { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
	{ "mprotect", { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
	/* libcurl, the resolver */
	{ "ioctl", { 1, SCMP_CMP_EQ, FIONREAD, 0 } },
	{ "ioctl:pidfd", { 1, SCMP_CMP_MASKED_EQ, 0xffff, PIDFD_INFO } },
	/* a thread's name */
	{ "prctl", { 0, SCMP_CMP_EQ, PR_SET_NAME, 0 } },
	{ "prlimit64", { 2, SCMP_CMP_EQ, 0, 0 } },
	{ "socketpair", { 0, SCMP_CMP_EQ, AF_UNIX, 0 } },
};

static const struct guard *
guard_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(guards); i++)
		if (strcmp(guards[i].name, name) == 0)
			return &guards[i];
	return NULL;
}

static enum err_code
allow(scmp_filter_ctx ctx, const char *name, const struct scmp_arg_cmp *want, struct err *err)
{
	char plain[64];
	int number, code;

	if (strcspn(name, ":") >= sizeof(plain))
		return err_set(err, ERR_INTERNAL, "%s is no system call", name);
	memcpy(plain, name, strcspn(name, ":"));
	plain[strcspn(name, ":")] = '\0';
	number = seccomp_syscall_resolve_name(plain);
	if (number == __NR_SCMP_ERROR)
		return err_set(err, ERR_INTERNAL, "%s is no system call", name);
	/* a call of another architecture: nothing to allow here */
	if (number < 0)
		return ERR_OK;
	code = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, want ? 1 : 0, want);
	/* -EEXIST: two groups name it */
	if (code < 0 && code != -EEXIST)
		return err_set(err, ERR_INTERNAL, "rule for %s: %s", name, strerror(-code));
	return ERR_OK;
}

static enum err_code
allow_socket(scmp_filter_ctx ctx, const struct sandbox_role *role, struct err *err)
{
	for (const int *f = role->families; f && *f != AF_UNSPEC; f++) {
		struct scmp_arg_cmp want = { 0, SCMP_CMP_EQ, (scmp_datum_t)*f, 0 };

		if (allow(ctx, "socket", &want, err))
			return err->code;
	}
	return ERR_OK;
}

static bool
has_tcp(const struct sandbox_role *role)
{
	for (const int *f = role->families; f && *f != AF_UNSPEC; f++)
		if (*f == AF_INET || *f == AF_INET6)
			return true;
	return false;
}

/*
 * libmicrohttpd tries TCP options on Unix sockets, twice a request, since it does not know EOPNOTSUPP for an answer.
 * ENOPROTOOPT it does: it leaves off for good.
 */
static enum err_code
allow_setsockopt(scmp_filter_ctx ctx, struct err *err)
{
	const struct scmp_arg_cmp tcp = { 1, SCMP_CMP_EQ, IPPROTO_TCP, 0 };
	const struct scmp_arg_cmp other = { 1, SCMP_CMP_NE, IPPROTO_TCP, 0 };
	int code = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOPROTOOPT), SCMP_SYS(setsockopt), 1, tcp);

	if (code < 0 && code != -EEXIST)
		return err_set(err, ERR_INTERNAL, "rule for setsockopt: %s", strerror(-code));
	return allow(ctx, "setsockopt", &other, err);
}

/* Not what has the kernel send a signal, to whomever (F_SETOWN, F_SETSIG): copies, flags, locks, seals. */
static enum err_code
allow_fcntl(scmp_filter_ctx ctx, struct err *err)
{
	static const struct scmp_arg_cmp want[] = {
		{ 1, SCMP_CMP_MASKED_EQ, 0xfffffff8, 0 }, /* F_DUPFD to F_SETLKW */
		{ 1, SCMP_CMP_MASKED_EQ, 0xfffffffc, F_OFD_GETLK },
		{ 1, SCMP_CMP_MASKED_EQ, 0xfffffffe, F_DUPFD_CLOEXEC }, /* and F_SETPIPE_SZ */
		{ 1, SCMP_CMP_MASKED_EQ, 0xfffffffc, F_GETPIPE_SZ },	/* to F_GET_SEALS */
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		if (allow(ctx, "fcntl", &want[i], err))
			return err->code;
	return ERR_OK;
}

/*
 * What devices are asked, and serial lines; but nothing else that terminals or sockets know, among which is to type for who sits
 * there and to have a signal sent.  The type of a command stands in bits 8 to 15: 'T' for terminals, 0x89 for sockets.  These two
 * differ in the highest bit, so that any other type differs in one of the rest from that of the two which has its highest.
 */
static enum err_code
allow_device_ioctl(scmp_filter_ctx ctx, struct err *err)
{
	static const scmp_datum_t no[] = { 'T' << 8, 0x89 << 8 };
	static const unsigned lines[] = { FIONREAD, FIONBIO, FIOCLEX, TCGETS, TCSETS, TCSETSW,
		TCSETSF, TCGETS2, TCSETS2, TCSETSW2, TCSETSF2, TCSBRK, TCFLSH, TIOCMGET, TIOCMSET,
		TIOCMBIS, TIOCMBIC };

	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		for (scmp_datum_t bit = 0x100; bit < 0x8000; bit <<= 1) {
			struct scmp_arg_cmp want = { 1, SCMP_CMP_MASKED_EQ, 0x8000 | bit,
				(no[i] & 0x8000) | (~no[i] & bit) };

			if (allow(ctx, "ioctl", &want, err))
				return err->code;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct scmp_arg_cmp want = { 1, SCMP_CMP_EQ, lines[i], 0 };

		if (allow(ctx, "ioctl", &want, err))
			return err->code;
	}
	return ERR_OK;
}

static enum err_code
allow_name(scmp_filter_ctx ctx, const struct sandbox_role *role, const char *name, struct err *err)
{
	const struct guard *guard = guard_of(name);

	if (strcmp(name, "socket") == 0)
		return allow_socket(ctx, role, err);
	if (strcmp(name, "setsockopt") == 0 && !has_tcp(role))
		return allow_setsockopt(ctx, err);
	if (strcmp(name, "fcntl") == 0)
		return allow_fcntl(ctx, err);
	if (strcmp(name, "ioctl:device") == 0)
		return allow_device_ioctl(ctx, err);
	if (strcmp(name, "tgkill") == 0) {
		/* a signal to our own threads: abort(), and the end asked for by one of them */
		struct scmp_arg_cmp own = { 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0 };

		return allow(ctx, name, &own, err);
	}
	return allow(ctx, name, guard ? &guard->want : NULL, err);
}

/* "clone" and "clone:fork" are one call in two forms. */
static bool
same_call(const char *a, const char *b)
{
	const size_t len = strcspn(a, ":");

	return len == strcspn(b, ":") && strncmp(a, b, len) == 0;
}

static bool
listed_before(const struct sandbox_role *role, size_t group, size_t index)
{
	const char *name = role->calls[group]->names[index];

	for (size_t g = 0; g <= group; g++)
		for (size_t i = 0; role->calls[g]->names[i] && (g < group || i < index); i++)
			if (same_call(role->calls[g]->names[i], name))
				return true;
	return false;
}

static size_t
calls_max(const struct sandbox_role *role)
{
	for (size_t g = 0; role->calls[g]; g++)
		if (role->calls[g] == &sandbox_spawn)
			return UNION_MAX;
	return role->foreign ? FOREIGN_MAX : CALLS_MAX;
}

static enum err_code
add_rules(scmp_filter_ctx ctx, const struct sandbox_role *role, struct err *err)
{
	/* what the handler needs */
	static const char *const always[] = { "write", "exit_group", "rt_sigreturn" };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (allow_name(ctx, role, always[i], err))
			return err->code;
	for (size_t g = 0; role->calls[g]; g++) {
		for (size_t i = 0; role->calls[g]->names[i]; i++) {
			if (!listed_before(role, g, i) && ++n > calls_max(role))
				return err_set(err, ERR_INTERNAL, "more than %zu system calls",
				    calls_max(role));
			if (allow_name(ctx, role, role->calls[g]->names[i], err))
				return err->code;
		}
	}
	/* its flags lie in memory, which a filter cannot read; with ENOSYS glibc falls back to clone() */
	if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
		return err_set(err, ERR_INTERNAL, "rule for clone3");
	return ERR_OK;
}

static void
release_filter(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

enum err_code
filter_apply(const struct sandbox_role *role, enum sandbox_mode mode, struct err *err)
{
	const bool log = mode == SANDBOX_LOG;
	AUTO(release_filter)
	scmp_filter_ctx ctx = seccomp_init(log ? SCMP_ACT_LOG : SCMP_ACT_TRAP);
	int code;

	if (!ctx)
		return err_nomem(err);
	/* calls of a second architecture (32 bits) would go round the rules */
	if (!log)
		seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* a binary tree: the newest calls cost no more than the oldest */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (add_rules(ctx, role, err) || sandbox_tell_refusals(mode, err))
		return err->code;
	code = seccomp_load(ctx);
	if (code < 0)
		return err_set(err, ERR_IO, "seccomp: %s", strerror(-code));
	return ERR_OK;
}
