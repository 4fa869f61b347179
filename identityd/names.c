#include "identityd/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool
host_valid(const char *host)
{
	size_t len = strcspn(host, ":");
	const char *port = host + len;

	if (len == 0 || strlen(host) > 255 || host[0] == '-' || host[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr("-._", host[i]))
			return false;
	if (*port == '\0')
		return true;
	len = strlen(++port);
	return len >= 1 && len <= 5 && strspn(port, "0123456789") == len && atoi(port) <= 65535;
}

bool
id_valid(const char *id)
{
	size_t len = strlen(id);

	/* "." and ".." would be taken for path segments on their way */
	if (len == 0 || len > 128 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && !strchr("-.+%_#*?!(),=@$':", id[i]))
			return false;
	return true;
}

void
name_list_done(name_list *names)
{
	for (size_t i = 0; i < names->n; i++)
		str_freep(&names->at[i]);
	free(names->at);
	*names = (name_list){ 0 };
}

bool
name_list_has(const name_list *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->at[i], name) == 0)
			return true;
	return false;
}

enum err_code
name_list_add(name_list *names, const char *name, struct err *err)
{
	char **more = reallocarray(names->at, names->n + 1, sizeof(*more));

	if (!more)
		return err_nomem(err);
	names->at = more;
	if (str_copy(&more[names->n], name, err))
		return err->code;
	names->n++;
	return ERR_OK;
}
