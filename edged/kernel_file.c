#include "edged/kernel_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define PIECE 4096

char *
kernel_file_read(const char *path)
{
	AUTO(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO(buf_done) struct buf b = { .max = 1024 * 1024 };
	struct err err = { 0 };
	char *text = NULL;
	ssize_t n;

	if (fd < 0)
		return NULL;
	do {
		uint8_t *to = buf_reserve(&b, PIECE);

		n = to ? read(fd, to, PIECE) : 0;
		if (n > 0)
			buf_commit(&b, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 || buf_take_string(&b, &text, &err))
		return NULL;
	return text;
}

char *
kernel_file_line(const char *path)
{
	char *text = kernel_file_read(path);
	size_t len = text ? strcspn(text, "\n") : 0;

	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (text)
		text[len] = '\0';
	return text;
}
