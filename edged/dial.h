#ifndef EDGED_DIAL_H
#define EDGED_DIAL_H

#include "base/err.h"

/* Connect to a Unix socket, waiting at most 5 s for room in its backlog.  ERR_UNREACHABLE. */
enum err_code dial_unix(const char *path, int *ret_fd, struct err *err) MUST_CHECK;

#endif
