// SPDX-License-Identifier: Apache-2.0
//
// The two ends of one measured stream: a source that sends a known pattern over TLS 1.3 with AES-128-GCM, and a sink
// that compares every byte with the same pattern. Both are used unchanged against every relay.
//
//   load source --connect PORT --ca FILE --bytes N [--request] [--flip OFFSET]
//   load sink   --connect PORT --ca FILE --bytes N --request
//   load sink   --listen  PORT --cert FILE --key FILE --bytes N
//
// --request reads the head of an HTTP request from standard input (so that a token is never on a command line), sends
// it first, and wants an answer with status 200. --flip damages one byte, to prove that the sink notices.
// A listening sink prints "listening" once it listens. At the end each prints one JSON line.
// Exit status: 0 done, 1 failed, 2 usage, 3 the content differs.

#define _GNU_SOURCE  // memmem
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// A prime length: the pattern lines up with no record, buffer or page, so a chunk out of place never looks right.
enum { patternLength = 1048573, chunkLength = 64 * 1024, headLimit = 16 * 1024 };

static unsigned char pattern[patternLength + chunkLength];

struct options {
    bool isSource, listens, hasRequest, flips;
    uint16_t port;
    uint64_t bytes, flipOffset;
    const char *ca, *certificate, *key;
};

static void fail(const char *what) {
    unsigned long code = ERR_get_error();
    if (code != 0) {
        fprintf(stderr, "load: %s: %s\n", what, ERR_reason_error_string(code));
    } else {
        fprintf(stderr, "load: %s: %s\n", what, errno != 0 ? strerror(errno) : "the connection ended");
    }
    exit(1);
}

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// xorshift64 (Marsaglia 2003) from a fixed seed: the same pattern in both processes, and no compression could help.
static void fillPattern(void) {
    uint64_t state = 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < patternLength; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pattern[i] = (unsigned char)(state >> 32);
    }
    memcpy(pattern + patternLength, pattern, chunkLength);  // a chunk that wraps around can be taken in one piece
}

static uint64_t number(const char *text) {
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != 0) {
        fprintf(stderr, "load: not a number: %s\n", text);
        exit(2);
    }
    return value;
}

static struct options parse(int count, char **arguments) {
    struct options options = {0};
    if (count < 2) {
        fprintf(stderr, "usage: see the head of load.c\n");
        exit(2);
    }
    options.isSource = strcmp(arguments[1], "source") == 0;
    for (int i = 2; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--request") == 0) {
            options.hasRequest = true;
            continue;
        }
        if (i + 1 >= count) {
            fprintf(stderr, "load: %s wants a value\n", name);
            exit(2);
        }
        const char *value = arguments[++i];
        if (strcmp(name, "--connect") == 0) options.port = (uint16_t)number(value);
        else if (strcmp(name, "--listen") == 0) options.port = (uint16_t)number(value), options.listens = true;
        else if (strcmp(name, "--bytes") == 0) options.bytes = number(value);
        else if (strcmp(name, "--flip") == 0) options.flipOffset = number(value), options.flips = true;
        else if (strcmp(name, "--ca") == 0) options.ca = value;
        else if (strcmp(name, "--cert") == 0) options.certificate = value;
        else if (strcmp(name, "--key") == 0) options.key = value;
        else {
            fprintf(stderr, "load: unknown option %s\n", name);
            exit(2);
        }
    }
    return options;
}

// One protocol version and one suite, set at both ends: no relay has a choice, so all do the same work.
static SSL_CTX *makeContext(const struct options *options) {
    SSL_CTX *context = SSL_CTX_new(options->listens ? TLS_server_method() : TLS_client_method());
    if (context == NULL) fail("no TLS context");
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) fail("no TLS 1.3");
    if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) fail("no AES-128-GCM");
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, chunkLength);
    if (options->listens) {
        if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1) fail("certificate");
        if (SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) != 1) fail("key");
    } else {
        if (SSL_CTX_load_verify_locations(context, options->ca, NULL) != 1) fail("CA");
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    return context;
}

static int openSocket(const struct options *options) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0) fail("socket");
    if (!options->listens) {
        if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
        return descriptor;
    }
    int on = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(descriptor, 1) != 0) fail("listen");
    printf("listening\n");
    fflush(stdout);
    int connection = accept(descriptor, NULL, NULL);
    if (connection < 0) fail("accept");
    close(descriptor);
    return connection;
}

