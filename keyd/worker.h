#ifndef KEYD_WORKER_H
#define KEYD_WORKER_H

#include "keyd/backend.h"
#include "platform/daemon.h"

/*
 * A key worker: a process that does the work of one place for keys (stores.h), so that a vendor's library which crashes, hangs
 * or leaks there does so without keyd.  It has no HTTP, no JSON and no handles: keyd's end is remote.h, what they say to each
 * other worker_proto.h.
 *
 * The descriptors that it is started with: WORKER_CONTROL, whose end is the worker's end; the channels behind it, each served by a
 * thread of its own in straight-line code; and, last, memory that it leaves to the worker which follows it (backend.h: notes).
 */
struct worker;

#define WORKER_CONTROL	    3
#define WORKER_CHANNELS_MAX 6

/* --- the work, without a process around it */

/* Open the place.  backend and config (with its mech) must outlive the result. */
enum err_code worker_new(const struct backend *backend, const struct backend_config *config,
    struct worker **ret, struct err *err) MUST_CHECK;
/* Answer what is asked over fd until its other end is closed, or says something odd (ERR_PROTOCOL).  On as many threads as wanted. */
enum err_code worker_answer_all(struct worker *w, int fd, struct err *err) MUST_CHECK;
/* Close the place.  NULL is allowed. */
void worker_free(struct worker *w);

/* --- the roles worker-*, which differ in what their processes may do (sandbox.c): steps of platform/daemon.h */

enum err_code worker_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code worker_serve(struct daemon *d, struct err *err) MUST_CHECK;
void worker_stop(struct daemon *d, unsigned grace_ms);
void worker_done(struct daemon *d);

/* Which of the layout's places it serves. */
struct worker_process;
size_t worker_place(const struct worker_process *p);

/* What each kind of worker reads and writes (worker_paths.c). */
enum err_code worker_file_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code worker_tpm_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code worker_vendor_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
/* A vendor's place by its number in the layout; behind the last: what all of them have. */
struct layout;
enum err_code worker_place_paths(const struct layout *layout, size_t place,
    struct sandbox_paths *paths, struct err *err) MUST_CHECK;
/* The file of the PIN, if that is where the URI (or NULL) has it. */
enum err_code worker_pin_path(
    const char *uri, struct sandbox_paths *paths, struct err *err) MUST_CHECK;

#endif
