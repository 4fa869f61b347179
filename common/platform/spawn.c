#include "platform/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/daemon.h"
#include "platform/privs.h"

#define CHILDREN_MAX 32	  /* at once, ended ones that nobody was told of included */
#define ROLE_MAX     32	  /* bytes of a role's name, with its NUL */
#define ANSWER_MS    5000 /* the spawner answers at once, or is gone */
#define PATIENCE_MS  2000 /* from SIGTERM to SIGKILL when all shall end */

/* --- both ends: one fixed-size message each way ----------------------------------------------------------------------- */

enum op { OP_EXEC = 1, OP_KILL };

struct request {
	uint32_t op;
	uint32_t n_fds; /* OP_EXEC: descriptors that come along */
	int32_t pid, signal;
	char role[ROLE_MAX];
};

struct reply {
	int32_t result; /* OP_EXEC: the pid; -errno */
};

struct ended {
	int32_t pid, status;
};

struct spawner {
	pthread_mutex_t lock; /* one request at a time; the spawner answers each at once */
	int control, events;
};

/* --- the spawner's own process ---------------------------------------------------------------------------------------- */

enum { FD_CONTROL = 3, FD_EVENTS, FD_EXE, FD_FREE };

struct child {
	pid_t pid; /* 0: free place */
	bool has_ended;
	int status;
};

struct self {
	char **argv; /* of a child; argv[2] is the role's place */
	int children_fd;
	struct child children[CHILDREN_MAX];
};

static struct child *
find_child(struct self *self, pid_t pid)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (self->children[i].pid == pid)
			return &self->children[i];
	return NULL;
}

/* Put fds at first, first + 1, ... whatever numbers they have now, and close all above. */
static bool
arrange(int *fds, int n, int first)
{
	for (int i = 0; i < n; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD, first + n);
		if (fds[i] < 0)
			return false;
	}
	for (int i = 0; i < n; i++)
		if (dup3(fds[i], first + i, 0) < 0)
			return false;
	return syscall(SYS_close_range, first + n, ~0u, 0) == 0;
}

/* In the new process: become the role.  Returns only on failure. */
static void
exec_role(struct self *self, const struct request *req, const int *fds, pid_t parent)
{
	int all[SPAWN_FDS_MAX + 1];
	sigset_t none;

	/* a child outlives neither the spawner nor, by it, the daemon */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return;
	if (getppid() != parent)
		_exit(127);
	memcpy(all, fds, req->n_fds * sizeof(fds[0]));
	all[req->n_fds] = FD_EXE;
	if (!arrange(all, (int)req->n_fds + 1, 3))
		return;
	if (fcntl(3 + (int)req->n_fds, F_SETFD, FD_CLOEXEC))
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	self->argv[2] = (char *)(uintptr_t)req->role;
	fexecve(3 + (int)req->n_fds, self->argv, environ);
}

static int
do_exec(struct self *self, const struct request *req, const int *fds)
{
	struct child *place = find_child(self, 0);
	pid_t own = getpid(), pid;

	if (!place)
		return -EAGAIN;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		exec_role(self, req, fds, own);
		log_error("could not start role %s: %m", req->role);
		_exit(127);
	}
	*place = (struct child){ .pid = pid };
	return pid;
}

static int
do_kill(struct self *self, const struct request *req)
{
	struct child *child = req->pid > 0 ? find_child(self, req->pid) : NULL;

	/* until it is waited for its number is nobody else's */
	if (!child || child->has_ended)
		return -ESRCH;
	return kill(child->pid, req->signal) ? -errno : 0;
}

/* One message with its descriptors; false at the end of the daemon. */
static bool
receive(struct request *req, int fds[SPAWN_FDS_MAX], size_t *ret_fds, bool *ret_whole)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * SPAWN_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { req, sizeof(*req) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(FD_CONTROL, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*ret_fds = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*ret_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *ret_fds * sizeof(int));
	}
	*ret_whole = n == (ssize_t)sizeof(*req) && !(msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) &&
		     req->n_fds == *ret_fds && memchr(req->role, '\0', sizeof(req->role));
	return n > 0;
}

static bool
answer(struct self *self)
{
	struct reply reply = { -EINVAL };
	int fds[SPAWN_FDS_MAX];
	struct request req;
	size_t n_fds;
	bool whole;

	if (!receive(&req, fds, &n_fds, &whole))
		return false;
	if (whole && req.op == OP_EXEC)
		reply.result = do_exec(self, &req, fds);
	else if (whole && req.op == OP_KILL)
		reply.result = do_kill(self, &req);
	while (n_fds > 0)
		close(fds[--n_fds]);
	return send(FD_CONTROL, &reply, sizeof(reply), MSG_NOSIGNAL) == (ssize_t)sizeof(reply);
}

