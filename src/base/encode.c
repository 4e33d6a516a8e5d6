#include "base/encode.h"

static const char std_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void encode_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *in = bytes;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * n] = '\0';
}

static void encode_with(const char *alphabet, bool pad, const unsigned char *in, size_t n, char *out)
{
	for (; n >= 3; in += 3, n -= 3) {
		*out++ = alphabet[in[0] >> 2];
		*out++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
		*out++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
		*out++ = alphabet[in[2] & 63];
	}
	if (n > 0) {
		unsigned second = n == 2 ? in[1] : 0;
		*out++ = alphabet[in[0] >> 2];
		*out++ = alphabet[(in[0] & 3) << 4 | second >> 4];
		if (n == 2)
			*out++ = alphabet[(second & 15) << 2];
		else if (pad)
			*out++ = '=';
		if (pad)
			*out++ = '=';
	}
	*out = '\0';
}

void encode_base64(const void *bytes, size_t n, char *out)
{
	encode_with(std_alphabet, true, bytes, n, out);
}

void encode_base64url(const void *bytes, size_t n, char *out)
{
	encode_with(url_alphabet, false, bytes, n, out);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct result decode_hex(struct span text, void *out, size_t n, struct err *e)
{
	unsigned char *to = out;
	bool ok = text.len == 2 * n;
	for (size_t i = 0; ok && i < n; i++) {
		int hi = hex_value(text.data[2 * i]), lo = hex_value(text.data[2 * i + 1]);
		ok = hi >= 0 && lo >= 0;
		if (ok)
			to[i] = (unsigned char)(hi << 4 | lo);
	}
	return ok ? OK : err_set(e, ERR_INVALID, "expected %zu hex digits", 2 * n);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

struct result decode_base64(struct span text, void *out, size_t *n, struct err *e)
{
	size_t padded = text.len;
	while (text.len > 0 && padded - text.len < 2 && text.data[text.len - 1] == '=')
		text.len--;
	bool ok = text.len % 4 != 1 && (text.len == padded || padded % 4 == 0);
	unsigned char *to = out;
	unsigned acc = 0, bits = 0;
	for (size_t i = 0; ok && i < text.len; i++) {
		int v = base64_value(text.data[i]);
		ok = v >= 0;
		acc = (acc << 6 | (unsigned)v) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*to++ = (unsigned char)(acc >> bits);
		}
	}
	if (!ok || (acc & ((1U << bits) - 1)) != 0)
		return err_set(e, ERR_INVALID, "not valid base64");
	*n = (size_t)(to - (unsigned char *)out);
	return OK;
}
