#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <sys/types.h>

#include "base/mem.h"

/*
 * State on disk.  Every write is a temporary file in the same directory, fsync, rename, fsync of the directory
 * (architecture rule 10), so a reader finds the old content or the new, never a part.
 * The temporary file is ".new-0", or of a higher number where others write at the same time: a crash leaves it behind, and
 * file_sweep finds it without reading the directory, however large that is.  It looks this far beyond the last that it found, so
 * no more may write in one directory at the same time for all to be found.
 */
#define FILE_WRITERS_MAX 64

/* Read a regular file of at most max bytes.  ERR_NOT_FOUND: absent.  ERR_INVALID: longer, or not a regular file. */
enum err_code file_read(
    const char *path, size_t max, struct bytes *ret, struct err *err) MUST_CHECK;
/* Write durably with exactly this mode, replacing what is there. */
enum err_code file_write(
    const char *path, mode_t mode, const void *data, size_t len, struct err *err) MUST_CHECK;
/* As file_write, but ERR_CONFLICT where the path exists (link(2), so two writers cannot both win). */
enum err_code file_create(
    const char *path, mode_t mode, const void *data, size_t len, struct err *err) MUST_CHECK;
/* rename(2) within one directory, then fsync of it.  ERR_NOT_FOUND: no source. */
enum err_code file_rename(const char *from, const char *to, struct err *err) MUST_CHECK;
/* unlink(2) and fsync of the directory; success when absent already. */
enum err_code file_remove(const char *path, struct err *err) MUST_CHECK;
/* Make the directory and its missing parents with this mode; success when it exists and is a directory. */
enum err_code file_mkdirs(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Remove from a directory what a crash left of writes; what cannot be removed stays.  Before anybody writes there. */
void file_sweep(const char *dir);
/* fsync the directory that holds path. */
enum err_code file_sync_dir(const char *path, struct err *err) MUST_CHECK;

#endif
