#include "tests/support/engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "data/uri.h"
#include "tests/support/serve.h"

#define ID_LEN	   64
#define MANY	   64
#define REQUESTS   4096
#define OWNER_NAME "net.azure-devices.edge.owner"
#define OWNER	   "Microsoft.Azure.Devices.Edge.Agent"

struct container {
	struct engine_container c;
	bool there;
};

struct said {
	char *request;
	unsigned left, status;
	char *body;
};

struct asked {
	char *line;  /* "METHOD TARGET", as sent */
	char *plain; /* without version */
	char *head, *body;
	bool told;
};

struct engine_peer {
	char *path;
	int fd;
	pthread_t acceptor;
	pthread_t threads[REQUESTS];
	size_t n_threads;
	int connections[REQUESTS];
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	bool stopping;
	int min_minor, max_minor;
	struct container containers[MANY];
	char *images[MANY];
	char *networks[MANY];
	struct said said[MANY];
	struct asked asked[REQUESTS];
	size_t n_asked;
	int listeners[MANY]; /* sockets of event streams, -1: free */
	unsigned made;
};

struct connection {
	struct engine_peer *p;
	int fd;
};

struct answer {
	unsigned status;
	char *body;	/* owned */
	bool keep_open; /* events: head and no body yet */
	bool hang_up;
};

/* --- keeping */

static char **kept;
static size_t n_kept;

static void
keep_free(void)
{
	while (n_kept)
		free(kept[--n_kept]);
	free(kept);
	kept = NULL;
}

static const char *
keep(char *text)
{
	if (!kept)
		atexit(keep_free);
	kept = reallocarray(kept, n_kept + 1, sizeof(*kept));
	ck_assert_ptr_nonnull(kept);
	kept[n_kept++] = text;
	return text;
}

static char *
copy(const char *text)
{
	char *out = strdup(text);

	ck_assert_ptr_nonnull(out);
	return out;
}

/* --- state */

static struct container *
find(struct engine_peer *p, const char *name)
{
	for (size_t i = 0; i < MANY; i++) {
		struct container *at = &p->containers[i];

		if (at->there && (strcmp(at->c.name + 1, name) == 0 ||
				     strncmp(at->c.id, name, strlen(name)) == 0))
			return at;
	}
	return NULL;
}

static bool
has(char *const *list, const char *name)
{
	for (size_t i = 0; i < MANY; i++)
		if (list[i] && strcmp(list[i], name) == 0)
			return true;
	return false;
}

static void
put(char **list, const char *name)
{
	for (size_t i = 0; i < MANY; i++)
		if (!list[i]) {
			list[i] = copy(name);
			return;
		}
	ck_abort_msg("too many of them");
}

static struct container *
make(struct engine_peer *p, const char *name, const char *state)
{
	for (size_t i = 0; i < MANY; i++) {
		struct container *at = &p->containers[i];
		char id[ID_LEN + 1];
		char slashed[256];

		if (at->there)
			continue;
		engine_container_done(&at->c);
		memset(id, 'a', ID_LEN);
		snprintf(id, 9, "%08x", ++p->made);
		id[8] = 'b';
		id[ID_LEN] = '\0';
		snprintf(slashed, sizeof(slashed), "/%s", name);
		at->there = true;
		at->c.id = copy(id);
		at->c.name = copy(slashed);
		at->c.image = copy("sha256:0a1b");
		at->c.state.status = copy(state);
		at->c.state.started_at = copy("0001-01-01T00:00:00Z");
		at->c.state.finished_at = copy("0001-01-01T00:00:00Z");
		at->c.state.has_exit_code = true;
		return at;
	}
	ck_abort_msg("too many containers");
	return NULL;
}

static void
become(struct container *at, const char *state, const char *started)
{
	free(at->c.state.status);
	at->c.state.status = copy(state);
	if (started) {
		free(at->c.state.started_at);
		at->c.state.started_at = copy(started);
	}
}

/* --- answers */

