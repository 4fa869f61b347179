#ifndef DATA_CONFIG_H
#define DATA_CONFIG_H

#include "data/fields.h"
#include "data/toml.h"

/*
 * A daemon's configuration: main file plus every *.toml of the drop-in directory, merged (contracts/common.md 2), read by a
 * table.  Symbolic links in the directory are skipped as upstream does, with a warning that names the path (decisions.md).
 * A missing file or directory is no error.
 */
struct config_source {
	const char *file; /* main file */
	const char *dir;  /* drop-in directory */
};

/*
 * ERR_CONFIG: "FILE:LINE: key PATH: what is wrong", or a file that cannot be read.  Unknown keys are warned of in the log
 * when warn is set (U4 of index-identity.md), never refused.
 */
enum err_code config_read(const struct config_source *from, fields_fn *table, void *ret, bool warn,
    struct err *err) MUST_CHECK;

/*
 * What no table can say: is the configuration, as read by its table, in order?  If not: the reason in err, and the key that is
 * to blame in ret_path, written as fields_read_at does.
 */
typedef enum err_code config_check(
    const void *config, char *ret_path, size_t path_size, struct err *err);
/* As config_read, and refused by check in the same form, with file and line. */
enum err_code config_read_checked(const struct config_source *from, fields_fn *table, void *ret,
    bool warn, config_check *check, struct err *err) MUST_CHECK;

#endif