static void
reap(struct self *self)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(self->children_fd, &info, sizeof(info)) < 0)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = find_child(self, pid);

		if (child) {
			child->has_ended = true;
			child->status = status;
		}
	}
}

/* Tell of ended children as far as the daemon reads; returns whether some are left to tell of. */
static bool
report(struct self *self)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &self->children[i];
		struct ended ended = { child->pid, child->status };

		if (!child->has_ended)
			continue;
		if (send(FD_EVENTS, &ended, sizeof(ended), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return true;
		*child = (struct child){ 0 };
	}
	return false;
}

static bool
signal_all(const struct self *self, int signal)
{
	bool any = false;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		if (self->children[i].pid > 0 && !self->children[i].has_ended) {
			kill(self->children[i].pid, signal);
			any = true;
		}
	}
	return any;
}

static void
end_all(struct self *self)
{
	const uint64_t until = clock_mono_ms() + PATIENCE_MS;
	struct pollfd p = { .fd = self->children_fd, .events = POLLIN };

	signal_all(self, SIGTERM);
	while (signal_all(self, 0) && poll(&p, 1, clock_left_ms(until)) > 0)
		reap(self);
	signal_all(self, SIGKILL);
	while (signal_all(self, 0) && poll(&p, 1, PATIENCE_MS) > 0)
		reap(self);
}

static void
serve(struct self *self)
{
	bool untold = false;

	for (;;) {
		struct pollfd p[] = { { FD_CONTROL, POLLIN, 0 }, { self->children_fd, POLLIN, 0 },
			{ FD_EVENTS, untold ? POLLOUT : 0, 0 } };

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents)
			reap(self);
		untold = report(self);
		if (p[0].revents && !answer(self))
			return;
		if (p[2].revents & (POLLERR | POLLHUP))
			return;
	}
}

/*
 * SIGTERM and its like stay blocked: a supervisor that signals the whole group must not make the spawner end before the
 * daemon has stopped what it started.  A group of its own keeps the terminal's SIGINT away as well.
 */
static enum err_code
settle(struct self *self, const int *given, pid_t parent, const struct sandbox_role *role,
    enum sandbox_mode mode, struct err *err)
{
	int fds[] = { given[0], given[1], given[2] };
	struct sigaction action;
	sigset_t set;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		return err_errno(err, "the daemon is gone");
	setpgid(0, 0);
	prctl(PR_SET_NAME, "spawner");
	/* the daemon's listeners among them are not for us */
	if (!arrange(fds, ARRAY_LEN(fds), FD_CONTROL))
		return err_errno(err, "could not arrange the descriptors");
	/* handlers of the daemon's must not run in a child between fork and exec; what is ignored stays so (SIGPIPE) */
	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			signal(i, SIG_DFL);
	sigfillset(&set);
	sigdelset(&set, SIGSYS);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	self->children_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (self->children_fd < 0)
		return err_errno(err, "signalfd");
	if (privs_lock(daemon_instrumented(), err))
		return err->code;
	return sandbox_apply(role, NULL, mode, err);
}

/* --- the daemon's end ------------------------------------------------------------------------------------------------- */

/* The daemon's arguments with --role in front; without --user, for the children are that user already. */
static char **
child_argv(char *const argv[])
{
	static char role_option[] = "--role";
	char **out;
	size_t n = 0, kept = 3;

	while (argv[n])
		n++;
	out = calloc(n + 4, sizeof(out[0]));
	if (!out)
		return NULL;
	out[0] = argv[0];
	out[1] = role_option;
	for (size_t i = 1; i < n; i++) {
		if (strcmp(argv[i], "--user") == 0)
			i++;
		else if (strncmp(argv[i], "--user=", 7) != 0)
			out[kept++] = argv[i];
	}
	return out;
}

static enum err_code
check_powerless(struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };

	if (syscall(SYS_capget, &header, caps))
		return err_errno(err, "could not read the capabilities");
	if (caps[0].permitted | caps[1].permitted)
		return err_set(
		    err, ERR_INTERNAL, "the spawner is started after the change of user");
	return ERR_OK;
}

static void
run_spawner(char **argv, const int *fds, pid_t parent, const struct sandbox_role *role,
    enum sandbox_mode mode)
{
	struct self self = { .argv = argv };
	struct err err = { 0 };

	if (settle(&self, fds, parent, role, mode, &err)) {
		log_error("spawner: %s", err.text);
		_exit(1);
	}
	serve(&self);
	end_all(&self);
	_exit(0);
}

enum err_code
spawner_start(char *const argv[], const struct sandbox_role *role, enum sandbox_mode mode,
    struct spawner **ret, struct err *err)
{
	AUTO(fd_closep) int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	int control[2] = { -1, -1 }, events[2] = { -1, -1 };
	const pid_t parent = getpid();
	struct spawner *s;
	char **child = NULL;
	pid_t pid = -1;

