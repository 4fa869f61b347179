#include "keyd/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "keyd/worker.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 30000
#define STEADY_MS    60000 /* one that served so long is no part of a row of failures */
#define RETIRE_MS    1000  /* one that grew too large within this time is a failure like others */
#define START_MS     10000 /* of a start: a library and its token; one call's deadline where longer */
#define END_WAIT_MS  2000 /* a worker that was asked to go, and then once more when it was killed */
#define QUEUE_MAX    64
#define STOP_MS	     500

_Static_assert(
    WORKER_CHANNELS_MAX + 2 <= SPAWN_FDS_MAX, "with them go the control socket and the notes");

enum state {
	STARTING, /* calls wait */
	SERVING,
	RETIRING, /* it asked to be followed by another: calls in work end, others wait */
	PAUSED,	  /* nothing to call */
	STOPPED,
};

static const char *const state_names[] = { "starting", "serving", "restarting", "restarting",
	"stopped" };

struct channel {
	struct worker_channel end;
	bool busy;
};

struct remote {
	struct remotes *all;
	struct remote_config config;
	struct pool *lane;
	int notes; /* for its processes, one after the other; nobody reads them here */
	pthread_t keeper;
	bool has_keeper;
	pthread_mutex_t lock; /* guards what follows; never held across I/O */
	pthread_cond_t changed;
	enum state state;
	int control;  /* of the process at hand, so that others can make the keeper look; -1 */
	bool failed;  /* that process is to be killed: a call to it was broken off */
	bool retired; /* it ended in good order, because it had asked for that */
	unsigned n_busy;
	struct channel channels[WORKER_CHANNELS_MAX];
	unsigned restarts;
	struct err trouble;
	/* under all->reaping */
	pid_t pid; /* awaited; 0: none */
	bool ended;
	int status;
};

struct remotes {
	struct remotes_config config;
	pthread_mutex_t reaping;
	pthread_cond_t reported;
	bool reading; /* one keeper reads the spawner's reports, for all */
	size_t n;
	struct remote *at[];
};

/* --- make and free */

#define REMOTES_MAX 16 /* STORES_MAX */

enum err_code
remotes_new(const struct remotes_config *config, struct remotes **ret, struct err *err)
{
	struct remotes *all = calloc(1, sizeof(*all) + REMOTES_MAX * sizeof(struct remote *));

	if (!all)
		return err_nomem(err);
	all->config = *config;
	pthread_mutex_init(&all->reaping, NULL);
	clock_cond_init(&all->reported);
	*ret = all;
	return ERR_OK;
}

/* Its size is fixed, whatever a worker becomes. */
static enum err_code
make_notes(int *ret, struct err *err)
{
	AUTO(fd_closep) int fd = memfd_create("edgekeep-notes", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, BACKEND_NOTES_LEN) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return err_errno(err, "no memory for the notes of key workers");
	*ret = fd;
	fd = -1;
	return ERR_OK;
}

enum err_code
remotes_add(
    struct remotes *all, const struct remote_config *config, struct remote **ret, struct err *err)
{
	struct remote *r;

	if (all->n == REMOTES_MAX || config->channels < 1 || config->channels > WORKER_CHANNELS_MAX)
		return err_set(err, ERR_INTERNAL, "too many key workers, or channels of one");
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_nomem(err);
	if (make_notes(&r->notes, err)) {
		free(r);
		return err->code;
	}
	r->all = all;
	r->config = *config;
	r->control = -1;
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->changed);
	all->at[all->n++] = r;
	*ret = r;
	return ERR_OK;
}

