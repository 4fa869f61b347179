#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "crypto/digest.h"
#include "crypto/x509.h"

#define SERIAL_BYTES 16

typedef STACK_OF(X509_EXTENSION) extensions;

static void
extensionsp(extensions **exts)
{
	sk_X509_EXTENSION_pop_free(*exts, X509_EXTENSION_free);
}

static void
numberp(BIGNUM **number)
{
	BN_free(*number);
}

static void
constraintsp(BASIC_CONSTRAINTS **bc)
{
	BASIC_CONSTRAINTS_free(*bc);
}

static void
bit_stringp(ASN1_BIT_STRING **bits)
{
	ASN1_BIT_STRING_free(*bits);
}

/* --- may it be issued? */

/* The issuer is a CA in date, this key is its own, and it may have a CA below it where one is asked for. */
static enum err_code
check_issuer(const struct x509_issue *in, bool for_ca, int64_t now, struct err *err)
{
	int64_t before = 0, after = 0;

	if (X509_check_ca(in->issuer) == 0)
		return err_set(err, ERR_INVALID, "issuer certificate is not a CA");
	if (X509_check_private_key(in->issuer, in->issuer_key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_INVALID, "issuer key does not fit the issuer certificate");
	}
	if (x509_times(in->issuer, &before, &after, err))
		return err->code;
	if (after <= now)
		return err_set(err, ERR_INVALID, "issuer certificate has expired");
	if (for_ca && X509_get_pathlen(in->issuer) == 0)
		return err_set(err, ERR_DENIED, "issuer may not have a CA below it");
	return ERR_OK;
}

/* Self-signed: what is certified must be the key that signs, or nobody could ever verify the result. */
static enum err_code
check_self(const struct x509_issue *in, struct err *err)
{
	if (EVP_PKEY_eq(X509_REQ_get0_pubkey(in->request), in->issuer_key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_DENIED,
		    "certificate request is for another key than the one that signs");
	}
	return ERR_OK;
}

/* RFC 5280 4.2: no extension twice. */
static bool
has_duplicates(const extensions *exts)
{
	for (int i = 0; i < sk_X509_EXTENSION_num(exts); i++) {
		ASN1_OBJECT *id = X509_EXTENSION_get_object(sk_X509_EXTENSION_value(exts, i));

		if (X509v3_get_ext_by_OBJ(exts, id, i) >= 0)
			return true;
	}
	return false;
}

/* An extension that is absent, or can be read; in *ret_value NULL or what it holds. */
static enum err_code
read_extension(const extensions *exts, int nid, void **ret_value, struct err *err)
{
	int found;

	*ret_value = X509V3_get_d2i(exts, nid, &found, NULL);
	if (*ret_value || found == -1)
		return ERR_OK;
	ERR_clear_error();
	return err_set(err, ERR_DENIED, "requested extension %s cannot be read", OBJ_nid2sn(nid));
}

/*
 * Does the request ask for a CA?  Verifiers take as one what has CA:TRUE, and, where there are no basic constraints, what has
 * keyCertSign or the old Netscape CA bits (X509_check_ca(3)); the latter two are never granted on their own.
 */
static enum err_code
check_extensions(const extensions *exts, bool allow_ca, bool *ret_ca, struct err *err)
{
	AUTO(constraintsp) BASIC_CONSTRAINTS *bc = NULL;
	AUTO(bit_stringp) ASN1_BIT_STRING *usage = NULL;
	AUTO(bit_stringp) ASN1_BIT_STRING *netscape = NULL;
	bool ca;

	if (has_duplicates(exts))
		return err_set(err, ERR_DENIED, "an extension is requested twice");
	if (read_extension(exts, NID_basic_constraints, (void **)&bc, err) ||
	    read_extension(exts, NID_key_usage, (void **)&usage, err) ||
	    read_extension(exts, NID_netscape_cert_type, (void **)&netscape, err))
		return err->code;
	ca = bc && bc->ca;
	if (ca && !allow_ca)
		return err_set(err, ERR_DENIED, "a CA certificate may not be issued here");
	if (!ca && usage && ASN1_BIT_STRING_get_bit(usage, 5) == 1)
		return err_set(err, ERR_DENIED, "key usage keyCertSign is for a CA only");
	if (!ca && netscape && netscape->length > 0 && (netscape->data[0] & NS_ANY_CA))
		return err_set(err, ERR_DENIED, "Netscape CA bits are for a CA only");
	*ret_ca = ca;
	return ERR_OK;
}

/* --- its parts */

static enum err_code
set_serial(X509 *cert, struct err *err)
{
	AUTO(numberp) BIGNUM *number = NULL;
	uint8_t random[SERIAL_BYTES];

	if (digest_random(random, sizeof(random), err))
		return err->code;
	random[0] |= 1; /* never zero, and always of full length */
	number = BN_bin2bn(random, sizeof(random), NULL);
	if (!number || !BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)))
		return err_openssl(err, "serial number");
	return ERR_OK;
}

