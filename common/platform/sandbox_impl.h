#ifndef PLATFORM_SANDBOX_IMPL_H
#define PLATFORM_SANDBOX_IMPL_H

#include "platform/sandbox.h"

/* The two halves of sandbox_apply; nobody else includes this. */

/* What the role's files are.  Does nothing where the kernel has no Landlock. */
enum err_code landlock_apply(
    const struct sandbox_role *role, const struct sandbox_paths *paths, struct err *err) MUST_CHECK;

/* Which system calls the role may make; mode is not SANDBOX_OFF. */
enum err_code filter_apply(
    const struct sandbox_role *role, enum sandbox_mode mode, struct err *err) MUST_CHECK;

bool sandbox_has_family(const struct sandbox_role *role, int family);

#endif