static void
remote_free(struct remote *r)
{
	pool_free(r->lane);
	fd_closep(&r->notes);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void
remotes_free(struct remotes *all)
{
	if (!all)
		return;
	while (all->n > 0)
		remote_free(all->at[--all->n]);
	pthread_cond_destroy(&all->reported);
	pthread_mutex_destroy(&all->reaping);
	free(all);
}

/* --- calls */

/* Why there is nobody to ask.  Under the lock. */
static enum err_code
restarting(const struct remote *r, struct err *err)
{
	*err = r->trouble;
	return err_wrap_code(
	    err, ERR_UNREACHABLE, "the key backend %s is restarting; try again", r->config.name);
}

static struct channel *
free_channel(struct remote *r)
{
	for (unsigned i = 0; i < r->config.channels; i++)
		if (!r->channels[i].busy)
			return &r->channels[i];
	return NULL;
}

/* A channel for one call: the lane has a thread for each, so there is one unless callers from elsewhere are here, too. */
static enum err_code
take_channel(struct remote *r, uint64_t deadline_ms, struct channel **ret, struct err *err)
{
	struct channel *c = NULL;

	pthread_mutex_lock(&r->lock);
	while (r->state != PAUSED && r->state != STOPPED &&
	       !(r->state == SERVING && (c = free_channel(r))))
		if (!clock_cond_wait(&r->changed, &r->lock, deadline_ms))
			break;
	if (c) {
		c->busy = true;
		r->n_busy++;
		*ret = c;
	} else if (r->state == SERVING) {
		err_set(err, ERR_BUSY, "the key backend %s is busy; try again", r->config.name);
	} else {
		restarting(r, err);
	}
	pthread_mutex_unlock(&r->lock);
	return c ? ERR_OK : err->code;
}

/* Make the keeper see to it.  Under the lock. */
static void
call_keeper(struct remote *r)
{
	if (r->control >= 0)
		shutdown(r->control, SHUT_RDWR);
}

/* broken: what went wrong with the worker; NULL: nothing. */
static void
give_channel(struct remote *r, struct channel *c, const struct err *broken, bool last)
{
	pthread_mutex_lock(&r->lock);
	c->busy = false;
	r->n_busy--;
	if (broken && (r->state == SERVING || r->state == RETIRING) && !r->failed) {
		r->failed = true;
		r->trouble = *broken;
		call_keeper(r);
	} else if (last && r->state == SERVING) {
		r->state = RETIRING;
		err_set(&r->trouble, ERR_INTERNAL, "it took more and more memory or files");
	}
	if (r->state == RETIRING && r->n_busy == 0)
		call_keeper(r);
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* What the caller hears of a worker that failed him. */
static enum err_code
broken_off(const struct remote *r, struct err *err)
{
	if (err->code == ERR_NOMEM)
		return err->code;
	if (err->code == ERR_TIMEOUT)
		return err_wrap(err, "the key backend %s did not answer in %u ms; try again",
		    r->config.name, r->config.deadline_ms);
	return err_wrap_code(
	    err, ERR_UNREACHABLE, "the key backend %s is restarting; try again", r->config.name);
}

enum err_code
remote_call(struct remote *r, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	AUTO(worker_answer_done) struct worker_answer answer = { 0 };
	uint64_t deadline_ms = clock_mono_ms() + r->config.deadline_ms;
	const struct err *broken = NULL;
	struct channel *c = NULL;
	enum err_code code;

	if (take_channel(r, deadline_ms, &c, err))
		return err->code;
	code = worker_ask(&c->end, q, &answer, err);
	/* a process whose library wrote where it must not has answered its last (backend.h) */
	if (!code && answer.error.code == ERR_PROTOCOL)
		broken = &answer.error;
	else if (code && code != ERR_INVALID)
		broken = err;
	give_channel(r, c, broken, answer.last);
	if (code)
		return code == ERR_INVALID ? code : broken_off(r, err);
	if (answer.error.code) {
		*err = answer.error;
		return err->code;
	}
	if (ret)
		*ret = bytes_take(&answer.value);
	return ERR_OK;
}

struct pool *
remote_pool(const struct remote *r)
{
	return r->lane;
}

/* --- the keeper: one thread for each worker, which sees to one process after the other */

/* Descriptors of both ends: [0] is the control socket's, the channels' follow. */
struct ends {
	int ours[1 + WORKER_CHANNELS_MAX], theirs[1 + WORKER_CHANNELS_MAX];
	size_t n;
};

static void
close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fd_closep(&fds[i]);
}

static enum err_code
make_ends(struct ends *e, size_t n, struct err *err)
{
	*e = (struct ends){ 0 };
	while (e->n < n) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
			err_errno(err, "socketpair");
			close_all(e->ours, e->n);
			close_all(e->theirs, e->n);
			return err->code;
		}
		e->ours[e->n] = pair[0];
		e->theirs[e->n++] = pair[1];
	}
	return ERR_OK;
}

