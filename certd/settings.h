#ifndef CERTD_SETTINGS_H
#define CERTD_SETTINGS_H

#include "certd/config.h"

/*
 * The configuration in force, which SIGHUP may replace while requests run.  Whoever works by it holds a reference, and so sees
 * one configuration from beginning to end without holding a lock.
 */
struct settings_box;

/* Takes *config, which is empty afterwards. */
enum err_code settings_box_new(
    struct certd_config *config, struct settings_box **ret, struct err *err) MUST_CHECK;
void settings_box_free(struct settings_box *box);
/* Put another one in force; takes *config. */
enum err_code settings_box_set(
    struct settings_box *box, struct certd_config *config, struct err *err) MUST_CHECK;

const struct certd_config *settings_get(struct settings_box *box);
void settings_putp(const struct certd_config **config); /* give the reference back; for AUTO() */

#endif
