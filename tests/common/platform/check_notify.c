#include "tests/support/support.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/notify.h"

static int
ear(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, name, strlen(name));
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	    0);
	return fd;
}

static const char *
heard(int fd)
{
	static char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void
check_messages(const char *name)
{
	AUTO(fd_closep) int fd = ear(name);
	unsigned long long micros;
	char rest;

	setenv("NOTIFY_SOCKET", name, 1);
	notify_open();
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	notify_ready();
	ck_assert_str_eq(heard(fd), "READY=1");
	notify_status("%d of %s", 3, "five");
	ck_assert_str_eq(heard(fd), "STATUS=3 of five");
	notify_status("no\nREADY=1");
	ck_assert_str_eq(heard(fd), "STATUS=no READY=1");
	notify_status("%0900d", 1);
	ck_assert_uint_eq(strlen(heard(fd)), 511);
	notify_stopping();
	ck_assert_str_eq(heard(fd), "STOPPING=1");
	notify_reloading();
	/* sd_notify(3): the reload's begin in microseconds of CLOCK_MONOTONIC */
	ck_assert_int_eq(
	    sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%llu%c", &micros, &rest), 1);
}

START_TEST(test_path)
{
	check_messages(support_path("notify"));
}
END_TEST

START_TEST(test_abstract)
{
	char name[64];

	snprintf(name, sizeof(name), "@ek-check-notify.%d", (int)getpid());
	check_messages(name);
}
END_TEST

START_TEST(test_nobody)
{
	static const char *const names[] = { "", "@", "relative", "/no/such/socket",
		"/longer/than/any/socket/path/may/be/"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_open();
		notify_ready();
		ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	}
	unsetenv("NOTIFY_SOCKET");
	notify_open();
	notify_stopping();
}
END_TEST

TEST_MAIN("platform/notify", test_path, test_abstract, test_nobody)
