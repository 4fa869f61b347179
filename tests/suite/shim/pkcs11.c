/*
 * A PKCS#11 module that does what another one does, but for the fault that a file names at the moment:
 *
 *	SHIM_MODULE	the other module; SoftHSM where it is not set
 *	SHIM_CONTROL	the file: `CALL FAULT [ARGUMENT]`, where CALL may be `*`; empty: none
 *
 *	crash		the process ends by SIGSEGV
 *	abort		the process ends by SIGABRT
 *	hang		the call never comes back
 *	slow MS		it takes so much longer
 *	leak MIB	so much memory is used and never given back
 *	files NUMBER	so many files are opened and never closed
 *	rv NUMBER	it fails so, without having done anything
 *	rvs		it fails with each error of the standard in turn
 *	length WORD	what it says of lengths or counts is a lie: long, zero, max
 *	garbage		what it gives back is no more than that
 *	bare		(C_GetAttributeValue) points stand in no OCTET STRING
 *	missing		(C_GetFunctionList) the list has no C_Sign
 *	flags NUMBER	(C_GetTokenInfo) the token has these besides
 *	without NUMBER	(C_GetMechanismList) this mechanism is not there
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST shim;

/* --- what is wrong at the moment */

struct fault {
	char call[40], what[12], word[24];
};

/* False: nothing, or nothing with this call. */
static bool
fault_of(const char *call, struct fault *f)
{
	const char *path = getenv("SHIM_CONTROL");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char line[128];
	ssize_t n;

	*f = (struct fault){ 0 };
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	if (sscanf(line, "%39s %11s %23s", f->call, f->what, f->word) < 2)
		return false;
	return strcmp(f->call, call) == 0 || strcmp(f->call, "*") == 0;
}

/* By mmap(), which no checker of leaks counts: this one is meant. */
static void
leak(size_t mebibytes)
{
	void *lost =
	    mmap(NULL, mebibytes << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lost != MAP_FAILED)
		memset(lost, 0xa5, mebibytes << 20);
}

static void
leave_open(unsigned long n)
{
	while (n-- > 0)
		(void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* PKCS#11 2.40, 11.1; CKR_OK is none. */
static const CK_RV errors[] = { 0x1, 0x2, 0x3, 0x5, 0x6, 0x7, 0x8, 0x9, 0xa, 0x10, 0x11, 0x12, 0x13,
	0x1b, 0x20, 0x21, 0x30, 0x31, 0x32, 0x40, 0x41, 0x50, 0x51, 0x54, 0x60, 0x62, 0x63, 0x64,
	0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x70, 0x71, 0x82, 0x90, 0x91, 0xa0, 0xa1, 0xa2, 0xa3,
	0xa4, 0xb0, 0xb1, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xe1,
	0xe2, 0xf0, 0xf1, 0xf2, 0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x110, 0x112, 0x113,
	0x114, 0x115, 0x120, 0x121, 0x130, 0x140, 0x141, 0x150, 0x160, 0x170, 0x180, 0x190, 0x191,
	0x1a0, 0x1a1, 0x1b0, 0x1b1, 0x1b2, 0x1b3, 0x1b4, 0x1b5, 0x1b6, 0x1b7, 0x1b8, 0x1b9, 0x200,
	0x201, 0x202, 0x80000000, 0xffffffff };

/* What comes before the real call.  True: it is not made, and *ret is the answer. */
static bool
spoil(const char *call, CK_RV *ret)
{
	static unsigned turn;
	struct fault f;

	if (!fault_of(call, &f))
		return false;
	if (strcmp(f.what, "crash") == 0)
		*(volatile int *)0 = 0;
	if (strcmp(f.what, "abort") == 0)
		abort();
	while (strcmp(f.what, "hang") == 0)
		sleep(1000);
	if (strcmp(f.what, "slow") == 0)
		usleep((unsigned)strtoul(f.word, NULL, 0) * 1000);
	if (strcmp(f.what, "leak") == 0)
		leak(strtoul(f.word, NULL, 0));
	if (strcmp(f.what, "files") == 0)
		leave_open(strtoul(f.word, NULL, 0));
	if (strcmp(f.what, "rv") == 0)
		*ret = strtoul(f.word, NULL, 0);
	else if (strcmp(f.what, "rvs") == 0)
		*ret = errors[turn++ % (sizeof(errors) / sizeof(errors[0]))];
	else
		return false;
	return true;
}

/* What comes behind it: data of *len bytes, or so many things of another size. */
static void
lie(const char *call, void *data, CK_ULONG *len, size_t size)
{
	struct fault f;

	if (!len || !fault_of(call, &f))
		return;
	if (strcmp(f.what, "garbage") == 0 && data && *len < 1 << 20)
		memset(data, 0xa5, *len * size);
	if (strcmp(f.what, "length") != 0)
		return;
	if (strcmp(f.word, "long") == 0)
		*len += 1000;
	else if (strcmp(f.word, "zero") == 0)
		*len = 0;
	else
		*len = (CK_ULONG)-1;
}

/* --- calls that only fail, or do not come back */

#define PLAIN(name, parameters, arguments)   \
	static CK_RV s_##name parameters     \
	{                                    \
		CK_RV rv;                    \
                                             \
		if (spoil(#name, &rv))       \
			return rv;           \
		return real->name arguments; \
	}

PLAIN(C_Initialize, (void *args), (args))
PLAIN(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO *info), (slot, info))
PLAIN(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info),
    (slot, type, info))
PLAIN(C_OpenSession,
    (CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, CK_SESSION_HANDLE *session),
    (slot, flags, app, notify, session))
PLAIN(C_CloseSession, (CK_SESSION_HANDLE session), (session))
PLAIN(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info), (session, info))
PLAIN(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, CK_ULONG len),
    (session, user, pin, len))
