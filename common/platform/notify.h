#ifndef PLATFORM_NOTIFY_H
#define PLATFORM_NOTIFY_H

/*
 * sd_notify(3) in some forty lines: the socket of $NOTIFY_SOCKET is opened before the policy, messages are sent after.
 * Without $NOTIFY_SOCKET every call does nothing.
 */
void notify_open(void);
void notify_ready(void);
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void notify_stopping(void);
void notify_reloading(void);

#endif
