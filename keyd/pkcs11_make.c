#include "keyd/pkcs11_make.h"

#include <openssl/objects.h>
#include <string.h>

#include "keyd/mech.h"
#include "keyd/pkcs11_public.h"
#include "keyd/pkcs11_use.h"

#define TEMPLATE_MAX  16
#define KEY_LEN	      32 /* of a key made here */
#define KEY_LEN_SHORT 16 /* where the token has no longer AES keys */

/* --- templates, contracts/pkcs11.md 2 */

/* Values that an attribute points at; a module reads them only. */
static const unsigned char yes = 1, no = 0;
static const unsigned char exponent[] = { 0x01, 0x00, 0x01 };
static const unsigned long secret_class = CKO_SECRET_KEY, generic_type = CKK_GENERIC_SECRET,
			   aes_type = CKK_AES;

struct template
{
	struct ck_attribute at[TEMPLATE_MAX];
	unsigned long n;
};

static void
add(struct template *t, ck_attribute_type_t type, const void *value, size_t len)
{
	t->at[t->n++] = (struct ck_attribute){ type, (void *)(uintptr_t)value, len };
}

static void
add_flag(struct template *t, ck_attribute_type_t type, const unsigned char *value)
{
	add(t, type, value, sizeof(*value));
}

static void
add_name(struct template *t, const struct pkcs11_name *name, const struct pkcs11_id *id)
{
	add_flag(t, CKA_TOKEN, &yes);
	add(t, CKA_LABEL, name->label, strlen(name->label));
	add(t, CKA_ID, id->data, id->len);
}

/* What keeps a key on its token; no WRAP and UNWRAP, which some modules refuse to hear of. */
static void
add_private(struct template *t)
{
	add_flag(t, CKA_PRIVATE, &yes);
	add_flag(t, CKA_SENSITIVE, &yes);
	add_flag(t, CKA_EXTRACTABLE, &no);
}

/* The id that a URI wants, or one of its own. */
static enum err_code
id_for(const struct pkcs11_name *name, struct pkcs11_id *ret, struct err *err)
{
	if (!name->id || name->id->len == 0)
		return pkcs11_id_make(PKCS11_COUNTS, ret, err);
	if (name->id->len > sizeof(ret->data))
		return err_set(
		    err, ERR_INVALID, "the id of the URI is over %d bytes", PKCS11_ID_MAX);
	memcpy(ret->data, name->id->data, name->id->len);
	ret->len = name->id->len;
	return ERR_OK;
}

static enum err_code
need_label(const struct pkcs11_place *place, struct err *err)
{
	if (place->name.label)
		return ERR_OK;
	return err_set(
	    err, ERR_INVALID, "the key's URI has no object, so nothing can be made or removed");
}

/* What is made under a URI has to be what the URI says, or it is never found there and made again and again. */
static enum err_code
may_make(const struct pkcs11_place *place, enum pkcs11_uri_type type, struct err *err)
{
	if (need_label(place, err))
		return err->code;
	if (place->name.type == PKCS11_URI_ANY || place->name.type == type)
		return ERR_OK;
	return err_set(err, ERR_INVALID, "the key's URI names a key of another type");
}

/* --- key pairs */

struct pair_job {
	const struct pkcs11_place *place;
	enum key_algorithm algorithm;
};

static enum err_code
destroy_name(struct pkcs11_session *s, const struct pkcs11_name *name, struct err *err)
{
	struct pkcs11_objects objects;

	if (pkcs11_list(s, name, &objects, err))
		return err->code;
	return pkcs11_destroy_all(s, &objects, err);
}

static enum err_code
generate_pair(struct pkcs11_session *s, ck_mechanism_type_t mechanism, struct template *public,
    struct template *private, struct pkcs11_found *ret, struct err *err)
{
	struct ck_mechanism m = { .mechanism = mechanism };
	struct pkcs11_found made = { .public = { .class = CKO_PUBLIC_KEY },
		.private = { .class = CKO_PRIVATE_KEY } };
	ck_rv_t rv = s->calls->C_GenerateKeyPair(s->handle, &m, public->at, public->n, private->at,
	    private->n, &made.public.handle, &made.private.handle);

	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_GenerateKeyPair", rv);
	*ret = made;
	return ERR_OK;
}

