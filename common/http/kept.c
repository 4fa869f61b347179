#include "http/kept.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/* A slot in use belongs to one thread; where a fork came in between, it stays so in the child, which has one slot less. */
enum { EMPTY, IN_USE, FULL };

static bool
move(struct kept_slot *slot, int from, int to)
{
	return atomic_compare_exchange_strong(&slot->state, &from, to);
}

static bool
cookie_of(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &len) == 0;
}

/* The slot's socket, where it is still the one that was put there and this process may use it; else -1. */
static int
claim(const struct kept_slot *slot)
{
	uint64_t cookie;

	if (!cookie_of(slot->fd, &cookie) || cookie != slot->cookie)
		return -1;
	if (slot->owner == getpid())
		return slot->fd;
	close(slot->fd);
	return -1;
}

int
kept_take(struct kept *k)
{
	for (size_t i = KEPT_MAX; i-- > 0;) {
		struct kept_slot *slot = &k->slots[i];
		int fd;

		if (!move(slot, FULL, IN_USE))
			continue;
		fd = claim(slot);
		atomic_store(&slot->state, EMPTY);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

void
kept_put(struct kept *k, int fd)
{
	uint64_t cookie;

	for (size_t i = 0; cookie_of(fd, &cookie) && i < KEPT_MAX; i++) {
		struct kept_slot *slot = &k->slots[i];

		if (!move(slot, EMPTY, IN_USE))
			continue;
		slot->fd = fd;
		slot->owner = getpid();
		slot->cookie = cookie;
		atomic_store(&slot->state, FULL);
		return;
	}
	close(fd);
}

void
kept_done(struct kept *k)
{
	int fd;

	while ((fd = kept_take(k)) >= 0)
		close(fd);
}
