# SPDX-License-Identifier: Apache-2.0
"""Which tests belong together when several workers run them (`pytest -n`, `--dist loadgroup`), and which are enough for
a quick look (`--one-of-each`)."""

from __future__ import annotations

from collections.abc import Generator

import pytest


def group(item: pytest.Item) -> str | None:
    """The name that all tests share which use the same fixture of a module; None for a test that uses none.

    Such a fixture is a cluster, or takes seconds. Each worker would make one of its own.
    """
    if not isinstance(item, pytest.Function):
        return None
    definitions = item._fixtureinfo.name2fixturedefs
    shared = {name for name, found in definitions.items() if found[-1].scope == "module"}
    if not shared:
        return None
    variants = item.callspec.params if hasattr(item, "callspec") else {}
    return " ".join([item.path.stem, *(str(variants[name]) for name in sorted(shared & set(variants)))])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--one-of-each`."""
    parser.addoption("--one-of-each", action="store_true", help="run each test with the first of its values only")


def first_of_each(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Each test with the first of its values, and all others."""
    seen: set[str] = set()
    first: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        name = item.nodeid.partition("[")[0]
        (others if name in seen else first).append(item)
        seen.add(name)
    return first, others


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Marks the groups, and lets the longest tests of the others go first."""
    for item in items:
        name = group(item)
        if name is not None:
            item.add_marker(pytest.mark.xdist_group(name))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    yield
    # Here those that `-m` leaves out are gone.
    if config.getoption("one_of_each"):
        items[:], others = first_of_each(items)
        config.hook.pytest_deselected(items=others)
