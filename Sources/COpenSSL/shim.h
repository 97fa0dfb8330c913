// SPDX-License-Identifier: Apache-2.0
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Swift does not see macros that take arguments or that are built from such: each one used has a line here.
static inline int COpenSSL_SSL_CTX_set_min_proto_version(SSL_CTX *ctx, int version) { return (int)SSL_CTX_set_min_proto_version(ctx, version); }
static inline int COpenSSL_SSL_CTX_set1_groups_list(SSL_CTX *ctx, const char *list) { return (int)SSL_CTX_set1_groups_list(ctx, list); }
static inline void COpenSSL_SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, long mode) { (void)SSL_CTX_set_session_cache_mode(ctx, mode); }
static inline void COpenSSL_SSL_CTX_set_read_ahead(SSL_CTX *ctx, long on) { (void)SSL_CTX_set_read_ahead(ctx, on); }
static inline void COpenSSL_SSL_set_msg_callback_arg(SSL *ssl, void *argument) { (void)SSL_set_msg_callback_arg(ssl, argument); }
static inline void COpenSSL_SSL_set_mode(SSL *ssl, long mode) { (void)SSL_set_mode(ssl, mode); }
static inline int COpenSSL_SSL_set_tlsext_host_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
static inline int COpenSSL_SSL_set_app_data(SSL *ssl, void *data) { return SSL_set_app_data(ssl, data); }
static inline void *COpenSSL_SSL_get_app_data(const SSL *ssl) { return SSL_get_app_data(ssl); }
static inline uint64_t COpenSSL_SSL_OP_NO_RENEGOTIATION(void) { return SSL_OP_NO_RENEGOTIATION; }
static inline uint64_t COpenSSL_SSL_OP_NO_COMPRESSION(void) { return SSL_OP_NO_COMPRESSION; }
static inline void COpenSSL_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
// RFC 4514: one line, in which control characters and all beyond ASCII are written out.
static inline int COpenSSL_X509_NAME_print(BIO *bio, const X509_NAME *name) { return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253); }
static inline void COpenSSL_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
// A parameter keeps the address of its name, so the name has to be a constant of C's: a string of Swift's would be gone.
static inline int COpenSSL_EVP_MAC_CTX_use_hmac_sha256(EVP_MAC_CTX *ctx, void *key, size_t length) {
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, length),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(ctx, params);
}
#endif