/* RSA keys may decrypt and encrypt, as upstream's; some modules have raw RSA for such only. */
static enum err_code
generate_rsa(struct pkcs11_session *s, const struct pkcs11_name *name, unsigned long bits,
    struct pkcs11_found *ret, struct err *err)
{
	struct template public = { 0 }, private = { 0 };
	struct pkcs11_id id;

	if (id_for(name, &id, err))
		return err->code;
	add_name(&public, name, &id);
	add_flag(&public, CKA_PRIVATE, &no);
	add_flag(&public, CKA_VERIFY, &yes);
	add_flag(&public, CKA_ENCRYPT, &yes);
	add(&public, CKA_MODULUS_BITS, &bits, sizeof(bits));
	add(&public, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	add_name(&private, name, &id);
	add_private(&private);
	add_flag(&private, CKA_SIGN, &yes);
	add_flag(&private, CKA_DECRYPT, &yes);
	return generate_pair(s, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private, ret, err);
}

static enum err_code
generate_ec(struct pkcs11_session *s, const struct pkcs11_name *name, int nid,
    struct pkcs11_found *ret, struct err *err)
{
	struct template public = { 0 }, private = { 0 };
	AUTO(bytes_done) struct bytes curve = { 0 };
	struct pkcs11_id id;

	if (id_for(name, &id, err) || pkcs11_curve_params(nid, &curve, err))
		return err->code;
	add_name(&public, name, &id);
	add_flag(&public, CKA_PRIVATE, &no);
	add_flag(&public, CKA_VERIFY, &yes);
	add(&public, CKA_EC_PARAMS, curve.data, curve.len);
	add_name(&private, name, &id);
	add_private(&private);
	add_flag(&private, CKA_SIGN, &yes);
	return generate_pair(s, CKM_EC_KEY_PAIR_GEN, &public, &private, ret, err);
}

static enum err_code
generate(
    struct pkcs11_session *s, const struct pair_job *j, struct pkcs11_found *ret, struct err *err)
{
	switch (j->algorithm) {
	case KEY_EC_P256:
		return generate_ec(s, &j->place->name, NID_X9_62_prime256v1, ret, err);
	case KEY_EC_P384:
		return generate_ec(s, &j->place->name, NID_secp384r1, ret, err);
	case KEY_RSA_2048:
		return generate_rsa(s, &j->place->name, 2048, ret, err);
	case KEY_RSA_3072:
		return generate_rsa(s, &j->place->name, 3072, ret, err);
	case KEY_RSA_4096:
		return generate_rsa(s, &j->place->name, 4096, ret, err);
	default:
		return err_set(err, ERR_UNSUPPORTED, "such keys are not made on tokens");
	}
}

/* What failed its trial goes again; which error that was stays. */
static enum err_code
undo(struct pkcs11_session *s, const struct pkcs11_found *made, struct err *err)
{
	const ck_object_handle_t handles[] = { made->private.handle, made->public.handle,
		made->secret.handle };
	const ck_rv_t rv = s->rv;
	struct err ignored = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(handles); i++)
		if (handles[i] != CK_INVALID_HANDLE && pkcs11_destroy(s, handles[i], &ignored))
			err_wrap(err, "a key that does not work was left on the token");
	s->rv = rv;
	return err->code;
}

static enum err_code
make_pair_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	const struct pair_job *j = arg;
	struct pkcs11_found found = { 0 };

	if (pkcs11_find(s, &j->place->name, &found, err) == ERR_OK)
		return ERR_OK;
	if (err->code != ERR_NOT_FOUND)
		return err->code;
	err_clear(err);
	/* halves that a crash or another program left */
	if (destroy_name(s, &j->place->name, err) || generate(s, j, &found, err))
		return err->code;
	return pkcs11_pair_try(s, &found, err) ? undo(s, &found, err) : ERR_OK;
}

enum err_code
pkcs11_make_pair(const struct pkcs11_place *place, enum key_algorithm algorithm, struct err *err)
{
	struct pair_job j = { place, algorithm };

	if (may_make(place, PKCS11_URI_PRIVATE, err))
		return err->code;
	return pkcs11_token_work(place->token, PKCS11_ALONE, make_pair_work, &j, err);
}

/* --- what takes another's place */

