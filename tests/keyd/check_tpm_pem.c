#include "tests/support/support.h"

#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/tpm_pem.h"

static struct bytes public = { (uint8_t *)"\0\2AB", 4 };
static struct bytes private = { (uint8_t *)"\0\3xyz", 5 };

/* openssl reads what we write: the members of a TPMKey, each of its type and value. */
START_TEST(test_write)
{
	const struct tpmd_object object = { public, private };
	AUTO(bytes_done) struct bytes pem = { 0 };
	AUTO(str_freep) char *got = NULL;
	struct err err = { 0 };

	ck_ok(tpm_pem_write(&object, &pem, &err));
	support_write(support_path("key.pem"), (const char *)pem.data);
	free(support_sh(
	    "head -1 %s | grep -qxe '-----BEGIN TSS2 PRIVATE KEY-----'", support_path("key.pem")));
	got = support_sh(
	    "openssl asn1parse -in %s | sed 's/^[^:]*: *//; s/d=.*\\(cons\\|prim\\): //; s/ *$//; "
	    "s/\\[HEX DUMP\\]//; s/ *:/:/'",
	    support_path("key.pem"));
	ck_assert_str_eq(got, "SEQUENCE\n"
			      "OBJECT:2.23.133.10.1.3\n"
			      "cont [ 0 ]\n"
			      "BOOLEAN:255\n"
			      "INTEGER:81000001\n"
			      "OCTET STRING:00024142\n"
			      "OCTET STRING:000378797A");
}
END_TEST

/* A key whose DER openssl makes from text. */
static struct bytes
made(const char *label, const char *body)
{
	AUTO(str_freep) char *conf = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&conf, &err, "asn1=SEQUENCE:key\n[key]\n%s", body));
	support_write(support_path("conf"), conf);
	free(support_sh("cd %s && openssl asn1parse -genconf conf -noout -out der && { echo "
			"'-----BEGIN %s-----'; base64 der; echo '-----END %s-----'; } >made.pem",
	    support_tmpdir(), label, label));
	return support_read(support_path("made.pem"));
}

#define TYPE	"a=OID:2.23.133.10.1.3\n"
#define EMPTY	"b=EXPLICIT:0,BOOLEAN:TRUE\n"
#define PARENT	"c=INTEGER:0x81000001\n"
#define PUBLIC	"d=FORMAT:HEX,OCTETSTRING:00024142\n"
#define PRIVATE "e=FORMAT:HEX,OCTETSTRING:000378797a\n"
#define LABEL	"TSS2 PRIVATE KEY"

START_TEST(test_read)
{
	AUTO(bytes_done) struct bytes pem = made(LABEL, TYPE EMPTY PARENT PUBLIC PRIVATE);
	AUTO(tpmd_object_done) struct tpmd_object object = { 0 };
	struct err err = { 0 };

	ck_ok(tpm_pem_read(&pem, &object, &err));
	ck_assert(bytes_equal(&object.public, &public));
	ck_assert(bytes_equal(&object.private, &private));
}
END_TEST

START_TEST(test_refused)
{
	static const struct {
		const char *label, *body;
	} rows[] = {
		{ "PRIVATE KEY", TYPE EMPTY PARENT PUBLIC PRIVATE },
		{ LABEL, "a=OID:2.23.133.10.1.5\n" EMPTY PARENT PUBLIC PRIVATE }, /* sealed data */
		{ LABEL, "a=OID:2.23.133.10.1.4\n" EMPTY PARENT PUBLIC PRIVATE }, /* importable */
		{ LABEL, TYPE PARENT PUBLIC PRIVATE },				  /* a password */
		{ LABEL, TYPE "b=EXPLICIT:0,BOOLEAN:FALSE\n" PARENT PUBLIC PRIVATE },
		{ LABEL, TYPE EMPTY "c=INTEGER:0x40000001\n" PUBLIC PRIVATE },
		{ LABEL, TYPE EMPTY "c=INTEGER:0x8100000001000001\n" PUBLIC PRIVATE },
		{ LABEL, TYPE EMPTY "c=INTEGER:-5\n" PUBLIC PRIVATE },
		{ LABEL,
		    TYPE EMPTY "bb=EXPLICIT:1,SEQUENCE:none\n" PARENT PUBLIC PRIVATE "[none]\n" },
		{ LABEL, TYPE EMPTY PARENT PUBLIC },
		{ LABEL, TYPE EMPTY PARENT PUBLIC PRIVATE "f=NULL\n" },
		{ LABEL, TYPE EMPTY PARENT PUBLIC "e=UTF8:x\n" },
	};
	static const char *const texts[] = { "", "junk", "-----BEGIN TSS2 PRIVATE KEY-----\n",
		"-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n-----END TSS2 PRIVATE KEY-----\n" };
	struct tpmd_object object = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(bytes_done) struct bytes pem = made(rows[i].label, rows[i].body);

		ck_err(tpm_pem_read(&pem, &object, &err), ERR_SYNTAX);
		ck_assert_ptr_null(object.public.data);
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct bytes pem = { (uint8_t *)texts[i], strlen(texts[i]) };

		ck_err(tpm_pem_read(&pem, &object, &err), ERR_SYNTAX);
	}
}
END_TEST

/* Cut anywhere, it is refused or the same key (the last line's end). */
START_TEST(test_cut)
{
	AUTO(bytes_done) struct bytes pem = made(LABEL, TYPE EMPTY PARENT PUBLIC PRIVATE);
	struct err err = { 0 };
	size_t len = pem.len;

	for (pem.len = 0; pem.len + strlen("-----\n") < len; pem.len++) {
		AUTO(bytes_done) struct bytes cut = { 0 };
		struct tpmd_object object = { 0 };

		ck_ok(bytes_copy(&cut, pem.data, pem.len, &err));
		ck_err(tpm_pem_read(&cut, &object, &err), ERR_SYNTAX);
	}
}
END_TEST

/* X.690 11.1: TRUE is ff and nothing else, so no two files are the same key */
START_TEST(test_true)
{
	static const uint8_t empty_auth[] = { 0xa0, 3, 1, 1, 0xff };
	AUTO(bytes_done) struct bytes pem = made(LABEL, TYPE EMPTY PARENT PUBLIC PRIVATE);
	BIO *in = BIO_new_mem_buf(pem.data, (int)pem.len);
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL, *at;
	struct err err = { 0 };
	long len = 0;

	ck_assert_int_eq(PEM_read_bio(in, &name, &header, &der, &len), 1);
	at = memmem(der, (size_t)len, empty_auth, sizeof(empty_auth));
	ck_assert_ptr_nonnull(at);
	for (unsigned value = 0; value <= 0xff; value++) {
		AUTO(tpmd_object_done) struct tpmd_object object = { 0 };
		BIO *out = BIO_new(BIO_s_mem());
		struct bytes again;
		char *text;

		at[4] = (uint8_t)value;
		ck_assert_int_gt(PEM_write_bio(out, name, header, der, len), 0);
		again.len = (size_t)BIO_get_mem_data(out, &text);
		again.data = (uint8_t *)text;
		ck_assert_int_eq(
		    tpm_pem_read(&again, &object, &err), value == 0xff ? ERR_OK : ERR_SYNTAX);
		BIO_free(out);
	}
	BIO_free(in);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
}
END_TEST

TEST_MAIN("keyd/tpm_pem", test_write, test_read, test_refused, test_cut, test_true)
