/*
 * token MODULE LABEL PIN CLIENTS SECONDS - sign with a P-256 key on a PKCS#11 token by direct C_Sign and measure (measure.h):
 * what a place on tokens can give at most.  The key is made when there is none; each client has a session of its own.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include "tests/bench/measure.h"

static CK_FUNCTION_LIST_PTR p11;
static CK_SLOT_ID slot;
static CK_OBJECT_HANDLE key;

#define MUST(call)                                        \
	do {                                              \
		CK_RV rv_ = (call);                       \
		if (rv_ != CKR_OK)                        \
			errx(1, "%s: 0x%lx", #call, rv_); \
	} while (0)

static void
find_slot(const char *label)
{
	CK_SLOT_ID slots[64];
	CK_ULONG n = sizeof(slots) / sizeof(slots[0]);
	CK_TOKEN_INFO info;

	MUST(p11->C_GetSlotList(CK_TRUE, slots, &n));
	for (CK_ULONG i = 0; i < n; i++) {
		MUST(p11->C_GetTokenInfo(slots[i], &info));
		if (strncmp((const char *)info.label, label, strlen(label)) == 0) {
			slot = slots[i];
			return;
		}
	}
	errx(1, "no token %s", label);
}

static CK_SESSION_HANDLE
session(void)
{
	CK_SESSION_HANDLE s;

	MUST(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s));
	return s;
}

static bool
find_key(CK_SESSION_HANDLE s)
{
	CK_OBJECT_CLASS private = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE want[] = { { CKA_CLASS, &private, sizeof(private) },
		{ CKA_LABEL, (void *)(uintptr_t) "bench", 5 } };
	CK_ULONG n = 0;

	MUST(p11->C_FindObjectsInit(s, want, 2));
	MUST(p11->C_FindObjects(s, &key, 1, &n));
	MUST(p11->C_FindObjectsFinal(s));
	return n > 0;
}

static void
make_key(CK_SESSION_HANDLE s)
{
	static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	CK_BBOOL yes = CK_TRUE;
	CK_MECHANISM how = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_ATTRIBUTE public[] = { { CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_EC_PARAMS, p256, sizeof(p256) }, { CKA_VERIFY, &yes, sizeof(yes) } };
	CK_ATTRIBUTE private[] = { { CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_SIGN, &yes, sizeof(yes) }, { CKA_LABEL, (void *)(uintptr_t) "bench", 5 } };
	CK_OBJECT_HANDLE other;

	MUST(p11->C_GenerateKeyPair(s, &how, public, 3, private, 3, &other, &key));
}

static void *
open_client(size_t client)
{
	static CK_SESSION_HANDLE sessions[256];

	sessions[client % 256] = session();
	return &sessions[client % 256];
}

static void
once(void *opened)
{
	CK_SESSION_HANDLE s = *(CK_SESSION_HANDLE *)opened;
	CK_MECHANISM how = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG len = sizeof(sig);

	MUST(p11->C_SignInit(s, &how, key));
	MUST(p11->C_Sign(s, digest, sizeof(digest), sig, &len));
}

int
main(int argc, char **argv)
{
	CK_C_INITIALIZE_ARGS threads = { .flags = CKF_OS_LOCKING_OK };
	CK_C_GetFunctionList list;
	CK_SESSION_HANDLE s;
	void *module;

	if (argc != 6)
		errx(2, "usage: token MODULE LABEL PIN CLIENTS SECONDS");
	module = dlopen(argv[1], RTLD_NOW);
	list = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
	if (!list)
		errx(1, "%s", dlerror());
	MUST(list(&p11));
	MUST(p11->C_Initialize(&threads));
	find_slot(argv[2]);
	s = session();
	MUST(p11->C_Login(s, CKU_USER, (CK_UTF8CHAR_PTR)argv[3], strlen(argv[3])));
	if (!find_key(s))
		make_key(s);
	measure(&(struct measure){
	    .clients = strtoul(argv[4], NULL, 10),
	    .seconds = strtod(argv[5], NULL),
	    .pids = "self",
	    .open = open_client,
	    .once = once,
	});
	p11->C_Finalize(NULL);
	return 0;
}
