# SPDX-License-Identifier: Apache-2.0
"""cluster/up: what its command sees, and that nothing is left behind, however it ends."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from harness import raw
from harness.cluster import Cluster, Tree, kill, up
from harness.waiting import until


@pytest.fixture
def start(binaries, tmp_path):
    """Starts cluster/up with these arguments."""
    return lambda *arguments, **options: up(binaries, tmp_path / "c", *arguments, **options)


@pytest.fixture
def start_shell(start):
    """Starts a cluster of one node for a command of the shell."""
    return lambda command, *arguments, **options: start(
        "--nodes", "1", *arguments, "--", "sh", "-c", command, **options
    )


def serves(port, ca):
    """Whether a relay answers there."""
    try:
        with raw.Connection(("127.0.0.1", port), ca, timeout=5) as connection:
            connection.send(raw.request("GET", "/healthz"))
            answer = connection.answer()
            return answer is not None and answer.status == 200
    except OSError:
        return False


def ports_of(cluster):
    """Every port the cluster has said something about."""
    values = " ".join(cluster.variables[name] for name in ("RELAY_SERVER", "RELAY_NODE_URLS", "RELAY_REDIS"))
    return [int(number) for number in re.findall(r"127\.0\.0\.1:(\d+)", values)]


def assert_nothing_left(cluster, tree, timeout=20):
    """No process, no folder, no port."""
    until(lambda: not tree.alive(), timeout, lambda: f"all processes are gone: {tree.alive()}")
    until(lambda: not cluster.directory.exists(), timeout, lambda: list(cluster.directory.iterdir()))
    for port in ports_of(cluster):
        with socket.socket() as free:
            # What clients have closed may still be in TIME_WAIT; a listener would be in the way all the same.
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
            free.listen()


def test_the_command_gets_the_documented_variables_and_programs(cluster):
    made = cluster("--nodes", "2")
    seen = made.variables
    assert seen["RELAY_SERVER"].startswith("https://127.0.0.1:") and len(made.nodes) == len(made.pids) == 2
    for port in (made.port, *made.nodes):
        assert serves(port, seen["RELAY_CA"])
    for pid in made.pids:
        assert os.readlink(f"/proc/{pid}/exe").endswith("/relay-server")
    where = subprocess.run(
        ["sh", "-c", "command -v relay-server; command -v relay-client; command -v cluster-restart"],
        env=seen,
        text=True,
        capture_output=True,
        check=True,
    )
    assert len(where.stdout.split()) == 3
    invited = subprocess.run(["relay-server", "invite", "alice"], env=seen, text=True, capture_output=True, check=True)
    assert invited.stdout.strip()
    password, port = re.fullmatch(r"redis://:(\w{32})@127\.0\.0\.1:(\d+)/0", seen["RELAY_REDIS"]).groups()
    with socket.create_connection(("127.0.0.1", int(port)), 5) as redis:
        redis.sendall(b"PING\r\n")
        assert redis.recv(64).startswith(b"-NOAUTH")
        redis.sendall(f"AUTH {password}\r\nCONFIG GET save\r\n".encode())
        assert redis.recv(64).startswith(b"+OK")
    assert made.directory.stat().st_mode & 0o777 == 0o700
    # A password, or the nodes' secret, on a command line can be read by every user of the machine.
    secrets = [password.encode(), (made.directory / "cluster.secret").read_bytes().strip()]
    for pid, _ in Tree(made.process.pid).alive():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read()
        assert not any(secret in line for secret in secrets), line


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ('cat; test -n "$RELAY_SERVER"', 0)],
)
def test_the_exit_status_is_that_of_the_command(start_shell, command, status):
    start_shell(command).expect(status, 60)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--nodes", "0"], 64, "0 is not a number from 1"),
        (["--nodes", "x"], 64, "x is not a number"),
        (["--balancer", "apache"], 64, "apache"),
        (["--port", "65536"], 64, "65536"),
        (["true"], 64, "unrecognized arguments"),
        (["--"], 64, "no command"),
        (["--nodes", "1", "--", "/nonexistent/command"], 127, "No such file"),
        (["--nodes", "1", "--", "/etc/passwd"], 126, "Permission denied"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(start, arguments, status, words):
    process = start(*arguments).expect(status, 60)
    assert words in process.err() and process.err().count("\n") == 1, process.tail()


def test_a_taken_port_is_named(start, start_shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start("--nodes", "1", "--port", port, "--", "true").expect(69, 60)
    assert port in process.err() and "--port" in process.err()
    assert start_shell("echo $RELAY_SERVER", "--port", port).expect(0, 60).out() == f"https://127.0.0.1:{port}\n"


def test_a_long_temporary_path_falls_back_to_tmp(start_shell, tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    process = start_shell("echo $RELAY_CLUSTER_DIR", env={"TMPDIR": long})
    assert process.expect(0, 60).out().startswith("/tmp/relay-cluster.")


def test_a_process_that_cannot_start_is_reported_with_its_last_output(tmp_path):
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "relay-server").write_text("#!/bin/sh\necho 'the moon is in the way' >&2\nexit 78\n")
    (broken / "relay-client").write_text("#!/bin/sh\n")
    for file in broken.iterdir():
        file.chmod(0o755)
    process = up(broken, tmp_path / "c", "--nodes", "2", "--", "true").expect(69, 60)
    assert "ended with status 78: the moon is in the way" in process.err(), process.tail()


def test_a_missing_stream_module_of_nginx_is_named(start, tmp_path):
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "nginx").write_text(
        '#!/bin/sh\necho "configure arguments: --with-stream=dynamic --modules-path=$PWD/none" >&2\n'
    )
    (fake / "nginx").chmod(0o755)
    path = {"PATH": f"{fake}:{os.environ['PATH']}"}
    process = start("--balancer", "nginx", "--", "true", env=path).expect(69, 60)
    assert "libnginx-mod-stream" in process.err() and process.err().count("\n") == 1, process.tail()


ORPHANS = "setsid sh -c 'trap \"\" TERM INT HUP; tail -f /dev/null' & (tail -f /dev/null &) ; tail -f /dev/null & "


def with_orphans(process):
    """The processes below `process`, as soon as the three that would stay behind are among them."""

    def look() -> Tree | None:
        tree = Tree(process.pid)
        return tree if len(tree.named("tail")) == 3 else None

    return until(look, 10, "three processes that would stay behind")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(cluster, number):
    made = cluster("--nodes", "2")
    tree = Tree(made.process.pid)
    assert len(tree.alive()) >= 6, tree.alive()
    made.process.signal(number)
    status = made.process.wait(30)
    assert status == (-9 if number == signal.SIGKILL else 128 + number), made.process.tail()
    assert_nothing_left(made, tree)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_that_the_command_started_end_with_a_signal(start_shell, number):
    process = start_shell(ORPHANS + "echo ready; cat; wait", stdin=subprocess.PIPE)
    process.wait_for("ready", 60)
    tree = with_orphans(process)
    process.signal(number)
    process.wait(30)
    until(lambda: not tree.alive(), 20, tree.alive)
    until(lambda: not list(process.temporary.iterdir()), 10, "the folder is gone")


def test_processes_that_the_command_started_end_with_it(start_shell):
    process = start_shell(ORPHANS + "echo ready; read line", stdin=subprocess.PIPE)
    process.wait_for("ready", 60)
    tree = with_orphans(process)
    process.stdin.write(b"\n")
    process.stdin.close()
    process.expect(0, 30)
    assert not tree.alive()


@pytest.mark.parametrize("whole_group", [False, True], ids=["supervisor", "group"])
def test_nothing_is_left_when_the_supervisor_is_killed(cluster, whole_group):
    made = cluster("--nodes", "2")
    tree = Tree(made.process.pid)
    if whole_group:
        os.killpg(made.process.pid, signal.SIGKILL)
        assert made.process.wait(30) == -9
    else:
        supervisor = int(
            pathlib.Path(f"/proc/{made.process.pid}/task/{made.process.pid}/children").read_text().split()[0]
        )
        kill(supervisor)
        assert made.process.wait(30) == 137
    assert_nothing_left(made, tree)


@pytest.mark.slow
def test_frozen_processes_do_not_delay_the_end(cluster):
    made = cluster("--nodes", "2")
    tree = Tree(made.process.pid)
    for pid in (made.pids[0], made.part("redis").pid):
        kill(pid, signal.SIGSTOP)
    assert made.stop() == 0
    assert_nothing_left(made, tree)


def test_two_clusters_at_once_share_nothing(binaries, tmp_path):
    clusters = [Cluster(binaries, tmp_path / name, "--nodes", "2") for name in ("one", "other")]
    ports = [port for each in clusters for port in ports_of(each)]
    assert len(set(ports)) == len(ports) == 8
    trees = [Tree(each.process.pid) for each in clusters]
    assert clusters[0].stop() == 0
    assert_nothing_left(clusters[0], trees[0])
    assert serves(clusters[1].port, clusters[1].ca)
    assert clusters[1].stop() == 0
    assert_nothing_left(clusters[1], trees[1])


def test_a_killed_node_restarts_on_its_port_by_command_alone(cluster):
    made = cluster("--nodes", "2")
    kill(made.pids[1])
    until(lambda: not serves(made.nodes[1], made.ca), 10, "the node is gone")
    assert made.process.running() and serves(made.nodes[0], made.ca)
    until(lambda: serves(made.port, made.ca), 10, "the balancer has noticed")
    done = made.restart("n2")
    assert done.returncode == 0, done
    assert serves(made.nodes[1], made.ca)
    assert int(done.stdout) == int((made.directory / "n2.pid").read_text()) != made.pids[1]
    # One that runs is stopped first, as gently as an operator would.
    done = made.restart("n1")
    assert done.returncode == 0 and serves(made.nodes[0], made.ca)
    assert "stopped" in made.log_of("n1")
    assert made.restart("n3").returncode == 69


@pytest.mark.parametrize("part", ["redis", "balancer"])
def test_redis_and_the_balancer_restart_on_their_ports(cluster, part):
    made = cluster("--nodes", "1")
    kill(int((made.directory / f"{part}.pid").read_text()))
    done = made.restart(part)
    assert done.returncode == 0, done
    assert serves(made.port, made.ca)


def test_without_a_command_it_stays_up_and_says_how_to_use_it(start, tmp_path):
    process = start("--nodes", "1")
    process.wait_for("Ctrl-C", 60)
    printed = process.out()
    done = subprocess.run(
        ["sh", "-c", printed + 'relay-server status && test -n "$RELAY_SERVER"'],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        text=True,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done
    tree = Tree(process.pid)
    process.signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not tree.alive()
