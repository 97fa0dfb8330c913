# SPDX-License-Identifier: Apache-2.0
"""The manual pages name every option that the programs take, and no other."""

import pathlib
import re
import subprocess

import pytest

from harness.executables import clean_environment

MANUALS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "man"
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
