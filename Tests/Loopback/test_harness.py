# SPDX-License-Identifier: Apache-2.0
"""The tools can tell good from bad: a tool that cannot fail proves nothing. Needs no built executables."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import types
from typing import Any

import pytest

from harness import certificates, content, events, processes, protocol, raw
from harness.executables import REPOSITORY, clean_environment
from harness.history import History
from harness.listener import Listener
from harness.measure import has_stopped, is_gone
from harness.terminal import rendered
from harness.waiting import TooLate, background, settled, until
from proofs import model, rolling, running, sanitizers


@pytest.fixture
def server(tmp_path):
    """Serves one TLS connection by a function on the plain and the wrapped socket."""
    certs = certificates.forged(tmp_path / "certs", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.chain, certs.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(function):
        def run():
            plain, _ = listener.accept()
            wrapped = context.wrap_socket(plain, server_side=True)
            wrapped.recv(1000)
            function(wrapped)

        threading.Thread(target=run, daemon=True).start()
        return raw.Connection(listener.getsockname(), certs.ca, timeout=5)

    yield serve
    listener.close()


def notify(connection):
    """Ends properly."""
    with contextlib.suppress(OSError):
        connection.unwrap()
    connection.close()


def test_each_way_to_end_is_told_apart(server):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    for function, expected in ((notify, raw.NOTIFY), (lambda it: it.close(), raw.TRUNCATED), (reset, raw.RESET)):

        def serve(connection, function=function):
            connection.sendall(head + b"hel")
            function(connection)

        with server(serve) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            try:
                answer = client.answer()
            except ConnectionError:
                answer = None
            assert answer is None or not answer.complete
            # After a reset Python reports whichever it saw first.
            assert client.how_ended(2) in (expected, raw.TRUNCATED if expected == raw.RESET else expected), client.ended
    hold = threading.Event()
    with server(lambda connection: (connection.sendall(head), hold.wait(5))) as client:
        client.send(b"x")
        assert client.how_ended(0.2) == raw.OPEN
        hold.set()


def test_answers_are_read_as_they_are_framed(server):
    for sent, status, body, complete in (
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 200, b"ok", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", 200, b"ok", False),
        (b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nok", 403, b"ok", False),
        (b"HTTP/1.1 502 No\r\n\r\nok", 502, b"ok", True),
    ):
        with server(lambda connection, sent=sent: (connection.sendall(sent), notify(connection))) as client:
            client.send(b"x")
            answer = client.answer()
            assert (answer.status, answer.body, answer.complete) == (status, body, complete), sent


def test_content_differs_by_seed_and_is_stable():
    assert content.data(1, 5000) != content.data(2, 5000)
    assert content.data(1, 5_000_000)[:5000] == content.data(1, 5000)
    assert len(content.data(1, 5_000_001)) == 5_000_001


def test_the_signature_is_over_the_four_lines():
    identity = protocol.Identity("alice")
    nonce = protocol.b64(bytes(range(32)))
    credentials = identity.credentials("login", "RELAY.example.com:8443", nonce)
    text = f"relay.v1 login\nrelay.example.com:8443\nalice\n{nonce}"
    identity.signing.public_key().verify(protocol.unb64(credentials["signature"]), text.encode())


READY = {"schema": 1, "event": "ready", "name": "bob"}
FAILED = {"schema": 1, "event": "failed", "code": "unknown_peer", "message": "no user has that name"}
ABOUT = {"transfer": "t" * 22, "direction": "send", "peer": "bob", "name": "report.pdf", "size": 0}
STARTED = {"schema": 1, "event": "started", **ABOUT}


@pytest.mark.parametrize(
    "planted",
    [
        {**READY, "schema": 2},
        {**READY, "schema": True},
        {**READY, "event": "reedy"},
        {**READY, "nmae": "bob"},
        {**READY, "name": None},
        {**READY, "size": 1},
        {"event": "ready", "name": "bob"},
        {"schema": 1, "event": "ready"},
        {"schema": 1, "name": "bob"},
        {**FAILED, "code": "No"},
        {**FAILED, "transfer": "t" * 22},
        {**STARTED, "transfer": "t"},
        {**STARTED, "size": "0"},
        {**STARTED, "bytes": 0},
        {**STARTED, "kind": "folder"},
        {**STARTED, "names": ["a"], "kind": "several", "entries": 2},
        {key: value for key, value in STARTED.items() if key != "name"},
        [READY],
    ],
    ids=str,
)
def test_a_line_for_programs_that_is_not_in_the_schema_is_noticed(planted):
    for good in (READY, FAILED, STARTED, {**FAILED, **ABOUT}):
        assert events.event_of(json.dumps(good)) == good
    with pytest.raises(events.BadLine):
        events.event_of(json.dumps(planted))


def test_a_line_that_no_test_reads_is_looked_at_too(tmp_path):
    """Of whatever is called relay-client and told to print objects."""
    program = tmp_path / "relay-client"
    program.write_text('#!/bin/sh\nprintf "%s" "$said"\n')
    program.chmod(0o755)
    mark = processes.mark_of_test()

    def run(said, *words, **variables):
        env = {**clean_environment(tmp_path, **variables), "said": said}
        return processes.Process([program, *words], env=env, folder=tmp_path).expect(0, 10)

    run("not for programs\n")
    run("not for programs\n", RELAY_JSON="off")
    # The last line is not over.
    assert run(json.dumps(READY) + '\n{"sch', "--json").events("ready") == [READY]
    processes.hold_to_schema(mark)
    for words, variables in ((["--json"], {}), ([], {"RELAY_JSON": "1"}), ([], {"RELAY_JSON": "yes"})):
        bad = run(json.dumps(READY) + "\noops\n", *words, **variables)
        with pytest.raises(events.BadLine):
            processes.hold_to_schema(mark)
        # Nor does it fail this test.
        bad.stdout_path.write_text("")


def test_waiting_ends_at_its_timeout():
    with pytest.raises(TooLate):
        until(lambda: False, 0.05, "never")
    counter = iter(range(10**9))
    with pytest.raises(TooLate):
        settled(lambda: next(counter), 0.1, 0.3, "never still")
    assert settled(lambda: 5, 0.05, 1, "still") == 5
    with pytest.raises(ZeroDivisionError):
        background(lambda: 1 / 0).result(5)


def test_a_closed_listener_refuses_connections():
    for _ in range(20):
        listener = Listener(lambda client: client.close())
        # Its thread waits for the next one.
        socket.create_connection((listener.host, listener.port), 5).close()
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((listener.host, listener.port), 5)


def test_a_quick_look_takes_one_of_each_that_is_not_left_out(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (tmp_path / "test_values.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('number', [pytest.param(1, marks=pytest.mark.slow), 2, 3])\n"
        "def test_one(number): pass\n"
        "def test_two(): pass\n"
    )
    done = nested(tmp_path, "-v", "-p", "harness.groups", "--one-of-each", "-m", "not slow")
    assert done.returncode == 0 and "2 passed, 2 deselected" in done.stdout, done
    assert "test_one[2] PASSED" in done.stdout and "test_two PASSED" in done.stdout, done


def tallied(folder):
    """What scripts/test says at its end of what a run has left in a folder."""
    return subprocess.run(
        [sys.executable, REPOSITORY / "scripts/testing/tally.py", folder, REPOSITORY / "Tests/skips.txt"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("left", ["", "<testsuites><testsuite><testcase na"], ids=["empty", "cut"])
def test_a_run_that_crashed_is_one_failure(tmp_path, left):
    (tmp_path / "unit-swift-testing.xml").write_text(left)
    (tmp_path / "processes.xml").write_text('<testsuites><testcase classname="a" name="b"/></testsuites>')
    (tmp_path / "steps").write_text("swift test\t1\npytest\t0\n")
    done = tallied(tmp_path)
    assert done.returncode == 1 and done.stdout.endswith("\n1 passed, 1 failed\n"), done
    assert "unit-swift-testing.xml" in done.stdout


def test_a_proof_that_failed_says_why(tmp_path):
    (tmp_path / "fuzz.json").write_text(json.dumps({"status": 1, "notes": ["PROBLEM  json: its corpus is short"]}))
    (tmp_path / "steps").write_text("scripts/prove fuzz --seconds 60\t1\nquickstart's transfer\t0\n")
    done = tallied(tmp_path)
    said = "FAILED: scripts/prove fuzz --seconds 60 (exit status 1)\n    PROBLEM  json: its corpus is short\n"
    assert done.returncode == 1 and done.stdout == f"{said}1 passed, 1 failed\n", done


def nested(folder, *arguments):
    """Runs pytest in a folder, with what this one has of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "Tests")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_failure_reaches_its_reader_whatever_it_is_about(tmp_path):
    """A name that is not UTF-8, and a process whose output is gone."""
    (tmp_path / "test_failing.py").write_text(
        "import os, shutil, sys\n"
        "from harness import processes\n"
        "def test_name(): assert False, os.fsdecode(b'caf\\xe9')\n"
        "def test_output(tmp_path):\n"
        "    processes.Process([sys.executable, '-c', ''], env={}, folder=tmp_path / 'logs').wait(10)\n"
        "    shutil.rmtree(tmp_path / 'logs')\n"
        "    assert False, 'it is gone'\n"
    )
    done = nested(tmp_path, "-n", "2", "-p", "harness.reports", "--junitxml", tmp_path / "processes.xml")
    assert done.returncode == 1 and "2 failed" in done.stdout, done
    for told in ("caf\\udce9", "it is gone", "what it has printed cannot be shown"):
        assert told in done.stdout, done
    (tmp_path / "steps").write_text("pytest\t1\n")
    counted = tallied(tmp_path)
    assert counted.returncode == 1 and counted.stdout.endswith("\n0 passed, 2 failed\n"), counted
    assert "AssertionError: caf\\udce9" in counted.stdout and "it is gone" in counted.stdout, counted


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["loadgroup", "load"])
def test_a_module_fixture_starts_once_with_loadgroup_alone(tmp_path, distribution):
    (tmp_path / "test_sharing.py").write_text(
        "import pathlib, time, pytest\n"
        "@pytest.fixture(scope='module', params=['a', 'b'])\n"
        "def shared(request):\n"
        "    with open('starts', 'a') as file: file.write(request.param)\n"
        "@pytest.mark.parametrize('number', range(20))\n"
        "def test_one(shared, number): pass\n"
    )
    done = nested(tmp_path, "-n", "3", "--dist", distribution, "-p", "harness.groups")
    assert done.returncode == 0 and "40 passed" in done.stdout, done
    starts = sorted((tmp_path / "starts").read_text())
    assert (starts == ["a", "b"]) == (distribution == "loadgroup"), starts