/* Under all->reaping. */
static void
set_pid(struct remote *r, pid_t pid)
{
	r->pid = pid;
	r->ended = false;
	r->status = 0;
}

static void
forget_pid(struct remote *r)
{
	pthread_mutex_lock(&r->all->reaping);
	set_pid(r, 0);
	pthread_mutex_unlock(&r->all->reaping);
}

static enum err_code
spawn(struct remote *r, struct ends *e, pid_t *ret_pid, struct err *err)
{
	struct spawn_request req = { .role = r->config.role };
	int fds[SPAWN_FDS_MAX];
	enum err_code code;

	if (make_ends(e, 1 + r->config.channels, err))
		return err->code;
	memcpy(fds, e->theirs, e->n * sizeof(*fds));
	fds[e->n] = r->notes;
	req.fds = fds;
	req.n_fds = e->n + 1;
	/* under the lock, or another keeper might read of its end before it is known whose it is */
	pthread_mutex_lock(&r->all->reaping);
	code = spawner_exec(r->all->config.spawner, &req, ret_pid, err);
	if (!code)
		set_pid(r, *ret_pid);
	pthread_mutex_unlock(&r->all->reaping);
	close_all(e->theirs, e->n);
	if (code)
		close_all(e->ours, e->n);
	return code;
}

/* From now on the process is known to calls of remotes_stop; false when that was called already. */
static bool
announce(struct remote *r, int control)
{
	bool go;

	pthread_mutex_lock(&r->lock);
	go = r->state != STOPPED;
	if (go) {
		r->state = STARTING;
		r->control = control;
		r->failed = false;
	}
	pthread_mutex_unlock(&r->lock);
	return go;
}

/* Wait until the worker has its place open.  ret_told: what is wrong are its own words. */
static enum err_code
greet(struct remote *r, int control, bool *ret_told, struct err *err)
{
	const struct worker_question hello = {
		.op = WORKER_HELLO, .arg = r->config.channels, .part = { text_of(r->config.name) }
	};
	AUTO(worker_answer_done) struct worker_answer answer = { 0 };
	struct worker_channel c;
	unsigned patience = r->config.deadline_ms > START_MS ? r->config.deadline_ms : START_MS;

	if (worker_channel_init(&c, control, patience, err) || worker_ask(&c, &hello, &answer, err))
		return err->code;
	*err = answer.error;
	*ret_told = err->code != ERR_OK;
	return err->code;
}

static enum err_code
open_channels(struct remote *r, const struct ends *e, struct err *err)
{
	struct channel channels[WORKER_CHANNELS_MAX] = { 0 };

	for (unsigned i = 0; i < r->config.channels; i++)
		if (worker_channel_init(
			&channels[i].end, e->ours[1 + i], r->config.deadline_ms, err))
			return err->code;
	pthread_mutex_lock(&r->lock);
	memcpy(r->channels, channels, sizeof(channels));
	if (r->state != STOPPED)
		r->state = SERVING;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return ERR_OK;
}

