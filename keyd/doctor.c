#include "keyd/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/mech.h"
#include "keyd/service.h"
#include "keyd/worker.h"

#define FILES	  "files"
#define NETWORKED "doctor-network"

static const struct {
	const char *code, *kind, *title, *remedy;
} findings[DOCTOR_FINDINGS] = {
	/* clang-format off */
	[DOCTOR_LIBRARY_MISSING] = { "KD-101", "bad", "the library is missing",
	    "install the module's package, or correct pkcs11_lib_path or library in keyd's configuration" },
	[DOCTOR_LIBRARY_BROKEN] = { "KD-102", "bad", "the library cannot be loaded",
	    "it must be a shared object for this machine, readable by keyd's user, with all that it needs itself (ldd shows that)" },
	[DOCTOR_NO_MODULE] = { "KD-103", "bad", "the library is no PKCS#11 module",
	    "pkcs11_lib_path or library names another library of the vendor; its manual has the module's path" },
	[DOCTOR_BAD_LIST] = { "KD-104", "bad", "the module's function list cannot be used",
	    "the module must be of Cryptoki 2.x and have every function that keyd calls; ask its vendor for a newer one" },
	[DOCTOR_INITIALIZE] = { "KD-105", "bad", "the module cannot be initialised",
	    "look at the module's own configuration and log, and whether its service or device is there" },
	[DOCTOR_MODULE_CONFIG] = { "KD-106", "bad", "the module's own configuration cannot be read",
	    "let keyd's user read it, or correct the variable in keyd's unit" },
	[DOCTOR_LIBRARY_OPEN] = { "KD-107", "bad", "others may change the library",
	    "chown root and chmod go-w the library and its directory: whoever changes it has every key" },
	[DOCTOR_NO_TOKEN] = { "KD-201", "bad", "there is no token at all",
	    "is the device plugged in, its service running, and may keyd's user open it?" },
	[DOCTOR_WRONG_LABEL] = { "KD-202", "bad", "no token is the one that the URI names",
	    "correct token or serial in the URI, or initialise a token of that label" },
	[DOCTOR_WRONG_SLOT] = { "KD-203", "bad", "there is no token in the slot that the URI names",
	    "slot ids change; take slot-id out of the URI and name the token by its label" },
	[DOCTOR_TWO_TOKENS] = { "KD-204", "bad", "several tokens are the one that the URI names",
	    "add serial=... of the one that is meant to the URI" },
	[DOCTOR_UNINITIALISED] = { "KD-205", "bad", "the token is not initialised",
	    "initialise it: softhsm2-util, pkcs11-tool --init-token --init-pin, or the vendor's program" },
	[DOCTOR_BAD_URI] = { "KD-206", "bad", "the token's URI cannot be used",
	    "write it as RFC 7512 has it, with a token, serial or slot-id" },
	[DOCTOR_READ_ONLY] = { "KD-207", "bad", "the token is write-protected",
	    "no key can be made or deleted on it until that is lifted" },
	[DOCTOR_NO_SESSION] = { "KD-208", "bad", "the token does not open a session",
	    "look at the module's own log; may other programs hold all of its sessions?" },
	[DOCTOR_NO_PIN] = { "KD-301", "bad", "the URI has no PIN and the token wants one",
	    "add ?pin-source=file:/path to the URI" },
	[DOCTOR_PIN_FILE] = { "KD-302", "bad", "the PIN's file cannot be read",
	    "write the PIN to it, owned by keyd's user, mode 0400" },
	[DOCTOR_PIN_FILE_OPEN] = { "KD-303", "bad", "others may read or change the PIN's file",
	    "chown it to keyd's user and chmod 0400" },
	[DOCTOR_PIN_FORM] = { "KD-304", "bad", "what stands in the URI or file is no PIN of this token",
	    "write the bare PIN, with one newline at most: printf '%s' PIN >FILE" },
	[DOCTOR_PIN_WRONG] = { "KD-305", "bad", "the PIN is wrong",
	    "correct it before keyd starts: each start costs one of the token's tries" },
	[DOCTOR_PIN_LOCKED] = { "KD-306", "bad", "the PIN is locked",
	    "unlock it as security officer: pkcs11-tool --login --login-type so --init-pin" },
	[DOCTOR_PIN_FINAL] = { "KD-307", "bad", "one try is left for the PIN, so it is not sent",
	    "log in once by hand with the right PIN, which sets the count back" },
	[DOCTOR_PIN_LOW] = { "KD-308", "note", "a wrong PIN was entered since the last login",
	    "a good login sets the count back; if it stays, find out who else uses the token" },
	[DOCTOR_LOGIN] = { "KD-309", "bad", "the token refuses the login",
	    "look at the module's own log" },
	[DOCTOR_MECHANISM] = { "KD-401", "bad", "the token lacks mechanisms for key pairs",
	    "place key pairs elsewhere by [[placement]], or use a token that has them" },
	[DOCTOR_MECHANISM_SECRET] = { "KD-402", "note", "the token lacks mechanisms for symmetric keys",
	    "such keys go to the next place, the file; [[placement]] says otherwise" },
	[DOCTOR_GENERATE] = { "KD-403", "bad", "no key can be made",
	    "may keyd's user write where the module keeps its objects, and is there room?" },
	[DOCTOR_SIGN] = { "KD-404", "bad", "a key does not sign",
	    "look at the module's own log" },
	[DOCTOR_VERIFY] = { "KD-405", "bad", "a signature is wrong",
	    "the module or the token is defective; do not use it" },
	[DOCTOR_ENCRYPT] = { "KD-406", "bad", "a key does not encrypt and decrypt",
	    "look at the module's own log" },
	[DOCTOR_REMOVE] = { "KD-407", "bad", "a key cannot be deleted",
	    "delete the objects that are labelled edgekeep-doctor-... by hand" },
	[DOCTOR_SLOW] = { "KD-408", "note", "the token is slow",
	    "raise deadline_ms of the backend if calls take about as long" },
	[DOCTOR_DUPLICATE] = { "KD-409", "bad", "two keys have one label",
	    "find out which is in use and delete or rename the other: pkcs11-tool -O shows both" },
	[DOCTOR_CERT_EXPIRED] = { "KD-410", "note", "a certificate on the token has expired",
	    "renew it: whoever is shown it refuses it" },
	[DOCTOR_HOME_MISSING] = { "KD-501", "bad", "the key directory cannot be used",
	    "make it: owned by keyd's user, mode 0700; or correct homedir_path" },
	[DOCTOR_HOME_OWNER] = { "KD-502", "bad", "the key directory is of another user",
	    "chown -R it to keyd's user" },
	[DOCTOR_HOME_OPEN] = { "KD-503", "bad", "others may enter the key directory",
	    "chmod 0700 it" },
	[DOCTOR_SECRET_OPEN] = { "KD-504", "bad", "others may read or change a file of keyd's secrets",
	    "chown it to keyd's user and chmod 0600" },
	/* clang-format on */
};