static struct answer said(unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static struct answer
said(unsigned status, const char *fmt, ...)
{
	struct answer a = { .status = status };
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a.body = copy(text);
	return a;
}

static struct answer
missing(const char *name)
{
	return said(404, "{\"message\":\"No such container: %s\"}", name);
}

static struct answer
list(struct engine_peer *p)
{
	struct engine_items items = { 0 };
	struct answer a = { .status = 200 };
	struct engine_item all[MANY];
	char *names[MANY];
	struct err err = { 0 };
	char *text;

	items.items.at = all;
	for (size_t i = 0; i < MANY; i++) {
		struct container *at = &p->containers[i];
		const char *owner =
		    at->there ? engine_label(&at->c.config.labels, OWNER_NAME) : NULL;

		if (!owner || strcmp(owner, OWNER) != 0)
			continue;
		names[items.items.n] = at->c.name;
		all[items.items.n] = (struct engine_item){ .id = at->c.id,
			.state = at->c.state.status,
			.names = { &names[items.items.n], 1 },
			.labels = at->c.config.labels };
		items.items.n++;
	}
	ck_ok(fields_write_text(engine_items_fields, &items, &text, &err));
	/* {"items":[..]} -> [..] */
	text[strlen(text) - 1] = '\0';
	a.body = copy(text + strlen("{\"items\":"));
	free(text);
	return a;
}

static struct answer
create(struct engine_peer *p, const char *query, const char *body)
{
	struct engine_container_config config = { 0 };
	struct err err = { 0 };
	struct container *at;
	char name[256] = "";

	sscanf(query, "name=%255[^&]", name);
	if (fields_read_text(engine_container_config_fields, &config, text_of(body), &err))
		return said(500, "{\"message\":\"unexpected EOF\"}");
	if (find(p, name)) {
		engine_container_config_done(&config);
		return said(409, "{\"message\":\"Conflict. The container name is in use\"}");
	}
	if (!has(p->images, config.image ? config.image : "")) {
		engine_container_config_done(&config);
		return said(404, "{\"message\":\"No such image\"}");
	}
	at = make(p, name, "created");
	at->c.config = config;
	return said(201, "{\"Id\":\"%s\",\"Warnings\":[]}", at->c.id);
}

static struct answer
inspect(const struct container *at)
{
	struct answer a = { .status = 200 };
	struct err err = { 0 };

	ck_ok(fields_write_text(engine_container_fields, &at->c, &a.body, &err));
	return a;
}

static struct answer
on_container(struct engine_peer *p, const char *method, const char *name, const char *verb)
{
	struct container *at = find(p, name);
	bool runs = at && strcmp(at->c.state.status, "running") == 0;

	if (!at)
		return missing(name);
	if (strcmp(method, "DELETE") == 0) {
		at->there = false;
		return said(204, "%s", "");
	}
	if (strcmp(verb, "json") == 0)
		return inspect(at);
	if (strcmp(verb, "start") == 0) {
		become(at, "running", "2026-03-01T10:00:00.123456789Z");
		return said(runs ? 304 : 204, "%s", "");
	}
	if (strcmp(verb, "stop") == 0) {
		if (runs)
			become(at, "exited", NULL);
		return said(runs ? 204 : 304, "%s", "");
	}
	if (strcmp(verb, "restart") == 0) {
		become(at, "running", "2026-03-01T10:00:01Z");
		return said(204, "%s", "");
	}
	if (strcmp(verb, "stats") == 0)
		return said(200, "{\"name\":\"%s\"}", at->c.name);
	if (strcmp(verb, "logs") == 0)
		return said(200, "\x01log of %s", at->c.name);
	return said(404, "{\"message\":\"page not found\"}");
}

static struct answer
networks(struct engine_peer *p)
{
	char text[4096] = "[";

	for (size_t i = 0, n = 0; i < MANY; i++)
		if (p->networks[i]) {
			size_t used = strlen(text);

			snprintf(text + used, sizeof(text) - used,
			    "%s{\"Id\":\"n%zu\",\"Name\":\"%s\"}", n++ ? "," : "", i,
			    p->networks[i]);
		}
	return said(200, "%s]", text);
}

static struct answer
network_create(struct engine_peer *p, const char *body)
{
	struct engine_network_req req = { 0 };
	struct answer a;
	struct err err = { 0 };

	if (fields_read_text(engine_network_req_fields, &req, text_of(body), &err))
		return said(400, "{\"message\":\"bad body\"}");
	if (has(p->networks, req.name) && req.check_duplicate) {
		a = said(409, "{\"message\":\"network with name %s already exists\"}", req.name);
	} else {
		put(p->networks, req.name);
		a = said(201, "{\"Id\":\"n\",\"Warning\":\"\"}");
	}
	engine_network_req_done(&req);
	return a;
}

static struct answer
pull(struct engine_peer *p, const char *query)
{
	struct text image = { strstr(query, "fromImage="), 0 };
	AUTO(str_freep) char *name = NULL;
	struct err err = { 0 };

	ck_assert_ptr_nonnull(image.data);
	image.data += strlen("fromImage=");
	image.len = strcspn(image.data, "&");
	ck_ok(uri_decode(image, true, &name, &err));
	if (!has(p->images, name))
		put(p->images, name);
	return said(200,
	    "{\"status\":\"Pulling from %s\"}\r\n"
	    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":2}}\r\n"
	    "{\"status\":\"Digest: sha256:0a1b\"}\r\n",
	    name);
}

static struct answer
image(struct engine_peer *p, const char *path)
{
	char name[512] = "";

	snprintf(name, sizeof(name), "%s", path);
	if (strlen(name) > 5 && strcmp(name + strlen(name) - 5, "/json") == 0)
		name[strlen(name) - 5] = '\0';
	if (!has(p->images, name))
		return said(404, "{\"message\":\"No such image: %s\"}", name);
	return said(200, "{\"Id\":\"sha256:0a1b\"}");
}

static struct answer
route(struct engine_peer *p, const char *method, const char *target, const char *body)
{
	char path[1024] = "", name[256] = "", verb[64] = "";
	const char *query = strchr(target, '?');

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	query = query ? query + 1 : "";
	if (strcmp(path, "/info") == 0)
		return said(200, "{\"ServerVersion\":\"20.10.24\"}");
	if (strcmp(path, "/containers/json") == 0)
		return list(p);
	if (strcmp(path, "/containers/create") == 0)
		return create(p, query, body);
	if (strcmp(path, "/networks") == 0)
		return networks(p);
	if (strcmp(path, "/networks/create") == 0)
		return network_create(p, body);
	if (strcmp(path, "/images/create") == 0)
		return pull(p, query);
	if (strncmp(path, "/images/", 8) == 0)
		return image(p, path + 8);
	if (strcmp(path, "/events") == 0)
		return (struct answer){ .status = 200, .keep_open = true };
	if (sscanf(path, "/containers/%255[^/]/%63s", name, verb) >= 1)
		return on_container(p, method, name, verb);
	return said(404, "{\"message\":\"page not found\"}");
}

static bool
scripted(struct engine_peer *p, const char *plain, struct answer *ret)
{
	for (size_t i = 0; i < MANY; i++) {
		struct said *s = &p->said[i];

		if (!s->left || strncmp(plain, s->request, strlen(s->request)) != 0)
			continue;
		s->left--;
		*ret =
		    s->body ? said(s->status, "%s", s->body) : (struct answer){ .hang_up = true };
		return true;
	}
	return false;
}

static struct answer
answer_to(struct engine_peer *p, const char *method, const char *target, const char *plain_target,
    int minor, const char *plain, const char *body)
{
	struct answer a;

	if (strcmp(target, "/version") == 0 && !scripted(p, "GET /version", &a))
		return said(200,
		    "{\"ApiVersion\":\"1.%d\",\"MinAPIVersion\":\"1.%d\",\"Version\":\"20.10.24\"}",
		    p->max_minor, p->min_minor);
	if (strcmp(target, "/version") == 0)
		return a;
	if (minor > p->max_minor)
		return said(400, "{\"message\":\"client version 1.%d is too new\"}", minor);
	if (minor < p->min_minor)
		return said(400, "{\"message\":\"client version 1.%d is too old\"}", minor);
	if (scripted(p, plain, &a))
		return a;
	return route(p, method, plain_target, body);
}

/* --- one connection */

static void
record(
    struct engine_peer *p, const char *line, const char *plain, const char *head, const char *body)
{
	ck_assert_uint_lt(p->n_asked, REQUESTS);
	p->asked[p->n_asked++] =
	    (struct asked){ copy(line), copy(plain), copy(head), copy(body), false };
	pthread_cond_broadcast(&p->changed);
}

static void
listen_on(struct engine_peer *p, int fd)
{
	for (size_t i = 0; i < MANY; i++)
		if (p->listeners[i] < 0) {
			p->listeners[i] = fd;
			break;
		}
	pthread_cond_broadcast(&p->changed);
}

static void
send_answer(int fd, const struct answer *a)
{
	size_t len = a->body ? strlen(a->body) : 0;
	char head[256];

	if (a->keep_open)
		snprintf(head, sizeof(head),
		    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n");
	else if (a->status == 204 || a->status == 304)
		snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\n\r\n", a->status);
	else
		snprintf(head, sizeof(head),
		    "HTTP/1.1 %u X\r\nContent-Type: application/json\r\nContent-Length: "
		    "%zu\r\n\r\n",
		    a->status, len);
	serve_send(fd, head, strlen(head));
	if (len && a->status != 204 && a->status != 304)
		serve_send(fd, a->body, len);
}

/* One request of the connection; false at its end. */
static bool
one(struct connection *c, struct buf *in)
{
	AUTO(str_freep) char *body = NULL;
	char method[16], target[2048], plain[2200], line[2200];
	struct answer a;
	size_t body_len = 0, head_len;
	const char *end, *header;
	int minor = -1, skip = 0;

	while (!in->len || !(end = memmem(in->data, in->len, "\r\n\r\n", 4))) {
		uint8_t *to = buf_reserve(in, 4096);
		ssize_t n = recv(c->fd, to, 4096, 0);

		if (n <= 0)
			return false;
		buf_commit(in, (size_t)n);
	}
	head_len = (size_t)(end - (const char *)in->data) + 4;
	char *head = strndup((const char *)in->data, head_len);

	header = strcasestr(head, "\r\ncontent-length:");
	if (header)
		body_len = strtoul(header + strlen("\r\ncontent-length:"), NULL, 10);
	while (in->len < head_len + body_len) {
		uint8_t *to = buf_reserve(in, 4096);
		ssize_t n = recv(c->fd, to, 4096, 0);

		if (n <= 0) {
			free(head);
			return false;
		}
		buf_commit(in, (size_t)n);
	}
	body = strndup((const char *)in->data + head_len, body_len);
	buf_consume(in, head_len + body_len);
	sscanf(head, "%15s %2047s", method, target);
	if (sscanf(target, "/v1.%d%n", &minor, &skip) != 1)
		minor = 41, skip = 0;
	snprintf(line, sizeof(line), "%s %s", method, target);
	snprintf(plain, sizeof(plain), "%s %s", method, target + skip);
	pthread_mutex_lock(&c->p->lock);
	record(c->p, line, plain, head, body);
	a = answer_to(c->p, method, target, target + skip, minor, plain, body);
	if (!a.hang_up)
		send_answer(c->fd, &a);
	if (a.keep_open)
		listen_on(c->p, c->fd);
	pthread_mutex_unlock(&c->p->lock);
	free(a.body);
	free(head);
	return !a.hang_up;
}

static void *
serve(void *arg)
{
	struct connection *c = arg;
	struct buf in = { 0 };

	while (one(c, &in))
		;
	buf_done(&in);
	pthread_mutex_lock(&c->p->lock);
	for (size_t i = 0; i < MANY; i++)
		if (c->p->listeners[i] == c->fd)
			c->p->listeners[i] = -1;
	for (size_t i = 0; i < c->p->n_threads; i++)
		if (c->p->connections[i] == c->fd)
			c->p->connections[i] = -1;
	close(c->fd);
	pthread_mutex_unlock(&c->p->lock);
	free(c);
	return NULL;
}

static void *
acceptor(void *arg)
{
	struct engine_peer *p = arg;
	int fd;

	while ((fd = accept(p->fd, NULL, NULL)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));

		*c = (struct connection){ p, fd };
		pthread_mutex_lock(&p->lock);
		ck_assert_uint_lt(p->n_threads, REQUESTS);
		p->connections[p->n_threads] = fd;
		ck_assert_int_eq(pthread_create(&p->threads[p->n_threads++], NULL, serve, c), 0);
		if (p->stopping)
			shutdown(fd, SHUT_RDWR);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* --- what tests call */

struct engine_peer *
engine_peer_start(const char *path)
{
	struct engine_peer *p = calloc(1, sizeof(*p));

	ck_assert_ptr_nonnull(p);
	p->path = copy(path);
	p->min_minor = 12;
	p->max_minor = 41;
	for (size_t i = 0; i < MANY; i++)
		p->listeners[i] = -1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->fd = serve_bind(path);
	ck_assert_int_eq(pthread_create(&p->acceptor, NULL, acceptor, p), 0);
	return p;
}

static void
release(struct engine_peer *p)
{
	for (size_t i = 0; i < MANY; i++) {
		engine_container_done(&p->containers[i].c);
		free(p->images[i]);
		free(p->networks[i]);
		free(p->said[i].request);
		free(p->said[i].body);
	}
	for (size_t i = 0; i < p->n_asked; i++) {
		free(p->asked[i].line);
		free(p->asked[i].plain);
		free(p->asked[i].head);
		free(p->asked[i].body);
	}
}

void
engine_peer_stop(struct engine_peer *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	shutdown(p->fd, SHUT_RDWR);
	for (size_t i = 0; i < p->n_threads; i++)
		if (p->connections[i] >= 0)
			shutdown(p->connections[i], SHUT_RDWR);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->acceptor, NULL);
	for (size_t i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	close(p->fd);
	unlink(p->path);
	release(p);
	free(p->path);
	free(p);
}

void
engine_peer_versions(struct engine_peer *p, int min_minor, int max_minor)
{
	pthread_mutex_lock(&p->lock);
	p->min_minor = min_minor;
	p->max_minor = max_minor;
	pthread_mutex_unlock(&p->lock);
}

void
engine_peer_say(
    struct engine_peer *p, unsigned n, const char *request, unsigned status, const char *body)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < MANY; i++)
		if (!p->said[i].left) {
			free(p->said[i].request);
			free(p->said[i].body);
			p->said[i] =
			    (struct said){ copy(request), n, status, body ? copy(body) : NULL };
			break;
		}
	pthread_mutex_unlock(&p->lock);
}

const char *
engine_peer_asked(struct engine_peer *p, const char *part)
{
	struct buf b = { 0 };
	struct err err = { 0 };
	char *text = NULL;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n_asked; i++) {
		if (!p->asked[i].told && (!part || strstr(p->asked[i].line, part)))
			buf_printf(&b, "%s\n", p->asked[i].line);
		p->asked[i].told = true;
	}
	pthread_mutex_unlock(&p->lock);
	ck_ok(buf_take_string(&b, &text, &err));
	return keep(text);
}

