#include "platform/daemon.h"

const char daemon_version[] = EDGEKEEP_VERSION;