static void sendAll(SSL *session, const unsigned char *bytes, size_t length) {
    while (length > 0) {
        size_t written = 0;
        ERR_clear_error();
        if (SSL_write_ex(session, bytes, length, &written) != 1) fail("send");
        bytes += written;
        length -= written;
    }
}

// Returns 0 at the end of the stream, however it ended: the count of bytes tells whether it ended too soon.
static size_t receive(SSL *session, unsigned char *buffer, size_t length) {
    size_t count = 0;
    ERR_clear_error();
    return SSL_read_ex(session, buffer, length, &count) == 1 ? count : 0;
}

static void sendRequest(SSL *session) {
    static unsigned char head[headLimit];
    size_t length = fread(head, 1, sizeof head, stdin);
    sendAll(session, head, length);
}

// Reads the answer's head; returns how many bytes of the body came with it, moved to the front of the buffer.
static size_t receiveHead(SSL *session, unsigned char *buffer) {
    size_t held = 0;
    for (;;) {
        size_t count = receive(session, buffer + held, headLimit - held);
        if (count == 0) fail("no answer");
        held += count;
        unsigned char *end = memmem(buffer, held, "\r\n\r\n", 4);
        if (end != NULL) {
            if (held < 12 || memcmp(buffer, "HTTP/1.1 200", 12) != 0) {
                fprintf(stderr, "load: refused: %.*s\n", (int)held, buffer);
                exit(1);
            }
            size_t body = held - (size_t)(end + 4 - buffer);
            memmove(buffer, end + 4, body);
            return body;
        }
        if (held == headLimit) fail("the answer's head is too long");
    }
}

static void runSource(SSL *session, const struct options *options) {
    static unsigned char buffer[headLimit];
    for (uint64_t offset = 0; offset < options->bytes;) {
        uint64_t rest = options->bytes - offset;
        size_t length = rest < chunkLength ? (size_t)rest : chunkLength;
        unsigned char *chunk = pattern + offset % patternLength;
        bool damages = options->flips && options->flipOffset >= offset && options->flipOffset < offset + length;
        if (damages) chunk[options->flipOffset - offset] ^= 1;
        sendAll(session, chunk, length);
        if (damages) chunk[options->flipOffset - offset] ^= 1;
        offset += length;
    }
    if (options->hasRequest) {
        receiveHead(session, buffer);
    } else {
        SSL_shutdown(session);
    }
    while (receive(session, buffer, sizeof buffer) > 0) {}
}

static void runSink(SSL *session, const struct options *options) {
    static unsigned char buffer[chunkLength];
    uint64_t offset = 0;
    size_t count = options->hasRequest ? receiveHead(session, buffer) : 0;
    if (count == 0) count = receive(session, buffer, sizeof buffer);
    while (count > 0) {
        if (offset + count > options->bytes || memcmp(buffer, pattern + offset % patternLength, count) != 0) {
            fprintf(stderr, "load: the content differs within %zu bytes from %" PRIu64 "\n", count, offset);
            exit(3);
        }
        offset += count;
        count = receive(session, buffer, sizeof buffer);
    }
    if (offset != options->bytes) {
        fprintf(stderr, "load: %" PRIu64 " bytes came, not %" PRIu64 "\n", offset, options->bytes);
        exit(3);
    }
}

int main(int count, char **arguments) {
    struct options options = parse(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    fillPattern();
    SSL_CTX *context = makeContext(&options);
    int descriptor = openSocket(&options);
    SSL *session = SSL_new(context);
    if (session == NULL || SSL_set_fd(session, descriptor) != 1) fail("no TLS session");
    if (!options.listens) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), "127.0.0.1");
        if (SSL_connect(session) != 1) fail("handshake");
    } else if (SSL_accept(session) != 1) {
        fail("handshake");
    }
    if (options.hasRequest) sendRequest(session);
    double start = now(CLOCK_MONOTONIC);
    if (options.isSource) runSource(session, &options);
    else runSink(session, &options);
    printf("{\"seconds\": %.3f, \"cpu\": %.3f, \"protocol\": \"%s\", \"cipher\": \"%s\", \"library\": \"%s\"}\n",
           now(CLOCK_MONOTONIC) - start, now(CLOCK_PROCESS_CPUTIME_ID), SSL_get_version(session),
           SSL_get_cipher_name(session), OpenSSL_version(OPENSSL_VERSION));
    SSL_free(session);
    close(descriptor);
    SSL_CTX_free(context);
    return 0;
}
