#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

/*
 * Clients that do one thing again and again, each on a thread of its own that waits for each answer:
 *
 *	measure(&(struct measure){ .clients = 8, .seconds = 0.4, .pids = "12,13", .open = dial, .once = exchange });
 *
 * prints "per-second p50-us cpu-us-each".  CPU is that of all threads of the processes in pids ("self": of this one), from
 * /proc/PID/task/TID/schedstat.  At least once per client, also in 0 seconds.
 */
#include <dirent.h>
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 400000

struct measure {
	size_t clients;
	double seconds;
	const char *pids;
	void *(*open)(
	    size_t client); /* once a client, before the time begins; NULL: nothing to open */
	void (*once)(void *opened);
};

struct measured {
	const struct measure *how;
	pthread_t thread;
	void *opened;
	uint32_t *us;
	size_t n;
};

static volatile bool measure_stop;

static double
measure_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
measure_now(void)
{
	return measure_clock(CLOCK_MONOTONIC);
}

static void *
measure_work(void *client)
{
	struct measured *c = client;

	do {
		double from = measure_now();

		c->how->once(c->opened);
		c->us[c->n++] = (uint32_t)((measure_now() - from) * 1e6);
	} while (!measure_stop && c->n < SAMPLES_MAX);
	return NULL;
}

static double
measure_process(const char *pid)
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

static double
measure_cpu(const char *pids)
{
	char list[256], *at = list, *pid;
	double sum = 0;

	snprintf(list, sizeof(list), "%s", pids);
	if (strcmp(pids, "self") == 0) /* threads that ended are counted only here */
		return measure_clock(CLOCK_PROCESS_CPUTIME_ID);
	while ((pid = strsep(&at, ",")))
		sum += measure_process(pid);
	return sum;
}

static int
measure_by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
measure(const struct measure *how)
{
	struct measured *clients = calloc(how->clients, sizeof(*clients));
	uint32_t *all = calloc(how->clients * SAMPLES_MAX, sizeof(*all));
	size_t total = 0;
	double from, cpu;

	if (!clients || !all)
		err(1, NULL);
	for (size_t i = 0; i < how->clients; i++) {
		clients[i].how = how;
		clients[i].us = all + i * SAMPLES_MAX;
		clients[i].opened = how->open ? how->open(i) : NULL;
	}
	cpu = measure_cpu(how->pids);
	from = measure_now();
	for (size_t i = 0; i < how->clients; i++)
		if (pthread_create(&clients[i].thread, NULL, measure_work, &clients[i]))
			errx(1, "could not start a thread");
	usleep((useconds_t)(how->seconds * 1e6));
	measure_stop = true;
	for (size_t i = 0; i < how->clients; i++)
		pthread_join(clients[i].thread, NULL);
	from = measure_now() - from;
	cpu = measure_cpu(how->pids) - cpu;
	for (size_t i = 0; i < how->clients; i++) {
		memmove(all + total, clients[i].us, clients[i].n * sizeof(*all));
		total += clients[i].n;
	}
	qsort(all, total, sizeof(*all), measure_by_value);
	printf("%.0f %u %.2f\n", (double)total / from, all[total / 2], cpu * 1e6 / (double)total);
	free(all);
	free(clients);
}

#endif