static const struct asked *
last(struct engine_peer *p, const char *request)
{
	for (size_t i = p->n_asked; i-- > 0;)
		if (strncmp(p->asked[i].plain, request, strlen(request)) == 0)
			return &p->asked[i];
	return NULL;
}

const char *
engine_peer_header(struct engine_peer *p, const char *request, const char *name)
{
	const struct asked *a;
	const char *at = NULL;
	char want[128];
	char *value;

	snprintf(want, sizeof(want), "\r\n%s:", name);
	pthread_mutex_lock(&p->lock);
	a = last(p, request);
	if (a)
		at = strcasestr(a->head, want);
	if (at) {
		at += strlen(want);
		at += strspn(at, " ");
	}
	value = at ? strndup(at, strcspn(at, "\r")) : copy("");
	pthread_mutex_unlock(&p->lock);
	return keep(value);
}

const char *
engine_peer_body(struct engine_peer *p, const char *request)
{
	const struct asked *a;
	char *body;

	pthread_mutex_lock(&p->lock);
	a = last(p, request);
	body = copy(a ? a->body : "");
	pthread_mutex_unlock(&p->lock);
	return keep(body);
}

void
engine_peer_image(struct engine_peer *p, const char *name)
{
	pthread_mutex_lock(&p->lock);
	put(p->images, name);
	pthread_mutex_unlock(&p->lock);
}

