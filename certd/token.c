#include "certd/token.h"

#include <errno.h>
#include <libp11.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "certd/store.h"
#include "data/pkcs11_uri.h"

/* --- the child: for each URI the length of its PEM, 0 where there is none, and the PEM; nothing when the module fails --- */

static bool
same(const char *wanted, const char *is)
{
	return !wanted || (is && strcmp(wanted, is) == 0);
}

static bool
slot_fits(const struct pkcs11_uri *uri, PKCS11_SLOT *slot)
{
	const PKCS11_TOKEN *token = slot->token;

	if (!token || !token->initialized)
		return false;
	if (uri->has_slot)
		return PKCS11_get_slotid_from_slot(slot) == uri->slot;
	return same(uri->token, token->label) && same(uri->serial, token->serialnr) &&
	       same(uri->manufacturer, token->manufacturer) && same(uri->model, token->model);
}

static bool
cert_fits(const struct pkcs11_uri *uri, const PKCS11_CERT *cert)
{
	if (uri->id.len > 0 &&
	    (uri->id.len != cert->id_len || memcmp(uri->id.data, cert->id, cert->id_len) != 0))
		return false;
	return cert->x509 && same(uri->object, cert->label);
}

static bool
put(int fd, const void *data, size_t len)
{
	return write(fd, data, len) == (ssize_t)len;
}

static bool
send_pem(int fd, X509 *x509)
{
	BIO *bio = BIO_new(BIO_s_mem());
	uint32_t len = 0;
	char *pem = NULL;
	bool sent;

	if (x509 && bio && PEM_write_bio_X509(bio, x509) == 1)
		len = (uint32_t)BIO_get_mem_data(bio, &pem);
	sent = put(fd, &len, sizeof(len)) && put(fd, pem, len);
	BIO_free(bio);
	return sent;
}

static X509 *
cert_on(PKCS11_TOKEN *token, const struct pkcs11_uri *uri)
{
	PKCS11_CERT *certs = NULL;
	unsigned n = 0;

	if (PKCS11_enumerate_certs(token, &certs, &n))
		return NULL;
	for (unsigned i = 0; i < n; i++)
		if (cert_fits(uri, &certs[i]))
			return certs[i].x509;
	return NULL;
}

static bool
send_named(int fd, const char *text, PKCS11_SLOT *slots, unsigned n)
{
	AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };
	struct err err = { 0 };
	X509 *x509 = NULL;

	if (pkcs11_uri_parse(text, &uri, &err))
		return false; /* the configuration has been read, so it is one */
	for (unsigned i = 0; i < n && !x509; i++)
		if (slot_fits(&uri, &slots[i]))
			x509 = cert_on(slots[i].token, &uri);
	return send_pem(fd, x509);
}

/* Ends with what it holds: nobody needs the module's last words. */
static _Noreturn void
child(const char *library, const struct token_cert *certs, size_t n_certs, int fd)
{
	PKCS11_CTX *ctx = PKCS11_CTX_new();
	PKCS11_SLOT *slots = NULL;
	unsigned n = 0;

	if (!ctx || PKCS11_CTX_load(ctx, library) || PKCS11_enumerate_slots(ctx, &slots, &n))
		_exit(1);
	for (size_t i = 0; i < n_certs; i++)
		if (!send_named(fd, certs[i].uri, slots, n))
			_exit(1);
	_exit(0);
}

/* --- the parent --- */

/* Exactly len bytes before the deadline. */
static enum err_code
take(int fd, uint64_t deadline, void *ret, size_t len, struct err *err)
{
	char *at = ret;

	while (len > 0) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n;

		if (poll(&p, 1, clock_left_ms(deadline)) == 0)
			return err_set(err, ERR_TIMEOUT, "the token did not answer within %d s",
			    TOKEN_READ_MS / 1000);
		n = read(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_UNREACHABLE, "the module cannot be used");
		at += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

static enum err_code
take_pem(int fd, uint64_t deadline, char **ret, struct err *err)
{
	AUTO(bytes_done) struct bytes pem = { 0 };
	uint32_t len;

	if (take(fd, deadline, &len, sizeof(len), err))
		return err->code;
	if (len == 0)
		return ERR_OK;
	if (len > STORE_TEXT_MAX)
		return err_set(err, ERR_UNREACHABLE, "a certificate of %u bytes", len);
	if (bytes_alloc(&pem, len, err) || take(fd, deadline, pem.data, len, err))
		return err->code;
	return str_format(ret, err, "%.*s", (int)len, (const char *)pem.data);
}

static enum err_code
take_all(int fd, struct token_cert *certs, size_t n, struct err *err)
{
	uint64_t deadline = clock_mono_ms() + TOKEN_READ_MS;

	for (size_t i = 0; i < n; i++)
		if (take_pem(fd, deadline, &certs[i].pem, err))
			return err->code;
	return ERR_OK;
}

enum err_code
token_read(const char *library, struct token_cert *certs, size_t n, struct err *err)
{
	enum err_code code;
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return err_errno(err, "no pipe");
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child(library, certs, n, fds[1]);
	}
	close(fds[1]);
	if (pid < 0)
		code = err_errno(err, "no child");
	else
		code = take_all(fds[0], certs, n, err);
	close(fds[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	return code ? err_wrap(err, "certificates on the token of %s", library) : ERR_OK;
}