/* From here on these count only as long as nothing else of their name does. */
static enum err_code
retire(struct pkcs11_session *s, const struct pkcs11_objects *objects, struct err *err)
{
	struct pkcs11_id id;

	if (pkcs11_id_make(PKCS11_OLD, &id, err))
		return err->code;
	for (size_t i = 0; i < objects->n; i++)
		if (pkcs11_rename(s, objects->at[i].handle, NULL, &id, err))
			return err->code;
	return ERR_OK;
}

/* --- symmetric keys */

struct key_job {
	const struct pkcs11_place *place;
	const struct mech *mech;
	bool aes;
	const struct bytes *value; /* NULL: to be made */
};

static void
fill_secret(struct template *t, const struct key_job *j, const struct pkcs11_id *id)
{
	add_name(t, &j->place->name, id);
	add_private(t);
	add(t, CKA_CLASS, &secret_class, sizeof(secret_class));
	if (j->aes) {
		add(t, CKA_KEY_TYPE, &aes_type, sizeof(aes_type));
		add_flag(t, CKA_ENCRYPT, &yes);
		add_flag(t, CKA_DECRYPT, &yes);
	} else {
		add(t, CKA_KEY_TYPE, &generic_type, sizeof(generic_type));
		add_flag(t, CKA_SIGN, &yes);
		add_flag(t, CKA_VERIFY, &yes);
	}
}

static enum err_code
generate_secret(struct pkcs11_session *s, const struct key_job *j, const struct pkcs11_id *id,
    unsigned long len, ck_object_handle_t *ret, struct err *err)
{
	struct ck_mechanism m = { .mechanism =
				      j->aes ? CKM_AES_KEY_GEN : CKM_GENERIC_SECRET_KEY_GEN };
	struct template t = { 0 };
	ck_rv_t rv;

	fill_secret(&t, j, id);
	add(&t, CKA_VALUE_LEN, &len, sizeof(len));
	rv = s->calls->C_GenerateKey(s->handle, &m, t.at, t.n, ret);
	return rv == CKR_OK ? ERR_OK : pkcs11_session_failed(s, err, "C_GenerateKey", rv);
}

static enum err_code
import_secret(struct pkcs11_session *s, const struct key_job *j, const struct pkcs11_id *id,
    ck_object_handle_t *ret, struct err *err)
{
	struct template t = { 0 };
	ck_rv_t rv;

	fill_secret(&t, j, id);
	add(&t, CKA_VALUE, j->value->data, j->value->len);
	rv = s->calls->C_CreateObject(s->handle, t.at, t.n, ret);
	return rv == CKR_OK ? ERR_OK : pkcs11_session_failed(s, err, "C_CreateObject", rv);
}

static enum err_code
try_aes(struct pkcs11_session *s, ck_object_handle_t key, struct err *err)
{
	uint8_t iv[12] = { 0 }, text[] = "trial";
	const struct bytes nonce = { iv, sizeof(iv) }, plaintext = { text, sizeof(text) };
	AUTO(bytes_done) struct bytes out = { 0 };
	AUTO(bytes_done) struct bytes back = { 0 };

	if (pkcs11_seal(s, key, &nonce, &nonce, &plaintext, &out, err) ||
	    pkcs11_open(s, key, &nonce, &nonce, &out, &back, err))
		return err->code;
	return bytes_equal(&back, &plaintext)
		   ? ERR_OK
		   : err_set(err, ERR_CRYPTO, "it decrypts to something else");
}

/* Where the key's bytes are known, so is what the token has to answer. */
static enum err_code
try_hmac(struct pkcs11_session *s, const struct key_job *j, ck_object_handle_t key, struct err *err)
{
	const struct bytes text = { (uint8_t *)"trial", 5 };
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	struct mech_hmac *hmac;
	enum err_code code;

	if (pkcs11_hmac(s, key, text_of_bytes(&text), &mac, err))
		return err->code;
	if (!j->value)
		return ERR_OK;
	if (mech_hmac_new(j->mech, j->value, &hmac, err))
		return err->code;
	code = mech_hmac_sign(hmac, &text, &want, err);
	mech_hmac_free(hmac);
	if (code == ERR_OK && !bytes_equal(&mac, &want))
		return err_set(err, ERR_CRYPTO, "its HMAC is not that of the key's bytes");
	return code;
}

