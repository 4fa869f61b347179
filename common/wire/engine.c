#include "wire/engine.h"

#include <string.h>

#include "base/buf.h"

FIELDS(engine_error, STR(message, "message", OPTIONAL));

FIELDS(engine_version, STR(api_version, "ApiVersion", REQUIRED),
    STR(min_api_version, "MinAPIVersion", OPTIONAL), STR(version, "Version", OPTIONAL));

FIELDS(engine_info, STR(server_version, "ServerVersion", OPTIONAL));

FIELDS(engine_created, STR(id, "Id", REQUIRED));

FIELDS(engine_state, STR(status, "Status", REQUIRED), INT(pid, "Pid", OPTIONAL, 0, INT32_MAX),
    INT_OPT(exit_code, has_exit_code, "ExitCode", INT32_MIN, INT64_MAX),
    STR(started_at, "StartedAt", OPTIONAL), STR(finished_at, "FinishedAt", OPTIONAL));

FIELDS(engine_container_config, STR(image, "Image", OPTIONAL),
    TABLE(labels, "Labels", OPTIONAL, fields_pair_fields), BOOL(tty, "Tty", OPTIONAL));

FIELDS(engine_container, STR(id, "Id", REQUIRED), STR(name, "Name", REQUIRED),
    STR(image, "Image", OPTIONAL), OBJECT(state, "State", REQUIRED, engine_state_fields),
    OBJECT(config, "Config", REQUIRED, engine_container_config_fields));

FIELDS(engine_item, STR(id, "Id", REQUIRED), STR(state, "State", OPTIONAL),
    STRS(names, "Names", REQUIRED), TABLE(labels, "Labels", OPTIONAL, fields_pair_fields));

FIELDS(engine_items, LIST(items, "items", REQUIRED, engine_item_fields));

FIELDS(engine_image, STR(id, "Id", REQUIRED));

FIELDS(engine_network, STR(id, "Id", REQUIRED), STR(name, "Name", REQUIRED));

FIELDS(engine_networks, LIST(items, "items", REQUIRED, engine_network_fields));

FIELDS(engine_ipam_config, STR(gateway, "Gateway", OPTIONAL), STR(ip_range, "IPRange", OPTIONAL),
    STR(subnet, "Subnet", OPTIONAL));

FIELDS(engine_ipam, LIST(config, "Config", REQUIRED, engine_ipam_config_fields));

FIELDS(engine_network_req, STR(name, "Name", REQUIRED),
    BOOL(check_duplicate, "CheckDuplicate", REQUIRED), BOOL(enable_ipv6, "EnableIPv6", REQUIRED),
    REF(ipam, "IPAM", OPTIONAL, engine_ipam_fields));

FIELDS(engine_pull_error, STR(message, "message", OPTIONAL),
    INT_OPT(code, has_code, "code", INT64_MIN, INT64_MAX));

FIELDS(engine_pull_line, STR(error, "error", OPTIONAL),
    REF(error_detail, "errorDetail", OPTIONAL, engine_pull_error_fields));

FIELDS(engine_actor, STR(id, "ID", OPTIONAL),
    TABLE(attributes, "Attributes", OPTIONAL, fields_pair_fields));

FIELDS(engine_event, STR(type, "Type", OPTIONAL), STR(action, "Action", OPTIONAL),
    OBJECT(actor, "Actor", OPTIONAL, engine_actor_fields));

enum err_code
engine_array_read(fields_fn *table, void *ret, struct text in, struct err *err)
{
	AUTO(bytes_done) struct bytes text = { 0 };
	AUTO(buf_done) struct buf b = { 0 };

	buf_puts(&b, "{\"items\":");
	buf_add(&b, in.data, in.len);
	buf_puts(&b, "}");
	if (buf_take(&b, &text, err))
		return err->code;
	return fields_read_text(table, ret, text_of_bytes(&text), err);
}

const char *
engine_label(const fields_map *labels, const char *key)
{
	for (size_t i = 0; i < labels->n; i++)
		if (strcmp(labels->at[i].key, key) == 0)
			return labels->at[i].value;
	return NULL;
}
