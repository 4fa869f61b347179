#include "keyd/pkcs11_object.h"

#include <string.h>
#include <unistd.h>

#include "crypto/digest.h"

#define NEW_PREFIX     "ek-new:"
#define OLD_PREFIX     "ek-old:"
#define RANDOM_LEN     16
#define LOOK_AGAIN_US  5000
#define ATTRIBUTES_MAX 8

/* --- ids */

enum err_code
pkcs11_id_make(enum pkcs11_standing standing, struct pkcs11_id *ret, struct err *err)
{
	static const char *const prefixes[] = { "", NEW_PREFIX, OLD_PREFIX };
	struct pkcs11_id id = { .len = strlen(prefixes[standing]) };

	memcpy(id.data, prefixes[standing], id.len);
	if (digest_random(id.data + id.len, RANDOM_LEN, err))
		return err->code;
	id.len += RANDOM_LEN;
	*ret = id;
	return ERR_OK;
}

bool
pkcs11_id_equal(const struct pkcs11_id *a, const struct pkcs11_id *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static enum pkcs11_standing
standing_of(const struct pkcs11_id *id)
{
	if (id->len != strlen(NEW_PREFIX) + RANDOM_LEN)
		return PKCS11_COUNTS;
	if (memcmp(id->data, NEW_PREFIX, strlen(NEW_PREFIX)) == 0)
		return PKCS11_NEW;
	if (memcmp(id->data, OLD_PREFIX, strlen(OLD_PREFIX)) == 0)
		return PKCS11_OLD;
	return PKCS11_COUNTS;
}

/* --- attributes */

enum err_code
pkcs11_read(struct pkcs11_session *s, ck_object_handle_t object, struct ck_attribute *attributes,
    size_t n, struct err *err)
{
	unsigned long fits[ATTRIBUTES_MAX];
	ck_rv_t rv;

	for (size_t i = 0; i < n; i++)
		fits[i] = attributes[i].value_len;
	rv = s->calls->C_GetAttributeValue(s->handle, object, attributes, n);
	if (rv != CKR_OK && rv != CKR_ATTRIBUTE_SENSITIVE && rv != CKR_ATTRIBUTE_TYPE_INVALID)
		return pkcs11_session_failed(s, err, "C_GetAttributeValue", rv);
	for (size_t i = 0; i < n; i++) {
		if (attributes[i].value_len == CK_UNAVAILABLE_INFORMATION)
			attributes[i].value_len = 0;
		if (attributes[i].value_len > fits[i])
			return err_set(err, ERR_PROTOCOL,
			    "C_GetAttributeValue: attribute 0x%lx is longer than it can be",
			    attributes[i].type);
	}
	return ERR_OK;
}

enum err_code
pkcs11_rename(struct pkcs11_session *s, ck_object_handle_t object, const char *label,
    const struct pkcs11_id *id, struct err *err)
{
	struct ck_attribute attributes[2];
	unsigned long n = 0;
	ck_rv_t rv;

	if (label)
		attributes[n++] = (struct ck_attribute){ CKA_LABEL, (void *)label, strlen(label) };
	if (id)
		attributes[n++] = (struct ck_attribute){ CKA_ID, (void *)id->data, id->len };
	rv = s->calls->C_SetAttributeValue(s->handle, object, attributes, n);
	return rv == CKR_OK ? ERR_OK : pkcs11_session_failed(s, err, "C_SetAttributeValue", rv);
}

enum err_code
pkcs11_destroy(struct pkcs11_session *s, ck_object_handle_t object, struct err *err)
{
	ck_rv_t rv = s->calls->C_DestroyObject(s->handle, object);

	if (rv == CKR_OK || rv == CKR_OBJECT_HANDLE_INVALID)
		return ERR_OK;
	return pkcs11_session_failed(s, err, "C_DestroyObject", rv);
}

/* --- searches */

/* Handles that match; more than fit are an error, for then nobody knows which key is meant. */
static enum err_code
collect(struct pkcs11_session *s, ck_object_handle_t handles[PKCS11_OBJECTS_MAX], size_t *ret_n,
    struct err *err)
{
	size_t n = 0;

	for (;;) {
		unsigned long got = 0, room = PKCS11_OBJECTS_MAX - n;
		ck_rv_t rv = s->calls->C_FindObjects(s->handle, handles + n, room, &got);

		if (rv != CKR_OK)
			return pkcs11_session_failed(s, err, "C_FindObjects", rv);
		if (got > room)
			return err_set(
			    err, ERR_PROTOCOL, "C_FindObjects: the module gives more than fits");
		n += got;
		if (got == 0)
			break;
		if (n == PKCS11_OBJECTS_MAX)
			return err_set(err, ERR_INTERNAL,
			    "there are %d objects of this name or more", PKCS11_OBJECTS_MAX);
	}
	*ret_n = n;
	return ERR_OK;
}

static enum err_code
search(struct pkcs11_session *s, struct ck_attribute *wanted, unsigned long n_wanted,
    ck_object_handle_t handles[PKCS11_OBJECTS_MAX], size_t *ret_n, struct err *err)
{
	ck_rv_t rv = s->calls->C_FindObjectsInit(s->handle, wanted, n_wanted);

	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_FindObjectsInit", rv);
	if (collect(s, handles, ret_n, err))
		return err->code; /* the session is closed, and the search with it */
	rv = s->calls->C_FindObjectsFinal(s->handle);
	return rv == CKR_OK ? ERR_OK : pkcs11_session_failed(s, err, "C_FindObjectsFinal", rv);
}

#define CLASS_UNCLEAR CK_UNAVAILABLE_INFORMATION

static enum err_code
describe(
    struct pkcs11_session *s, ck_object_handle_t handle, struct pkcs11_object *ret, struct err *err)
{
	struct pkcs11_object o = { .handle = handle };
	struct ck_attribute attributes[] = {
		{ CKA_CLASS, &o.class, sizeof(o.class) },
		{ CKA_ID, o.id.data, sizeof(o.id.data) },
	};

	if (pkcs11_read(s, handle, attributes, ARRAY_LEN(attributes), err)) {
		if (s->rv != CKR_OBJECT_HANDLE_INVALID)
			return err->code;
		s->rv = CKR_OK;
		err_clear(err);
		attributes[0].value_len = attributes[1].value_len = 0;
	}
	if (attributes[0].value_len != sizeof(o.class))
		o.class = CLASS_UNCLEAR;
	o.id.len = attributes[1].value_len;
	*ret = o;
	return ERR_OK;
}

static bool
is_wanted(const struct pkcs11_object *o, enum pkcs11_uri_type type)
{
	switch (o->class) {
	case CKO_PRIVATE_KEY:
	case CKO_PUBLIC_KEY:
		return type != PKCS11_URI_SECRET_KEY;
	case CKO_SECRET_KEY:
		return type != PKCS11_URI_PRIVATE;
	default:
		return false;
	}
}

enum err_code
pkcs11_list(struct pkcs11_session *s, const struct pkcs11_name *name, struct pkcs11_objects *ret,
    struct err *err)
{
	ck_object_handle_t handles[PKCS11_OBJECTS_MAX];
	struct ck_attribute wanted[2];
	unsigned long n_wanted = 0;
	struct pkcs11_object o;
	size_t n;

	if (name->label)
		wanted[n_wanted++] =
		    (struct ck_attribute){ CKA_LABEL, (void *)name->label, strlen(name->label) };
	if (name->id && name->id->len > 0)
		wanted[n_wanted++] = (struct ck_attribute){ CKA_ID, name->id->data, name->id->len };
	if (search(s, wanted, n_wanted, handles, &n, err))
		return err->code;
	ret->n = ret->unclear = 0;
	for (size_t i = 0; i < n; i++) {
		if (describe(s, handles[i], &o, err))
			return err->code;
		if (o.class == CLASS_UNCLEAR)
			ret->unclear++;
		else if (is_wanted(&o, name->type))
			ret->at[ret->n++] = o;
	}
	return ERR_OK;
}

/* Where a key counts, those on their way out were left by a crash; they go whenever they are met. */
static void
sweep(struct pkcs11_session *s, const struct pkcs11_objects *objects)
{
	const ck_rv_t rv = s->rv;
	struct err ignored = { 0 };

	for (size_t i = 0; i < objects->n; i++)
		if (standing_of(&objects->at[i].id) == PKCS11_OLD &&
		    pkcs11_destroy(s, objects->at[i].handle, &ignored))
			s->rv = rv;
}

static bool
counts(const struct pkcs11_object *o)
{
	return pkcs11_is_there(o) && standing_of(&o->id) == PKCS11_COUNTS;
}

static enum err_code
pick(const struct pkcs11_objects *objects, ck_object_class_t class, struct pkcs11_object *ret,
    struct err *err)
{
	const struct pkcs11_object *best = NULL, *old = NULL;

	for (size_t i = 0; i < objects->n; i++) {
		const struct pkcs11_object *o = &objects->at[i];
		enum pkcs11_standing standing = standing_of(&o->id);

		if (o->class != class || standing == PKCS11_NEW)
			continue;
		if ((standing == PKCS11_OLD ? old : best) != NULL)
			return err_set(err, ERR_INTERNAL,
			    "two keys on the token have this name; remove one of them");
		*(standing == PKCS11_OLD ? &old : &best) = o;
	}
	if (best || old)
		*ret = best ? *best : *old;
	return ERR_OK;
}

/* By CKA_ID, wherever a crash between two renames left its label. */
static enum err_code
public_elsewhere(struct pkcs11_session *s, const struct pkcs11_object *private,
    struct pkcs11_object *ret, struct err *err)
{
	ck_object_class_t class = CKO_PUBLIC_KEY;
	struct ck_attribute wanted[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_ID, (void *)private->id.data, private->id.len },
	};
	ck_object_handle_t handles[PKCS11_OBJECTS_MAX];
	size_t n = 0;

	if (private->id.len > 0 && search(s, wanted, ARRAY_LEN(wanted), handles, &n, err))
		return err->code;
	if (n == 1)
		*ret = (struct pkcs11_object){ handles[0], class, private->id };
	return ERR_OK;
}