def test_the_renderer_shows_what_a_terminal_would():
    assert rendered("one\rtwo\nthree\r\x1b[Kfour\n") == ["two", "four", ""]
    assert rendered("aaaa\rb") == ["baaa"]
    assert hashlib.sha256(b"").hexdigest() == hashlib.sha256(content.data(0, 0)).hexdigest()


def test_a_client_that_is_not_found_during_rolling_restarts_is_a_problem():
    """Not there, and not to be said: both mean that a client would have heard it."""

    load: Any = types.SimpleNamespace(done=[1])

    def problems(**seen):
        watch: Any = types.SimpleNamespace(
            **{"lookups": 200, "looks": 200, "moves": 1, "missed": [], "refused": []} | seen
        )
        return list(rolling.Outcome(8, 3, [1.0], watch, History(), load).problems())

    assert not problems()
    assert problems(missed=["1.000 s: lookup: bob is not there"]) == ["1.000 s: lookup: bob is not there"]
    assert problems(refused=["1.000 s: bob: unavailable"]) == ["a lookup was refused: 1.000 s: bob: unavailable"]
    assert problems(lookups=5) and problems(looks=5) and problems(moves=0)


LEAKS = """==7==AddressSanitizer Init done
==7==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 32 byte(s) in 1 object(s) allocated from:
    #0 0x55a6 in malloc asan_malloc_linux.cpp:67:3
    #1 0x7f51 in lost lost.swift:3

Indirect leak of 48 byte(s) in 2 object(s) allocated from:
    #0 0x55a6 in malloc asan_malloc_linux.cpp:67:3
    #1 0x7f51 in lost lost.swift:4

-----------------------------------------------------
Suppressions used:
  count      bytes template
      3        144 known_leak
-----------------------------------------------------
SUMMARY: AddressSanitizer: 80 byte(s) leaked in 3 allocation(s).
"""
RACE = """==================
WARNING: ThreadSanitizer: data race (pid={pid})
  Write of size 8 at 0x7208000000{pid} by thread T2:
    #0 raced raced.swift:60:50 (raced+0xfe588)
SUMMARY: ThreadSanitizer: data race raced.swift:60:50 in raced
==================
ThreadSanitizer: Matched 2 suppressions (pid={pid}):
2 race:known_race
"""


