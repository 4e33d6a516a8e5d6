// An environment's `config`: {"type":"self_hosted"}, or a cloud one, which is kept for its readers but runs nothing here.
#ifndef SALLYPORT_CONTROL_ENVIRONMENT_CONFIG_H
#define SALLYPORT_CONTROL_ENVIRONMENT_CONFIG_H

#include "control/op.h"

// Checks `config` (NULL: the default, cloud) and gives its resolved text and type (both replaced; heap). With a *type already
// set, another one is refused with error_code invalid_config_type_change.
MUST_USE struct result environment_config_take(struct op *op, const json_t *config, char **type, char **text, struct err *e);

#endif
