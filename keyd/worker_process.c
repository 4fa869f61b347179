#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "keyd/mech.h"
#include "keyd/service.h"
#include "keyd/worker.h"
#include "keyd/worker_proto.h"

/* worker_process.c - the process around a worker */

/* What a library may allocate in all, so that one call which runs wild fails rather than the machine. */
#define DATA_MAX ((rlim_t)1 << 30)

struct channel {
	struct worker_process *process;
	pthread_t thread;
	bool has_thread;
	int fd;
};

struct worker_process {
	struct daemon *daemon;
	size_t place; /* of the layout */
	struct backend_config config;
	struct mech *mech;
	void *notes; /* BACKEND_NOTES_LEN bytes; MAP_FAILED: none */
	struct worker *worker;
	struct worker_received hello; /* to be answered when all is in place */
	pthread_t watcher;
	bool has_watcher;
	bool abandoned; /* a call did not come back in time */
	struct channel channels[WORKER_CHANNELS_MAX];
	size_t n_channels;
};

static struct worker_process *
process_of(const struct daemon *d)
{
	return ((struct keyd *)d->service)->worker;
}

/* --- prepare: the vendor's library is loaded before its calls are filtered, since what that takes is its own affair */

static size_t
place_named(const struct layout *layout, const char *name)
{
	size_t i = 0;

	while (i < layout->stores.n_stores && strcmp(layout->store[i].config.name, name) != 0)
		i++;
	return i;
}

size_t
worker_place(const struct worker_process *p)
{
	return p->place;
}

/* What the worker before this one left. */
static enum err_code
map_notes(struct worker_process *p, struct err *err)
{
	AUTO(fd_closep) int fd = WORKER_CONTROL + 1 + (int)p->n_channels;

	p->notes = mmap(NULL, BACKEND_NOTES_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p->notes == MAP_FAILED)
		return err_errno(err, "could not see the notes of the last worker");
	return ERR_OK;
}

/*
 * A vendor's library gets no file but its own from its constructors on.  Nor another worker: one that was started just now may be
 * looked at by its own user until it has said otherwise, but not from here any more.
 */
static enum err_code
confine_files(const struct worker_process *p, struct err *err)
{
	const struct daemon_role *role = p->daemon->role;
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };

	if (!p->config.library)
		return ERR_OK;
	if (role->paths(p->daemon, &paths, err))
		return err->code;
	return sandbox_apply_files(role->sandbox, &paths, p->daemon->sandbox, err);
}

/* One that is not there is not in the policy, and the library would meet a refusal that nobody can explain. */
static void
warn_of_absent(const struct keyd_config_backend *from)
{
	for (size_t i = 0; from && i < from->paths.n; i++)
		if (access(from->paths.at[i], F_OK))
			log_warn("backends.%s.paths: %s cannot be had: %m", from->name,
			    from->paths.at[i]);
}

/* A worker is told of its place rather than by an argument, for the spawner lets nobody choose arguments. */
static enum err_code
open_place(struct worker_process *p, const struct layout *layout, struct err *err)
{
	const char *name = p->hello.q.part[0].data;

	p->place = place_named(layout, name);
	if (p->place == layout->stores.n_stores)
		return err_set(err, ERR_NOT_FOUND, "there is no place %s", name);
	warn_of_absent(layout->from[p->place]);
	if (keyd_warm_up(err) || mech_new(&p->mech, err) || map_notes(p, err))
		return err->code;
	p->config = layout->store[p->place].config;
	p->config.mech = p->mech;
	p->config.notes = p->notes;
	if (confine_files(p, err))
		return err->code;
	return worker_new(layout->store[p->place].backend, &p->config, &p->worker, err);
}

