#include "identityd/principals.h"

#include <string.h>

static const struct settings_principal *
first_daemon(const struct settings *s)
{
	for (size_t i = 0; i < s->principals.n; i++)
		if (!s->principals.at[i].has_idtype)
			return &s->principals.at[i];
	return NULL;
}

struct caller
principals_classify(const struct settings *s, uint32_t uid)
{
	const struct settings_principal *daemon = first_daemon(s);

	for (size_t i = s->principals.n; i-- > 0;) {
		const struct settings_principal *p = &s->principals.at[i];

		if (p->uid != (int64_t)uid)
			continue;
		if (p->has_idtype)
			return (struct caller){ CALLER_HOST, p };
		if (p == daemon)
			return (struct caller){ CALLER_DAEMON, NULL };
		/* dropped: as if it were not there */
	}
	return (struct caller){ uid == 0 ? CALLER_ROOT : CALLER_UNKNOWN, NULL };
}

bool
principals_allow(const struct caller *caller, enum operation op, const char *module)
{
	unsigned types;

	if (op == OP_ANY || caller->class == CALLER_ROOT || caller->class == CALLER_DAEMON)
		return true;
	if (caller->class != CALLER_HOST)
		return false;
	types = caller->principal->idtype;
	switch (op) {
	case OP_GET_DEVICE:
		return types & ID_DEVICE;
	case OP_GET_MODULE:
		return (types & (ID_MODULE | ID_LOCAL)) && module &&
		       strcmp(module, caller->principal->name) == 0;
	case OP_SELF:
		return types != 0;
	default:
		return false;
	}
}

const struct settings_principal *
principals_local(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->principals.n; i++)
		if ((s->principals.at[i].idtype & ID_LOCAL) &&
		    strcmp(s->principals.at[i].name, name) == 0)
			return &s->principals.at[i];
	return NULL;
}

size_t
principals_dropped(const struct settings *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->principals.n; i++)
		n += !s->principals.at[i].has_idtype;
	return n > 1 ? n - 1 : 0;
}
