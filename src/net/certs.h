// Keys and certificates of the organisation's own authority (RFC 5280), made with OpenSSL.
#ifndef SALLYPORT_NET_CERTS_H
#define SALLYPORT_NET_CERTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/err.h"

// A new private key; the caller frees it with EVP_PKEY_free.
MUST_USE struct result certs_new_p256(EVP_PKEY **out, struct err *e);
MUST_USE struct result certs_new_ed25519(EVP_PKEY **out, struct err *e);

// A self-signed certificate authority for leaf certificates only (path length 0), valid from an hour ago for `days`.
// The caller frees it with X509_free.
MUST_USE struct result certs_new_ca(EVP_PKEY *key, const char *common_name, int days, X509 **out, struct err *e);

// PEM (RFC 7468) appended to `out`; the private key as unencrypted PKCS#8.
MUST_USE struct result certs_key_pem(EVP_PKEY *key, struct buf *out, struct err *e);
MUST_USE struct result certs_cert_pem(X509 *cert, struct buf *out, struct err *e);

// An error with OpenSSL's own reason appended, whose error queue is emptied.
MUST_USE struct result certs_fail(struct err *e, const char *what);

#endif
