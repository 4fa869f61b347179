/* old.c: the sample as a library of version 2.0 alone, which neither moves nor deletes. */
#define aziot_keys_get_function_list sample_function_list
#include "sample.c"
#undef aziot_keys_get_function_list

AZIOT_KEYS_GET_FUNCTION_LIST aziot_keys_get_function_list;

__attribute__((visibility("default"))) AZIOT_KEYS_RC
aziot_keys_get_function_list(
    AZIOT_KEYS_VERSION version, const AZIOT_KEYS_FUNCTION_LIST **function_list)
{
	if (version == AZIOT_KEYS_VERSION_2_1_0_0)
		return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
	return sample_function_list(version, function_list);
}
