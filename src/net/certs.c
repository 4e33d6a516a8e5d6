#include "net/certs.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/random.h"

struct result certs_fail(struct err *e, const char *what)
{
	char reason[200] = "unknown reason";
	unsigned long code = ERR_get_error();
	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return err_set(e, ERR_SYSTEM, "%s: %s", what, reason);
}

struct result certs_new_p256(EVP_PKEY **out, struct err *e)
{
	*out = EVP_EC_gen("P-256");
	return *out != NULL ? OK : certs_fail(e, "make a P-256 key");
}

struct result certs_new_ed25519(EVP_PKEY **out, struct err *e)
{
	*out = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return *out != NULL ? OK : certs_fail(e, "make an Ed25519 key");
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

// 127 random bits: unpredictable, and positive as section 4.1.2.2 asks.
static bool set_serial(X509 *cert)
{
	unsigned char raw[16];
	random_bytes(raw, sizeof(raw));
	raw[0] &= 0x7f;
	BIGNUM *n = BN_bin2bn(raw, sizeof(raw), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok;
}

static bool fill_ca(X509 *cert, EVP_PKEY *key, const char *common_name, int days)
{
	X509_NAME *name = X509_get_subject_name(cert);
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * 86400) != NULL && X509_set_pubkey(cert, key) == 1 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, name) == 1 &&
	       add_extension(cert, &ctx, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_extension(cert, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_extension(cert, &ctx, NID_subject_key_identifier, "hash") && X509_sign(cert, key, EVP_sha256()) > 0;
}

struct result certs_new_ca(EVP_PKEY *key, const char *common_name, int days, X509 **out, struct err *e)
{
	X509 *cert = X509_new();
	if (cert == NULL || !fill_ca(cert, key, common_name, days)) {
		X509_free(cert);
		return certs_fail(e, "make the certificate authority");
	}
	*out = cert;
	return OK;
}

// Moves what a memory BIO holds to `out`, and frees the BIO.
static struct result take_bio(BIO *bio, bool written, struct buf *out, struct err *e)
{
	char *data = NULL;
	long n = BIO_get_mem_data(bio, &data);
	bool ok = written && n > 0 && buf_add(out, span_from(data, (size_t)n));
	BIO_free(bio);
	return ok ? OK : certs_fail(e, "write PEM");
}

struct result certs_key_pem(EVP_PKEY *key, struct buf *out, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	if (bio == NULL)
		return certs_fail(e, "write PEM");
	bool written = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
	return take_bio(bio, written, out, e);
}

struct result certs_cert_pem(X509 *cert, struct buf *out, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio == NULL)
		return certs_fail(e, "write PEM");
	return take_bio(bio, PEM_write_bio_X509(bio, cert) == 1, out, e);
}
