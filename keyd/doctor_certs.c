#include <libp11.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "crypto/digest.h"
#include "keyd/doctor_visit.h"

#define CERTS_MAX 20 /* that are told; a token may be a store of authorities */
#define ID_MAX	  32 /* bytes of a CKA_ID that are told */

/* libp11 finds the module loaded and begun already. */
static bool
load(struct doctor_token *place, struct err *err)
{
	if (place->certs)
		return true;
	place->certs = PKCS11_CTX_new();
	if (place->certs && PKCS11_CTX_load(place->certs, place->config->library) == 0)
		return true;
	err_openssl(err, "libp11 cannot load the module");
	if (place->certs)
		PKCS11_CTX_free(place->certs);
	place->certs = NULL;
	return false;
}

void
doctor_certs_done(struct doctor_token *place)
{
	if (!place->certs)
		return;
	PKCS11_CTX_unload(place->certs);
	PKCS11_CTX_free(place->certs);
	place->certs = NULL;
}

static void
tell_cert(const struct doctor_visit *v, const PKCS11_CERT *cert)
{
	size_t id_len = cert->id_len > ID_MAX ? ID_MAX : cert->id_len;
	const ASN1_TIME *until = X509_get0_notAfter(cert->x509);
	BIO *bio = BIO_new(BIO_s_mem());
	char id[2 * ID_MAX + 1] = "";
	char *text = NULL;
	int len;

	if (!bio)
		return;
	if (id_len > 0)
		digest_hex(cert->id, id_len, id);
	BIO_printf(bio, "certificate \"%s\", id %s: ", cert->label ? cert->label : "", id);
	X509_NAME_print_ex(bio, X509_get_subject_name(cert->x509), 0, XN_FLAG_RFC2253);
	BIO_puts(bio, ", until ");
	ASN1_TIME_print(bio, until);
	len = (int)BIO_get_mem_data(bio, &text);
	if (X509_cmp_current_time(until) < 0)
		doctor_find(v->d, DOCTOR_CERT_EXPIRED, "%.*s", len, text);
	else
		doctor_ok(v->d, "%.*s", len, text);
	BIO_free(bio);
}

static void
tell_certs(const struct doctor_visit *v, PKCS11_SLOT *slots, unsigned n_slots)
{
	PKCS11_CERT *certs = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < n_slots; i++)
		if (slots[i].token && PKCS11_get_slotid_from_slot(&slots[i]) == v->slot &&
		    PKCS11_enumerate_certs(slots[i].token, &certs, &n))
			n = 0;
	for (unsigned i = 0; i < n && i < CERTS_MAX; i++)
		if (certs[i].x509)
			tell_cert(v, &certs[i]);
	doctor_ok(v->d, "%u certificates", n);
}

void
doctor_certs(const struct doctor_visit *v)
{
	PKCS11_SLOT *slots = NULL;
	struct err err = { 0 };
	unsigned n = 0;

	doctor_step(v->d, "list certificates");
	if (!load(v->place, &err)) {
		doctor_ok(v->d, "its certificates cannot be listed: %s", err_one_line(&err));
		return;
	}
	if (PKCS11_enumerate_slots(v->place->certs, &slots, &n) == 0) {
		tell_certs(v, slots, n);
		PKCS11_release_all_slots(v->place->certs, slots, n);
	}
	ERR_clear_error();
}
