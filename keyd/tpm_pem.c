#include "keyd/tpm_pem.h"

#include <openssl/asn1t.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <string.h>

#include "crypto/digest.h"

#define LABEL	     "TSS2 PRIVATE KEY"
#define LOADABLE_KEY "2.23.133.10.1.3"
#define SRK_HANDLE   0x81000001

/*
 * TPMKey ::= SEQUENCE { type OBJECT IDENTIFIER, emptyAuth [0] EXPLICIT BOOLEAN OPTIONAL, ... parent INTEGER,
 * pubkey OCTET STRING, privkey OCTET STRING }; of what is optional only emptyAuth fits a key that tpmd makes.
 */
struct tpm_key_asn1 {
	ASN1_OBJECT *type;
	ASN1_BOOLEAN empty_auth;
	ASN1_INTEGER *parent;
	ASN1_OCTET_STRING *public, *private;
};
typedef struct tpm_key_asn1 tpm_key_asn1;

/* clang-format off */
ASN1_SEQUENCE(tpm_key_asn1) = {
	ASN1_SIMPLE (tpm_key_asn1, type,       ASN1_OBJECT),
	ASN1_EXP_OPT(tpm_key_asn1, empty_auth, ASN1_FBOOLEAN, 0),
	ASN1_SIMPLE (tpm_key_asn1, parent,     ASN1_INTEGER),
	ASN1_SIMPLE (tpm_key_asn1, public,     ASN1_OCTET_STRING),
	ASN1_SIMPLE (tpm_key_asn1, private,    ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(tpm_key_asn1)
/* clang-format on */

static void
key_donep(tpm_key_asn1 **key)
{
	ASN1_item_free((ASN1_VALUE *)*key, ASN1_ITEM_rptr(tpm_key_asn1));
	*key = NULL;
}

static void
openssl_donep(uint8_t **data)
{
	OPENSSL_free(*data);
	*data = NULL;
}

static enum err_code
to_pem(const uint8_t *der, size_t len, struct bytes *ret, struct err *err)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	enum err_code code;
	long n;

	if (out && PEM_write_bio(out, LABEL, "", der, (long)len) > 0 &&
	    (n = BIO_get_mem_data(out, &text)) > 0)
		code = bytes_copy(ret, text, (size_t)n, err);
	else
		code = err_openssl(err, "could not write the key");
	BIO_free(out);
	return code;
}

enum err_code
tpm_pem_write(const struct tpmd_object *object, struct bytes *ret_pem, struct err *err)
{
	AUTO(key_donep)
	tpm_key_asn1 *key = (tpm_key_asn1 *)ASN1_item_new(ASN1_ITEM_rptr(tpm_key_asn1));
	AUTO(openssl_donep) uint8_t *der = NULL;
	int len;

	if (!key)
		return err_openssl(err, "could not write the key");
	ASN1_OBJECT_free(key->type);
	key->type = OBJ_txt2obj(LOADABLE_KEY, 1);
	key->empty_auth = 0xff; /* DER knows no other TRUE */
	if (!key->type || !ASN1_INTEGER_set_uint64(key->parent, SRK_HANDLE) ||
	    !ASN1_OCTET_STRING_set(key->public, object->public.data, (int)object->public.len) ||
	    !ASN1_OCTET_STRING_set(key->private, object->private.data, (int)object->private.len))
		return err_openssl(err, "could not write the key");
	len = ASN1_item_i2d((ASN1_VALUE *)key, &der, ASN1_ITEM_rptr(tpm_key_asn1));
	if (len <= 0)
		return err_openssl(err, "could not write the key");
	return to_pem(der, (size_t)len, ret_pem, err);
}

static enum err_code
bad(struct err *err, const char *what)
{
	return err_set(err, ERR_SYNTAX, "not a key of a TPM as tpmd makes them: %s", what);
}

static enum err_code
from_pem(const struct bytes *pem, uint8_t **ret_der, long *ret_len, struct err *err)
{
	BIO *in = BIO_new_mem_buf(pem->data, (int)pem->len);
	char *name = NULL, *header = NULL;
	bool ok = in && PEM_read_bio(in, &name, &header, ret_der, ret_len) > 0 &&
		  strcmp(name, LABEL) == 0 && header[0] == '\0';

	BIO_free(in);
	OPENSSL_free(name);
	OPENSSL_free(header);
	if (ok)
		return ERR_OK;
	(void)err_openssl(err, "not in PEM");
	return bad(err, "no PEM of \"" LABEL "\"");
}

static enum err_code
check(const tpm_key_asn1 *key, struct err *err)
{
	char type[64];
	uint64_t parent = 0;

	if (OBJ_obj2txt(type, sizeof(type), key->type, 1) <= 0 || strcmp(type, LOADABLE_KEY) != 0)
		return bad(err, "not a loadable key");
	if (!key->empty_auth)
		return bad(err, "it needs a password");
	if (key->empty_auth != 0xff)
		return bad(err,
		    "not in DER"); /* X.690 11.1; libcrypto takes any other value for TRUE, too */
	if (!ASN1_INTEGER_get_uint64(&parent, key->parent) || parent != SRK_HANDLE)
		return bad(err, "its parent is not the storage root key");
	return ERR_OK;
}

enum err_code
tpm_pem_read(const struct bytes *pem, struct tpmd_object *ret, struct err *err)
{
	AUTO(openssl_donep) uint8_t *der = NULL;
	AUTO(key_donep) tpm_key_asn1 *key = NULL;
	AUTO(tpmd_object_done) struct tpmd_object object = { 0 };
	const uint8_t *at;
	long len = 0;

	if (from_pem(pem, &der, &len, err))
		return err->code;
	at = der;
	key = (tpm_key_asn1 *)ASN1_item_d2i(NULL, &at, len, ASN1_ITEM_rptr(tpm_key_asn1));
	if (!key || at != der + len) {
		(void)err_openssl(err, "not a TPMKey");
		return bad(err, "no TPMKey");
	}
	if (check(key, err) ||
	    bytes_copy(&object.public, ASN1_STRING_get0_data(key->public),
		(size_t)ASN1_STRING_length(key->public), err) ||
	    bytes_copy(&object.private, ASN1_STRING_get0_data(key->private),
		(size_t)ASN1_STRING_length(key->private), err))
		return err->code;
	*ret = object;
	object = (struct tpmd_object){ 0 };
	return ERR_OK;
}
