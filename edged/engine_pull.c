#include "edged/engine_call.h"

#include <string.h>

#include "base/b64.h"
#include "base/buf.h"
#include "data/uri.h"

#define PULL_HEAD_MS (5 * 60 * 1000)  /* the engine says nothing until the registry has answered */
#define PULL_IDLE_MS (10 * 60 * 1000) /* unpacking a large layer is silent */
#define LINE_MAX_LEN (1024 * 1024)
#define IMAGE_MAX    512

/* The characters of image references; the engine judges their order. */
static enum err_code
image_check(const char *image, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-/:@[]";
	size_t len = strlen(image);

	if (len == 0 || len > IMAGE_MAX || strspn(image, allowed) != len || strstr(image, "..") ||
	    strstr(image, "//"))
		return err_set(err, ERR_INVALID, "invalid image reference");
	return ERR_OK;
}

/* Does the reference name one image?  Without tag and digest the engine would pull all tags (docker.md 4). */
static bool
has_tag(const char *image)
{
	const char *name = strrchr(image, '/');

	return strchr(image, '@') || strchr(name ? name : image, ':');
}

static enum err_code
auth_header(const struct edged_registry_auth *auth, char **ret, struct err *err)
{
	AUTO(str_freep) char *json = NULL;
	AUTO(str_freep) char *encoded = NULL;

	if (!auth)
		return ERR_OK;
	/* any other alphabet, or no padding, and the engine would go on without a word and unauthenticated */
	if (fields_write_text(edged_registry_auth_fields, auth, &json, err) ||
	    b64_encode(B64_URL_PADDED, json, strlen(json), &encoded, err))
		return err->code;
	return str_format(ret, err, "X-Registry-Auth: %s\r\n", encoded);
}

/* --- the stream: one JSON object a line; the status 200 says nothing yet */

struct progress {
	struct buf line;
	struct err failed; /* the first thing wrong */
};

static void
progress_line(struct progress *p, struct text line)
{
	AUTO(engine_pull_line_done) struct engine_pull_line said = { 0 };

	while (line.len && strchr("\r\n \t", line.data[line.len - 1]))
		line.len--;
	if (!line.len || p->failed.code)
		return;
	if (fields_read_text(engine_pull_line_fields, &said, line, &p->failed)) {
		err_wrap_code(
		    &p->failed, ERR_PROTOCOL, "cannot read the container engine's progress");
		return;
	}
	if (!said.error_detail && !said.error)
		return;
	err_set(&p->failed, ERR_PEER, "%s",
	    said.error_detail && said.error_detail->message ? said.error_detail->message
	    : said.error				    ? said.error
							    : "the image could not be pulled");
	p->failed.status = 500;
	if (said.error_detail && said.error_detail->has_code && said.error_detail->code >= 400 &&
	    said.error_detail->code <= 599)
		p->failed.status = (uint16_t)said.error_detail->code;
}

static bool
progress_data(void *ctx, const char *data, size_t len)
{
	struct progress *p = ctx;

	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t part = end ? (size_t)(end - data) + 1 : len;

		buf_add(&p->line, data, part);
		if (p->line.failed) {
			err_set(&p->failed, ERR_PROTOCOL, "a line of progress is too long");
			return false;
		}
		if (end) {
			progress_line(p, (struct text){ (const char *)p->line.data, p->line.len });
			buf_reset(&p->line);
		}
		data += part;
		len -= part;
	}
	return true;
}

static void
progress_done(struct progress *p)
{
	buf_done(&p->line);
}

static enum err_code
pull_stream(struct engine *e, const struct engine_ask *ask, struct err *err)
{
	AUTO(progress_done) struct progress p = { .line = { .max = LINE_MAX_LEN } };
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	AUTO(str_freep) char *target = NULL;
	struct http_call call;

	if (engine_prepare(e, ask, &target, &call, err))
		return err->code;
	if (unix_client_stream(e->http, &call, PULL_IDLE_MS, progress_data, &p, &reply, err) &&
	    !p.failed.code)
		return engine_failed(e, err);
	progress_line(&p, (struct text){ (const char *)p.line.data, p.line.len });
	if (p.failed.code) {
		*err = p.failed;
		return err->code;
	}
	return engine_judge(ask, &reply, err);
}

enum err_code
engine_image_id(struct engine *e, const char *image, char **ret_id, struct err *err)
{
	AUTO(engine_image_done) struct engine_image found = { 0 };
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = { .method = "GET", .idempotent = true, .want = 200 };

	/* slashes, colons and at-signs stand in the path as they are (docker.md 1) */
	if (image_check(image, err) || str_format(&path, err, "/images/%s/json", image))
		return err->code;
	ask.path = path;
	if (engine_call(e, &ask, &reply, err)) {
		if (err->code == ERR_PEER && err->status == 404)
			return err_wrap_code(err, ERR_NOT_FOUND, "no image %s", image);
		return err->code;
	}
	if (fields_read_text(engine_image_fields, &found, text_of_bytes(&reply.body), err))
		return err_wrap_code(
		    err, ERR_PROTOCOL, "cannot read the container engine's answer");
	*ret_id = found.id;
	found.id = NULL;
	return ERR_OK;
}

enum err_code
engine_pull(
    struct engine *e, const char *image, const struct edged_registry_auth *auth, struct err *err)
{
	AUTO(str_freep) char *headers = NULL;
	AUTO(str_freep) char *encoded = NULL;
	AUTO(str_freep) char *path = NULL;
	AUTO(str_freep) char *id = NULL;
	struct engine_ask ask = { .method = "POST", .timeout_ms = PULL_HEAD_MS, .want = 200 };

	if (image_check(image, err) || auth_header(auth, &headers, err) ||
	    uri_encode(URI_FORM, text_of(image), &encoded, err) ||
	    str_format(&path, err, "/images/create?fromImage=%s%s", encoded,
		has_tag(image) ? "" : "&tag=latest"))
		return err->code;
	ask.path = path;
	ask.headers = headers;
	if (pull_stream(e, &ask, err))
		return err->code;
	/* the only test of success that holds for every engine */
	if (engine_image_id(e, image, &id, err))
		return err_wrap(err, "the image is not there after its pull");
	return ERR_OK;
}
