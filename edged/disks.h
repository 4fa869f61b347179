#ifndef EDGED_DISKS_H
#define EDGED_DISKS_H

#include "wire/edged.h"

/* Fill resources->disks: every mounted block device once, with its space (contracts/edged-management.md 2.4). */
enum err_code disks_read(struct edged_resources *ret, struct err *err) MUST_CHECK;

#endif
