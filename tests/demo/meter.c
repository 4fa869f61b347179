#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "data/uri.h"
#include "tests/demo/demo.h"

static enum err_code
read_line(SSL *ssl, char *out, size_t size, struct err *err)
{
	size_t used = 0;
	int n;

	while (used + 1 < size && (n = SSL_read(ssl, out + used, (int)(size - 1 - used))) > 0)
		used += (size_t)n;
	out[used] = '\0';
	return used ? ERR_OK : err_set(err, ERR_UNREACHABLE, "no answer over TLS");
}

/* Talk to the other module, trusting nothing but the trust bundle. */
static enum err_code
greet_web(struct unix_client *workload, const char *hub_ca, struct err *err)
{
	AUTO(demo_answer_done) struct demo_answer bundle = { 0 };
	char answer[256];
	enum err_code failed;
	SSL *ssl;

	if (demo_call(
		workload, "GET", "/trust-bundle?api-version=2020-07-07", NULL, 200, &bundle, err))
		return err->code;
	if (!bundle.certificate)
		return err_set(err, ERR_PROTOCOL, "the trust bundle has no certificate");
	demo_step("meter", "uid %d got the trust bundle", (int)getuid());
	if (demo_tls_connect(
		"web", "8443", demo_broken("ca") ? hub_ca : bundle.certificate, &ssl, err))
		return err->code;
	failed = read_line(ssl, answer, sizeof(answer), err);
	SSL_free(ssl);
	if (!failed)
		demo_step("meter", "TLS with module web verified by the trust bundle");
	return failed;
}

/* A SAS token whose signature comes from the workload socket (contracts/edged-workload.md 3.2, cloud-dps.md 4). */
static enum err_code
token_for(struct unix_client *workload, const char *audience, const char *target, char **ret,
    struct err *err)
{
	AUTO(demo_answer_done) struct demo_answer reply = { 0 };
	AUTO(str_freep) char *text = NULL;
	AUTO(str_freep) char *data = NULL;
	AUTO(str_freep) char *body = NULL;
	AUTO(str_freep) char *sig = NULL;
	long long expiry = (long long)clock_unix() + 600;

	if (str_format(&text, err, "%s\n%lld", audience, expiry) ||
	    b64_encode(B64_STD, text, strlen(text), &data, err) ||
	    str_format(&body, err,
		"{\"keyId\":\"primary\",\"algo\":\"HMACSHA256\",\"data\":\"%s\"}", data) ||
	    demo_call(workload, "POST", target, body, 200, &reply, err))
		return err->code;
	if (!reply.digest)
		return err_set(err, ERR_PROTOCOL, "the answer has no digest");
	if (demo_broken("token"))
		reply.digest[0] = reply.digest[0] == 'A' ? 'B' : 'A';
	if (uri_encode(URI_UNRESERVED, text_of(reply.digest), &sig, err))
		return err->code;
	return str_format(
	    ret, err, "SharedAccessSignature sr=%s&sig=%s&se=%lld", audience, sig, expiry);
}

static enum err_code
report_to_hub(
    const char *token, const char *hub, const char *device, const char *hub_ca, struct err *err)
{
	AUTO(str_freep) char *host = NULL;
	AUTO(str_freep) char *request = NULL;
	const char *colon = strchr(hub, ':');
	char answer[512];
	enum err_code failed;
	SSL *ssl;

	host = colon ? strndup(hub, (size_t)(colon - hub)) : strdup(hub);
	if (!host)
		return err_nomem(err);
	if (demo_tls_connect(host, colon ? colon + 1 : "443", hub_ca, &ssl, err))
		return err->code;
	failed = str_format(&request, err,
	    "POST /devices/%s/modules/meter/messages/events?api-version=2020-03-13 "
	    "HTTP/1.1\r\nHost: %s\r\n"
	    "Authorization: %s\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
	    "Connection: close\r\n\r\n{\"kWh\":17.5}",
	    device, hub, token);
	if (!failed && SSL_write(ssl, request, (int)strlen(request)) <= 0)
		failed = err_set(err, ERR_UNREACHABLE, "could not send to the hub");
	if (!failed)
		failed = read_line(ssl, answer, sizeof(answer), err);
	SSL_free(ssl);
	if (!failed)
		demo_step("meter", "the hub answers: %.*s", (int)strcspn(answer, "\r\n"), answer);
	return failed;
}

int
demo_meter(struct err *err)
{
	AUTO(demo_clientp) struct unix_client *workload = NULL;
	AUTO(bytes_done) struct bytes hub_ca = { 0 };
	AUTO(str_freep) char *audience = NULL;
	AUTO(str_freep) char *target = NULL;
	AUTO(str_freep) char *token = NULL;
	const char *hub, *device, *generation, *ca_file;

	if (demo_client("IOTEDGE_WORKLOADURI", &workload, err) ||
	    demo_env("IOTEDGE_IOTHUBHOSTNAME", &hub, err) ||
	    demo_env("IOTEDGE_DEVICEID", &device, err) ||
	    demo_env("IOTEDGE_MODULEGENERATIONID", &generation, err) ||
	    demo_env("DEMO_HUB_CA", &ca_file, err) || file_read(ca_file, 1 << 16, &hub_ca, err))
		return 1;
	if (greet_web(workload, (const char *)hub_ca.data, err))
		return 1;
	if (str_format(&audience, err, "%s/devices/%s/modules/meter", hub, device) ||
	    str_format(
		&target, err, "/modules/meter/genid/%s/sign?api-version=2018-06-28", generation) ||
	    token_for(workload, audience, target, &token, err))
		return 1;
	demo_step("meter", "got a SAS token signed by the workload socket");
	if (report_to_hub(token, hub, device, (const char *)hub_ca.data, err))
		return 1;
	str_freep(&target);
	if (str_format(
		&target, err, "/modules/web/genid/%s/sign?api-version=2018-06-28", generation) ||
	    demo_call(workload, "POST", target, "{\"data\":\"aGVsbG8=\"}", 403, NULL, err))
		return 1;
	demo_step("meter", "asking in the name of web was refused with 403");
	for (;;)
		pause();
}
