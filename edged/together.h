#ifndef EDGED_TOGETHER_H
#define EDGED_TOGETHER_H

#include <stddef.h>

/*
 * Run fn(ctx, 0) to fn(ctx, n - 1) on up to 8 threads, this one among them, and return when all are done.  Where a thread cannot be had the
 * others do its share.
 */
void together(size_t n, void (*fn)(void *ctx, size_t i), void *ctx);

#endif
