# SPDX-License-Identifier: Apache-2.0
"""What is in deploy/, as far as it can be looked at without an engine: forms, and what must not be forgotten."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from harness import certificates
from harness.executables import REPOSITORY

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
