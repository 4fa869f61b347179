#include "wire/hub.h"

#include "base/buf.h"

FIELDS(hub_symmetric_key, STR(primary, "primaryKey", OPTIONAL),
    STR(secondary, "secondaryKey", OPTIONAL));

FIELDS(hub_authentication, REF(symmetric_key, "symmetricKey", OPTIONAL, hub_symmetric_key_fields),
    STR(type, "type", OPTIONAL));

FIELDS(hub_module, STR(module_id, "moduleId", REQUIRED), STR(managed_by, "managedBy", OPTIONAL),
    STR(device_id, "deviceId", OPTIONAL), STR(generation_id, "generationId", OPTIONAL),
    REF(authentication, "authentication", OPTIONAL, hub_authentication_fields));

FIELDS(hub_module_list, LIST(modules, "modules", REQUIRED, hub_module_fields));

FIELDS(hub_error, STR(message, "Message", OPTIONAL), STR(error_message, "errorMessage", OPTIONAL),
    BOOL(network_error, "networkError", OPTIONAL));

enum err_code
hub_module_list_read_array(struct hub_module_list *ret, struct text in, struct err *err)
{
	AUTO(bytes_done) struct bytes wrapped = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(json_freep) struct json_t *alone = NULL;

	/* read by itself first: an answer that only fits together with our wrapping is none */
	if (json_read(in, &alone, err))
		return err->code;
	buf_puts(&b, "{\"modules\":");
	buf_add(&b, in.data, in.len);
	buf_puts(&b, "}");
	if (buf_take(&b, &wrapped, err))
		return err->code;
	return fields_read_text(hub_module_list_fields, ret, text_of_bytes(&wrapped), err);
}
