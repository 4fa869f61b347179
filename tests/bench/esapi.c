/*
 * esapi TCTI CLIENTS SECONDS - sign with a P-256 key of the TPM by direct ESAPI and measure (measure.h): what keys in the TPM
 * can give at most.  A TPM does one thing at a time, so clients take turns at one context.  The key is a transient one under
 * a primary of the owner's hierarchy, made anew and flushed at the end.
 */
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "tests/bench/measure.h"

static ESYS_CONTEXT *tpm;
static ESYS_TR key;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define MUST(call)                                       \
	do {                                             \
		TSS2_RC rc_ = (call);                    \
		if (rc_ != TSS2_RC_SUCCESS)              \
			errx(1, "%s: 0x%x", #call, rc_); \
	} while (0)

static const TPM2B_PUBLIC parent_form = {
	.publicArea = { .type = TPM2_ALG_ECC,
	    .nameAlg = TPM2_ALG_SHA256,
	    .objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT |
				TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
				TPMA_OBJECT_NODA,
	    .parameters.eccDetail = { .symmetric = { .algorithm = TPM2_ALG_AES,
					  .keyBits.aes = 128,
					  .mode.aes = TPM2_ALG_CFB },
		.scheme.scheme = TPM2_ALG_NULL,
		.curveID = TPM2_ECC_NIST_P256,
		.kdf.scheme = TPM2_ALG_NULL } }
};

static const TPM2B_PUBLIC key_form = {
	.publicArea = { .type = TPM2_ALG_ECC,
	    .nameAlg = TPM2_ALG_SHA256,
	    .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_FIXEDTPM |
				TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
	    .parameters.eccDetail = { .symmetric.algorithm = TPM2_ALG_NULL,
		.scheme.scheme = TPM2_ALG_NULL,
		.curveID = TPM2_ECC_NIST_P256,
		.kdf.scheme = TPM2_ALG_NULL } }
};

static ESYS_TR
make_key(void)
{
	const TPM2B_SENSITIVE_CREATE no_secret = { 0 };
	const TPM2B_DATA no_data = { 0 };
	const TPML_PCR_SELECTION no_pcrs = { 0 };
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR parent, made;

	MUST(Esys_CreatePrimary(tpm, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
	    &no_secret, &parent_form, &no_data, &no_pcrs, &parent, NULL, NULL, NULL, NULL));
	MUST(Esys_Create(tpm, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_secret,
	    &key_form, &no_data, &no_pcrs, &private, &public, NULL, NULL, NULL));
	MUST(Esys_Load(
	    tpm, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, private, public, &made));
	MUST(Esys_FlushContext(tpm, parent));
	Esys_Free(private);
	Esys_Free(public);
	return made;
}

static void
once(void *opened)
{
	const TPM2B_DIGEST digest = { .size = 32, .buffer = { 1 } };
	const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_ECDSA,
		.details.ecdsa.hashAlg = TPM2_ALG_SHA256 };
	const TPMT_TK_HASHCHECK ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };
	TPMT_SIGNATURE *sig = NULL;

	(void)opened;
	pthread_mutex_lock(&turn);
	MUST(Esys_Sign(tpm, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &digest, &scheme,
	    &ticket, &sig));
	pthread_mutex_unlock(&turn);
	Esys_Free(sig);
}

int
main(int argc, char **argv)
{
	TSS2_TCTI_CONTEXT *tcti = NULL;

	if (argc != 4)
		errx(2, "usage: esapi TCTI CLIENTS SECONDS");
	setenv("TSS2_LOG", "all+NONE", 0);
	MUST(Tss2_TctiLdr_Initialize(argv[1], &tcti));
	MUST(Esys_Initialize(&tpm, tcti, NULL));
	key = make_key();
	measure(&(struct measure){
	    .clients = strtoul(argv[2], NULL, 10),
	    .seconds = strtod(argv[3], NULL),
	    .pids = "self",
	    .once = once,
	});
	MUST(Esys_FlushContext(tpm, key));
	Esys_Finalize(&tpm);
	Tss2_TctiLdr_Finalize(&tcti);
	return 0;
}