def test_what_a_sanitizer_writes_is_read_and_counted_by_kind(tmp_path):
    assert sanitizers.seen(tmp_path) == sanitizers.Seen()
    (tmp_path / "report.none.6").write_text("==6==AddressSanitizer Init done\n")
    assert sanitizers.seen(tmp_path) == sanitizers.Seen(1)
    (tmp_path / "report.one.7").write_text(LEAKS)
    for pid in (8, 9):
        (tmp_path / f"report.two.{pid}").write_text("***** Running under ThreadSanitizer v3\n" + RACE.format(pid=pid))
    (tmp_path / "report.three.10").write_text("==three==10==LeakSanitizer has encountered a fatal error.\n")
    found = sanitizers.seen(tmp_path)
    assert found.processes == 4
    assert sorted(found.reports.values()) == [1, 1, 1, 2], found.reports
    assert any("in lost lost.swift:4" in example for example in found.examples.values()), found.examples
    assert found.suppressed == {"known_leak": 3, "known_race": 4}


def test_what_is_suppressed_has_a_reason(tmp_path):
    file = tmp_path / "entries"
    file.write_text("# The file.\n\n# It is known,\n# and harmless.\nrace:one\nrace:two\n")
    assert list(sanitizers.entries(file)) == [("race:one", "It is known, and harmless."), ("race:two", "")]
    for each in sanitizers.SANITIZERS.values():
        assert all(reason for _, reason in sanitizers.entries(each.suppressing[1]))


