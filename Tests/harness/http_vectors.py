# SPDX-License-Identifier: Apache-2.0
"""Hostile and unusual HTTP/1.1, row by row."""

LINE = b"GET /healthz HTTP/1.1\r\n"
HOST = b"Host: 127.0.0.1\r\n"
UNKNOWN = b"Authorization: Bearer " + b"A" * 43 + b"\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Protocol: relay.v1\r\n"
)
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
TE = b"Transfer-Encoding: chunked\r\n"


def put(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    """An upload with an unknown token."""
    return (
        b"PUT /upload "
        + version
        + b"\r\n"
        + HOST
        + UNKNOWN
        + b"".join(line + b"\r\n" for line in lines)
        + b"\r\n"
        + body
    )


# name, bytes, allowed statuses (an empty set: close without an answer is allowed too)
HEADS: list[tuple[str, bytes, set[int | None]]] = [
    ("no Host", LINE + b"\r\n", {400}),
    ("two Host", LINE + HOST + HOST + b"\r\n", {400}),
    ("two different Host", LINE + HOST + b"Host: example.com\r\n\r\n", {400}),
    ("CL and TE together", put(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), {400}),
    ("TE and CL together", put(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"0\r\n\r\n"), {400}),
    ("two different CL", put(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"), {400}),
    ("CL +3", put(b"Content-Length: +3", body=b"abc"), {400}),
    ("CL -1", put(b"Content-Length: -1"), {400}),
    ("CL 0x3", put(b"Content-Length: 0x3", body=b"abc"), {400}),
    ("CL empty", put(b"Content-Length:"), {400}),
    ("CL 3, 3", put(b"Content-Length: 3, 3", body=b"abc"), {400}),
    ("CL 2^64+3", put(b"Content-Length: 18446744073709551619", body=b"abc"), {400}),
    ("CL of 400 digits", put(b"Content-Length: " + b"9" * 400, body=b"abc"), {400}),
    ("TE xchunked", put(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), {400, 501}),
    ("TE chunked,identity", put(b"Transfer-Encoding: chunked,identity", body=b"0\r\n\r\n"), {400, 501}),
    ("TE gzip, chunked", put(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), {400, 501}),
    (
        "TE chunked twice",
        put(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        {400, 501},
    ),
    ("TE vertical tab", put(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), {400, 501}),
    ("TE space before colon", put(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), {400}),
    ("TE on HTTP/1.0", put(b"Transfer-Encoding: chunked", version=b"HTTP/1.0", body=b"0\r\n\r\n"), {400}),
    ("header lines ended by bare LF", b"GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n", {400}),
    ("one header line ended by bare LF", LINE + b"Host: 127.0.0.1\nA: b\r\n\r\n", {400}),
    ("bare CR in a value", LINE + HOST + b"A: b\rc\r\n\r\n", {400}),
    ("NUL in a value", LINE + HOST + b"A: b\x00c\r\n\r\n", {400}),
    ("folded header", LINE + HOST + b"A: b\r\n c\r\n\r\n", {400}),
    ("folded first header", LINE + b" " + HOST + HOST + b"\r\n", {400}),
    ("header without colon", LINE + HOST + b"nonsense\r\n\r\n", {400}),
    ("empty header name", LINE + HOST + b": value\r\n\r\n", {400}),
    ("space before first header", LINE + b" A: b\r\n" + HOST + b"\r\n", {400}),
    ("space in a header name", LINE + HOST + b"A b: c\r\n\r\n", {400}),
    ("control byte in target", b"GET /heal\x01thz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    ("NUL in target", b"GET /heal\x00thz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    ("two spaces in request line", b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    ("two spaces before the version", b"GET /healthz  HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    ("HTTP/2.0 in request line", b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", {505}),
    ("HTTP/1.2 in request line", b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n", {400, 505}),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 405, 505}),
    ("no such version", b"GET /healthz HTTQ/1.1\r\n" + HOST + b"\r\n", {400}),
    ("HTTP/0.9", b"GET /healthz\r\n", {400, 505, None}),
    ("TLS hello inside TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", {400, None}),
    ("64 KiB target", b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    ("9 KiB target", b"GET /" + b"a" * 9216 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    ("64 KiB header", LINE + HOST + b"A: " + b"b" * 65536 + b"\r\n\r\n", {431}),
    (
        "17 KiB of headers",
        LINE + HOST + b"".join(b"A%d: %s\r\n" % (n, b"b" * 1000) for n in range(17)) + b"\r\n",
        {431},
    ),
    ("300 headers", LINE + HOST + b"".join(b"A%d: b\r\n" % n for n in range(300)) + b"\r\n", {431}),
    ("101 headers", LINE + HOST + b"".join(b"A%d: b\r\n" % n for n in range(100)) + b"\r\n", {431}),
    ("unknown Expect", put(b"Content-Length: 3", b"Expect: 200-maybe"), {417}),
    ("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    ("TRACE a path that is", b"TRACE /download HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    ("CONNECT", b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", {405}),
    ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404, 405}),
    ("no such path", b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    ("dots in the path", b"GET /x/../healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    ("no method", b" /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    ("an unknown method", b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400, 405, 501}),
    ("a lower-case method", b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400, 405, 501}),
    ("DELETE on upload", b"DELETE /upload HTTP/1.1\r\n" + HOST + UNKNOWN + b"\r\n", {405}),
    ("GET on upload", b"GET /upload HTTP/1.1\r\n" + HOST + UNKNOWN + b"\r\n", {405}),
    ("PUT on download", b"PUT /download HTTP/1.1\r\n" + HOST + UNKNOWN + b"Content-Length: 0\r\n\r\n", {405}),
    ("no length", put(), {411}),
    ("no token", b"GET /download HTTP/1.1\r\n" + HOST + b"\r\n", {401}),
    (
        "absolute target of a different host",
        b"GET https://example.com/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        {400, 421},
    ),
    ("absolute target that is no URL", b"GET https:///healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404, 421}),
    ("Host that is no host", LINE + b"Host: a b/c\r\n\r\n", {400}),
    (
        "token twice in the query",
        b"GET /download?token=%s&token=%s HTTP/1.1\r\n" % (b"A" * 43, b"A" * 43) + HOST + b"\r\n",
        {400},
    ),
    (
        "token in the query and in the header",
        b"GET /download?token=" + b"A" * 43 + b" HTTP/1.1\r\n" + HOST + UNKNOWN + b"\r\n",
        {400},
    ),
    ("two Authorization headers", b"GET /download HTTP/1.1\r\n" + HOST + UNKNOWN + UNKNOWN + b"\r\n", {400}),
    (
        "Basic authorization",
        b"GET /download HTTP/1.1\r\n" + HOST + b"Authorization: Basic QUFBQQ==\r\n\r\n",
        {400, 401},
    ),
    (
        "token with percent codes, unknown",
        b"GET /download?token=%41" + b"A" * 42 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        {400, 403},
    ),
    (
        "token with a broken percent code",
        b"GET /download?token=%4" + b"A" * 42 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        {400, 403},
    ),
    (
        "the parameter's name with percent codes",
        b"GET /download?%74oken=" + b"A" * 43 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        {400, 401, 403},
    ),
    (
        "token once plain, once with percent codes",
        b"GET /download?token=%s&%%74oken=%s HTTP/1.1\r\n" % (b"A" * 43, b"B" * 43) + HOST + b"\r\n",
        {400},
    ),
    ("empty token", b"GET /download?token= HTTP/1.1\r\n" + HOST + b"\r\n", {400, 401, 403}),
    ("token of 8000 bytes", b"GET /download?token=" + b"A" * 8000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {400, 403}),
    ("/ws without upgrade", b"GET /ws HTTP/1.1\r\n" + HOST + b"\r\n", {400, 426}),
    (
        "/ws without subprotocol",
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + KEY + VERSION + b"\r\n",
        {400},
    ),
    (
        "/ws with another subprotocol",
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n" + KEY + VERSION + b"\r\n",
        {400},
    ),
    ("/ws with version 8", UPGRADE + KEY + b"Sec-WebSocket-Version: 8\r\n\r\n", {426}),
    ("/ws without version", UPGRADE + KEY + b"\r\n", {400, 426}),
    ("/ws with two versions", UPGRADE + KEY + VERSION + VERSION + b"\r\n", {400, 426}),
    ("/ws without key", UPGRADE + VERSION + b"\r\n", {400}),
    ("/ws with two keys", UPGRADE + KEY + KEY + VERSION + b"\r\n", {400}),
    ("/ws with a short key", UPGRADE + b"Sec-WebSocket-Key: c2hvcnQ=\r\n" + VERSION + b"\r\n", {400}),
    (
        "/ws with a key that is no base64",
        UPGRADE + b"Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n" + VERSION + b"\r\n",
        {400},
    ),
    ("/ws by POST", (UPGRADE + KEY + VERSION).replace(b"GET", b"POST", 1) + b"Content-Length: 0\r\n\r\n", {400, 405}),
    ("/ws with a body", UPGRADE + KEY + VERSION + b"Content-Length: 5\r\n\r\nhello", {400}),
    ("/ws with a chunked body", UPGRADE + KEY + VERSION + TE + b"\r\n5\r\nhello\r\n0\r\n\r\n", {400}),
    ("/ws on HTTP/1.0", (UPGRADE + KEY + VERSION).replace(b"HTTP/1.1", b"HTTP/1.0", 1) + b"\r\n", {400, 426, 505}),
    ("/ws from a page of another site", UPGRADE + KEY + VERSION + b"Origin: https://evil.example\r\n\r\n", {403}),
    (
        "upgrade to h2c",
        LINE + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        {200, 400},
    ),
]

# name, chunked body
BODIES = [
    ("chunk size negative", b"-1\r\nabc\r\n0\r\n\r\n"),
    ("chunk size 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("chunk size overflow", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("chunk size of 400 digits", b"0" * 400 + b"3\r\nabc\r\n0\r\n\r\n"),
    ("chunk size empty", b"\r\nabc\r\n0\r\n\r\n"),
    ("chunk size with a space before", b" 3\r\nabc\r\n0\r\n\r\n"),
    ("chunk size no hex", b"g\r\nabc\r\n0\r\n\r\n"),
    ("chunk data without CRLF", b"3\r\nabc0\r\n\r\n"),
    ("chunk data longer than its size", b"3\r\nabcdef\r\n0\r\n\r\n"),
    ("chunk size ended by bare LF", b"3\nabc\r\n0\r\n\r\n"),
    ("chunk data ended by bare LF", b"3\r\nabc\n0\r\n\r\n"),
    ("chunk size ended by bare CR", b"3\rabc\r\n0\r\n\r\n"),
    ("chunk extension with LF", b"3;a=b\nc\r\nabc\r\n0\r\n\r\n"),
    ("chunk extension of 64 KiB", b"3;a=" + b"b" * 65536 + b"\r\nabc\r\n0\r\n\r\n"),
    ("trailer without colon", b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n"),
    ("trailer of 64 KiB", b"3\r\nabc\r\n0\r\nA: " + b"b" * 65536 + b"\r\n\r\n"),
    ("last chunk ended by bare LF", b"3\r\nabc\r\n0\n\n"),
]
