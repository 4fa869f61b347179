#include "http/http.h"

#include <stdlib.h>
#include <string.h>

const char *
request_query(const struct request *req, const char *name)
{
	for (size_t i = 0; i < req->n_query; i++)
		if (strcmp(req->query[i].name, name) == 0)
			return req->query[i].value;
	return NULL;
}

const char *
request_query_last(const struct request *req, const char *name)
{
	for (size_t i = req->n_query; i-- > 0;)
		if (strcmp(req->query[i].name, name) == 0)
			return req->query[i].value;
	return NULL;
}

enum err_code
response_json(
    struct response *resp, unsigned status, fields_fn *table, const void *message, struct err *err)
{
	char *text = NULL;

	if (fields_write_text(table, message, &text, err))
		return err->code;
	return response_json_text(resp, status, &text);
}

enum err_code
response_empty(struct response *resp, unsigned status)
{
	response_done(resp);
	resp->status = status;
	return ERR_OK;
}

enum err_code
response_json_text(struct response *resp, unsigned status, char **text)
{
	response_done(resp);
	resp->status = status;
	resp->content_type = "application/json";
	resp->body = *text;
	resp->body_len = strlen(*text);
	*text = NULL;
	return ERR_OK;
}

enum err_code
response_stream(struct response *resp, unsigned status, const char *content_type,
    const struct http_stream *stream)
{
	response_done(resp);
	resp->status = status;
	resp->content_type = content_type;
	resp->stream = *stream;
	return ERR_OK;
}

void
response_done(struct response *resp)
{
	if (resp->body) {
		mem_wipe(resp->body, resp->body_len);
		free(resp->body);
	}
	if (resp->stream.done)
		resp->stream.done(resp->stream.ctx);
	if (resp->sent)
		resp->sent(resp->sent_ctx);
	*resp = (struct response){ 0 };
}
