/*
 * scanmem - is a secret in a process's memory?  Root's, as keyd lets nobody else look.
 *
 *   scanmem [--unlocked] PID FILE...   look for the secret in each FILE, in every form that code gives to keys; --unlocked: only
 *                                      where pages are not locked.  A line for each find; exit status 0: none, 1: some, 2: it
 *                                      could not look
 *   scanmem --plant FORM FILE          hold that form of the secret, and nothing else of it, until the input ends: what the scanner
 *                                      must find
 *   scanmem --forms                    the names of all forms
 *
 * A FILE is raw bytes, or a PEM text, of which the lines are the secret.  Of raw bytes and what is made of them any 16 bytes that
 * begin at a multiple of 8 count, as the allocator writes over the beginning of what is freed.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/file.h"

#define WINDOW	     16
#define STRIDE	     8
#define PATTERNS_MAX 32768
#define SECRETS_MAX  64
#define CHUNK	     ((size_t)1 << 20)
#define LONGEST	     128
#define REPEATS_MAX  3 /* finds of one form that are told */

/* --- the forms of a secret */

enum form {
	RAW,
	REVERSED,
	HEX,
	UPPER_HEX,
	B64,
	B64_AT_1,
	B64_AT_2,
	URL,
	URL_AT_1,
	URL_AT_2,
	PEM,
	FORMS
};

static const char *const form_names[FORMS] = { "raw", "reversed", "hex", "HEX", "base64",
	"base64+1", "base64+2", "base64url", "base64url+1", "base64url+2", "PEM" };

static void
hex_of(const struct bytes *secret, const char *digits, struct buf *out)
{
	for (size_t i = 0; i < secret->len; i++) {
		buf_add(out, &digits[secret->data[i] >> 4], 1);
		buf_add(out, &digits[secret->data[i] & 15], 1);
	}
}

/* As it stands within a longer base64 text, `before` bytes behind a multiple of three: only digits that the secret alone decides. */
static void
b64_of(const struct bytes *secret, enum b64_kind kind, size_t before, struct buf *out)
{
	AUTO(buf_done) struct buf padded = { 0 };
	AUTO(str_freep) char *text = NULL;
	size_t first = (before * 8 + 5) / 6, end = (before + secret->len) * 8 / 6;
	struct err err = { 0 };

	buf_add(&padded, "\0\0", before);
	buf_add(&padded, secret->data, secret->len);
	if (b64_encode(kind, padded.data, padded.len, &text, &err) == ERR_OK)
		buf_add(out, text + first, end - first);
}

static bool
is_pem(const struct bytes *secret)
{
	return secret->len > 11 && memcmp(secret->data, "-----BEGIN ", 11) == 0;
}

/* What the form is of raw bytes. */
static void
make_form(enum form form, const struct bytes *secret, struct buf *out)
{
	switch (form) {
	case RAW:
	case PEM:
		buf_add(out, secret->data, secret->len);
		break;
	case REVERSED: /* numbers of libcrypto: least significant byte first */
		for (size_t i = secret->len; i-- > 0;)
			buf_add(out, &secret->data[i], 1);
		break;
	case HEX:
	case UPPER_HEX:
		hex_of(secret, form == HEX ? "0123456789abcdef" : "0123456789ABCDEF", out);
		break;
	default:
		b64_of(secret, form < URL ? B64_STD : B64_URL, (size_t)(form - B64) % 3, out);
	}
}

struct pattern {
	const char *file;
	enum form form;
	size_t len;
	unsigned *finds; /* of this form of this secret */
	uint8_t text[LONGEST];
	struct pattern *next; /* with the same two first bytes */
};

struct patterns {
	struct pattern at[PATTERNS_MAX];
	size_t n;
	struct pattern *first[1 << 16];
	unsigned finds[SECRETS_MAX][FORMS];
	size_t n_secrets;
};

static unsigned
bucket_of(const uint8_t *at)
{
	return (unsigned)at[0] | (unsigned)at[1] << 8;
}

static void
add_pattern(struct patterns *all, const char *file, enum form form, const void *text, size_t len)
{
	struct pattern *p = &all->at[all->n];
	unsigned bucket;

	if (all->n == PATTERNS_MAX || len > LONGEST) {
		fprintf(stderr, "scanmem: too many secrets\n");
		exit(2);
	}
	all->n++;
	*p = (struct pattern){
		.file = file, .form = form, .len = len, .finds = &all->finds[all->n_secrets][form]
	};
	memcpy(p->text, text, len);
	bucket = bucket_of(p->text);
	p->next = all->first[bucket];
	all->first[bucket] = p;
}

static void
add_windows(struct patterns *all, const char *file, enum form form, const struct buf *text)
{
	for (size_t at = 0; at + WINDOW <= text->len; at += STRIDE)
		add_pattern(all, file, form, text->data + at, WINDOW);
}

/* Whole lines, as parts of some are the same for all keys; of two or more. */
static void
add_lines(struct patterns *all, const char *file, const struct bytes *pem)
{
	const char *line = (const char *)pem->data;

	for (size_t len; *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		if (len >= 32 && line[0] != '-')
			add_pattern(all, file, PEM, line, len);
	}
}

