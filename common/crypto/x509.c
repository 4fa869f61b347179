#include "crypto/x509.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "crypto/digest.h"

#define CN_MAX_CHARS 64 /* ub-common-name, RFC 5280 appendix A */
#define CHAIN_MAX    64 /* certificates in one PEM text */

void
x509_keyp(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
	*key = NULL;
}

void
x509_certp(X509 **cert)
{
	X509_free(*cert);
	*cert = NULL;
}

void
x509_reqp(X509_REQ **req)
{
	X509_REQ_free(*req);
	*req = NULL;
}

void
x509_chainp(STACK_OF(X509) * *chain)
{
	sk_X509_pop_free(*chain, X509_free);
	*chain = NULL;
}

static void
namep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

static void
biop(BIO **bio)
{
	BIO_free(*bio);
}

static void
objectp(ASN1_OBJECT **object)
{
	ASN1_OBJECT_free(*object);
}

static void
extensionsp(STACK_OF(X509_EXTENSION) * *exts)
{
	sk_X509_EXTENSION_pop_free(*exts, X509_EXTENSION_free);
}

static void
general_namesp(GENERAL_NAMES **names)
{
	GENERAL_NAMES_free(*names);
}

/* --- names */

/* Bytes of the first CN_MAX_CHARS characters of a UTF-8 text. */
static size_t
cut_common_name(const char *value)
{
	size_t chars = 0, at = 0;

	for (; value[at]; at++)
		if (((unsigned char)value[at] & 0xc0) != 0x80 && chars++ == CN_MAX_CHARS)
			break;
	return at;
}

static enum err_code
add_entry(X509_NAME *name, const struct x509_subject_entry *entry, struct err *err)
{
	AUTO(objectp) ASN1_OBJECT *object = OBJ_txt2obj(entry->name, 0);
	size_t len = strlen(entry->value);

	if (!object) {
		ERR_clear_error();
		return err_set(err, ERR_INVALID, "unknown subject field \"%s\"", entry->name);
	}
	if (OBJ_obj2nid(object) == NID_commonName)
		len = cut_common_name(entry->value);
	if (len > INT_MAX || X509_NAME_add_entry_by_OBJ(name, object, MBSTRING_UTF8,
				 (const unsigned char *)entry->value, (int)len, -1, 0) != 1) {
		if (err_openssl(err, "cannot be used") == ERR_NOMEM)
			return err->code;
		return err_wrap_code(err, ERR_INVALID, "subject field \"%s\"", entry->name);
	}
	return ERR_OK;
}

enum err_code
x509_subject(const struct x509_subject_entry *entries, size_t n, X509_NAME **ret, struct err *err)
{
	AUTO(namep) X509_NAME *name = X509_NAME_new();

	if (!name)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (add_entry(name, &entries[i], err))
			return err->code;
	*ret = name;
	name = NULL;
	return ERR_OK;
}

enum err_code
x509_common_name(const X509_NAME *name, char **ret, struct err *err)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	enum err_code code;
	int len;

	if (at < 0)
		return err_set(err, ERR_NOT_FOUND, "subject has no common name");
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len < 0)
		return err_openssl(err, "common name");
	if (memchr(utf8, '\0', (size_t)len))
		code = err_set(err, ERR_INVALID, "common name holds a NUL");
	else
		code = str_copy(ret, (const char *)utf8, err);
	OPENSSL_free(utf8);
	return code;
}

/* --- requests */

static enum err_code
add_fixed(STACK_OF(X509_EXTENSION) * exts, int nid, const char *value, struct err *err)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (!ext || sk_X509_EXTENSION_push(exts, ext) == 0) {
		X509_EXTENSION_free(ext);
		return err_openssl(err, "certificate extension");
	}
	return ERR_OK;
}

/* One subject alternative name.  Built from its parts, never from configuration text, in which a comma would start another. */
static GENERAL_NAME *
general_name(const struct x509_san *san)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OCTET_STRING *ip;
	ASN1_IA5STRING *text;

	if (!name)
		return NULL;
	if (san->kind == X509_SAN_IP) {
		ip = a2i_IPADDRESS(san->value);
		if (ip) {
			GENERAL_NAME_set0_value(name, GEN_IPADD, ip);
			return name;
		}
	} else {
		text = ASN1_IA5STRING_new();
		if (text && ASN1_STRING_set(text, san->value, -1) == 1) {
			GENERAL_NAME_set0_value(
			    name, san->kind == X509_SAN_DNS ? GEN_DNS : GEN_URI, text);
			return name;
		}
		ASN1_IA5STRING_free(text);
	}
	GENERAL_NAME_free(name);
	return NULL;
}