static enum err_code
pick_public(struct pkcs11_session *s, const struct pkcs11_objects *objects,
    const struct pkcs11_object *private, struct pkcs11_object *ret, struct err *err)
{
	const struct pkcs11_object *only = NULL, *same = NULL;
	size_t n = 0;

	for (size_t i = 0; i < objects->n; i++) {
		const struct pkcs11_object *o = &objects->at[i];

		if (o->class != CKO_PUBLIC_KEY)
			continue;
		only = o;
		n++;
		if (o->id.len > 0 && pkcs11_id_equal(&o->id, &private->id))
			same = o;
	}
	if (same || n == 1) {
		*ret = same ? *same : *only;
		return ERR_OK;
	}
	return public_elsewhere(s, private, ret, err);
}

/* Nothing was found.  Is the token there, and would it show what it has? */
static enum err_code
missing(struct pkcs11_session *s, struct err *err)
{
	if (pkcs11_session_check_token(s, err))
		return err->code;
	return err_set(err, ERR_NOT_FOUND, "there is no such key on the token");
}

static bool
is_nothing(const struct pkcs11_found *f)
{
	return !pkcs11_is_there(&f->private) && !pkcs11_is_there(&f->secret);
}

static enum err_code
look(struct pkcs11_session *s, const struct pkcs11_name *name, struct pkcs11_objects *objects,
    struct pkcs11_found *ret, struct err *err)
{
	*ret = (struct pkcs11_found){ 0 };
	if (pkcs11_list(s, name, objects, err) ||
	    pick(objects, CKO_PRIVATE_KEY, &ret->private, err) ||
	    pick(objects, CKO_SECRET_KEY, &ret->secret, err))
		return err->code;
	return ERR_OK;
}