/* A key of standing NEW; ERR_UNSUPPORTED where the token has no use for it. */
static enum err_code
make_secret(
    struct pkcs11_session *s, const struct key_job *j, ck_object_handle_t *ret, struct err *err)
{
	struct pkcs11_id id;
	enum err_code code;

	if (pkcs11_id_make(PKCS11_NEW, &id, err))
		return err->code;
	if (j->value)
		return import_secret(s, j, &id, ret, err);
	code = generate_secret(s, j, &id, KEY_LEN, ret, err);
	if (code == ERR_UNSUPPORTED && j->aes)
		code = generate_secret(s, j, &id, KEY_LEN_SHORT, ret, err);
	return code;
}

/*
 * The new one works, and counts from the last step on.  What is left of the old ones after that goes now or, where that fails, when
 * the key is next opened.
 */
static enum err_code
put_in_place(struct pkcs11_session *s, const struct key_job *j, ck_object_handle_t made,
    const struct pkcs11_objects *old, struct err *err)
{
	struct err ignored = { 0 };
	struct pkcs11_id id;

	if (id_for(&j->place->name, &id, err) || retire(s, old, err) ||
	    pkcs11_rename(s, made, NULL, &id, err))
		return err->code;
	(void)!pkcs11_destroy_all(s, old, &ignored);
	return ERR_OK;
}

static enum err_code
replace_secret(struct pkcs11_session *s, const struct key_job *j, struct err *err)
{
	/* NEW keys have an id that is not the URI's, so they are found by label alone */
	const struct pkcs11_name name = { .label = j->place->name.label };
	struct pkcs11_found made = { .secret = { .class = CKO_SECRET_KEY } };
	ck_object_handle_t handle = CK_INVALID_HANDLE;
	struct pkcs11_objects old;

	if (pkcs11_list(s, &name, &old, err) || make_secret(s, j, &handle, err))
		return err->code;
	made.secret.handle = handle;
	if ((j->aes ? try_aes(s, handle, err) : try_hmac(s, j, handle, err)) ||
	    put_in_place(s, j, handle, &old, err))
		return undo(s, &made, err);
	return ERR_OK;
}

static enum err_code
make_key_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	const struct key_job *j = arg;
	struct pkcs11_found found;

	if (j->value)
		return replace_secret(s, j, err);
	if (pkcs11_find(s, &j->place->name, &found, err) == ERR_OK)
		return ERR_OK;
	if (err->code != ERR_NOT_FOUND)
		return err->code;
	err_clear(err);
	return replace_secret(s, j, err);
}

/* Contract keyd.md 6: what a token cannot make, take or use, the next place may; what is wrong with the token, it may not. */
static enum err_code
elsewhere(struct err *err)
{
	switch (err->code) {
	case ERR_INVALID:
	case ERR_CRYPTO:
	case ERR_DENIED:
	case ERR_PROTOCOL:
		err->code = ERR_UNSUPPORTED;
		break;
	default:
		break;
	}
	return err->code;
}

enum err_code
pkcs11_make_key(const struct pkcs11_place *place, const struct mech *mech, unsigned usage,
    const struct bytes *value, struct err *err)
{
	struct key_job j = { .place = place, .mech = mech, .value = value };

	j.aes = usage & KEYD_USE_ENCRYPT;
	if (usage == 0 || (j.aes && usage != KEYD_USE_ENCRYPT))
		return err_set(err, ERR_INVALID,
		    "a key on a token is either to encrypt or to sign and derive");
	if (may_make(place, PKCS11_URI_SECRET_KEY, err))
		return err->code;
	if (pkcs11_token_work(place->token, PKCS11_ALONE, make_key_work, &j, err))
		return value ? elsewhere(err) : err->code;
	return ERR_OK;
}

/* --- move and remove */

struct move_job {
	const struct pkcs11_name *from, *to;
};

/* A key of upstream's has no CKA_ID; the halves then need one that keeps them together while they have different labels. */
static enum err_code
ensure_id(
    struct pkcs11_session *s, const struct pkcs11_name *to, struct pkcs11_found *f, struct err *err)
{
	bool wanted = to->id && to->id->len > 0;
	struct pkcs11_id id;

