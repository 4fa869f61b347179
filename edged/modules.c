#include "edged/modules.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "edged/listeners.h"
#include "edged/together.h"
#include "edged/view.h"

struct modules {
	struct engine *engine;
	struct listeners *listeners;
	bool elevated;
	pthread_mutex_t lock; /* of replacing */
	char *replacing[8];   /* names that modules_replace works on */
};

enum err_code
modules_new(const struct modules_config *config, struct modules **ret, struct err *err)
{
	struct modules *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(err);
	m->engine = config->engine;
	m->listeners = config->listeners;
	m->elevated = config->elevated;
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return ERR_OK;
}

void
modules_free(struct modules *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static enum err_code
wrap(struct err *err, const char *verb, const char *name)
{
	/* a bad name is the caller's fault, and not the runtime's */
	if (err->code == ERR_INVALID)
		return err->code;
	return err_wrap(err, "runtime operation error: %s module \"%s\"", verb, name);
}

/* Is it the engine's "there is no such container"? */
static bool
is_missing(const struct err *err)
{
	return err->code == ERR_NOT_FOUND || (err->code == ERR_PEER && err->status == 404);
}

/*
 * The container of that name, if it is ours.  The engine takes beginnings of ids for names, so the name is compared.
 */
static enum err_code
find(struct modules *m, const char *name, struct engine_container *ret, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };
	const char *owner;

	if (engine_name_check(name, err))
		return err->code;
	if (engine_inspect(m->engine, name, &c, err)) {
		if (is_missing(err))
			err->code = ERR_NOT_FOUND;
		return err->code;
	}
	owner = engine_label(&c.config.labels, ENGINE_OWNER_LABEL);
	if (strcmp(view_name(c.name), name) != 0 || !owner ||
	    strcmp(owner, ENGINE_OWNER_VALUE) != 0)
		return err_set(err, ERR_NOT_FOUND, "No such container: %s", name);
	*ret = c;
	c = (struct engine_container){ 0 };
	return ERR_OK;
}

/* --- reading */

static enum err_code
list_add(struct edged_module_list *list, struct edged_module *module, struct err *err)
{
	struct edged_module *at = reallocarray(list->modules.at, list->modules.n + 1, sizeof(*at));

	if (!at)
		return err_nomem(err);
	list->modules.at = at;
	at[list->modules.n++] = *module;
	*module = (struct edged_module){ 0 };
	return ERR_OK;
}

static enum err_code
list_one(struct modules *m, const char *id, struct edged_module_list *list, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };
	AUTO(edged_module_done) struct edged_module module = { 0 };

	if (engine_inspect(m->engine, id, &c, err))
		return err->code;
	if (view_module(&c, &module, err) || list_add(list, &module, err))
		return err->code;
	return ERR_OK;
}

enum err_code
modules_list(struct modules *m, struct edged_module_list *ret, struct err *err)
{
	AUTO(edged_module_list_done) struct edged_module_list list = { 0 };
	AUTO(engine_items_done) struct engine_items items = { 0 };

	if (engine_list(m->engine, &items, err))
		return err_wrap(err, "runtime operation error: list modules");
	for (size_t i = 0; i < items.items.n; i++)
		/* what the engine will not show is gone or going; a broken connection says nothing */
		if (list_one(m, items.items.at[i].id, &list, err) && err->code != ERR_PEER)
			return err_wrap(err, "runtime operation error: list modules");
	err_clear(err);
	*ret = list;
	list = (struct edged_module_list){ 0 };
	return ERR_OK;
}

enum err_code
modules_get(struct modules *m, const char *name, struct edged_module *ret, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err) || view_module(&c, ret, err))
		return wrap(err, "get", name);
	return ERR_OK;
}

enum err_code
modules_state(struct modules *m, const char *name, char ret[16], struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err))
		return wrap(err, "get", name);
	memset(ret, 0, 16);
	memcpy(ret, c.state.status, strnlen(c.state.status, 15));
	return ERR_OK;
}

enum err_code
modules_logs(struct modules *m, const char *name, const struct engine_logs *want,
    struct engine_stream **ret, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err) || engine_logs_open(m->engine, c.id, want, ret, err)) {
		if (err->code == ERR_INVALID)
			return err->code;
		return err_wrap(err, "container runtime error");
	}
	return ERR_OK;
}

/* --- making */

enum err_code
modules_pull(struct modules *m, const struct module_spec *spec, struct err *err)
{
	const char *image = spec->settings->image;
	AUTO(str_freep) char *id = NULL;
	struct err missing = { 0 };

	if (spec->pull == EDGED_PULL_NEVER)
		return ERR_OK;
	if (engine_pull(m->engine, image, spec->settings->auth, err) == ERR_OK)
		return ERR_OK;
	/* a registry that is down must not stop a module whose image is here (edged-weaknesses.md B13) */
	if (err->code != ERR_INVALID &&
	    engine_image_id(m->engine, image, &id, &missing) == ERR_OK) {
		log_warn("could not pull image %s, going on with the one that is here: %s", image,
		    err->text);
		err_clear(err);
		return ERR_OK;
	}
	if (err->code == ERR_INVALID)
		return err->code;
	return err_wrap(err, "registry operation error: pull image \"%s\"", image);
}

