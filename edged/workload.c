#include "edged/workload.h"

enum err_code
workload_prepare(struct daemon *d, struct err *err)
{
	(void)d;
	return err_set(err, ERR_INTERNAL, "the workload side is not there yet");
}

enum err_code
workload_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	(void)d;
	return sandbox_paths_add(paths, "/proc", SANDBOX_READ, err);
}

enum err_code
workload_serve(struct daemon *d, struct err *err)
{
	(void)d;
	return err_set(err, ERR_INTERNAL, "the workload side is not there yet");
}

void
workload_stop(struct daemon *d, unsigned grace_ms)
{
	(void)d;
	(void)grace_ms;
}

void
workload_done(struct daemon *d)
{
	(void)d;
}
