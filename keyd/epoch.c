#include "keyd/epoch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "crypto/digest.h"

#define COUNTER_MAX 20 /* digits of a 64-bit number */

static enum err_code
path_of(const char *directory, const char *id, char **ret, struct err *err)
{
	AUTO(str_freep) char *name = NULL;

	if (digest_file_name(id, "", &name, err))
		return err->code;
	return str_format(ret, err, "%s/%s", directory, name);
}

static enum err_code
read_counter(const char *path, uint64_t *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes text = { 0 };
	uint64_t number;
	char *end;

	if (file_read(path, COUNTER_MAX, &text, err)) {
		if (err->code != ERR_NOT_FOUND)
			return err_wrap_code(
			    err, ERR_INTERNAL, "could not read the epoch of a key");
		*ret = 0;
		err_clear(err);
		return ERR_OK;
	}
	errno = 0;
	number = strtoull((const char *)text.data, &end, 10);
	if (errno || text.len == 0 || *end != '\0' ||
	    strspn((const char *)text.data, "0123456789") != text.len)
		return err_set(err, ERR_INTERNAL,
		    "%s is damaged: put it back from a backup, or a number in it that is higher "
		    "than it ever was",
		    path);
	*ret = number;
	return ERR_OK;
}

enum err_code
epoch_get(const char *directory, const char *id, uint64_t *ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (path_of(directory, id, &path, err))
		return err->code;
	return read_counter(path, ret, err);
}

enum err_code
epoch_raise(const char *directory, const char *id, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	char text[COUNTER_MAX + 1];
	uint64_t number;
	int len;

	if (path_of(directory, id, &path, err) || read_counter(path, &number, err))
		return err->code;
	len = snprintf(text, sizeof(text), "%" PRIu64, number + 1);
	return file_write(path, 0600, text, (size_t)len, err);
}
