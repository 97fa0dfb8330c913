# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the process-level tests: built executables, certificates, relays, people."""

import pathlib
import resource
import shutil
import signal
import tempfile

import pytest

from harness import certificates, executables, processes
from harness.fake import FakeRelay
from harness.groups import pytest_addoption, pytest_collection_modifyitems
from harness.network import Network
from harness.relay import Relay
from harness.reports import pytest_report_to_serializable, pytest_runtest_makereport

# A thousand connections at once are some tests' business; a shell may allow no more.
DESCRIPTORS = 8192
__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_report_to_serializable",
    "pytest_runtest_makereport",
]


def pytest_configure():
    """Raises the limit of descriptors, and tears down what was started on SIGINT and SIGTERM."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)


def _interrupted(*_):
    # Once is enough, and timeout(1) tells twice: the second one would end the tearing down.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """A test fails, too, when one of its clients has said something to programs that is not as promised."""
    result = yield
    processes.hold_to_schema(processes.mark_of_test())
    return result


@pytest.fixture(autouse=True)
def no_leftovers():
    """Whatever a test starts is gone when it ends, also when it fails."""
    mark = processes.mark()
    yield
    processes.stop_since(mark)


@pytest.fixture(scope="session", autouse=True)
def nothing_survives():
    """Whatever the fixtures started is gone when the run ends."""
    yield
    processes.stop_since(0)


@pytest.fixture(scope="session")
def binaries():
    """The folder with relay-server and relay-client; without it nothing here can be tested, and that is a failure."""
    return executables.folder()


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """Certificates of this run, made by certs/make for 127.0.0.1 and localhost."""
    return certificates.made(tmp_path_factory.mktemp("certs"))


def _relay(binaries, certs, folder, **options):
    return Relay(binaries, certs, folder, **options).start()


@pytest.fixture(scope="session")
def relay(binaries, certs, tmp_path_factory):
    """The relay most tests share. Registration is open: names are made by the dozen."""
    with processes.shared():
        shared = _relay(binaries, certs, tmp_path_factory.mktemp("relay"), registration="open")
    yield shared
    shared.stop()


@pytest.fixture
def own_relay(binaries, certs, tmp_path):
    """Makes relays for one test alone: `own_relay(registration="invite")`."""
    made: list[Relay] = []

    def make(**options):
        made.append(_relay(binaries, certs, tmp_path / f"relay{len(made)}", **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def fake(certs):
    """Makes fake relays: `fake(endings=["cut"])`."""
    made: list[FakeRelay] = []

    def make(**options):
        made.append(FakeRelay(certs, **options))
        return made[-1]

    yield make
    for each in made:
        each.__exit__()


@pytest.fixture
def large(request):
    """A folder for large files, removed whatever happens (a failed test keeps its logs, not its gigabytes)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="relay-large-"))
    yield folder
    processes.stop_since(processes.mark_of_test())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def short_path():
    """A folder whose path is so short that no message shortens it."""
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def people(relay, tmp_path):
    """Makes profiles at the shared relay: `alice, bob = people("alice", "bob")` (the names get a unique ending)."""

    def make(*names, at=None):
        made = [(at or relay).person(name, tmp_path) for name in names]
        return made[0] if len(made) == 1 else made

    return make


@pytest.fixture
def networked_relay(binaries, tmp_path):
    """A relay on a machine of its own, and the network to it: (relay, network)."""
    with Network(tmp_path) as network:
        address, prefix = network.host("relay")
        relay = Relay(binaries, certificates.made(tmp_path / "certs", address), tmp_path / "relay", registration="open")
        relay.host, relay.prefix = address, prefix
        relay.start()
        yield relay, network
        relay.process.kill()