enum err_code
pkcs11_find(struct pkcs11_session *s, const struct pkcs11_name *name, struct pkcs11_found *ret,
    struct err *err)
{
	struct pkcs11_objects objects;
	struct pkcs11_found found;

	if (look(s, name, &objects, &found, err))
		return err->code;
	if (is_nothing(&found)) {
		/* another process may be writing it; a key is not missing before it was looked for twice */
		usleep(LOOK_AGAIN_US);
		if (look(s, name, &objects, &found, err))
			return err->code;
	}
	if (is_nothing(&found) && objects.unclear > 0)
		return err_set(err, ERR_UNREACHABLE,
		    "the token has something of this name and does not tell what it is");
	if (is_nothing(&found))
		return missing(s, err);
	if (pkcs11_is_there(&found.private) &&
	    pick_public(s, &objects, &found.private, &found.public, err))
		return err->code;
	if (counts(&found.private) || counts(&found.secret))
		sweep(s, &objects);
	*ret = found;
	return ERR_OK;
}

/* --- destroying */

static bool
is_private(const struct pkcs11_objects *objects, ck_object_handle_t handle)
{
	for (size_t i = 0; i < objects->n; i++)
		if (objects->at[i].handle == handle)
			return true;
	return false;
}

/* After a crash in a move the public key of one name may be labelled with the other. */
static enum err_code
is_needed(struct pkcs11_session *s, const struct pkcs11_object *public,
    const struct pkcs11_objects *going, bool *ret, struct err *err)
{
	ck_object_class_t class = CKO_PRIVATE_KEY;
	struct ck_attribute wanted[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_ID, (void *)public->id.data, public->id.len },
	};
	ck_object_handle_t handles[PKCS11_OBJECTS_MAX];
	size_t n = 0;

	if (public->id.len > 0 && search(s, wanted, ARRAY_LEN(wanted), handles, &n, err))
		return err->code;
	*ret = false;
	for (size_t i = 0; i < n; i++)
		*ret = *ret || !is_private(going, handles[i]);
	return ERR_OK;
}

static enum err_code
destroy_public(struct pkcs11_session *s, const struct pkcs11_object *public,
    const struct pkcs11_objects *going, struct err *err)
{
	bool needed;

	if (is_needed(s, public, going, &needed, err))
		return err->code;
	return needed ? ERR_OK : pkcs11_destroy(s, public->handle, err);
}

enum err_code
pkcs11_destroy_all(struct pkcs11_session *s, const struct pkcs11_objects *objects, struct err *err)
{
	for (size_t i = 0; i < objects->n; i++)
		if (objects->at[i].class != CKO_PUBLIC_KEY &&
		    pkcs11_destroy(s, objects->at[i].handle, err))
			return err->code;
	for (size_t i = 0; i < objects->n; i++)
		if (objects->at[i].class == CKO_PUBLIC_KEY &&
		    destroy_public(s, &objects->at[i], objects, err))
			return err->code;
	return ERR_OK;
}
