#include "ctl/keyd_role.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char *const places[] = { "keyd", "../libexec/aziot-identity-service/aziot-keyd" };

enum err_code
keyd_role_program(const char *self, unsigned i, char **ret, struct err *err)
{
	const char *slash = strrchr(self, '/');

	if (i >= ARRAY_LEN(places) || !slash)
		return err_set(err, ERR_NOT_FOUND, "there is no such place");
	return str_format(ret, err, "%.*s/%s", (int)(slash - self), self, places[i]);
}

enum err_code
keyd_role_exec(const char *role, struct err *err)
{
	char self[PATH_MAX + 1] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return err_errno(err, "could not find this program");
	for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
		AUTO(str_freep) char *program = NULL;

		if (keyd_role_program(self, i, &program, err))
			return err->code;
		execl(program, "aziot-keyd", "--role", role, (char *)NULL);
	}
	return err_errno(err, "could not start keyd, which keeps the keys; is it installed?");
}
