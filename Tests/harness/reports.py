# SPDX-License-Identifier: Apache-2.0
"""What the report of a test says, so that it reaches who reads it: from a worker to the process that prints it, too."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from . import processes


def sayable(value: Any) -> Any:
    """The same without lone surrogates, which a name that is not UTF-8 has in Python: no worker can send them, and the
    whole run would end for one report."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {sayable(key): sayable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(sayable(each) for each in value)
    return value


def said(process: processes.Process) -> str:
    """The end of what a process has printed, or why that cannot be shown."""
    try:
        return process.tail()
    except OSError as error:
        return f"what it has printed cannot be shown: {error}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of what its processes, and the relays that still run, have printed."""
    report = yield
    if report.when == "call" and report.failed:
        for process in processes.of_interest():
            report.sections.append((f"{process.name} {process.describe()}", said(process)))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """A worker's report can be sent."""
    return sayable((yield))
