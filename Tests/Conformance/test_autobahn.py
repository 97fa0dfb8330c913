# SPDX-License-Identifier: Apache-2.0
"""Autobahn|Testsuite against the WebSocket of both programs.

Tests/WebSocketEcho runs the same code with the same limits behind a plain opening handshake. Cases that are not OK are
listed here with the reason. Everything else has to be OK, and a listed case that becomes OK fails too.
"""

import contextlib
import json
import os
import re
import shutil
import socket

import pytest

from harness import executables
from harness.nodes import Reserved
from harness.processes import Process
from harness.waiting import until

#: Sections 12 and 13 are about compression: no extension is negotiated. Section 9 is about speed and messages of up to
#: 16 MiB: of those, the few that fit into 64 KiB.
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.1", "9.7.*", "10.*"]
#: So many are those in the version of Tests/requirements-autobahn.txt.
CASES_IN_ALL = 254

#: Case, the suite's verdicts on its behaviour and its close, and the reason. Where the close has two, both sides
#: wait for one second, and either may close first.
NOT_OK = (
    (r"1\.2\..*", "FAILED", "FAILED", "binary messages close with 1003"),
    (r"6\.2\.3|10\.1\.1", "FAILED", "FAILED", "messages in more than 16 frames close with 1009"),
    (r"6\.4\.[34]", "NON-STRICT", "OK", "text is looked at frame by frame, not byte by byte"),
    (r"7\.1\.6|7\.13\..*", "INFORMATIONAL", "INFORMATIONAL", "the suite has no opinion"),
)
#: The same of the server alone, which closes no connection before the client has answered or its time is over.
SERVERS_NOT_OK = (
    (r"2\.5|5\.[12]|7\.3\.6", "OK", "OK|FAILED BY CLIENT", "behind bytes that are no frames it stays for a second"),
    (r"7\.3\.2|7\.5\.1|7\.9\..*", "OK", "FAILED BY CLIENT", "behind a close frame that is none it waits for one"),
)


@pytest.fixture(scope="session")
def suite():
    """The suite's program; it needs a Python 2.7, which Debian has no package of any more."""
    named = os.environ.get("RELAY_WSTEST")
    beside = executables.REPOSITORY / ".build-venv-autobahn/bin/wstest"
    found = named or (str(beside) if beside.exists() else shutil.which("wstest"))
    if not found:
        pytest.skip("Autobahn|Testsuite is not installed: there was no python2.7 (RELAY_WSTEST names its wstest)")
    return found


@pytest.fixture
def echo(tmp_path):
    """Starts the echo program."""
    program = executables.folder() / "WebSocketEcho"
    assert program.exists(), f"{program} is missing: swift build makes it"

    def start(*arguments):
        return Process([program, *arguments], env=executables.clean_environment(tmp_path), folder=tmp_path)

    return start


def run(suite, folder, mode, **specification):
    """Starts the suite."""
    specification |= {"outdir": str(folder / "reports"), "cases": CASES, "exclude-cases": [], "exclude-agent-cases": {}}
    (folder / "specification.json").write_text(json.dumps(specification))
    arguments = [suite, "--mode", mode, "--spec", folder / "specification.json", "--webport", "0"]
    return Process(arguments, env=executables.clean_environment(folder), folder=folder, cwd=folder)


def judge(folder, role):
    """Compares the report with the list above."""
    listed = NOT_OK + (SERVERS_NOT_OK if role == "server" else ())
    (report,) = json.loads((folder / "reports/index.json").read_text()).values()
    assert len(report) == CASES_IN_ALL, f"{len(report)} cases ran"
    wrong = {}
    for case, result in report.items():
        behaviour, end = next((each[1:3] for each in listed if re.fullmatch(each[0], case)), ("OK", "OK"))
        if result["behavior"] != behaviour or result["behaviorClose"] not in end.split("|"):
            wrong[case] = (result["behavior"], result["behaviorClose"])
    assert not wrong, f"{role}: {wrong}"


def listens(port):
    """Whether connections are accepted there."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


@pytest.mark.slow
def test_autobahn_finds_the_expected_in_the_server(suite, echo, tmp_path):
    server = echo("serve")
    port = until(lambda: server.out().strip(), 20, "the echo server's port")
    testing = run(suite, tmp_path, "fuzzingclient", servers=[{"agent": "relay", "url": f"ws://127.0.0.1:{port}/ws"}])
    testing.expect(0, 100)
    assert server.running(), server.tail()
    judge(tmp_path, "server")


@pytest.mark.slow
def test_autobahn_finds_the_expected_in_the_client(suite, echo, tmp_path):
    reserved = Reserved()
    port = int(reserved)
    testing = run(suite, tmp_path, "fuzzingserver", url=f"ws://127.0.0.1:{port}")
    until(lambda: listens(port) or not testing.running(), 20, "the suite's server")
    echo("call", str(port)).expect(0, 100)
    judge(tmp_path, "client")
