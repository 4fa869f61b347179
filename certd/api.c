#include "certd/api.h"

#include "certd/principals.h"

/* Who may call a row. */
enum who {
	ANYONE,
	WRITER,	 /* a principal of the certificate that the path names */
	CREATOR, /* the same, but the id is in the body, so the handler asks */
};

#define V1 CERTD_API_VERSION

/* All read or write files or wait for keyd, so none runs on a polling thread. */
/* clang-format off */
static const struct route rows[] = {
	/* method   path                  since who      where   handler */
	{ "POST",   "/certificates",      V1,   CREATOR, WORKER, certd_create },
	{ "GET",    "/certificates/{id}", V1,   ANYONE,  WORKER, certd_get },
	{ "PUT",    "/certificates/{id}", V1,   WRITER,  WORKER, certd_import },
	{ "DELETE", "/certificates/{id}", V1,   WRITER,  WORKER, certd_delete },
	{ "GET",    "/status",            V1,   ANYONE,  WORKER, certd_status },
};
/* clang-format on */

static const char *const versions[] = { CERTD_API_VERSION, NULL };

static enum err_code
authorize(void *service, const struct route *row, const struct request *req, struct err *err)
{
	struct certd *s = service;
	AUTO(snapshot_putp) const struct certd_config *config = NULL;

	if (row->who != WRITER)
		return ERR_OK;
	config = snapshot_get(s->settings);
	return principals_may_write(config, req->peer->uid, req->params[0], err);
}

const struct route_table certd_routes = {
	.daemon = "certd",
	.versions = versions,
	.routes = rows,
	.n_routes = ARRAY_LEN(rows),
	.status = route_status_identity,
	.authorize = authorize,
};
