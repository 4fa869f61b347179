#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char cause[] = "\ncaused by: ";

static const char *const names[ERR_CODES] = {
	[ERR_OK] = "ERR_OK",
	[ERR_INVALID] = "ERR_INVALID",
	[ERR_SYNTAX] = "ERR_SYNTAX",
	[ERR_NO_BODY] = "ERR_NO_BODY",
	[ERR_DENIED] = "ERR_DENIED",
	[ERR_NOT_FOUND] = "ERR_NOT_FOUND",
	[ERR_UNSUPPORTED] = "ERR_UNSUPPORTED",
	[ERR_CONFLICT] = "ERR_CONFLICT",
	[ERR_WOULD_BLOCK] = "ERR_WOULD_BLOCK",
	[ERR_BUSY] = "ERR_BUSY",
	[ERR_UNREACHABLE] = "ERR_UNREACHABLE",
	[ERR_TIMEOUT] = "ERR_TIMEOUT",
	[ERR_PEER] = "ERR_PEER",
	[ERR_PROTOCOL] = "ERR_PROTOCOL",
	[ERR_CONFIG] = "ERR_CONFIG",
	[ERR_IO] = "ERR_IO",
	[ERR_CRYPTO] = "ERR_CRYPTO",
	[ERR_NOMEM] = "ERR_NOMEM",
	[ERR_INTERNAL] = "ERR_INTERNAL",
};

const char *
err_name(enum err_code code)
{
	return code < ERR_CODES && names[code] ? names[code] : "ERR_?";
}

enum err_code
err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->status = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

static enum err_code
code_of_errno(int number)
{
	switch (number) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_IO;
	}
}

enum err_code
err_errno(struct err *err, const char *fmt, ...)
{
	int number = errno;
	char reason[128];
	size_t used;
	va_list ap;

	err->code = code_of_errno(number);
	err->status = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s",
	    strerror_r(number, reason, sizeof(reason)));
	return err->code;
}

enum err_code
err_nomem(struct err *err)
{
	return err_set(err, ERR_NOMEM, "out of memory");
}

/* Put outer, already formatted, before the present text. */
static enum err_code
prepend(struct err *err, enum err_code code, const char *outer)
{
	char inner[ERR_TEXT_MAX];

	memcpy(inner, err->text, sizeof(inner));
	inner[sizeof(inner) - 1] = '\0';
	if (inner[0] == '\0')
		snprintf(err->text, sizeof(err->text), "%s", outer);
	else
		snprintf(err->text, sizeof(err->text), "%s%s%.*s", outer, cause, (int)sizeof(inner),
		    inner);
	err->code = code;
	return code;
}

enum err_code
err_wrap(struct err *err, const char *fmt, ...)
{
	char outer[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(outer, sizeof(outer), fmt, ap);
	va_end(ap);
	return prepend(err, err->code == ERR_OK ? ERR_INTERNAL : err->code, outer);
}

enum err_code
err_wrap_code(struct err *err, enum err_code code, const char *fmt, ...)
{
	char outer[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(outer, sizeof(outer), fmt, ap);
	va_end(ap);
	return prepend(err, code, outer);
}

enum err_code
err_param(struct err *err, const char *name)
{
	switch (err->code) {
	case ERR_NOMEM:
	case ERR_IO:
	case ERR_CRYPTO:
	case ERR_INTERNAL:
	case ERR_WOULD_BLOCK:
		return err->code;
	default:
		return err_wrap_code(
		    err, ERR_INVALID, "parameter \"%s\" has an invalid value", name);
	}
}

const char *
err_one_line(struct err *err)
{
	const size_t len = strlen(cause);
	char *at = err->text;

	while ((at = strstr(at, cause))) {
		memcpy(at, ": ", 2);
		memmove(at + 2, at + len, strlen(at + len) + 1);
	}
	return err->text;
}

void
err_clear(struct err *err)
{
	err->code = ERR_OK;
	err->status = 0;
	err->text[0] = '\0';
}