static enum err_code
hear(struct worker_process *p, struct err *err)
{
	if (worker_receive(WORKER_CONTROL, &p->hello, err))
		return err->code;
	if (p->hello.q.op != WORKER_HELLO || p->hello.q.arg < 1 ||
	    p->hello.q.arg > WORKER_CHANNELS_MAX)
		return err_set(err, ERR_PROTOCOL, "keyd began with something odd");
	p->n_channels = p->hello.q.arg;
	for (size_t i = 0; i < p->n_channels; i++)
		p->channels[i] =
		    (struct channel){ .process = p, .fd = WORKER_CONTROL + 1 + (int)i };
	return ERR_OK;
}

static enum err_code
bound_memory(struct err *err)
{
	static const struct rlimit most = { DATA_MAX, DATA_MAX };

	if (!daemon_instrumented() && setrlimit(RLIMIT_DATA, &most))
		return err_errno(err, "could not bound the memory");
	return ERR_OK;
}

/* keyd tells its operators why there is no worker. */
static enum err_code
tell(const struct worker_process *p, struct err *err)
{
	struct worker_answer a = { .error = *err };
	struct err ignored = { 0 };

	(void)!worker_reply(WORKER_CONTROL, &p->hello, &a, &ignored);
	return err->code;
}

enum err_code
worker_prepare(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	struct worker_process *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(err);
	keyd->worker = p;
	p->daemon = d;
	p->notes = MAP_FAILED;
	if (hear(p, err))
		return err->code;
	if (bound_memory(err) || open_place(p, &keyd->layout, err))
		return tell(p, err);
	return ERR_OK;
}

/* --- serve */

static void *
serve_channel(void *arg)
{
	const struct channel *c = arg;
	struct err err = { 0 };

	if (worker_answer_all(c->process->worker, c->fd, &err)) {
		log_error("%s", err.text);
		daemon_end(c->process->daemon, 1);
	}
	return NULL;
}

/* Nothing comes after the first word: the end of the control socket is the worker's. */
static void *
watch(void *arg)
{
	struct worker_process *p = arg;
	char octet;

	while (recv(WORKER_CONTROL, &octet, 1, 0) < 0 && errno == EINTR)
		continue;
	daemon_end(p->daemon, 0);
	return NULL;
}

static enum err_code
start_threads(struct worker_process *p, struct err *err)
{
	for (size_t i = 0; i < p->n_channels; i++) {
		struct channel *c = &p->channels[i];

		errno = pthread_create(&c->thread, NULL, serve_channel, c);
		if (errno)
			return err_errno(err, "could not start a thread");
		c->has_thread = true;
	}
	errno = pthread_create(&p->watcher, NULL, watch, p);
	if (errno)
		return err_errno(err, "could not start a thread");
	p->has_watcher = true;
	return ERR_OK;
}

enum err_code
worker_serve(struct daemon *d, struct err *err)
{
	struct worker_process *p = process_of(d);
	struct worker_answer good = { 0 };

	if (start_threads(p, err))
		return tell(p, err);
	return worker_reply(WORKER_CONTROL, &p->hello, &good, err);
}

/* --- the end: calls in work are let finish; one that hangs is left to the end of the process */

static bool
join_until(pthread_t thread, const struct timespec *until)
{
	return pthread_timedjoin_np(thread, NULL, until) == 0;
}

void
worker_stop(struct daemon *d, unsigned grace_ms)
{
	struct worker_process *p = process_of(d);
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += grace_ms / 1000;
	shutdown(WORKER_CONTROL, SHUT_RDWR);
	for (size_t i = 0; i < p->n_channels; i++)
		shutdown(p->channels[i].fd, SHUT_RD);
	for (size_t i = 0; i < p->n_channels; i++)
		if (p->channels[i].has_thread && !join_until(p->channels[i].thread, &until))
			p->abandoned = true;
	if (p->has_watcher)
		pthread_join(p->watcher, NULL);
}

void
worker_done(struct daemon *d)
{
	struct worker_process *p = process_of(d);

	if (p->abandoned)
		return;
	worker_free(p->worker);
	if (p->notes != MAP_FAILED)
		munmap(p->notes, BACKEND_NOTES_LEN);
	mech_free(p->mech);
	worker_received_done(&p->hello);
	free(p);
	keyd_done(d);
}
