#ifndef IDENTITYD_SETTINGS_BOX_H
#define IDENTITYD_SETTINGS_BOX_H

#include "identityd/config.h"

/*
 * The settings in force.  SIGHUP puts others in their place; who is at work with the old ones keeps them until it is done.
 */
struct settings_box;

/* Takes the content of *first, which is empty afterwards. */
enum err_code settings_box_new(
    struct settings *first, struct settings_box **ret, struct err *err) MUST_CHECK;
void settings_box_free(struct settings_box *box);
/* Put others in force; takes the content of *next. */
enum err_code settings_box_set(
    struct settings_box *box, struct settings *next, struct err *err) MUST_CHECK;
/* A reference to those in force; give it back with settings_putp, from AUTO(). */
const struct settings *settings_box_get(struct settings_box *box);
void settings_putp(const struct settings **s);
/* Is nobody at work with any of them? */
bool settings_box_idle(struct settings_box *box);

#endif