/* --- the report */

/* A word of a line: nothing in it may end the word, the line, or speak to a terminal. */
static void
put_word(FILE *out, const char *text)
{
	putc('\t', out);
	for (; *text; text++)
		putc((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text, out);
}

void
doctor_step(const struct doctor *d, const char *what)
{
	fputs("step", d->out);
	put_word(d->out, d->place);
	put_word(d->out, what);
	putc('\n', d->out);
	fflush(d->out);
}

void
doctor_ok(const struct doctor *d, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fputs("ok", d->out);
	put_word(d->out, d->place);
	put_word(d->out, text);
	putc('\n', d->out);
}

void
doctor_find(const struct doctor *d, enum doctor_finding which, const char *fmt, ...)
{
	char cause[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof(cause), fmt, ap);
	va_end(ap);
	fputs(findings[which].kind, d->out);
	put_word(d->out, d->place);
	put_word(d->out, findings[which].code);
	put_word(d->out, findings[which].title);
	put_word(d->out, cause);
	put_word(d->out, findings[which].remedy);
	putc('\n', d->out);
}

/* --- the roles */

static bool
has_network(const struct layout *layout, size_t i)
{
	return layout->from[i] && layout->from[i]->network;
}

/* The places that this role is for. */
static void
collect(struct doctor *doctor, const struct layout *layout, bool network)
{
	bool others = false;

	for (size_t i = 0; i < layout->stores.n_stores; i++) {
		if (layout->store[i].backend != &pkcs11_backend)
			continue;
		others = others || (has_network(layout, i) && !network);
		if (has_network(layout, i) == network)
			doctor->tokens[doctor->n_tokens++].config = &layout->store[i].config;
	}
	if (others)
		fputs("network\n", doctor->out);
}

/* A URI may have a PIN, so it is no argument, which everybody can see. */
static enum err_code
read_uri(char **ret, struct err *err)
{
	char text[PKCS11_URI_MAX + 2];
	struct stat st;
	size_t n;

	if (fstat(STDIN_FILENO, &st) || !S_ISFIFO(st.st_mode))
		return ERR_OK;
	n = fread(text, 1, sizeof(text) - 1, stdin);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!text[0])
		return ERR_OK;
	if (str_copy(ret, text, err))
		return err->code;
	mem_wipe(text, sizeof(text));
	return ERR_OK;
}