	if (check_powerless(err))
		return err->code;
	s = calloc(1, sizeof(*s));
	child = child_argv(argv);
	if (!s || !child) {
		err_nomem(err);
	} else if (exe < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) ||
		   socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events)) {
		err_errno(err, "could not prepare a spawner");
	} else {
		pid = fork();
		if (pid == 0)
			run_spawner(
			    child, (int[]){ control[1], events[1], exe }, parent, role, mode);
		if (pid < 0)
			err_errno(err, "could not start a spawner");
	}
	free(child);
	fd_closep(&control[1]);
	fd_closep(&events[1]);
	if (pid < 0) {
		fd_closep(&control[0]);
		fd_closep(&events[0]);
		free(s);
		return err->code;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->control = control[0];
	s->events = events[0];
	*ret = s;
	return ERR_OK;
}

static enum err_code
transact(
    struct spawner *s, struct request *req, const int *fds, struct reply *reply, struct err *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * SPAWN_FDS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { req, sizeof(*req) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = s->control, .events = POLLIN };

	if (req->n_fds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(req->n_fds * sizeof(int));
		control.align.cmsg_len = CMSG_LEN(req->n_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.align), fds, req->n_fds * sizeof(int));
	}
	if (sendmsg(s->control, &msg, MSG_NOSIGNAL) < 0)
		return errno == EBADF ? err_errno(err, "a descriptor for the new process")
				      : err_set(err, ERR_UNREACHABLE, "the spawner is gone");
	if (poll(&p, 1, ANSWER_MS) <= 0) {
		/* a late answer would be taken for the next one's */
		shutdown(s->control, SHUT_RDWR);
		return err_set(err, ERR_TIMEOUT, "the spawner does not answer");
	}
	if (recv(s->control, reply, sizeof(*reply), 0) != (ssize_t)sizeof(*reply))
		return err_set(err, ERR_UNREACHABLE, "the spawner is gone");
	return ERR_OK;
}

static enum err_code
ask(struct spawner *s, struct request *req, const int *fds, struct reply *reply, struct err *err)
{
	enum err_code code;

	pthread_mutex_lock(&s->lock);
	code = transact(s, req, fds, reply, err);
	pthread_mutex_unlock(&s->lock);
	return code;
}

enum err_code
spawner_exec(struct spawner *s, const struct spawn_request *req, pid_t *ret_pid, struct err *err)
{
	struct request out = { .op = OP_EXEC, .n_fds = (uint32_t)req->n_fds };
	struct reply reply;

	if (req->n_fds > SPAWN_FDS_MAX || strlen(req->role) >= sizeof(out.role))
		return err_set(err, ERR_INTERNAL, "a spawn request is too large");
	memcpy(out.role, req->role, strlen(req->role));
	if (ask(s, &out, req->fds, &reply, err))
		return err->code;
	if (reply.result == -EAGAIN)
		return err_set(err, ERR_BUSY, "too many processes");
	if (reply.result <= 0) {
		errno = -reply.result;
		return err_errno(err, "could not start role %s", req->role);
	}
	*ret_pid = reply.result;
	return ERR_OK;
}

enum err_code
spawner_kill(struct spawner *s, pid_t pid, int signal, struct err *err)
{
	struct request out = { .op = OP_KILL, .pid = pid, .signal = signal };
	struct reply reply;

	if (ask(s, &out, NULL, &reply, err))
		return err->code;
	if (reply.result == -ESRCH)
		return err_set(err, ERR_NOT_FOUND, "process %d is none of ours", (int)pid);
	if (reply.result < 0) {
		errno = -reply.result;
		return err_errno(err, "could not signal process %d", (int)pid);
	}
	return ERR_OK;
}

enum err_code
spawner_ended(struct spawner *s, int timeout_ms, pid_t *ret_pid, int *ret_status, struct err *err)
{
	struct pollfd p = { .fd = s->events, .events = POLLIN };
	struct ended ended;
	ssize_t n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return err_set(err, ERR_TIMEOUT, "no process has ended");
	n = recv(s->events, &ended, sizeof(ended), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return err_set(err, ERR_TIMEOUT, "another thread was told");
	if (n != (ssize_t)sizeof(ended))
		return err_set(err, ERR_UNREACHABLE, "the spawner is gone");
	*ret_pid = ended.pid;
	*ret_status = ended.status;
	return ERR_OK;
}

void
spawner_stop(struct spawner *s)
{
	char rest[sizeof(struct ended)];

	if (!s)
		return;
	/* it sees the end of the pair, ends its children, then itself; waiting needs no wait4(), which the policy forbids */
	shutdown(s->control, SHUT_RDWR);
	while (recv(s->events, rest, sizeof(rest), 0) > 0)
		continue;
	close(s->control);
	close(s->events);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