PLAIN(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG n),
    (session, template, n))
PLAIN(C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session))
PLAIN(C_SetAttributeValue,
    (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG n),
    (session, object, template, n))
PLAIN(C_CreateObject,
    (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG n, CK_OBJECT_HANDLE *object),
    (session, template, n, object))
PLAIN(C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), (session, object))
PLAIN(C_GenerateKey,
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG n,
	CK_OBJECT_HANDLE *object),
    (session, mechanism, template, n, object))
PLAIN(C_GenerateKeyPair,
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public, CK_ULONG n_public,
	CK_ATTRIBUTE *private, CK_ULONG n_private, CK_OBJECT_HANDLE *ret_public,
	CK_OBJECT_HANDLE *ret_private),
    (session, mechanism, public, n_public, private, n_private, ret_public, ret_private))
PLAIN(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object),
    (session, mechanism, object))
PLAIN(C_EncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object),
    (session, mechanism, object))
PLAIN(C_DecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object),
    (session, mechanism, object))

/* --- calls that give back more than they did */

static CK_RV
s_C_GetSlotList(unsigned char present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_RV rv;

	if (spoil("C_GetSlotList", &rv))
		return rv;
	rv = real->C_GetSlotList(present, slots, count);
	lie("C_GetSlotList", slots, count, sizeof(*slots));
	return rv;
}

/* Is this fault the one of that call?  Then its number. */
static bool
number_of(const char *call, const char *what, unsigned long *ret)
{
	struct fault f;

	if (!fault_of(call, &f) || strcmp(f.what, what) != 0)
		return false;
	*ret = strtoul(f.word, NULL, 0);
	return true;
}

static CK_RV
s_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	unsigned long flags;
	CK_RV rv;

	if (spoil("C_GetTokenInfo", &rv))
		return rv;
	rv = real->C_GetTokenInfo(slot, info);
	if (number_of("C_GetTokenInfo", "flags", &flags))
		info->flags |= flags;
	return rv;
}

static void
without(CK_MECHANISM_TYPE *types, CK_ULONG *count, CK_MECHANISM_TYPE which)
{
	CK_ULONG kept = 0;

	for (CK_ULONG i = 0; types && i < *count; i++)
		if (types[i] != which)
			types[kept++] = types[i];
	if (types)
		*count = kept;
}

static CK_RV
s_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *types, CK_ULONG *count)
{
	unsigned long which;
	CK_RV rv;

	if (spoil("C_GetMechanismList", &rv))
		return rv;
	rv = real->C_GetMechanismList(slot, types, count);
	if (number_of("C_GetMechanismList", "without", &which))
		without(types, count, which);
	lie("C_GetMechanismList", types, count, sizeof(*types));
	return rv;
}