enum err_code
doctor_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	const struct keyd *keyd = d->service;
	const struct doctor *doctor = keyd->doctor;

	for (size_t i = 0; i < keyd->layout.stores.n_stores; i++)
		if (keyd->layout.store[i].backend == &pkcs11_backend &&
		    worker_place_paths(&keyd->layout, i, paths, err))
			return err->code;
	/* --sandbox-probe has no doctor */
	return doctor && doctor->uri ? worker_pin_path(doctor->uri, paths, err) : ERR_OK;
}

/* Before a module is loaded, as a worker does (worker_process.c). */
static enum err_code
confine_files(struct daemon *d, struct err *err)
{
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };

	if (doctor_paths(d, &paths, err))
		return err->code;
	return sandbox_apply_files(d->role->sandbox, &paths, d->sandbox, err);
}

enum err_code
doctor_prepare(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	struct doctor *doctor = calloc(1, sizeof(*doctor));
	bool network = strcmp(d->role->name, NETWORKED) == 0;

	if (!doctor)
		return err_nomem(err);
	keyd->doctor = doctor;
	doctor->out = stdout;
	if (read_uri(&doctor->uri, err) || keyd_warm_up(err) || mech_new(&doctor->mech, err) ||
	    pkcs11_notes_new(NULL, &doctor->notes, err))
		return err->code;
	collect(doctor, &keyd->layout, network);
	doctor->place = FILES;
	if (!network)
		doctor_home(doctor, keyd->config.places.homedir_path);
	if (confine_files(d, err))
		return err->code;
	for (size_t i = 0; i < doctor->n_tokens; i++) {
		doctor->place = doctor->tokens[i].config->name;
		doctor_load(doctor, &doctor->tokens[i]);
	}
	fputs("confine\n", doctor->out);
	fflush(doctor->out);
	return ERR_OK;
}

/* The token that the operator names is in one place of several: the others are not ill because they lack it. */
static void
leave_others(struct doctor *doctor)
{
	bool has[STORES_MAX] = { 0 }, any = false;

	for (size_t i = 0; i < doctor->n_tokens; i++) {
		doctor->place = doctor->tokens[i].config->name;
		has[i] = doctor->tokens[i].module && doctor_has_token(doctor, &doctor->tokens[i]);
		any = any || has[i];
	}
	for (size_t i = 0; any && i < doctor->n_tokens; i++)
		doctor->tokens[i].left_out = !has[i];
}

enum err_code
doctor_serve(struct daemon *d, struct err *err)
{
	const struct keyd *keyd = d->service;
	struct doctor *doctor = keyd->doctor;

	if (doctor->uri && doctor->n_tokens > 1)
		leave_others(doctor);
	for (size_t i = 0; i < doctor->n_tokens; i++) {
		doctor->place = doctor->tokens[i].config->name;
		if (doctor->tokens[i].module && !doctor->tokens[i].left_out)
			doctor_examine(doctor, &doctor->tokens[i]);
	}
	fputs("end\n", doctor->out);
	if (fflush(doctor->out))
		return err_errno(err, "could not write the report");
	return ERR_OK;
}

void
doctor_done(struct daemon *d)
{
	struct keyd *keyd = d->service;
	struct doctor *doctor = keyd->doctor;

	if (doctor) {
		for (size_t i = 0; i < doctor->n_tokens; i++) {
			doctor_certs_done(&doctor->tokens[i]);
			pkcs11_module_close(doctor->tokens[i].module);
		}
		pkcs11_notes_free(doctor->notes);
		mech_free(doctor->mech);
		str_freep(&doctor->uri);
		free(doctor);
	}
	keyd_done(d);
}
