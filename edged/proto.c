#include "edged/proto.h"

/* Both ends answer ERR_INTERNAL until the workload process is there. */

enum err_code
proto_server_new(int fd, const struct proto_answers *answers, void *ctx, struct pool *pool,
    struct proto_server **ret, struct err *err)
{
	(void)fd;
	(void)answers;
	(void)ctx;
	(void)pool;
	(void)ret;
	return err_set(err, ERR_INTERNAL, "the workload side is not there yet");
}

enum err_code
proto_server_run(struct proto_server *s, struct err *err)
{
	(void)s;
	return err_set(err, ERR_INTERNAL, "the workload side is not there yet");
}

void
proto_server_shut(struct proto_server *s)
{
	(void)s;
}

void
proto_server_free(struct proto_server *s)
{
	(void)s;
}

enum err_code
proto_listener_add(
    struct proto_server *s, const char *module, const char *container_id, int fd, struct err *err)
{
	(void)s;
	(void)module;
	(void)container_id;
	(void)fd;
	return err_set(err, ERR_INTERNAL, "the workload side is not there yet");
}

enum err_code
proto_listener_drop(struct proto_server *s, const char *module, struct err *err)
{
	(void)s;
	(void)module;
	return err_set(err, ERR_INTERNAL, "the workload side is not there yet");
}
