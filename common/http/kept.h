#ifndef HTTP_KEPT_H
#define HTTP_KEPT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Connected sockets that wait for a further call: at most KEPT_MAX, about last in first out.
 *
 * They may live in a program that is not ours (provider/), so nothing is assumed of it.  A fork: a socket is used only by the
 * process that put it here; the child closes its copy and the parent's connection stays whole.  No lock is held, so a fork in
 * another thread's midst leaves none behind.  A program that closes descriptors which it never opened: a number that has come
 * to mean another file is forgotten, neither used nor closed.
 */
#define KEPT_MAX 4

struct kept {
	struct kept_slot {
		_Atomic int state;
		int fd;
		pid_t owner;
		uint64_t cookie; /* SO_COOKIE, which the kernel gives to one socket only */
	} slots[KEPT_MAX];
};

/* A socket that the caller owns from here on; -1: none. */
int kept_take(struct kept *k);
/* Give a socket back (taken over); closed where there is no room. */
void kept_put(struct kept *k, int fd);
/* Close all. */
void kept_done(struct kept *k);

#endif