/* IA5String: ASCII only (RFC 5280 4.2.1.6); control bytes belong in no name. */
static bool
is_printable_ascii(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

static enum err_code
add_sans(STACK_OF(X509_EXTENSION) * exts, const struct x509_san *sans, size_t n, struct err *err)
{
	AUTO(general_namesp) GENERAL_NAMES *names = GENERAL_NAMES_new();

	if (n == 0)
		return ERR_OK;
	if (!names)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		GENERAL_NAME *name = NULL;

		if (is_printable_ascii(sans[i].value))
			name = general_name(&sans[i]);
		if (!name) {
			ERR_clear_error();
			return err_set(err, ERR_INVALID, "unusable subject alternative name");
		}
		if (sk_GENERAL_NAME_push(names, name) == 0) {
			GENERAL_NAME_free(name);
			return err_nomem(err);
		}
	}
	if (X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		return err_openssl(err, "subject alternative names");
	return ERR_OK;
}

static enum err_code
add_local(STACK_OF(X509_EXTENSION) * exts, const char *purposes, struct err *err)
{
	if (add_fixed(exts, NID_basic_constraints, "critical,CA:FALSE", err) ||
	    add_fixed(exts, NID_key_usage,
		"critical,digitalSignature,nonRepudiation,keyEncipherment", err))
		return err->code;
	return add_fixed(exts, NID_ext_key_usage, purposes, err);
}

static enum err_code
add_profile(STACK_OF(X509_EXTENSION) * exts, enum x509_profile profile, struct err *err)
{
	switch (profile) {
	case X509_PLAIN:
		break;
	case X509_EDGE_CA:
		if (add_fixed(exts, NID_key_usage, "critical,digitalSignature,keyCertSign", err))
			return err->code;
		return add_fixed(exts, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", err);
	case X509_SERVER:
		return add_fixed(exts, NID_ext_key_usage, "serverAuth", err);
	case X509_CLIENT:
		return add_fixed(exts, NID_ext_key_usage, "clientAuth", err);
	case X509_LOCAL_CLIENT:
		return add_local(exts, "critical,clientAuth", err);
	case X509_LOCAL_SERVER:
		return add_local(exts, "critical,clientAuth,serverAuth", err);
	}
	return ERR_OK;
}

/* What was written into bio, as a string. */
static enum err_code
bio_string(BIO *bio, char **ret, struct err *err)
{
	AUTO(bytes_done) struct bytes copy = { 0 };
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);

	if (bytes_copy(&copy, data, len > 0 ? (size_t)len : 0, err))
		return err->code;
	*ret = (char *)bytes_take(&copy).data;
	return ERR_OK;
}

enum err_code
x509_request(EVP_PKEY *key, const X509_NAME *subject, enum x509_profile profile,
    const struct x509_san *sans, size_t n_sans, char **ret_pem, struct err *err)
{
	AUTO(x509_reqp) X509_REQ *req = X509_REQ_new();
	AUTO(extensionsp) STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	AUTO(biop) BIO *bio = BIO_new(BIO_s_mem());

	if (!req || !exts || !bio)
		return err_nomem(err);
	if (add_profile(exts, profile, err) || add_sans(exts, sans, n_sans, err))
		return err->code;
	if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_subject_name(req, subject) != 1 || X509_REQ_set_pubkey(req, key) != 1 ||
	    (sk_X509_EXTENSION_num(exts) > 0 && X509_REQ_add_extensions(req, exts) != 1) ||
	    X509_REQ_sign(req, key, EVP_sha256()) <= 0 || PEM_write_bio_X509_REQ(bio, req) != 1)
		return err_openssl(err, "certificate request");
	return bio_string(bio, ret_pem, err);
}

