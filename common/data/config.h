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

#endif
