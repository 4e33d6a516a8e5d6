#include "worker/token.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"

#define SECRET_TEXT_MAX 16384

// A token goes into a header field: visible ASCII only.
static bool fits_header(struct span token)
{
	for (size_t i = 0; i < token.len; i++) {
		if (token.data[i] <= ' ' || token.data[i] > '~')
			return false;
	}
	return token.len > 0;
}

char *token_from_secret(struct span secret)
{
	if (secret.len == 0 || secret.len > SECRET_TEXT_MAX)
		return NULL;
	size_t room = secret.len / 4 * 3 + 3, n = 0;
	char *text = mem_alloc(room);
	AUTO_JSON json_t *json = NULL;
	char *token = NULL;
	if (!failed(decode_base64(secret, text, &n, NULL)) &&
	    !failed(json_parse_object(span_from(text, n), "secret", &json, NULL))) {
		struct span value = json_span(json_object_get(json, "sessions_token"));
		token = fits_header(value) ? span_dup(value) : NULL;
	}
	mem_wipe(text, room);
	free(text);
	return token;
}