def test_a_command_that_takes_too_long_is_ended_with_what_it_has_started(tmp_path):
    pid, log = tmp_path / "pid", tmp_path / "log"
    # One that is told to end and does not; what it has started outlives those that are killed alone.
    command = ["sh", "-c", f"trap '' INT; sleep 60 & echo $! >{pid}; wait; sleep 60"]
    assert running.ended(command, log, 1, clearing=0.2) is None
    until(lambda: is_gone(int(pid.read_text())), 10, "what it has started is gone")
    assert running.ended(["sh", "-c", "echo said; exit 3"], log, 20) == 3 and log.read_text() == "said\n"


def test_a_process_that_was_told_to_stop_does_nothing_more(tmp_path):
    """A thread in a system call comes to its end first, and may still make a file."""
    # 64 MiB by each call, from the start of the file again.
    writing = (
        "import os; made = os.open('made', os.O_WRONLY | os.O_CREAT)\nwhile True: os.pwrite(made, bytes(1 << 26), 0)"
    )
    writer = processes.Process([sys.executable, "-c", writing], env={}, folder=tmp_path, cwd=tmp_path)
    until((tmp_path / "made").exists, 10, "what it writes")
    for _ in range(20):
        assert not has_stopped(writer.pid)
        writer.signal(signal.SIGSTOP)
        assert has_stopped(writer.pid)
        writer.signal(signal.SIGCONT)
        until(lambda: not has_stopped(writer.pid), 10, "it goes on")
    writer.kill()
    assert has_stopped(writer.pid)


def test_the_tests_that_sanitizers_name_are_there():
    assert not running.missing((*sanitizers.PROCESS_TESTS, *sanitizers.LEFT_OUT))
    assert running.missing(["Loopback/test_none.py", "Loopback/test_harness.py::test_none"])


def test_a_program_of_the_model_that_does_not_end_is_a_failure(monkeypatch):
    monkeypatch.setattr(model, "RUNNING", 0.2)
    schedules, _, failure = model.run(pathlib.Path("sleep"), 60)
    assert schedules == 0 and "was not over" in failure
