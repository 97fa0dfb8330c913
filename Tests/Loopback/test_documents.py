# SPDX-License-Identifier: Apache-2.0
"""The documents name what the programs have, and nothing else: options, events, fields."""

import os
import re
import subprocess

import pytest

from harness import events
from harness.executables import REPOSITORY, clean_environment

MANUALS = REPOSITORY / "docs" / "man"
# Of the argument parser's own making, and the same everywhere.
COMMON = {"--help", "--version"}
PAGES = ["relay-client.1", "relay-server.8"]


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


@pytest.mark.parametrize("page", PAGES)
def test_the_manual_names_every_option(binaries, tmp_path, page):
    program = page.partition(".")[0]
    text = (MANUALS / page).read_text(encoding="utf-8")
    named = {"-" + option for option in re.findall(r"\bFl (-[a-z][a-z-]+)", text)}
    taken = options_of(binaries, tmp_path, program)
    assert len(taken) > 10, taken
    assert taken - COMMON - named == set(), "not in the manual page"
    assert named - taken - COMMON == set(), "not of the program"


def manual(*arguments):
    """Runs scripts/manual."""
    return subprocess.run(
        [REPOSITORY / "scripts/manual", *arguments], check=False, capture_output=True, text=True, timeout=60
    )


def test_the_manual_pages_are_what_the_programs_say(binaries):
    done = manual("--check", "--bin", binaries)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


def test_a_manual_page_that_says_something_else_is_noticed(binaries, tmp_path):
    """One word of a program's help has changed."""
    for program in ("relay-client", "relay-server"):
        done = subprocess.run(
            [binaries / program, "--experimental-dump-help"],
            env=clean_environment(tmp_path),
            check=True,
            capture_output=True,
            timeout=20,
        )
        (tmp_path / f"{program}.json").write_bytes(done.stdout.replace(b"Give up when", b"Give in when"))
        (tmp_path / program).write_text('#!/bin/sh\ncat "$0.json"\n')
        (tmp_path / program).chmod(0o755)
    done = manual("--check", "--bin", tmp_path)
    assert done.returncode == 1 and "+Give in when" in done.stdout and "run scripts/manual" in done.stdout, done


@pytest.mark.parametrize("page", PAGES)
def test_the_manual_page_is_shown_without_a_warning(page):
    lint = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", MANUALS / page], check=False, capture_output=True, timeout=20
    )
    assert lint.returncode == 0 and not lint.stdout, lint
    shown = subprocess.run(
        ["man", "--warnings", "-l", MANUALS / page],
        env={**os.environ, "MANWIDTH": "80", "MANPAGER": "cat", "LC_ALL": "C.UTF-8"},
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert shown.returncode == 0 and not shown.stderr, shown.stderr
    for section in ("NAME", "SYNOPSIS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert re.search(rf"^{section}$", re.sub("\x1b\\[[0-9;]*m|.\b", "", shown.stdout), re.M), section


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