static enum err_code
build(struct modules *m, const struct module_spec *spec, char **ret_body, struct err *err)
{
	struct createopts options = {
		.options = spec->settings->create_options,
		.image = spec->settings->image,
		.env = spec->env,
		.n_env = spec->n_env,
		.elevated = m->elevated,
		.is_agent = strcmp(spec->name, EDGED_AGENT_NAME) == 0,
		.binds = spec->binds,
		.n_binds = spec->n_binds,
		.network = spec->network,
		.labels = spec->labels,
		.n_labels = spec->n_labels,
	};

	return createopts_build(&options, ret_body, err);
}

/* Can the module be made at all?  Asked before anything is done. */
static enum err_code
check(struct modules *m, const struct module_spec *spec, char **ret_body, struct err *err)
{
	if (engine_name_check(spec->name, err) ||
	    listeners_name_fits(m->listeners, spec->name, err) || build(m, spec, ret_body, err))
		return err->code;
	return ERR_OK;
}

enum err_code
modules_check(struct modules *m, const struct module_spec *spec, struct err *err)
{
	AUTO(str_freep) char *body = NULL;

	return check(m, spec, &body, err);
}

static enum err_code
make(struct modules *m, const char *name, const char *body, struct err *err)
{
	AUTO(str_freep) char *id = NULL;

	if (engine_create(m->engine, name, body, &id, err))
		return wrap(err, "create", name);
	return ERR_OK;
}

enum err_code
modules_create(struct modules *m, const struct module_spec *spec, struct err *err)
{
	AUTO(str_freep) char *body = NULL;

	if (check(m, spec, &body, err) || modules_pull(m, spec, err))
		return err->code;
	return make(m, spec->name, body, err);
}

static bool
replacing_set(struct modules *m, const char *from, char *to)
{
	bool done = false;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < ARRAY_LEN(m->replacing) && !done; i++)
		if (from ? m->replacing[i] && strcmp(m->replacing[i], from) == 0
			 : !m->replacing[i]) {
			m->replacing[i] = to;
			done = true;
		}
	pthread_mutex_unlock(&m->lock);
	return done;
}

bool
modules_being_replaced(struct modules *m, const char *name)
{
	bool found = false;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < ARRAY_LEN(m->replacing); i++)
		found = found || (m->replacing[i] && strcmp(m->replacing[i], name) == 0);
	pthread_mutex_unlock(&m->lock);
	return found;
}

static enum err_code
replace(struct modules *m, const char *name, const struct module_spec *spec, const char *body,
    bool start, struct err *err)
{
	AUTO(engine_container_done) struct engine_container old = { 0 };

	if (find(m, name, &old, err))
		return wrap(err, "stop", name);
	if (modules_pull(m, spec, err))
		return err->code;
	if (engine_stop(m->engine, old.id, -1, err) && !is_missing(err))
		return wrap(err, "stop", name);
	if (engine_remove(m->engine, old.id, err) && !is_missing(err))
		return wrap(err, "remove", name);
	/* the socket stays: nobody has it mounted now, and the next container of this name takes it over */
	if (strcmp(name, spec->name) != 0)
		listeners_remove(m->listeners, name);
	if (make(m, spec->name, body, err))
		return err->code;
	if (start && modules_start(m, spec->name, err)) {
		log_warn(
		    "module %s was replaced and could not be started: %s", spec->name, err->text);
		err_clear(err);
	}
	return ERR_OK;
}

enum err_code
modules_replace(struct modules *m, const char *name, const struct module_spec *spec, bool start,
    struct err *err)
{
	AUTO(str_freep) char *mark = NULL;
	AUTO(str_freep) char *body = NULL;
	enum err_code code;

	if (engine_name_check(name, err) || check(m, spec, &body, err) ||
	    str_copy(&mark, name, err))
		return err->code;
	if (!replacing_set(m, NULL, mark))
		return err_set(err, ERR_BUSY, "too many modules are being replaced");
	code = replace(m, name, spec, body, start, err);
	(void)replacing_set(m, mark, NULL);
	return code;
}

/* --- acting */

enum err_code
modules_remove(struct modules *m, const char *name, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err))
		return wrap(err, "remove", name);
	if (engine_remove(m->engine, c.id, err) && !is_missing(err))
		return wrap(err, "remove", name);
	listeners_remove(m->listeners, name);
	return ERR_OK;
}

enum err_code
modules_start(struct modules *m, const char *name, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err) || listeners_ensure(m->listeners, name, c.id, err) ||
	    engine_start(m->engine, c.id, err))
		return wrap(err, "start", name);
	return ERR_OK;
}

enum err_code
modules_stop(struct modules *m, const char *name, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err) || engine_stop(m->engine, c.id, -1, err))
		return wrap(err, "stop", name);
	return ERR_OK;
}

