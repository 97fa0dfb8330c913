# SPDX-License-Identifier: Apache-2.0
"""relay-server in the background: the terminal, the pid file, and the log file."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import file_systems, metrics, raw
from harness.daemon import Daemon
from harness.executables import clean_environment
from harness.measure import is_gone, status
from harness.waiting import until


@pytest.fixture
def daemon(binaries, certs, tmp_path):
    """Makes daemons, and ends them."""
    made = []

    def make(*arguments, folder=None, **options):
        made.append(Daemon(binaries, certs, folder or tmp_path / "relay", *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_the_daemon_has_left_the_terminal_and_serves(daemon):
    relay = daemon()
    assert relay.done.returncode == 0, relay.done
    assert not relay.done.stdout and not relay.done.stderr
    pid = relay.pid
    assert "started" in relay.log.read_text(), "the parent ends when the child serves, not before"
    assert os.getsid(pid) == pid and os.getsid(0) != pid, "it has a session of its own"
    for stream in (0, 1, 2):
        assert os.readlink(f"/proc/{pid}/fd/{stream}") == "/dev/null"
    assert int(status(pid)["Umask"], 8) & 0o027 == 0o027
    core = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line)
    assert core.split()[4:6] == ["0", "0"]
    os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid), 10, "the end of the daemon")
    assert not relay.pid_file.exists()


def test_a_daemon_that_cannot_start_says_why_and_the_status_is_its_own(daemon, tmp_path):
    (tmp_path / "garbage").write_text("no key")
    relay = daemon("--tls-key", tmp_path / "garbage")
    assert relay.done.returncode == 78
    assert "garbage" in relay.done.stderr
    assert not relay.pid_file.exists()


def test_a_daemon_without_a_log_file_is_refused(binaries, certs, tmp_path):
    done = subprocess.run(
        [binaries / "relay-server", "--daemonize", "--tls-cert", certs.chain, "--tls-key", certs.key],
        check=False,
        timeout=20,
        text=True,
        capture_output=True,
        env=clean_environment(tmp_path),
    )
    assert done.returncode == 64 and "--log-file" in done.stderr, done


def test_a_second_copy_on_one_pid_file_says_which_process_has_it(daemon, tmp_path):
    first = daemon()
    second = daemon(state=tmp_path / "other")
    assert second.done.returncode == 69
    assert f"process {first.pid}" in second.done.stderr and str(first.pid_file) in second.done.stderr
    assert not is_gone(first.pid)


def test_a_stale_pid_file_is_taken_over(daemon):
    relay = daemon()
    first = relay.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: is_gone(first), 10, "the end of the daemon")
    assert relay.pid_file.exists()
    again = daemon()
    assert again.done.returncode == 0, again.done
    assert again.pid != first


def test_a_pid_file_that_names_another_program_is_taken_over(daemon, tmp_path):
    folder = tmp_path / "relay"
    folder.mkdir()
    (folder / "relay.pid").write_text(f"{os.getpid()}\n")
    relay = daemon()
    assert relay.done.returncode == 0, relay.done
    assert relay.pid != os.getpid()


def test_a_log_that_was_moved_away_is_made_anew_on_sigusr1(daemon):
    relay = daemon()
    old = relay.log.with_suffix(".1")
    relay.log.rename(old)
    os.kill(relay.pid, signal.SIGUSR1)
    until(lambda: relay.log.exists() and "log file opened again" in relay.log.read_text(), 10, "the new log")
    assert relay.log.stat().st_mode & 0o777 == 0o600


def test_where_there_is_no_new_log_the_old_one_goes_on(daemon):
    relay = daemon()
    old = relay.log.with_suffix(".1")
    relay.log.rename(old)
    relay.log.mkdir()
    os.kill(relay.pid, signal.SIGUSR1)
    until(lambda: "the log file stays the old one" in old.read_text(), 10, "the complaint")


def test_a_full_disk_loses_lines_of_the_log_and_nothing_else(daemon, tmp_path):
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    relay = daemon("--metrics-listen", "off", log=log)
    assert relay.done.returncode == 0, relay.done
    assert "cannot write to the log file" in relay.done.stderr and "No space left" in relay.done.stderr
    assert relay.done.stderr.count("\n") == 1, "it is said once"
    log.unlink()
    os.kill(relay.pid, signal.SIGUSR1)
    until(lambda: log.exists() and "log file opened again" in log.read_text(), 10, "the new log")
    first = log.read_text().splitlines()[0]
    assert "lines of this log were lost" in first and "count=" in first


def test_a_disk_that_fills_while_it_runs_costs_lines_that_are_counted(daemon, certs, tmp_path):
    (tmp_path / "disk").mkdir()
    with file_systems.memory(tmp_path / "disk", "size=1m") as disk:
        log = disk.folder / "relay.log"
        relay = daemon("--log-level", "debug", "--metrics-listen", "127.0.0.1:0", log=log)
        assert relay.done.returncode == 0, relay.done
        port = int(re.findall(r"address=127\.0\.0\.1:(\d+) purpose=metrics", log.read_text())[-1])

        def come_and_go():
            with raw.Connection(relay.address, certs.ca) as connection:
                connection.send(raw.upgrade())
                return connection.head().status

        assert come_and_go() == 101 and metrics.scrape(port)["relay_log_lines_lost_total"] == 0
        filler = disk.fill()
        until(
            lambda: come_and_go() == 101 and metrics.scrape(port)["relay_log_lines_lost_total"] > 1,
            20,
            "lines are lost, and clients are served",
        )
        filler.unlink()
        assert come_and_go() == 101
        until(lambda: "lines of this log were lost" in log.read_text(), 10, "how many is said")
        lost = int(re.findall(r"lines of this log were lost.* count=(\d+)", log.read_text())[-1])
        assert lost == metrics.scrape(port)["relay_log_lines_lost_total"]
        relay.stop()
