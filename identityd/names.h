#ifndef IDENTITYD_NAMES_H
#define IDENTITYD_NAMES_H

#include <stdbool.h>

#include "data/fields.h"

/* Names of hosts, devices and modules, which come from files and from peers. */

/* A host as in a URL: letters, digits, '-', '.', '_', and an optional ":port"; at most 255 bytes. */
bool host_valid(const char *host);
/* A device or module id that the hub's registry allows (cloud-iothub.md 1): 1 to 128 of its characters. */
bool id_valid(const char *id);

typedef FIELDS_LIST(char *) name_list;
void name_list_done(name_list *names);
bool name_list_has(const name_list *names, const char *name);
enum err_code name_list_add(name_list *names, const char *name, struct err *err) MUST_CHECK;

#endif
