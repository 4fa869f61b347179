#include "edged/listeners.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "edged/proto.h"
#include "platform/listen.h"

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

struct listener {
	struct listener *next;
	char module[PROTO_MODULE_MAX + 1]; /* PROTO_LEGACY: the shared one */
	char container_id[PROTO_CONTAINER_ID + 1];
	int fd;
	dev_t dev; /* of the socket file */
	ino_t ino;
};

struct listeners {
	char *dir;
	pthread_mutex_t lock;
	struct listener *list;
	struct proto_server *server; /* NULL: no workload process now */
};

enum err_code
listeners_new(const char *mnt_dir, struct listeners **ret, struct err *err)
{
	struct listeners *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem(err);
	pthread_mutex_init(&l->lock, NULL);
	/* search, not list: a container's user needs its own socket only */
	if (str_copy(&l->dir, mnt_dir, err) || file_mkdirs(mnt_dir, 0711, err) ||
	    (chmod(mnt_dir, 0711) && err_errno(err, "cannot chmod %s", mnt_dir))) {
		listeners_free(l);
		return err->code;
	}
	*ret = l;
	return ERR_OK;
}

static void
listener_free(struct listener *at)
{
	fd_closep(&at->fd);
	free(at);
}

void
listeners_free(struct listeners *l)
{
	if (!l)
		return;
	while (l->list) {
		struct listener *at = l->list;

		l->list = at->next;
		listener_free(at);
	}
	pthread_mutex_destroy(&l->lock);
	free(l->dir);
	free(l);
}

enum err_code
listeners_name_fits(const struct listeners *l, const char *module, struct err *err)
{
	if (strlen(module) > PROTO_MODULE_MAX ||
	    strlen(l->dir) + strlen(module) + strlen("/.sock") > SOCKET_PATH_MAX)
		return err_set(err, ERR_INVALID, "module name is too long for its socket's path");
	return ERR_OK;
}

static enum err_code
socket_path(const struct listeners *l, const char *module, char **ret, struct err *err)
{
	if (!*module || strchr(module, '/') || module[0] == '.')
		return err_set(err, ERR_INVALID, "invalid module name");
	if (listeners_name_fits(l, module, err))
		return err->code;
	return str_format(ret, err, "%s/%s.sock", l->dir, module);
}

static struct listener *
find(struct listeners *l, const char *module)
{
	for (struct listener *at = l->list; at; at = at->next)
		if (strcmp(at->module, module) == 0)
			return at;
	return NULL;
}

/* Does the path still lead to our socket? */
static bool
in_place(const struct listener *at, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == at->dev && st.st_ino == at->ino;
}

/*
 * Told under the lock, so that no two tellings of one socket change places; it is a send to our own child, bounded by proto.c.
 * A workload process that cannot be told is a workload process that is about to be replaced, and the next one is told all.
 */
static void
tell(struct listeners *l, const struct listener *at)
{
	struct err err = { 0 };

	if (l->server && proto_listener_add(l->server, at->module, at->container_id, at->fd, &err))
		log_warn("could not hand over a workload socket: %s", err.text);
}

static enum err_code
add(struct listeners *l, const char *module, int *fd, struct listener **ret, struct err *err)
{
	struct listener *at = calloc(1, sizeof(*at));

	if (!at)
		return err_nomem(err);
	memcpy(at->module, module, strlen(module) + 1);
	at->fd = fd_take(fd);
	at->next = l->list;
	l->list = at;
	*ret = at;
	return ERR_OK;
}

static enum err_code
bind_new(struct listeners *l, const char *module, const char *path, struct listener **ret,
    struct err *err)
{
	AUTO(str_freep) char *uri = NULL;
	AUTO(fd_closep) int fd = -1;
	struct stat st;

	if (str_format(&uri, err, "unix://%s", path) || listen_open(uri, NULL, 0, 0666, &fd, err))
		return err->code;
	if (lstat(path, &st))
		return err_errno(err, "cannot stat %s", path);
	if (add(l, module, &fd, ret, err))
		return err->code;
	(*ret)->dev = st.st_dev;
	(*ret)->ino = st.st_ino;
	return ERR_OK;
}

static void
take_out(struct listeners *l, struct listener *gone)
{
	for (struct listener **at = &l->list; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			listener_free(gone);
			return;
		}
}

static enum err_code
ensure(struct listeners *l, const char *module, const char *container_id, const char *path,
    struct err *err)
{
	struct listener *at = find(l, module);

	/* the engine makes a directory where a bind's source is missing, and a file may be removed by hand: then nobody can come in
	 * by the old socket, and a new one harms nobody */
	if (at && !in_place(at, path)) {
		take_out(l, at);
		at = NULL;
	}
	if (at && strcmp(at->container_id, container_id) == 0)
		return ERR_OK;
	if (!at && bind_new(l, module, path, &at, err))
		return err->code;
	memcpy(at->container_id, container_id, strlen(container_id) + 1);
	tell(l, at);
	return ERR_OK;
}

enum err_code
listeners_ensure(struct listeners *l, const char *module, const char *container_id, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	enum err_code code;

	if (strlen(container_id) > PROTO_CONTAINER_ID)
		return err_set(err, ERR_INVALID, "odd container id");
	if (socket_path(l, module, &path, err))
		return err->code;
	pthread_mutex_lock(&l->lock);
	code = ensure(l, module, container_id, path, err);
	pthread_mutex_unlock(&l->lock);
	return code;
}

enum err_code
listeners_container_of(struct listeners *l, const char *module, char ret_id[65], struct err *err)
{
	struct listener *at;
	bool known;

	pthread_mutex_lock(&l->lock);
	at = find(l, module);
	known = at && strlen(at->container_id) == PROTO_CONTAINER_ID;
	if (known)
		memcpy(ret_id, at->container_id, PROTO_CONTAINER_ID + 1);
	pthread_mutex_unlock(&l->lock);
	return known ? ERR_OK : err_set(err, ERR_NOT_FOUND, "no container is known for %s", module);
}

void
listeners_remove(struct listeners *l, const char *module)
{
	AUTO(str_freep) char *path = NULL;
	struct err err = { 0 };
	struct listener *at;

	if (socket_path(l, module, &path, &err))
		return;
	pthread_mutex_lock(&l->lock);
	at = find(l, module);
	if (at) {
		if (l->server && proto_listener_drop(l->server, module, &err))
			log_warn("could not take a workload socket back: %s", err.text);
		take_out(l, at);
	}
	(void)unlink(path);
	pthread_mutex_unlock(&l->lock);
}

enum err_code
listeners_legacy(struct listeners *l, int fd, struct err *err)
{
	AUTO(fd_closep) int own = fd;
	struct listener *at;
	enum err_code code;

	pthread_mutex_lock(&l->lock);
	code = add(l, PROTO_LEGACY, &own, &at, err);
	if (!code)
		tell(l, at);
	pthread_mutex_unlock(&l->lock);
	return code;
}

void
listeners_serve_by(struct listeners *l, struct proto_server *s)
{
	pthread_mutex_lock(&l->lock);
	l->server = s;
	for (struct listener *at = l->list; at; at = at->next)
		tell(l, at);
	pthread_mutex_unlock(&l->lock);
}
