#include "crypto/sas.h"

#include <string.h>

#include "base/b64.h"
#include "data/uri.h"

static void
lower_ascii(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text += 'a' - 'A';
}

enum err_code
sas_audience(const char *first, const char *kind, const char *id, char **ret, struct err *err)
{
	AUTO(str_freep) char *plain = NULL;

	if (str_format(&plain, err, "%s/%s/%s", first, kind, id))
		return err->code;
	lower_ascii(plain);
	return uri_encode(URI_AUDIENCE, text_of(plain), ret, err);
}

enum err_code
sas_to_sign(const char *audience, int64_t expiry, struct bytes *ret, struct err *err)
{
	char *text = NULL;

	if (str_format(&text, err, "%s\n%lld", audience, (long long)expiry))
		return err->code;
	*ret = (struct bytes){ (uint8_t *)text, strlen(text) };
	return ERR_OK;
}

enum err_code
sas_token(const char *audience, int64_t expiry, const struct bytes *signature, const char *key_name,
    char **ret, struct err *err)
{
	AUTO(str_freep) char *b64 = NULL;
	AUTO(str_freep) char *sig = NULL;

	if (b64_encode(B64_STD, signature->data, signature->len, &b64, err) ||
	    uri_encode(URI_FORM, text_of(b64), &sig, err))
		return err->code;
	return str_format(ret, err, "SharedAccessSignature sr=%s&sig=%s&se=%lld%s%s", audience, sig,
	    (long long)expiry, key_name ? "&skn=" : "", key_name ? key_name : "");
}