/* Until the process ends, a call broke off, it is to retire, or remotes_stop: all of them end the control socket. */
static void
wait_for_end(int control)
{
	struct pollfd p = { .fd = control, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		continue;
}

/* Take the channels back.  Calls in work see their end at once. */
static void
close_channels(struct remote *r, const struct ends *e)
{
	pthread_mutex_lock(&r->lock);
	r->control = -1;
	r->retired = r->state == RETIRING && !r->failed;
	if (r->state != STOPPED)
		r->state = r->retired ? STARTING : PAUSED;
	for (size_t i = 1; i < e->n; i++)
		shutdown(e->ours[i], SHUT_RDWR);
	pthread_cond_broadcast(&r->changed);
	while (r->n_busy > 0)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* The spawner's next report, put down for whom it is about.  Under all->reaping, which is let go meanwhile. */
static enum err_code
take_report(struct remotes *all, uint64_t until_ms, struct err *err)
{
	enum err_code code;
	pid_t pid = 0;
	int status = 0;

	all->reading = true;
	pthread_mutex_unlock(&all->reaping);
	code = spawner_ended(all->config.spawner, clock_left_ms(until_ms), &pid, &status, err);
	pthread_mutex_lock(&all->reaping);
	all->reading = false;
	for (size_t i = 0; !code && i < all->n; i++)
		if (all->at[i]->pid == pid) {
			all->at[i]->ended = true;
			all->at[i]->status = status;
		}
	pthread_cond_broadcast(&all->reported);
	return code;
}

/* Wait until r's process has ended; false when it has not, or nobody can tell. */
static bool
await_end(struct remote *r, uint64_t until_ms)
{
	struct remotes *all = r->all;
	struct err err = { 0 };
	bool ended, go_on = true;

	pthread_mutex_lock(&all->reaping);
	while (!r->ended && go_on) {
		if (all->reading)
			go_on = clock_cond_wait(&all->reported, &all->reaping, until_ms);
		else
			go_on = take_report(all, until_ms, &err) == ERR_OK;
	}
	ended = r->ended;
	pthread_mutex_unlock(&all->reaping);
	return ended;
}

/*
 * Wait for the end of a process whose control socket has ended; kill it at once where it failed, and else when it takes too long.
 * One that not even SIGKILL ends (it waits for a driver) is left behind.  Returns whether it was killed.
 */
static bool
reap(struct remote *r, pid_t pid, bool at_once)
{
	struct err err = { 0 };
	bool killed;

	if (!at_once && await_end(r, clock_mono_ms() + END_WAIT_MS))
		return false;
	killed = spawner_kill(r->all->config.spawner, pid, SIGKILL, &err) == ERR_OK;
	(void)await_end(r, clock_mono_ms() + END_WAIT_MS);
	return killed;
}

static bool
has_failed(struct remote *r)
{
	bool yes;

	pthread_mutex_lock(&r->lock);
	yes = r->failed;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

static bool
is_stopped(struct remote *r)
{
	bool yes;

	pthread_mutex_lock(&r->lock);
	yes = r->state == STOPPED;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

/* Why the process ended, unless that is known: said by itself at the start, or by a call that did more than see it go. */
static void
note_end(struct remote *r, const struct err *start, bool told, bool killed)
{
	bool known = told || killed;

	pthread_mutex_lock(&r->lock);
	if (start->code)
		r->trouble = *start;
	if (start->code || r->failed)
		known |= r->trouble.code != ERR_UNREACHABLE;
	if (!known && WIFSIGNALED(r->status))
		err_set(&r->trouble, ERR_UNREACHABLE, "its process was ended by signal %d",
		    WTERMSIG(r->status));
	else if (!known && !r->retired)
		err_set(&r->trouble, ERR_UNREACHABLE, "its process ended with status %d",
		    WEXITSTATUS(r->status));
	pthread_mutex_unlock(&r->lock);
}

/* One process, from exec to end.  Not ERR_OK: none can be started. */
static enum err_code
life(struct remote *r, struct err *err)
{
	struct ends e;
	struct err start = { 0 };
	bool told = false, killed;
	pid_t pid;

	if (spawn(r, &e, &pid, err))
		return err->code;
	if (announce(r, e.ours[0]) && greet(r, e.ours[0], &told, &start) == ERR_OK &&
	    open_channels(r, &e, &start) == ERR_OK)
		wait_for_end(e.ours[0]);
	close_channels(r, &e);
	close_all(e.ours, e.n);
	/* when all ends, the spawner ends all at once */
	if (is_stopped(r) && !has_failed(r))
		return ERR_OK;
	killed =
	    reap(r, pid, has_failed(r) || start.code == ERR_TIMEOUT || start.code == ERR_PROTOCOL);
	note_end(r, &start, told, killed);
	forget_pid(r);
	return ERR_OK;
}

/* A worker that could not even be started. */
static void
note_failure(struct remote *r, const struct err *err)
{
	pthread_mutex_lock(&r->lock);
	r->trouble = *err;
	if (r->state != STOPPED)
		r->state = PAUSED;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void
pause_for(struct remote *r, unsigned ms)
{
	uint64_t until = clock_mono_ms() + ms;

	pthread_mutex_lock(&r->lock);
	if (ms > 0 && r->state != STOPPED)
		r->state = PAUSED;
	while (r->state != STOPPED && clock_cond_wait(&r->changed, &r->lock, until))
		continue;
	r->restarts++;
	pthread_mutex_unlock(&r->lock);
}

static void
say(struct remote *r, unsigned pause_ms)
{
	struct err why;

	pthread_mutex_lock(&r->lock);
	why = r->trouble;
	pthread_mutex_unlock(&r->lock);
	log_warn("key worker %s has ended: %s; another one follows in %u ms", r->config.name,
	    err_one_line(&why), pause_ms);
}

/* One life and the pause behind it; false at the end of all. */
static bool
one_turn(struct remote *r, unsigned *pause_ms)
{
	uint64_t begin = clock_mono_ms(), lived;
	struct err err = { 0 };
	enum err_code code = life(r, &err);

	if (is_stopped(r))
		return false;
	lived = clock_mono_ms() - begin;
	if (code)
		note_failure(r, &err);
	if (code == ERR_UNREACHABLE || code == ERR_TIMEOUT) {
		log_error("no key worker can be started: %s", err.text);
		r->all->config.lost(r->all->config.ctx);
		return false;
	}
	if (lived > STEADY_MS)
		*pause_ms = PAUSE_MIN_MS;
	/* calls wait for the one that follows */
	if (!code && r->retired && lived > RETIRE_MS) {
		say(r, 0);
		pause_for(r, 0);
		return true;
	}
	say(r, *pause_ms);
	pause_for(r, *pause_ms);
	*pause_ms = *pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : *pause_ms * 2;
	return true;
}

static void *
keep(void *arg)
{
	unsigned pause_ms = PAUSE_MIN_MS;

	pool_set_may_block(true);
	while (one_turn(arg, &pause_ms))
		continue;
	return NULL;
}

/* --- start, stop, state */

static enum err_code
start(struct remote *r, struct err *err)
{
	/* one caller has half of the threads at most (pool.h), and may then use all channels */
	if (pool_new(2 * r->config.channels, QUEUE_MAX, &r->lane, err))
		return err->code;
	errno = pthread_create(&r->keeper, NULL, keep, r);
	if (errno)
		return err_errno(err, "could not start a thread");
	r->has_keeper = true;
	return ERR_OK;
}

enum err_code
remotes_start(struct remotes *all, struct err *err)
{
	for (size_t i = 0; i < all->n; i++)
		if (start(all->at[i], err))
			return err->code;
	return ERR_OK;
}

void
remotes_stop(struct remotes *all)
{
	for (size_t i = 0; all && i < all->n; i++) {
		struct remote *r = all->at[i];

		pthread_mutex_lock(&r->lock);
		r->state = STOPPED;
		/* whoever still has a call there does not come back by itself */
		r->failed |= r->n_busy > 0;
		call_keeper(r);
		pthread_cond_broadcast(&r->changed);
		pthread_mutex_unlock(&r->lock);
	}
	for (size_t i = 0; all && i < all->n; i++) {
		struct remote *r = all->at[i];

		if (r->has_keeper)
			pthread_join(r->keeper, NULL);
		r->has_keeper = false;
		if (r->lane)
			(void)pool_stop(r->lane, STOP_MS);
	}
}

size_t
remotes_count(const struct remotes *all)
{
	return all ? all->n : 0;
}

void
remotes_state(struct remotes *all, size_t i, struct remote_state *ret)
{
	struct remote *r = all->at[i];

	pthread_mutex_lock(&r->lock);
	ret->name = r->config.name;
	ret->state = state_names[r->state];
	ret->serves = r->state == SERVING;
	ret->restarts = r->restarts;
	memcpy(ret->trouble, r->trouble.text, sizeof(ret->trouble));
	pthread_mutex_unlock(&r->lock);
}
