# SPDX-License-Identifier: Apache-2.0
"""What is in deploy/, as far as it can be looked at without an engine: forms, and what must not be forgotten."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from harness import certificates, content
from harness.executables import REPOSITORY, clean_environment
from harness.network import Network, run
from harness.processes import Process
from harness.waiting import until

DEPLOY = REPOSITORY / "deploy"
TOOLS = pathlib.Path(sys.executable).parent


def check(*command):
    """Runs a tool that says by its status whether something is good."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def compose():
    """The compose file."""
    return yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())


@pytest.fixture(scope="module")
def manifests():
    """The manifests, by kind and name."""
    documents = yaml.safe_load_all((DEPLOY / "kubernetes/relay.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


@pytest.mark.parametrize("breaks", [False, True])
def test_the_compose_file_has_the_form_of_the_specification(tmp_path, breaks):
    path = tmp_path / "compose.yaml"
    text = (DEPLOY / "compose/compose.yaml").read_text()
    path.write_text(text.replace("stop_grace_period", "stop_grace_periode") if breaks else text)
    status, said = check(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)
    assert (status != 0) == breaks, said


@pytest.mark.parametrize("breaks", [False, True])
def test_the_manifests_have_the_form_of_kubernetes(tmp_path, breaks):
    path = tmp_path / "relay.yaml"
    text = (DEPLOY / "kubernetes/relay.yaml").read_text()
    path.write_text(text.replace("readinessProbe", "readyProbe") if breaks else text)
    status, said = check(TOOLS / "kubernetes-validate", "--strict", path)
    assert (status != 0) == breaks, said


def test_every_secret_and_network_of_the_compose_file_is_there(compose):
    nodes = [name for name in compose["services"] if re.fullmatch(r"n\d", name)]
    assert len(nodes) == 3
    for name in nodes:
        node = compose["services"][name]
        sources = {each if isinstance(each, str) else each["source"] for each in node["secrets"]}
        assert {f"{name}.pem", f"{name}.key"} <= sources <= set(compose["secrets"])
        mounted = {each if isinstance(each, str) else each["target"] for each in node["secrets"]}
        paths = [value for value in node["environment"].values() if value.startswith("/run/secrets/")]
        assert len(paths) == 6 and {path.removeprefix("/run/secrets/") for path in paths} <= mounted
        assert node["read_only"] and node["cap_drop"] == ["ALL"]
        address = node["networks"]["relay"]["ipv4_address"]
        assert node["environment"]["RELAY_NODE_LISTEN"] == f"{address}:8444"
        assert f"server {name} {address}:8443" in (DEPLOY / "compose/haproxy.cfg").read_text()
        balancer = compose["services"]["balancer"]["networks"]["relay"]["ipv4_address"]
        assert node["environment"]["RELAY_PROXY_PROTOCOL"] == balancer


def test_haproxy_takes_its_configuration(tmp_path):
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, "scripts/test installs haproxy"
    certs = certificates.made(tmp_path / "certs")
    text = (DEPLOY / "compose/haproxy.cfg").read_text().replace("/run/secrets/ca.pem", str(certs.ca))
    (tmp_path / "haproxy.cfg").write_text(text)
    status, said = check(program, "-c", "-f", tmp_path / "haproxy.cfg")
    assert status == 0, said


def test_a_pod_waits_until_it_is_drained_and_is_never_root(manifests):
    pod = manifests["StatefulSet", "relay"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert re.search(r"relay-server drain; while relay-server status .*; do sleep 1; done$", command)
    assert pod["terminationGracePeriodSeconds"] > 5 + 30
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert manifests["PodDisruptionBudget", "relay"]["spec"]["maxUnavailable"] == 1
    # No secret has a value here, and everything that is mounted is made by a command of the page.
    assert not [kind for kind, _ in manifests if kind == "Secret"]
    page = (DEPLOY / "README.md").read_text()
    named = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    for name in named | {"redis"}:
        assert re.search(rf"create secret \w+ {name} ", page), name


def test_settings_in_containers_are_settings(binaries, compose, manifests):
    known = check(binaries / "relay-server", "serve", "--help")[1]
    variables = set(
        re.findall(r"RELAY_\w+", (DEPLOY / "Containerfile").read_text() + (DEPLOY / "README.md").read_text())
    )
    for name in ("n1", "n2", "n3"):
        variables |= set(compose["services"][name]["environment"])
    for entry in manifests["StatefulSet", "relay"]["spec"]["template"]["spec"]["containers"][0]["env"]:
        variables |= {entry["name"]} if entry["name"].startswith("RELAY_") else set()
    assert len(variables) > 12
    for variable in variables:
        assert f"--{variable.removeprefix('RELAY_').lower().replace('_', '-')} " in known, variable


def test_the_image_is_not_root_and_has_a_health_check():
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^USER 970:970$", text, re.M) and re.search(r"^HEALTHCHECK .*CMD", text, re.M)
    assert re.search(r"^FROM \S+:trixie-slim$", text, re.M) and re.search(r"^VOLUME /var/lib/relay$", text, re.M)


class Composed:
    """The compose file carried out without an engine: each service in a network of its own, at the address that it has
    there, with its secrets, its environment and its command."""

    name = "relay.example.com"

    def __init__(self, compose, binaries, network, folder):
        self.compose, self.binaries, self.network, self.folder = compose, binaries, network, folder
        # What deploy/README.md says comes first.
        (steps,) = re.findall(
            r"^```sh\ncd deploy/compose\n(.*?)^docker", (DEPLOY / "README.md").read_text(), re.M | re.S
        )
        assert self.name in steps
        script = re.sub(r"^chgrp .* && ", "", steps, flags=re.M).replace("../../", f"{REPOSITORY}/")
        subprocess.run(["bash", "-euc", script], check=True, timeout=60, cwd=folder, capture_output=True)
        self.password = (folder / ".env").read_text().strip().removeprefix("REDIS_PASSWORD=")
        balancer = compose["services"]["balancer"]["networks"]["relay"]["ipv4_address"]
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{balancer} {self.name}\n")

    def filled(self, text):
        """A text of the file with its variable filled in."""
        return re.sub(r"\$\{REDIS_PASSWORD[^}]*\}", self.password, text)

    def environment(self, service):
        """What the service has: the image's variables and its own."""
        image = dict(re.findall(r"(RELAY_\w+)=(\S+)", (DEPLOY / "Containerfile").read_text()))
        own = {
            name: self.filled(value) for name, value in self.compose["services"][service].get("environment", {}).items()
        }
        return clean_environment(self.folder, **image | own | {"RELAY_STATE_DIR": self.folder / service})

    def inside(self, prefix, secrets, *command):
        """What runs a command with these files as its secrets, and with the names that an engine gives."""
        script = (
            'mount -t tmpfs tmpfs /run; mkdir /run/secrets; mount --bind "$1" /etc/hosts; shift; '
            'while [ "$1" != -- ]; do cp "$2" "/run/secrets/$1"; shift 2; done; shift; exec "$@"'
        )
        files = [word for target, path in secrets.items() for word in (target, path)]
        return [*prefix, "unshare", "--mount", "sh", "-ec", script, "sh", self.folder / "hosts", *files, "--", *command]

    def start(self, service, *command):
        """Starts a service; returns (its process, what a command line begins with to run beside it)."""
        entry = self.compose["services"][service]
        _, prefix = self.network.host(service)
        address = entry["networks"]["relay"]["ipv4_address"]
        run(*prefix, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        secrets = {}
        for each in entry.get("secrets", []):
            source, target = (each, each) if isinstance(each, str) else (each["source"], each["target"])
            secrets[target] = self.folder / self.compose["secrets"][source]["file"]
        process = Process(
            self.inside(prefix, secrets, *command),
            env=self.environment(service),
            folder=self.folder / "logs",
            name=service,
        )
        return process, prefix

    def ask(self, service, prefix, *command):
        """Runs a command in the service, as `docker compose exec` does; returns what it printed, or None."""
        done = subprocess.run(
            [*prefix, *command], check=False, capture_output=True, text=True, timeout=30, env=self.environment(service)
        )
        return done.stdout.strip() if done.returncode == 0 else None


def test_the_services_of_the_compose_file_are_a_relay(binaries, compose, short_path):
    with Network(short_path) as network:
        composed = Composed(compose, binaries, network, short_path)
        services = compose["services"]
        command = [composed.filled(word) for word in services["redis"]["command"]]
        redis = composed.start("redis", *command, "--dir", short_path)
        health = services["redis"]["healthcheck"]["test"][1:]
        until(lambda: composed.ask("redis", redis[1], *health) == "PONG", 10, "Redis is well")
        server = binaries / "relay-server"
        nodes = {name: composed.start(name, server, "serve") for name in ("n1", "n2", "n3")}
        for name, (process, prefix) in nodes.items():
            until(lambda p=prefix, n=name: composed.ask(n, p, server, "status") is not None, 30, process.tail)
        haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        balancer, _ = composed.start("balancer", haproxy, "-db", "-f", DEPLOY / "compose/haproxy.cfg")
        _, outside = network.host("person")
        run(*outside, "ip", "address", "add", "172.28.80.100/24", "dev", "eth0")

        def client(name, *words):
            """A client of that name, outside."""
            return Process(
                composed.inside(outside, {}, binaries / "relay-client", *words),
                env=clean_environment(short_path, RELAY_PROFILE=short_path / name),
                folder=short_path / "logs",
                name=name,
            )

        for number, name in enumerate(("alice", "bob")):
            code = composed.ask(f"n{number + 1}", nodes[f"n{number + 1}"][1], server, "invite", name)
            words = ("login", f"https://{composed.name}:8443", "--name", name, "--ca", short_path / "certs/ca.pem")
            assert code
            process = Process(
                composed.inside(outside, {}, binaries / "relay-client", *words),
                env=clean_environment(short_path, RELAY_PROFILE=short_path / name, RELAY_INVITE=code),
                folder=short_path / "logs",
                name=name,
            )
            process.expect(0, 30)
        content.file(short_path / "report.pdf", "composed", 3_000_000)
        (short_path / "in").mkdir()
        receiving = client("bob", "receive", "--output", short_path / "in", "--from", "alice", "--yes", "--once")
        client("alice", "send", "bob", short_path / "report.pdf").expect(0, 60)
        receiving.expect(0, 30)
        assert (short_path / "in/report.pdf").read_bytes() == (short_path / "report.pdf").read_bytes()
        # As `docker compose stop`.
        for process, _ in nodes.values():
            process.signal(15)
            process.expect(0, 60)
        assert balancer.running() and redis[0].running()