enum err_code
modules_restart(struct modules *m, const char *name, struct err *err)
{
	AUTO(engine_container_done) struct engine_container c = { 0 };

	if (find(m, name, &c, err) || listeners_ensure(m->listeners, name, c.id, err) ||
	    engine_restart(m->engine, c.id, err))
		return wrap(err, "restart", name);
	return ERR_OK;
}

/* --- all of them at once */

struct each {
	struct modules *m;
	const struct engine_items *items;
	int grace_s;
	char **texts; /* stats */
	struct err *errs;
};

static void
each_done(struct each *e)
{
	for (size_t i = 0; e->texts && i < e->items->items.n; i++)
		str_freep(&e->texts[i]);
	free(e->texts);
	free(e->errs);
}

static enum err_code
each_make(struct each *e, struct err *err)
{
	size_t n = e->items->items.n + 1; /* never nothing */

	e->texts = calloc(n, sizeof(*e->texts));
	e->errs = calloc(n, sizeof(*e->errs));
	return e->texts && e->errs ? ERR_OK : err_nomem(err);
}

static const char *
item_name(const struct engine_item *item)
{
	return item->names.n ? view_name(item->names.at[0]) : item->id;
}

static void
stats_one(void *ctx, size_t i)
{
	struct each *e = ctx;

	(void)!engine_stats(e->m->engine, e->items->items.at[i].id, &e->texts[i], &e->errs[i]);
}

enum err_code
modules_stats(struct modules *m, char **ret_json, struct err *err)
{
	AUTO(engine_items_done) struct engine_items items = { 0 };
	AUTO(each_done) struct each e = { .m = m, .items = &items };
	AUTO(buf_done) struct buf b = { 0 };

	if (engine_list(m->engine, &items, err) || each_make(&e, err))
		return err_wrap(err, "runtime operation error: query system resources");
	together(items.items.n, stats_one, &e);
	buf_puts(&b, "[");
	for (size_t i = 0; i < items.items.n; i++)
		if (e.texts[i]) {
			buf_puts(&b, b.len > 1 ? "," : "");
			buf_puts(&b, e.texts[i]);
		} else if (!is_missing(&e.errs[i])) {
			*err = e.errs[i];
			return err_wrap(err, "runtime operation error: query system resources");
		}
	buf_puts(&b, "]");
	return buf_take_string(&b, ret_json, err);
}

static void
stop_one(void *ctx, size_t i)
{
	struct each *e = ctx;

	(void)!engine_stop(e->m->engine, e->items->items.at[i].id, e->grace_s, &e->errs[i]);
}

unsigned
modules_stop_all(struct modules *m, int grace_s)
{
	AUTO(engine_items_done) struct engine_items items = { 0 };
	AUTO(each_done) struct each e = { .m = m, .items = &items, .grace_s = grace_s };
	struct err err = { 0 };
	unsigned failed = 0;

	if (engine_list(m->engine, &items, &err) || each_make(&e, &err)) {
		log_warn("could not stop the modules: %s", err.text);
		return 1;
	}
	together(items.items.n, stop_one, &e);
	for (size_t i = 0; i < items.items.n; i++)
		if (e.errs[i].code && !is_missing(&e.errs[i])) {
			log_warn("could not stop module %s: %s", item_name(&items.items.at[i]),
			    e.errs[i].text);
			failed++;
		}
	return failed;
}

static void
remove_one(void *ctx, size_t i)
{
	struct each *e = ctx;

	(void)!engine_remove(e->m->engine, e->items->items.at[i].id, &e->errs[i]);
}

enum err_code
modules_remove_all(struct modules *m, struct err *err)
{
	AUTO(engine_items_done) struct engine_items items = { 0 };
	AUTO(each_done) struct each e = { .m = m, .items = &items };
	const struct err *first = NULL;

	if (engine_list(m->engine, &items, err) || each_make(&e, err))
		return err_wrap(err, "runtime operation error: list modules");
	together(items.items.n, remove_one, &e);
	for (size_t i = 0; i < items.items.n; i++)
		if (e.errs[i].code && !is_missing(&e.errs[i]))
			first = first ? first : &e.errs[i];
		else
			listeners_remove(m->listeners, item_name(&items.items.at[i]));
	if (!first)
		return ERR_OK;
	*err = *first;
	return err_wrap(err, "runtime operation error: remove modules");
}

enum err_code
modules_open_listeners(struct modules *m, struct err *err)
{
	AUTO(engine_items_done) struct engine_items items = { 0 };

	if (engine_list(m->engine, &items, err))
		return err_wrap(err, "runtime operation error: list modules");
	for (size_t i = 0; i < items.items.n; i++) {
		const struct engine_item *item = &items.items.at[i];
		struct err one = { 0 };

		if (engine_name_check(item_name(item), &one) ||
		    listeners_ensure(m->listeners, item_name(item), item->id, &one))
			log_warn("no workload socket for module %s: %s", item_name(item), one.text);
	}
	return ERR_OK;
}