void
engine_peer_network(struct engine_peer *p, const char *name)
{
	pthread_mutex_lock(&p->lock);
	put(p->networks, name);
	pthread_mutex_unlock(&p->lock);
}

const char *
engine_peer_container(struct engine_peer *p, const char *name, const char *state, bool owned)
{
	struct container *at;
	char *id;

	pthread_mutex_lock(&p->lock);
	at = make(p, name, state);
	if (owned) {
		at->c.config.labels.at = calloc(1, sizeof(struct fields_pair));
		at->c.config.labels.at[0] = (struct fields_pair){ copy(OWNER_NAME), copy(OWNER) };
		at->c.config.labels.n = 1;
	}
	id = copy(at->c.id);
	pthread_mutex_unlock(&p->lock);
	return keep(id);
}

const char *
engine_peer_state(struct engine_peer *p, const char *name)
{
	struct container *at;
	char *state;

	pthread_mutex_lock(&p->lock);
	at = find(p, name);
	state = copy(at ? at->c.state.status : "");
	pthread_mutex_unlock(&p->lock);
	return keep(state);
}

static int
listener(struct engine_peer *p)
{
	for (size_t i = 0; i < MANY; i++)
		if (p->listeners[i] >= 0)
			return p->listeners[i];
	return -1;
}

void
engine_peer_event(struct engine_peer *p, const char *action, const char *name)
{
	char event[512], chunk[600];

	snprintf(event, sizeof(event),
	    "{\"Type\":\"container\",\"Action\":\"%s\",\"Actor\":{\"ID\":\"0a\","
	    "\"Attributes\":{\"name\":\"%s\"}}}\n",
	    action, name);
	snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(event), event);
	pthread_mutex_lock(&p->lock);
	while (listener(p) < 0)
		pthread_cond_wait(&p->changed, &p->lock);
	serve_send(listener(p), chunk, strlen(chunk));
	pthread_mutex_unlock(&p->lock);
}