/* Instead of libcrypto's default, which asks the terminal. */
static int
no_password(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

static enum err_code
bio_of(struct text pem, BIO **ret, struct err *err)
{
	if (pem.len > INT_MAX)
		return err_set(err, ERR_SYNTAX, "PEM text is too long");
	*ret = BIO_new_mem_buf(pem.data ? pem.data : "", (int)pem.len);
	return *ret ? ERR_OK : err_nomem(err);
}

enum err_code
x509_request_read(struct text pem, X509_REQ **ret, struct err *err)
{
	AUTO(x509_reqp) X509_REQ *req = NULL;
	AUTO(biop) BIO *bio = NULL;
	EVP_PKEY *key;

	if (bio_of(pem, &bio, err))
		return err->code;
	req = PEM_read_bio_X509_REQ(bio, NULL, no_password, NULL);
	if (!req)
		return err_openssl(err, "certificate request") == ERR_NOMEM
			   ? err->code
			   : err_set(err, ERR_SYNTAX, "not a PEM certificate request");
	key = X509_REQ_get0_pubkey(req);
	if (!key) {
		ERR_clear_error();
		return err_set(err, ERR_SYNTAX, "certificate request has no usable public key");
	}
	if (X509_REQ_verify(req, key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_DENIED, "certificate request is not signed by its own key");
	}
	*ret = req;
	req = NULL;
	return ERR_OK;
}

/* --- chains */

/* The end of a PEM text shows as one particular error; anything else is a damaged certificate. */
static bool
at_end(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

enum err_code
x509_chain_read(struct text pem, STACK_OF(X509) * *ret, struct err *err)
{
	AUTO(x509_chainp) STACK_OF(X509) *chain = sk_X509_new_null();
	AUTO(biop) BIO *bio = NULL;
	X509 *cert;

	if (!chain)
		return err_nomem(err);
	if (bio_of(pem, &bio, err))
		return err->code;
	while ((cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		if (sk_X509_num(chain) == CHAIN_MAX) {
			X509_free(cert);
			return err_set(err, ERR_SYNTAX, "more than %d certificates", CHAIN_MAX);
		}
		if (sk_X509_push(chain, cert) == 0) {
			X509_free(cert);
			return err_nomem(err);
		}
	}
	if (!at_end())
		return err_openssl(err, "certificate") == ERR_NOMEM
			   ? err->code
			   : err_wrap_code(err, ERR_SYNTAX, "damaged certificate");
	ERR_clear_error();
	if (sk_X509_num(chain) == 0)
		return err_set(err, ERR_SYNTAX, "no certificate in PEM form");
	*ret = chain;
	chain = NULL;
	return ERR_OK;
}

enum err_code
x509_chain_write(const STACK_OF(X509) * chain, char **ret_pem, struct err *err)
{
	AUTO(biop) BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		return err_nomem(err);
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (PEM_write_bio_X509(bio, sk_X509_value(chain, i)) != 1)
			return err_openssl(err, "certificate");
	return bio_string(bio, ret_pem, err);
}

static enum err_code
unix_of(const ASN1_TIME *time, int64_t *ret, struct err *err)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return err_openssl(err, "certificate validity");
	*ret = timegm(&tm);
	return ERR_OK;
}

enum err_code
x509_times(const X509 *cert, int64_t *ret_not_before, int64_t *ret_not_after, struct err *err)
{
	int64_t before = 0, after = 0;

	if (unix_of(X509_get0_notBefore(cert), &before, err) ||
	    unix_of(X509_get0_notAfter(cert), &after, err))
		return err->code;
	*ret_not_before = before;
	*ret_not_after = after;
	return ERR_OK;
}

/* --- keys */

enum err_code
x509_key_new(enum x509_key_kind kind, EVP_PKEY **ret, struct err *err)
{
	EVP_PKEY *key = NULL;

	switch (kind) {
	case X509_KEY_EC_P256:
		key = EVP_EC_gen("P-256");
		break;
	case X509_KEY_EC_P384:
		key = EVP_EC_gen("P-384");
		break;
	case X509_KEY_ED25519:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	case X509_KEY_RSA_2048:
		key = EVP_RSA_gen(2048);
		break;
	case X509_KEY_RSA_3072:
		key = EVP_RSA_gen(3072);
		break;
	case X509_KEY_RSA_4096:
		key = EVP_RSA_gen(4096);
		break;
	}
	if (!key)
		return err_openssl(err, "key generation");
	*ret = key;
	return ERR_OK;
}

enum err_code
x509_key_write(EVP_PKEY *key, struct bytes *ret_pem, struct err *err)
{
	AUTO(biop) BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	long len;

	if (!bio)
		return err_nomem(err);
	if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return err_openssl(err, "private key");
	len = BIO_get_mem_data(bio, &data);
	return bytes_copy(ret_pem, data, len > 0 ? (size_t)len : 0, err);
}

enum err_code
x509_key_read(struct text pem, EVP_PKEY **ret, struct err *err)
{
	AUTO(biop) BIO *bio = NULL;
	EVP_PKEY *key;

	if (bio_of(pem, &bio, err))
		return err->code;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (!key)
		return err_openssl(err, "private key") == ERR_NOMEM
			   ? err->code
			   : err_wrap_code(err, ERR_SYNTAX, "not an unencrypted PEM private key");
	ERR_clear_error();
	*ret = key;
	return ERR_OK;
}
