# SPDX-License-Identifier: Apache-2.0
"""docs/guide.md: the programs take every command in it, and every variable in it is one of theirs."""

import re
import shlex
import subprocess

import pytest

from harness.executables import REPOSITORY, clean_environment

GUIDE = (REPOSITORY / "docs/guide.md").read_text(encoding="utf-8")
USAGE = 64
RECIPES = {"nightly backup", "drop box", "shared with one person", "CI job", "corporate proxy", "new laptop"}


def commands(text):
    """The words of each relay-client and relay-server in the blocks of a page, as a shell would find them."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
            lexer.whitespace_split = True
            words = list(lexer)
            at = next((at for at, word in enumerate(words) if word in ("relay-client", "relay-server")), None)
            if at is None:
                continue
            end = next((end for end in range(at, len(words)) if re.fullmatch(r"[|;&<>()]+", words[end])), len(words))
            # What stands before it are settings for it, and commands whose output it takes.
            yield [re.sub(r"\$\{?\w+\}?|^~(?=/)", "x", word) for word in words[at:end]]


def run(binaries, folder, words):
    """Runs a command where there is nothing: no profile, no server, no network."""
    return subprocess.run(
        [binaries / words[0], *words[1:]],
        env=clean_environment(folder, HTTPS_PROXY="http://127.0.0.1:1"),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def refusal(binaries, folder, words):
    """What a program has against its command line; nothing if it takes it."""
    done = run(binaries, folder, words)
    return done.stderr or "refused" if done.returncode == USAGE else ""


@pytest.mark.parametrize("words", list(commands(GUIDE)), ids=" ".join)
def test_the_programs_take_every_command_of_the_guide(binaries, tmp_path, words):
    assert not refusal(binaries, tmp_path, words)


def test_a_mistake_in_a_command_is_noticed(binaries, tmp_path):
    page = """```sh
echo x | relay-client send bob - --tiemout=1h >> log
relay-client shaer x
relay-client send bob f
```
"""
    first, second, third = commands(page)
    assert first == ["relay-client", "send", "bob", "-", "--tiemout=1h"]
    assert "--timeout" in refusal(binaries, tmp_path, first)
    assert "unknown command" in refusal(binaries, tmp_path, second)
    assert not refusal(binaries, tmp_path, third)


def test_the_guide_has_the_recipes_and_is_found():
    headings = re.findall(r"^## (.*)$", GUIDE, re.M)
    assert all(any(recipe in heading for heading in headings) for recipe in RECIPES), headings
    assert len(list(commands(GUIDE))) > 20
    assert "(docs/guide.md)" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_every_variable_of_the_guide_is_one_of_the_client():
    manual = (REPOSITORY / "docs/man/relay-client.1").read_text(encoding="utf-8")
    named = set(re.findall(r"RELAY_[A-Z_]*[A-Z]", GUIDE))
    assert len(named) >= 4 and named <= set(re.findall(r"RELAY_[A-Z_]*[A-Z]", manual)), named
