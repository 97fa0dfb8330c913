# SPDX-License-Identifier: Apache-2.0
"""What a browser sees, and an ACME authority: the built-in page, the operator's own files, and challenges."""

import hashlib
import http.client
import os
import re
import socket
import ssl
import time

import pytest

from harness import measure, raw
from harness.waiting import until

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def get(relay, path, method="GET", **fields):
    """(status, headers, body) over TLS."""
    context = ssl.create_default_context(cafile=relay.ca)
    connection = http.client.HTTPSConnection(relay.host, relay.port, context=context, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture
def site(own_relay, tmp_path):
    """A relay that serves a folder, and the folder."""
    folder = tmp_path / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>mine</h1>")
    (folder / "docs/index.html").write_text("docs")
    (folder / "style.css").write_text("body {}")
    (folder / "ten.bin").write_bytes(b"0123456789")
    (folder / ".hidden").write_text("secret")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "up.txt").symlink_to("../outside.txt")
    (folder / "in.css").symlink_to("style.css")
    (folder / "away").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo")
    return own_relay(arguments=["--site", folder]), folder


def test_the_built_in_page_says_what_this_is_and_whose_certificate(relay):
    status, headers, body = get(relay, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"
    page = body.decode()
    assert "<script" not in page and "style=" not in page
    said = " ".join(re.sub("<[^>]+>", "", page).split())
    assert "passes files and folders from one person to another when neither can reach the other directly" in said
    assert "Install the package relay-client (Debian 12 and 13)" in said and "apt install ./relay-client_" in said
    assert f"relay-client login https://{relay.host}:{relay.port}" in page
    shown = ssl.PEM_cert_to_DER_cert(
        relay.certs.chain.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----"
    )
    digest = hashlib.sha256(shown).hexdigest().upper()
    assert ":".join(re.findall("..", digest)) in page
    assert get(relay, "/relay.css")[1]["content-type"] == "text/css; charset=utf-8"
    # All that the page points to is there.
    for target in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert get(relay, target)[0] == 200, target


def test_the_page_has_head_and_no_other_methods(relay):
    status, headers, body = get(relay, "/", "HEAD")
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 500
    assert get(relay, "/", "POST", Content_Length="0")[0] == 405
    assert get(relay, "/nothing")[0] == 404
    assert get(relay, "/nothing", "PUT", Content_Length="0")[0] == 404


def test_files_have_types_tags_and_an_index(site):
    relay, _ = site
    status, headers, body = get(relay, "/")
    assert (status, headers["content-type"], body) == (200, "text/html; charset=utf-8", b"<h1>mine</h1>")
    assert get(relay, "/style.css")[1]["content-type"] == "text/css; charset=utf-8"
    assert get(relay, "/in.css")[2] == b"body {}"
    status, headers, _ = get(relay, "/docs")
    assert (status, headers["location"]) == (308, "/docs/")
    assert get(relay, "/docs/")[2] == b"docs"
    assert get(relay, "/%73tyle.css?x=1")[2] == b"body {}"
    # The relay's own resources stay its own.
    assert get(relay, "/healthz")[2] == b"ok\n"


def test_what_a_client_has_is_not_sent_again(site):
    relay, folder = site
    tag = get(relay, "/style.css")[1]["etag"]
    status, headers, body = get(relay, "/style.css", If_None_Match=f'"other", W/{tag}')
    assert (status, body, headers["etag"]) == (304, b"", tag)
    (folder / "style.css").write_text("body { }")
    status, headers, body = get(relay, "/style.css", If_None_Match=tag)
    assert (status, body) == (200, b"body { }") and headers["etag"] != tag


@pytest.mark.parametrize(
    ("asked", "status", "content", "where"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=9-99", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=99999999999999999999-", 200, b"0123456789", None),
    ],
)
def test_parts(site, asked, status, content, where):
    relay, _ = site
    got, headers, body = get(relay, "/ten.bin", Range=asked)
    assert (got, headers.get("content-range")) == (status, where)
    assert content is None or body == content
    if status == 206:
        assert get(relay, "/ten.bin", Range=asked, If_Range='"other"')[0] == 200
        assert get(relay, "/ten.bin", Range=asked, If_Range=headers["etag"])[0] == 206
        length = int(headers["content-length"])
        assert get(relay, "/ten.bin", "HEAD", Range=asked)[1]["content-length"] == str(length)


