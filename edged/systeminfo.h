#ifndef EDGED_SYSTEMINFO_H
#define EDGED_SYSTEMINFO_H

#include "edged/config.h"

/*
 * The machine, as GET /systeminfo and GET /systeminfo/resources show it (contracts/edged-management.md 2.4).  What cannot change is read once, before
 * the policy.
 */
struct systeminfo;

enum err_code systeminfo_new(
    const struct edged_config *config, struct systeminfo **ret, struct err *err) MUST_CHECK;
void systeminfo_free(struct systeminfo *s);

/* ret borrows from s and from server_version: do not release it. */
void systeminfo_show(
    const struct systeminfo *s, const char *server_version, struct edged_systeminfo *ret);

/* All but docker_stats.  used_cpu is the share of the last second or more between two calls, in percent. */
enum err_code systeminfo_resources(
    struct systeminfo *s, struct edged_resources *ret, struct err *err) MUST_CHECK;

/* The value of a key in the text of an os-release file, without quotes; NULL when absent.  Free with str_freep. */
enum err_code systeminfo_os_release(
    struct text file, const char *key, char **ret, struct err *err) MUST_CHECK;

#endif