static enum err_code
set_times(X509 *cert, const struct x509_issue *in, int64_t now, struct err *err)
{
	int64_t before = 0, after = 0, end;

	if (in->lifetime_s <= 0 || __builtin_add_overflow(now, in->lifetime_s, &end))
		return err_set(err, ERR_INVALID, "impossible lifetime");
	if (in->issuer) {
		if (x509_times(in->issuer, &before, &after, err))
			return err->code;
		if (end > after)
			end = after;
	}
	if (!ASN1_TIME_set(X509_getm_notBefore(cert), now) ||
	    !ASN1_TIME_set(X509_getm_notAfter(cert), end))
		return err_openssl(err, "lifetime");
	return ERR_OK;
}

static enum err_code
copy_extensions(X509 *cert, const extensions *exts, struct err *err)
{
	for (int i = 0; i < sk_X509_EXTENSION_num(exts); i++)
		if (X509_add_ext(cert, sk_X509_EXTENSION_value(exts, i), -1) != 1)
			return err_openssl(err, "certificate extension");
	return ERR_OK;
}

/* RFC 5280 4.2.1.2, method (1): SHA-1 of the public key's bits, as a name and not for security. */
static enum err_code
add_subject_key_id(X509 *cert, struct err *err)
{
	ASN1_OCTET_STRING *id;
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int len;
	int added = 0;

	if (X509_get_ext_by_NID(cert, NID_subject_key_identifier, -1) >= 0)
		return ERR_OK;
	id = ASN1_OCTET_STRING_new();
	if (id && X509_pubkey_digest(cert, EVP_sha1(), hash, &len) == 1 &&
	    ASN1_OCTET_STRING_set(id, hash, (int)len) == 1)
		added =
		    X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, X509V3_ADD_DEFAULT);
	ASN1_OCTET_STRING_free(id);
	return added == 1 ? ERR_OK : err_openssl(err, "subject key identifier");
}

/* The issuer's identifier; nothing where it has none (contracts/certd.md 2.1). */
static enum err_code
add_authority_key_id(X509 *cert, X509 *issuer, struct err *err)
{
	const ASN1_OCTET_STRING *of_issuer = issuer ? X509_get0_subject_key_id(issuer) : NULL;
	AUTHORITY_KEYID *id;
	int added = 0;

	if (!of_issuer || X509_get_ext_by_NID(cert, NID_authority_key_identifier, -1) >= 0)
		return ERR_OK;
	id = AUTHORITY_KEYID_new();
	if (id && (id->keyid = ASN1_OCTET_STRING_dup(of_issuer)) != NULL)
		added = X509_add1_ext_i2d(
		    cert, NID_authority_key_identifier, id, 0, X509V3_ADD_DEFAULT);
	AUTHORITY_KEYID_free(id);
	return added == 1 ? ERR_OK : err_openssl(err, "authority key identifier");
}

static enum err_code
set_names_and_key(X509 *cert, const struct x509_issue *in, struct err *err)
{
	const X509_NAME *subject =
	    in->subject ? in->subject : X509_REQ_get_subject_name(in->request);
	const X509_NAME *issuer = in->issuer ? X509_get_subject_name(in->issuer) : subject;

	if (X509_set_version(cert, X509_VERSION_3) != 1 ||
	    X509_set_subject_name(cert, subject) != 1 || X509_set_issuer_name(cert, issuer) != 1 ||
	    X509_set_pubkey(cert, X509_REQ_get0_pubkey(in->request)) != 1)
		return err_openssl(err, "certificate");
	return ERR_OK;
}

enum err_code
x509_issue_cert(const struct x509_issue *in, X509 **ret, struct err *err)
{
	AUTO(extensionsp) extensions *exts = X509_REQ_get_extensions(in->request);
	AUTO(x509_certp) X509 *cert = X509_new();
	int64_t now = clock_unix();
	bool ca = false;

	if (!cert)
		return err_nomem(err);
	if (!exts) {
		ERR_clear_error();
		return err_set(err, ERR_DENIED, "requested extensions cannot be read");
	}
	if (check_extensions(exts, in->allow_ca, &ca, err) ||
	    (in->issuer ? check_issuer(in, ca, now, err) : check_self(in, err)))
		return err->code;
	if (set_names_and_key(cert, in, err) || set_serial(cert, err) ||
	    set_times(cert, in, now, err) || copy_extensions(cert, exts, err) ||
	    add_subject_key_id(cert, err) || add_authority_key_id(cert, in->issuer, err))
		return err->code;
	if (X509_sign(cert, in->issuer_key, EVP_sha256()) <= 0)
		return err_openssl(err, "certificate signature");
	*ret = cert;
	cert = NULL;
	return ERR_OK;
}
