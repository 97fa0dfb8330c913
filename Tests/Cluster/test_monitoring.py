# SPDX-License-Identifier: Apache-2.0
"""What monitoring/ has fits the relay that runs: each figure it asks for is there, and each alert has its paragraph."""

import json
import re
import subprocess

import pytest

from harness import metrics
from harness.executables import REPOSITORY

MONITORING = REPOSITORY / "monitoring"
#: Prometheus' own.
OWN = {"up"}
NAME = re.compile(r"\b((?:relay|process|up)[a-z_]*)(?=[\[{\s)]|$)")
#: What Grafana puts in.
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}


def filled(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def of_dashboard():
    dashboard = json.loads((MONITORING / "relay.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert panels and all(panel["targets"] for panel in panels)
    return [filled(target["expr"]) for panel in panels for target in panel["targets"]]


def rules():
    """(name, expression, link) of each alert."""
    text = (MONITORING / "alerts.yaml").read_text(encoding="utf-8")
    found = re.findall(
        r"- alert: (\w+)\n\s+expr: (?:>-\n)?(.*?)\n\s+(?:for|labels):.*?runbook_url: (\S+)", text, re.DOTALL
    )
    assert len(found) == text.count("- alert:") > 10
    return [(name, " ".join(expression.split()), link) for name, expression, link in found]


@pytest.fixture(scope="module")
def served(three):
    """The names that a node serves, histograms by the names of their samples."""
    port = three.port_of(three.variables["RELAY_METRICS_URLS"].split()[0].removesuffix("/metrics"))
    names = {sample.partition("{")[0] for sample in metrics.scrape(port)}
    assert "relay_stream_duration_seconds_bucket" in names
    # There is one where the control group or the operator sets one.
    return names | OWN | {"relay_memory_limit_bytes"}


def test_every_expression_of_the_dashboard_is_one_about_figures_that_are_there(served, tmp_path):
    expressions = of_dashboard()
    for expression in expressions:
        asked = set(NAME.findall(expression))
        assert asked and asked <= served, (expression, asked - served)
    recorded = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    # JSON is YAML.
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.json"], check=False, capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0, checked


def test_every_alert_is_about_figures_that_are_there_and_has_its_paragraph(served):
    page = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
    paragraphs = dict(re.findall(r"^### (\w+)\n\n(.+?)\n(?=\n#|\Z)", page, re.M | re.DOTALL))
    for name, expression, link in rules():
        asked = set(NAME.findall(expression))
        assert asked and asked <= served, (name, asked - served)
        assert link == f"docs/operations.md#{name.lower()}"
        words = paragraphs.get(name, "")
        assert "**What it means.**" in words and "**What to do.**" in words, name
    assert {name for name in paragraphs if name.startswith("Relay")} == {name for name, _, _ in rules()}


def test_the_alerts_come_when_they_should_and_only_then():
    for command in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")):
        run = subprocess.run(
            ["promtool", *command], check=False, cwd=MONITORING, capture_output=True, text=True, timeout=120
        )
        assert run.returncode == 0, run.stdout + run.stderr
    tested = (MONITORING / "alerts.test.yaml").read_text(encoding="utf-8")
    for name, _, _ in rules():
        assert re.search(rf"alertname: {name}\n\s+eval_time: \w+\n\s+exp_alerts:\n", tested), f"{name} never comes"
