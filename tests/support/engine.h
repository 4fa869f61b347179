#ifndef TESTS_SUPPORT_ENGINE_H
#define TESTS_SUPPORT_ENGINE_H

#include "tests/support/support.h"
#include "wire/engine.h"

/*
 * A container engine of memory behind a real socket: containers, images and networks with the statuses of contracts/docker.md 3
 * (dockerd's), answers that a test puts before them, and a record of what was asked.
 */
struct engine_peer;

struct engine_peer *engine_peer_start(const char *path);
void engine_peer_stop(struct engine_peer *p);

/* API versions it accepts in paths, "1.NN" each. */
void engine_peer_versions(struct engine_peer *p, int min_minor, int max_minor);
/* Answer the next n requests whose "METHOD PATH" (without version) begins so with this instead; body NULL: close without a byte. */
void engine_peer_say(
    struct engine_peer *p, unsigned n, const char *request, unsigned status, const char *body);
/* "METHOD TARGET" lines since the last call, those whose line holds part (NULL: all); freed at exit. */
const char *engine_peer_asked(struct engine_peer *p, const char *part);
/* Value of the header in the last request whose line begins so; "" when absent.  Body of it.  Freed at exit. */
const char *engine_peer_header(struct engine_peer *p, const char *request, const char *name);
const char *engine_peer_body(struct engine_peer *p, const char *request);

void engine_peer_image(struct engine_peer *p, const char *name);
/* A container in a state ("running", "exited", ...), with or without the owner label; returns its id, freed at exit. */
const char *engine_peer_container(
    struct engine_peer *p, const char *name, const char *state, bool owned);
/* Its state now, "" when it is not there. */
const char *engine_peer_state(struct engine_peer *p, const char *name);
void engine_peer_network(struct engine_peer *p, const char *name);
/* Send an event to whoever listens; waits until somebody does. */
void engine_peer_event(struct engine_peer *p, const char *action, const char *name);

#endif