	if (!pkcs11_is_there(&f->private) || (f->private.id.len > 0 && !wanted))
		return ERR_OK;
	if (id_for(to, &id, err) ||
	    (pkcs11_is_there(&f->public) && pkcs11_rename(s, f->public.handle, NULL, &id, err)) ||
	    pkcs11_rename(s, f->private.handle, NULL, &id, err))
		return err->code;
	f->private.id = f->public.id = id;
	return ERR_OK;
}

static enum err_code
relabel(struct pkcs11_session *s, const struct pkcs11_found *f, const char *label, struct err *err)
{
	const struct pkcs11_object *order[] = { &f->public, &f->private, &f->secret };

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (pkcs11_is_there(order[i]) &&
		    pkcs11_rename(s, order[i]->handle, label, NULL, err))
			return err->code;
	return ERR_OK;
}

/*
 * A token that lets nobody change ids cannot tell old from new: there the old goes first, as upstream has it.  But not where labels
 * cannot be changed either, for then nothing would take its place: what comes is given the label that it has.
 */
static enum err_code
make_way(struct pkcs11_session *s, const struct pkcs11_found *comes, const char *label,
    const struct pkcs11_objects *old, struct err *err)
{
	if (retire(s, old, err) == ERR_OK)
		return ERR_OK;
	if (err->code != ERR_UNSUPPORTED)
		return err->code;
	err_clear(err);
	if (relabel(s, comes, label, err))
		return err->code;
	return pkcs11_destroy_all(s, old, err);
}

static enum err_code
move_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	const struct move_job *j = arg;
	struct err ignored = { 0 };
	struct pkcs11_found found;
	struct pkcs11_objects old;

	if (pkcs11_find(s, j->from, &found, err) || pkcs11_list(s, j->to, &old, err) ||
	    ensure_id(s, j->to, &found, err) || make_way(s, &found, j->from->label, &old, err) ||
	    relabel(s, &found, j->to->label, err))
		return err->code;
	/* moved; what cannot be destroyed now is when the key is next opened */
	(void)!pkcs11_destroy_all(s, &old, &ignored);
	return ERR_OK;
}

enum err_code
pkcs11_move(const struct pkcs11_place *from, const struct pkcs11_place *to, struct err *err)
{
	struct move_job j = { &from->name, &to->name };

	if (from->token != to->token)
		return err_set(err, ERR_INVALID, "the two keys live on different tokens");
	if (need_label(from, err) || may_make(to, PKCS11_URI_PRIVATE, err))
		return err->code;
	return pkcs11_token_work(from->token, PKCS11_ALONE, move_work, &j, err);
}

static bool
has_secrets(const struct pkcs11_objects *objects)
{
	for (size_t i = 0; i < objects->n; i++)
		if (objects->at[i].class != CKO_PUBLIC_KEY)
			return true;
	return false;
}

static enum err_code
remove_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	const struct pkcs11_name *name = arg;
	struct pkcs11_objects objects;

	if (pkcs11_list(s, name, &objects, err))
		return err->code;
	/* a token that went away shows nothing either */
	if (!has_secrets(&objects) && pkcs11_session_check_token(s, err))
		return err->code;
	return pkcs11_destroy_all(s, &objects, err);
}

enum err_code
pkcs11_remove(const struct pkcs11_place *place, struct err *err)
{
	struct pkcs11_name name = place->name;

	if (need_label(place, err))
		return err->code;
	return pkcs11_token_work(place->token, PKCS11_ALONE, remove_work, &name, err);
}

struct exists_job {
	const struct pkcs11_name *name;
	bool there;
};

/* Also of two under one name, which find refuses. */
static enum err_code
exists_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	struct exists_job *j = arg;
	struct pkcs11_objects objects;
	struct pkcs11_found found;

	if (pkcs11_list(s, j->name, &objects, err))
		return err->code;
	j->there = objects.n > 0;
	if (j->there)
		return ERR_OK;
	switch (pkcs11_find(s, j->name, &found, err)) {
	case ERR_OK: /* came this moment */
		j->there = true;
		return ERR_OK;
	case ERR_NOT_FOUND:
		err_clear(err);
		return ERR_OK;
	default:
		return err->code;
	}
}

enum err_code
pkcs11_exists(const struct pkcs11_place *place, bool *ret, struct err *err)
{
	struct exists_job j = { .name = &place->name };

	if (pkcs11_token_work(place->token, PKCS11_SHARED, exists_work, &j, err))
		return err->code;
	*ret = j.there;
	return ERR_OK;
}
