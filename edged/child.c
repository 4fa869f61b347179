#include "edged/child.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "edged/listeners.h"
#include "platform/pool.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 10000
#define STEADY_MS    60000 /* one that lived so long is no part of a row of failures */
#define END_WAIT_MS  2000

struct child {
	struct child_config config;
	struct pool *pool;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
	struct proto_server *server; /* of the process at hand */
};

enum err_code
child_new(const struct child_config *config, struct child **ret, struct err *err)
{
	struct child *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	c->config = *config;
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->wake);
	*ret = c;
	return ERR_OK;
}

void
child_free(struct child *c)
{
	if (!c)
		return;
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static bool
stopping(struct child *c)
{
	bool yes;

	pthread_mutex_lock(&c->lock);
	yes = c->stopping;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

/* The process's server, for child_stop; refused when that has been called already. */
static bool
announce(struct child *c, struct proto_server *s)
{
	bool go;

	pthread_mutex_lock(&c->lock);
	go = !c->stopping || !s;
	c->server = s;
	pthread_mutex_unlock(&c->lock);
	return go;
}

/* Wait for the end of pid, which was asked to go; it is killed when it does not.  Its status, 0 when that is not known. */
static int
reap(struct child *c, pid_t pid)
{
	uint64_t deadline = clock_mono_ms() + END_WAIT_MS;
	struct err err = { 0 };
	bool killed = false;
	int status = 0;
	pid_t ended;

	(void)!spawner_kill(c->config.spawner, pid, SIGTERM, &err);
	for (;;) {
		int left = clock_left_ms(deadline);
		enum err_code code = spawner_ended(c->config.spawner, left, &ended, &status, &err);

		if (code == ERR_OK && ended == pid)
			return status;
		if ((code && code != ERR_TIMEOUT) || (left == 0 && killed))
			return 0;
		if (left == 0) {
			(void)!spawner_kill(c->config.spawner, pid, SIGKILL, &err);
			killed = true;
			deadline = clock_mono_ms() + END_WAIT_MS;
		}
	}
}

bool
child_serves(struct child *c)
{
	bool yes;

	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	yes = c->server != NULL;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

static enum err_code
spawn(struct child *c, int *ret_fd, pid_t *ret_pid, struct err *err)
{
	int pair[2];
	struct spawn_request req = { .role = "workload", .fds = &pair[1], .n_fds = 1 };
	enum err_code code;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_errno(err, "socketpair");
	code = spawner_exec(c->config.spawner, &req, ret_pid, err);
	fd_closep(&pair[1]);
	if (code) {
		fd_closep(&pair[0]);
		return code;
	}
	*ret_fd = pair[0];
	return ERR_OK;
}

/* What its end says beyond "gone". */
static void
note_end(struct child *c, int status)
{
	if (stopping(c))
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM)
		log_warn("the workload process was ended by signal %d", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		log_warn("the workload process ended with status %d", WEXITSTATUS(status));
}

/* One process, from exec to end.  ret_lost: it cannot be started, for the spawner is gone. */
static enum err_code
life(struct child *c, bool *ret_lost, struct err *err)
{
	AUTO(fd_closep) int fd = -1;
	struct proto_server *server = NULL;
	enum err_code code;
	pid_t pid;

	if (spawn(c, &fd, &pid, err)) {
		*ret_lost = err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT;
		return err->code;
	}
	code =
	    proto_server_new(fd_take(&fd), c->config.answers, c->config.ctx, c->pool, &server, err);
	if (!code && announce(c, server)) {
		listeners_serve_by(c->config.listeners, server);
		code = proto_server_run(server, err);
		listeners_serve_by(c->config.listeners, NULL);
	}
	(void)announce(c, NULL);
	proto_server_free(server);
	note_end(c, reap(c, pid));
	return code;
}

static void
pause_for(struct child *c, unsigned ms)
{
	uint64_t until = clock_mono_ms() + ms;

	pthread_mutex_lock(&c->lock);
	while (!c->stopping && clock_cond_wait(&c->wake, &c->lock, until))
		;
	pthread_mutex_unlock(&c->lock);
}

static void *
run(void *arg)
{
	struct child *c = arg;
	unsigned pause_ms = PAUSE_MIN_MS;

	pool_set_may_block(true);
	while (!stopping(c)) {
		uint64_t begin = clock_mono_ms();
		struct err err = { 0 };
		bool lost = false;
		enum err_code code = life(c, &lost, &err);

		if (stopping(c))
			break;
		if (lost) {
			log_error("no workload process can be started: %s", err.text);
			c->config.lost(c->config.ctx);
			break;
		}
		if (clock_mono_ms() - begin > STEADY_MS)
			pause_ms = PAUSE_MIN_MS;
		log_warn("the workload process ended%s%s; another one follows in %u ms",
		    code ? ": " : "", code ? err.text : "", pause_ms);
		pause_for(c, pause_ms);
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
	}
	return NULL;
}

enum err_code
child_start(struct child *c, struct pool *pool, struct err *err)
{
	c->pool = pool;
	if (pthread_create(&c->thread, NULL, run, c))
		return err_set(err, ERR_INTERNAL, "cannot start a thread");
	c->started = true;
	return ERR_OK;
}

void
child_stop(struct child *c)
{
	if (!c || !c->started)
		return;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	if (c->server)
		proto_server_shut(c->server);
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
	(void)pthread_join(c->thread, NULL);
	c->started = false;
}
