# SPDX-License-Identifier: Apache-2.0
"""What the programs are linked with: its licences, and its versions beside the advisories that are known of."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from .tree import Problems, Tree, line_of

REGISTER = "packaging/components.json"
RESOLVED = "Package.resolved"
# What may be inside the programs: all of these allow it in a program under the Apache License, and ask for no more than
# to be named.
IN_PROGRAMS = {
    "Apache-2.0",
    "Apache-2.0 WITH Swift-exception",
    "MIT",
    "BSD-3-Clause",
    "CC0-1.0",
    "Brian-Gladman-3-Clause",
    "Unicode-3.0",
}
# What may be beside them, as a library of the system that is linked when they start.
BESIDE_PROGRAMS = IN_PROGRAMS | {"LGPL-2.1-or-later", "GPL-3.0-or-later WITH GCC-exception-3.1"}
# What goes with the programs, and has to name all that is in them: by Debian's names, which differ for some licences.
COPYRIGHT = "packaging/copyright"
NAMES_OF_DEBIAN = {"MIT": "Expat", "Apache-2.0 WITH Swift-exception": "Apache-2.0 with Swift exception"}
PROGRAMS = {"relay-client", "relay-server"}

Version = tuple[int, ...]


def version(text: str) -> Version:
    """`2.101.2` as numbers that compare; what follows a hyphen is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("-")[0]))


def licences(component: dict[str, Any]) -> list[str]:
    """The licences of a component, each of which has to be allowed."""
    return str(component.get("licence", "")).split(" AND ")


def unlicensed(component: dict[str, Any], allowed: set[str]) -> Iterator[str]:
    """The licences of a component that are not allowed where it is."""
    yield from (each or "none" for each in licences(component) if each not in allowed)


def advisories(register: dict[str, Any], name: str, exact: str) -> Iterator[dict[str, str]]:
    """What is known against that version of a package."""
    for advisory in register["advisories"]:
        if advisory["package"] == name and (
            version(advisory["introduced"]) <= version(exact) < version(advisory["fixed"])
        ):
            yield advisory


def pins(text: str) -> dict[str, dict[str, str]]:
    """Package.resolved: by name, `version`, `revision` and `location`."""
    return {
        pin["identity"]: {**pin["state"], "location": pin["location"].removesuffix(".git")}
        for pin in json.loads(text)["pins"]
    }


def supply(tree: Tree) -> Problems:
    """All that is linked has a licence that allows it, and no version that an advisory is known of."""
    text = tree.text(REGISTER)
    try:
        register = json.loads(text)
    except ValueError as error:
        yield REGISTER, 1, f"is no JSON: {error}"
        return
    yield from registered(text, register)
    yield from told(tree.text(COPYRIGHT), register)
    yield from depended(tree.uncommented("Package.swift"), register)
    resolved = os.path.join(tree.root, RESOLVED)
    if not os.path.exists(resolved):
        tree.notes.append(f"there is no {RESOLVED} before the first build: only the least versions were looked at")
    else:
        with open(resolved, encoding="utf-8") as file:
            chosen = pins(file.read())
        for name, pin in chosen.items():
            for each in advisories(register, name, pin["version"]):
                yield RESOLVED, 0, f"{name} {pin['version']} has {each['id']}: {each['about']}; swift package update"


def depended(manifest: str, register: dict[str, Any]) -> Problems:
    """What is wrong in what Package.swift asks for. Only `from:` says a least version, which can be looked up."""
    for match in re.finditer(r"\.package\([^()]*", manifest):
        line = line_of(manifest, match.start())
        asked = dict(re.findall(r'(\w+):\s*"([^"]+)"', match[0]))
        name = asked.get("url", "").removesuffix(".git").rpartition("/")[2]
        least = asked.get("from", "")
        if not name or not least:
            yield "Package.swift", line, f"{name or 'a package'} is not asked for by `url:` and `from:`"
            continue
        if name not in register["packages"]:
            yield "Package.swift", line, f"{name} has no licence in {REGISTER}"
        for each in advisories(register, name, least):
            yield "Package.swift", line, f"{name} {least} has {each['id']}: {each['about']}; from {each['fixed']}"


def told(text: str, register: dict[str, Any]) -> Problems:
    """What is in the programs, and not in the file about copyright that goes with them."""
    for name, component in register["packages"].items():
        if f" {name}/*" not in text:
            yield COPYRIGHT, 0, f"{name} is not named"
        for each in licences(component):
            if f"\nLicense: {NAMES_OF_DEBIAN.get(each, each)}\n" not in text:
                yield COPYRIGHT, 0, f"{each}, which {name} has, is not there"


def registered(text: str, register: dict[str, Any]) -> Problems:
    """What is wrong in the register itself."""
    places = [(name, each, IN_PROGRAMS) for name, each in register["packages"].items()]
    places += [("swift", register["runtime"] | {"programs": sorted(PROGRAMS)}, IN_PROGRAMS)]
    places += [(name, each, BESIDE_PROGRAMS) for name, each in register["libraries"].items()]
    for name, component, allowed in places:
        line = line_of(text, max(0, text.find(f'"{name}"')))
        for each in unlicensed(component, allowed):
            yield REGISTER, line, f"{name}: {each} is no licence that is allowed there"
        if len(licences(component)) > 1 and not component.get("parts"):
            yield REGISTER, line, f"{name}: say which parts have the other licences"
        if not component.get("programs") or not PROGRAMS.issuperset(component["programs"]):
            yield REGISTER, line, f"{name}: say in which program it is"
    for advisory in register["advisories"]:
        if not version(advisory["introduced"]) < version(advisory["fixed"]) or not advisory["source"]:
            yield REGISTER, line_of(text, text.find(advisory["id"])), f"{advisory['id']}: no range of versions"