static void
add_secret(struct patterns *all, const char *file)
{
	AUTO(bytes_done) struct bytes secret = { 0 };
	struct err err = { 0 };

	if (file_read(file, 65536, &secret, &err) || secret.len < WINDOW ||
	    all->n_secrets == SECRETS_MAX) {
		fprintf(stderr, "scanmem: %s: one too many, or no secret of %d bytes or more\n",
		    file, WINDOW);
		exit(2);
	}
	if (is_pem(&secret))
		add_lines(all, file, &secret);
	for (enum form form = RAW; form < PEM && !is_pem(&secret); form++) {
		AUTO(buf_done) struct buf text = { 0 };

		make_form(form, &secret, &text);
		add_windows(all, file, form, &text);
	}
	all->n_secrets++;
}

/* --- the memory of a process */

struct map {
	unsigned long from, to;
	bool readable, locked;
	char name[64];
};

static void
look_at(struct patterns *all, const uint8_t *data, size_t len, const struct map *map,
    unsigned long from)
{
	for (size_t i = 0; i + WINDOW <= len; i++)
		for (struct pattern *p = all->first[bucket_of(data + i)]; p; p = p->next)
			if (i + p->len <= len && memcmp(data + i, p->text, p->len) == 0 &&
			    (*p->finds)++ < REPEATS_MAX)
				printf("%s: %s at %lx of %s, %s\n", p->file, form_names[p->form],
				    from + i, map->name, map->locked ? "locked" : "not locked");
}

/* Pieces overlap by what the longest pattern may need; what is found twice so is told twice at most. */
static bool
scan_map(struct patterns *all, int mem, const struct map *map)
{
	static uint8_t chunk[CHUNK + LONGEST];
	bool any = false;

	for (unsigned long at = map->from; at < map->to; at += CHUNK) {
		size_t want = map->to - at < sizeof(chunk) ? map->to - at : sizeof(chunk);
		ssize_t n = pread(mem, chunk, want, (off_t)at);

		if (n > 0) {
			look_at(all, chunk, (size_t)n, map, at);
			any = true;
		}
	}
	return any;
}

/* One map with its flags, from smaps. */
static bool
next_map(FILE *smaps, struct map *ret)
{
	char line[512];
	int name = 0;
	bool begun = false;

	while (fgets(line, sizeof(line), smaps)) {
		if (strncmp(line, "VmFlags:", 8) == 0) {
			ret->locked = strstr(line, " lo") != NULL;
			return begun;
		}
		if (!isupper((unsigned char)line[0])) {
			char perms[5] = "";

			begun = sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &ret->from, &ret->to,
				    perms, &name) == 3;
			ret->readable = perms[0] == 'r';
			line[strcspn(line, "\n")] = '\0';
			snprintf(ret->name, sizeof(ret->name), "%s",
			    begun && line[name] ? line + name : "anonymous memory");
		}
	}
	return false;
}

static int
scan(struct patterns *all, const char *pid, bool unlocked_only)
{
	char path[64];
	struct map map = { 0 };
	unsigned n_maps = 0;
	size_t finds = 0;
	FILE *smaps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	smaps = fopen(path, "re");
	if (mem < 0 || !smaps) {
		perror(path);
		return 2;
	}
	while (next_map(smaps, &map))
		if (map.readable && !(unlocked_only && map.locked))
			n_maps += scan_map(all, mem, &map);
	fclose(smaps);
	close(mem);
	if (n_maps == 0 && !unlocked_only) {
		fprintf(stderr, "scanmem: nothing of %s could be read\n", pid);
		return 2;
	}
	for (size_t i = 0; i < all->n; i++)
		finds += *all->at[i].finds;
	return finds > 0;
}

/* --- a process that holds one form */

static int
plant(const char *name, const char *file)
{
	AUTO(bytes_done) struct bytes secret = { 0 };
	AUTO(buf_done) struct buf held = { 0 };
	struct err err = { 0 };
	enum form form = RAW;

	while (form < FORMS && strcmp(form_names[form], name) != 0)
		form++;
	if (form == FORMS || file_read(file, 65536, &secret, &err)) {
		fprintf(stderr, "scanmem: no form %s, or no file %s\n", name, file);
		return 2;
	}
	make_form(form, &secret, &held);
	if (form != RAW)
		bytes_done(&secret);
	puts("planted");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}

int
main(int argc, char **argv)
{
	static struct patterns all;
	bool unlocked = argc > 1 && strcmp(argv[1], "--unlocked") == 0;

	if (argc == 2 && strcmp(argv[1], "--forms") == 0) {
		for (enum form form = RAW; form < FORMS; form++)
			puts(form_names[form]);
		return 0;
	}
	if (argc == 4 && strcmp(argv[1], "--plant") == 0)
		return plant(argv[2], argv[3]);
	if (argc - unlocked < 3) {
		fprintf(stderr, "usage: scanmem [--unlocked] PID FILE...\n");
		return 2;
	}
	for (int i = 2 + unlocked; i < argc; i++)
		add_secret(&all, argv[i]);
	return scan(&all, argv[1 + unlocked], unlocked);
}