@pytest.mark.parametrize(
    "path",
    [
        "/.hidden",
        "/.git/config",
        "/%2ehidden",
        "/docs/../.hidden",
        "/docs/..%2f..%2foutside.txt",
        "/..%2foutside.txt",
        "/%2e%2e/outside.txt",
        "/out.txt",
        "/up.txt",
        "/away/outside.txt",
        "/away",
        "/fifo",
        "/docs//index.html",
        "//docs/index.html",
        "/style.css/",
        "/style.css%00.html",
        "/%zz",
        "/" + "a" * 2000,
        "/docs/missing",
    ],
)
def test_nothing_else_is_given_away(site, path):
    relay, folder = site
    status, _, body = get(relay, path)
    assert status in (400, 404) and b"secret" not in body
    (folder / "404.html").write_text("not here, says the operator")
    status, headers, body = get(relay, path)
    if status == 404:
        assert body == b"not here, says the operator" and headers["content-type"] == "text/html; charset=utf-8"


def test_a_large_file_is_sent_as_its_client_takes_it(site):
    relay, folder = site
    size = 64 << 20
    content = os.urandom(1 << 20) * 64
    (folder / "large.bin").write_bytes(content)
    assert hashlib.sha256(get(relay, "/large.bin")[2]).digest() == hashlib.sha256(content).digest()
    before = measure.resident(relay.pid)
    with raw.Connection(relay.address, relay.ca, timeout=10) as connection:
        connection.send(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = connection.head()
        assert head.status == 200 and head.header("content-length") == str(size)
        # It takes nothing for a while, and the relay holds a block of it at most.
        time.sleep(1)
        assert measure.resident(relay.pid) - before < 4 << 20
        # A file that became shorter is a cut, not an end.
        os.truncate(folder / "large.bin", 1 << 20)
        assert connection.how_ended(10) != raw.NOTIFY


def test_descriptors_come_back(site):
    relay, folder = site
    (folder / "large.bin").write_bytes(bytes(4 << 20))
    before = len(os.listdir(f"/proc/{relay.pid}/fd"))
    for _ in range(20):
        with raw.Connection(relay.address, relay.ca, timeout=10) as connection:
            connection.send(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.head().status == 200
    until(lambda: len(os.listdir(f"/proc/{relay.pid}/fd")) <= before + 1, 10, "all files are closed")


def plain(port, path, host="localhost", method="GET"):
    """(status, headers, body) over plain HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture
def acme(own_relay, tmp_path):
    """(port of plain HTTP, folder of challenges) of a relay that answers them."""
    challenges = tmp_path / "acme/.well-known/acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / TOKEN).write_text(TOKEN + ".thumbprint")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own_relay(arguments=["--http-listen", f"127.0.0.1:{port}", "--acme-dir", tmp_path / "acme"])
    return port, challenges


def test_challenges_are_answered_under_any_name(acme):
    port, _ = acme
    path = f"/.well-known/acme-challenge/{TOKEN}"
    for host in ("localhost", "other.example"):
        status, headers, body = plain(port, path, host)
        assert (status, body, headers["content-type"]) == (200, TOKEN.encode() + b".thumbprint", "text/plain")
    assert plain(port, path, method="HEAD")[2] == b""
    assert plain(port, path, method="DELETE")[0] == 405
    # Everything else is as it was.
    assert plain(port, "/healthz")[2] == b"ok\n"
    assert plain(port, "/x")[0] == 308 and plain(port, "/x", "other.example")[0] == 421


def test_challenges_lead_nowhere_else(acme, tmp_path):
    port, challenges = acme
    (tmp_path / "secret").write_text("secret")
    (challenges / "link").symlink_to(tmp_path / "secret")
    (challenges / "climb").symlink_to("../../../secret")
    (challenges / "folder").mkdir()
    (challenges / "large").write_bytes(b"secret" * 10_000)
    (challenges / "dot.txt").write_text("secret")
    for name in ("link", "climb", "folder", "large", "dot.txt", "..%2f..%2f..%2fsecret", "", "missing", "a" * 129):
        status, _, body = plain(port, f"/.well-known/acme-challenge/{name}")
        assert status == 404 and b"secret" not in body, name


def test_folders_that_are_not_there_are_found_at_start(own_relay, tmp_path, binaries):
    relay = own_relay()
    for arguments in (["--site", tmp_path / "none"], ["--http-listen", "127.0.0.1:0", "--acme-dir", tmp_path / "none"]):
        checked = relay.command("check", "--tls-cert", relay.certs.chain, "--tls-key", relay.certs.key, *arguments)
        assert checked.returncode == 78 and "No such file" in checked.stderr
    checked = relay.command(
        "check", "--tls-cert", relay.certs.chain, "--tls-key", relay.certs.key, "--acme-dir", tmp_path
    )
    assert checked.returncode == 78 and "--http-listen" in checked.stderr
