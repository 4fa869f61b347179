#ifndef EDGED_KERNEL_FILE_H
#define EDGED_KERNEL_FILE_H

#include "base/mem.h"

/*
 * Files of /proc and /sys, whose size says nothing about their content: read until the end, at most 1 MiB.  NUL-terminated text, or
 * NULL when there is none; free with str_freep.
 */
char *kernel_file_read(const char *path);
/* The same cut before its first line break, without white space at its end. */
char *kernel_file_line(const char *path);

#endif
