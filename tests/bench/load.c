/*
 * load SOCKET PID CLIENTS kept|each SECONDS TARGET BODY-FILE - send one request again and again and measure.
 *
 * Prints "requests-per-second p50-us server-cpu-us-per-request".  CPU is that of all threads of process PID, from
 * /proc/PID/task/TID/schedstat.  A client is a thread that waits for each answer; "each" makes a connection per request.
 * At least one request per client, also in 0 seconds.
 */
#include <dirent.h>
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 400000

static const char *socket_path;
static char *request;
static size_t request_len;
static bool kept;
static volatile bool stop;

struct client {
	pthread_t thread;
	uint32_t *us;
	size_t n;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
dial(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		err(1, "%s", socket_path);
	return fd;
}

/* Head and body by Content-Length; the status must be 200. */
static void
exchange(int fd)
{
	char answer[4096];
	const char *length, *end;
	size_t used = 0, want = 0;

	if (write(fd, request, request_len) != (ssize_t)request_len)
		err(1, "write");
	do {
		ssize_t n = read(fd, answer + used, sizeof(answer) - 1 - used);

		if (n <= 0)
			errx(1, "the connection was closed");
		used += (size_t)n;
		answer[used] = '\0';
		end = strstr(answer, "\r\n\r\n");
		if (end && !want) {
			length = strcasestr(answer, "\r\ncontent-length:");
			if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || !length)
				errx(1, "answered %s", answer);
			want = (size_t)(end + 4 - answer) + strtoul(length + 17, NULL, 10);
		}
	} while (!want || used < want);
}

static void *
work(void *arg)
{
	struct client *c = arg;
	int fd = kept ? dial() : -1;

	do {
		double from = now();

		if (!kept)
			fd = dial();
		exchange(fd);
		if (!kept)
			close(fd);
		c->us[c->n++] = (uint32_t)((now() - from) * 1e6);
	} while (!stop && c->n < SAMPLES_MAX);
	if (kept)
		close(fd);
	return NULL;
}

static double
cpu_seconds(const char *pid)
{
	char path[600];
	double sum = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (!dir)
		err(1, "%s", path);
	while ((entry = readdir(dir))) {
		unsigned long long ns = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", pid, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (file && fscanf(file, "%llu", &ns) == 1)
			sum += (double)ns / 1e9;
		if (file)
			fclose(file);
	}
	closedir(dir);
	return sum;
}

static void
make_request(const char *target, const char *body_file)
{
	char body[8192];
	FILE *file = fopen(body_file, "re");
	size_t len = file ? fread(body, 1, sizeof(body), file) : 0;
	int n;

	if (!file)
		err(1, "%s", body_file);
	fclose(file);
	n = asprintf(&request,
	    "POST %s HTTP/1.1\r\nhost: keyd.sock\r\ncontent-type: application/json\r\n"
	    "content-length: %zu\r\n\r\n%.*s",
	    target, len, (int)len, body);
	if (n < 0)
		err(1, NULL);
	request_len = (size_t)n;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	size_t n_clients, total = 0;
	struct client *clients;
	uint32_t *all;
	double from, cpu;

	if (argc != 8)
		errx(2, "usage: load SOCKET PID CLIENTS kept|each SECONDS TARGET BODY-FILE");
	socket_path = argv[1];
	n_clients = strtoul(argv[3], NULL, 10);
	kept = strcmp(argv[4], "kept") == 0;
	make_request(argv[6], argv[7]);
	clients = calloc(n_clients, sizeof(*clients));
	all = calloc(n_clients * SAMPLES_MAX, sizeof(*all));
	if (!clients || !all)
		err(1, NULL);
	cpu = cpu_seconds(argv[2]);
	from = now();
	for (size_t i = 0; i < n_clients; i++) {
		clients[i].us = all + i * SAMPLES_MAX;
		if (pthread_create(&clients[i].thread, NULL, work, &clients[i]))
			errx(1, "could not start a thread");
	}
	usleep((useconds_t)(strtod(argv[5], NULL) * 1e6));
	stop = true;
	for (size_t i = 0; i < n_clients; i++)
		pthread_join(clients[i].thread, NULL);
	from = now() - from;
	cpu = cpu_seconds(argv[2]) - cpu;
	for (size_t i = 0; i < n_clients; i++) {
		memmove(all + total, clients[i].us, clients[i].n * sizeof(*all));
		total += clients[i].n;
	}
	if (!total)
		errx(1, "nothing was answered");
	qsort(all, total, sizeof(*all), by_value);
	printf("%.0f %u %.2f\n", (double)total / from, all[total / 2], cpu * 1e6 / (double)total);
	return 0;
}
