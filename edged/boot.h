#ifndef EDGED_BOOT_H
#define EDGED_BOOT_H

#include "edged/agent.h"
#include "edged/service.h"

/*
 * From start to the watchdog, on a thread of its own (contracts/edged-lifecycle.md 1-5): wait for the device's identity, for the engine, make the
 * network and the Edge CA, stop what runs, purge when the device has become another, open the listeners, and then keep edgeAgent
 * running.  A step that fails is tried again, with a growing pause, for ever: nothing outside ends edged.  Engine events wake
 * the watchdog at once; it looks every 60 s besides.
 */
struct boot;

enum err_code boot_new(struct edged *edged, struct boot **ret, struct err *err) MUST_CHECK;
enum err_code boot_start(struct boot *b, struct err *err) MUST_CHECK;
/* Waits up to 5 s for the threads; false when one still waits for a peer, and what it uses must be left alone. */
bool boot_stop(struct boot *b);
void boot_free(struct boot *b);

/* ERR_BUSY with what is being waited for, until modules may be acted upon. */
enum err_code boot_ready(struct boot *b, struct err *err) MUST_CHECK;
/* For `status`: is all well, and a line on it. */
bool boot_health(struct boot *b, char *out, size_t size);
/* The device, or false before it is known.  Valid as long as b. */
bool boot_device(struct boot *b, const struct agent_device **ret);

/* The device is to be provisioned anew: end the daemon with status 154, see edged_stop. */
void boot_reprovision(struct boot *b);
bool boot_wants_reprovision(struct boot *b);

#endif
