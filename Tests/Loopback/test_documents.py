# SPDX-License-Identifier: Apache-2.0
"""The documents name what the programs have, and nothing else: options, events, fields."""

import re
import subprocess

import pytest

from harness import events
from harness.executables import REPOSITORY, clean_environment

MANUALS = REPOSITORY / "docs" / "man"
# Of the argument parser's own making, and the same everywhere.
COMMON = {"--help", "--version"}


def help_of(binaries, folder, *command):
    """What `--help` prints."""
    program, *rest = command
    done = subprocess.run(
        [binaries / program, *rest, "--help"],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
        env=clean_environment(folder),
    )
    assert done.returncode == 0, done
    return done.stdout


def options_of(binaries, folder, *command):
    """The options of a program and of all its sub-commands."""
    text = help_of(binaries, folder, *command)
    found = set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", text, re.M))
    listed = text.partition("SUBCOMMANDS:")[2].partition("See '")[0]
    for name in re.findall(r"^  ([a-z]+)(?: \(default\))?(?:  |$)", listed, re.M):
        found |= options_of(binaries, folder, *command, name)
    return found


@pytest.mark.parametrize("page", ["relay-client.1", "relay-server.8"])
def test_the_manual_names_every_option(binaries, tmp_path, page):
    program = page.partition(".")[0]
    text = (MANUALS / page).read_text(encoding="utf-8")
    named = {"-" + option for option in re.findall(r"\bFl (-[a-z][a-z-]+)", text)}
    taken = options_of(binaries, tmp_path, program)
    assert len(taken) > 10, taken
    assert taken - COMMON - named == set(), "not in the manual page"
    assert named - taken - COMMON == set(), "not of the program"


def test_the_page_about_events_is_the_schema_in_words():
    page = events.SCHEMA.with_name("json-events.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.M)
    told = {(event, tuple(re.findall(r"`(\w+)`", fields))) for event, fields in rows}
    defined = {
        (event, tuple(definition["properties"])) for event, definition in events.schema()["$defs"]["events"].items()
    }
    assert told == defined
    for word in events.schema()["$defs"]["ofTransfer"]["properties"]:
        assert f"`{word}`" in page.partition("## About transfers")[2].partition("| event")[0], word
    for line in re.findall(r"^\{.*\}$", page, re.M):
        events.event_of(line)
    assert f"version of this page: **{events.schema()['$defs']['line']['properties']['schema']['const']}**" in page