static CK_RV
s_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
	CK_RV rv;

	if (spoil("C_FindObjects", &rv))
		return rv;
	rv = real->C_FindObjects(session, objects, max, count);
	lie("C_FindObjects", objects, count, sizeof(*objects));
	return rv;
}

/* Points are short enough for a length of one byte. */
static void
strip(CK_ATTRIBUTE *attribute)
{
	unsigned char *value = attribute->pValue;
	struct fault f;

	if (attribute->type != CKA_EC_POINT || !value || attribute->ulValueLen < 2 ||
	    attribute->ulValueLen > 129 || !fault_of("C_GetAttributeValue", &f) ||
	    strcmp(f.what, "bare") != 0)
		return;
	attribute->ulValueLen -= 2;
	memmove(value, value + 2, attribute->ulValueLen);
}

static CK_RV
s_C_GetAttributeValue(
    CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG n)
{
	CK_RV rv;

	if (spoil("C_GetAttributeValue", &rv))
		return rv;
	rv = real->C_GetAttributeValue(session, object, template, n);
	for (CK_ULONG i = 0; i < n; i++)
		lie("C_GetAttributeValue", template[i].pValue, &template[i].ulValueLen, 1);
	for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++)
		strip(&template[i]);
	return rv;
}

#define WITH_OUTPUT(name)                                                                    \
	static CK_RV s_##name(CK_SESSION_HANDLE session, unsigned char *in, CK_ULONG in_len, \
	    unsigned char *out, CK_ULONG *out_len)                                           \
	{                                                                                    \
		CK_RV rv;                                                                    \
                                                                                             \
		if (spoil(#name, &rv))                                                       \
			return rv;                                                           \
		rv = real->name(session, in, in_len, out, out_len);                          \
		lie(#name, out, out_len, 1);                                                 \
		return rv;                                                                   \
	}

WITH_OUTPUT(C_Sign)
WITH_OUTPUT(C_Encrypt)
WITH_OUTPUT(C_Decrypt)

static CK_RV
s_C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	return C_GetFunctionList(list);
}

/* --- the beginning */

static bool
load(void)
{
	const char *path = getenv("SHIM_MODULE");
	void *module = dlopen(path ? path : MODULE, RTLD_NOW | RTLD_LOCAL);
	void *symbol = module ? dlsym(module, "C_GetFunctionList") : NULL;
	CK_C_GetFunctionList get;

	if (!symbol)
		return false;
	memcpy(&get, &symbol, sizeof(get));
	return get(&real) == CKR_OK;
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	unsigned long unused;
	CK_RV rv;

	if (!real && !load())
		return CKR_GENERAL_ERROR;
	if (spoil("C_GetFunctionList", &rv))
		return rv;
	shim = *real;
	shim.C_GetFunctionList = s_C_GetFunctionList;
#define SHIM(name) shim.name = s_##name
	SHIM(C_Initialize);
	SHIM(C_GetSlotList);
	SHIM(C_GetSlotInfo);
	SHIM(C_GetTokenInfo);
	SHIM(C_GetMechanismList);
	SHIM(C_GetMechanismInfo);
	SHIM(C_OpenSession);
	SHIM(C_CloseSession);
	SHIM(C_GetSessionInfo);
	SHIM(C_Login);
	SHIM(C_FindObjectsInit);
	SHIM(C_FindObjects);
	SHIM(C_FindObjectsFinal);
	SHIM(C_GetAttributeValue);
	SHIM(C_SetAttributeValue);
	SHIM(C_CreateObject);
	SHIM(C_DestroyObject);
	SHIM(C_GenerateKey);
	SHIM(C_GenerateKeyPair);
	SHIM(C_SignInit);
	SHIM(C_Sign);
	SHIM(C_EncryptInit);
	SHIM(C_Encrypt);
	SHIM(C_DecryptInit);
	SHIM(C_Decrypt);
	if (number_of("C_GetFunctionList", "missing", &unused))
		shim.C_Sign = NULL;
	*list = &shim;
	return CKR_OK;
}
