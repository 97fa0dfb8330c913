# SPDX-License-Identifier: Apache-2.0
"""Completions in the shells themselves: commands, options, files, and the names of peers."""

import os
import re
import shutil
import subprocess

import pytest

from harness.executables import clean_environment
from harness.processes import Process
from harness.terminal import Terminal, rendered
from harness.waiting import until

FINGERPRINT = "4q7xm-0c2ke-8ttwz-9h3vn-51rdb"
SHELLS = ["bash", "zsh", "fish"]
COMMANDS = {"login", "send", "receive", "doctor", "verify", "forget", "whoami"}
# What a shell is asked, with the cursor at the end, and what it offers.
ASKED = {
    "relay-client rece": {"receive"},
    "relay-client peers ver": {"verify"},
    "relay-client send bo": {"bob", "bobby"},
    "relay-client send carol,b": {"carol,bob", "carol,bobby"},
    "relay-client send carol,bob,": {"carol,bob,bobby"},
    "relay-client send --no-wait c": {"carol"},
    "relay-client send bob, --no-w": {"--no-wait"},
    "relay-client receive --yes --from ca": {"carol"},
    "relay-client peers verify bob": {"bob", "bobby"},
    "relay-client peers forget c": {"carol"},
    "relay-client send bob ./sen": {"./sent.txt"},
    "relay-client receive --output ./fol": {"./folder"},
    "relay-client send d": set(),
    "relay-client completions f": {"fish"},
    "relay-client list b": {"bob", "bobby"},
    "relay-client fetch c": {"carol"},
    "relay-client share --with ca": {"carol"},
    "relay-client share ./sen": {"./sent.txt"},
    "relay-client peers pol": {"policy"},
    "relay-client peers policy b": {"bob", "bobby"},
    "relay-client peers policy bob ": {"ask", "accept", "refuse"},
    "relay-client peers policy bob re": {"refuse"},
    "relay-client peers policy bob accept --output ./fol": {"./folder"},
    "relay-client service print --output ./fol": {"./folder"},
}
# The same behind an option with its value in the same word, at a terminal: bash takes its `=` for a word.
JOINED = {
    "relay-client send --timeout=5m c": {"carol"},
    "relay-client send --timeout=5m carol ./sen": {"./sent.txt"},
    "relay-client peers policy --max-size=5M bob re": {"refuse"},
}
# And in that word, where shells show all of it.
VALUES = {
    "relay-client receive --output=./fol": {"--output=./folder"},
    "relay-client peers policy bob accept --output=./fol": {"--output=./folder"},
    "relay-client receive --from=ca": {"--from=carol"},
}


@pytest.fixture(scope="module")
def asking(binaries, relay, tmp_path_factory):
    """Asks a shell, in the home of a person who knows bob, bobby and carol, and dave in another profile."""
    person = relay.person("alice", tmp_path_factory.mktemp("completions"))
    other = relay.person("alice", tmp_path_factory.mktemp("others"))
    home = person.home
    for who, name in ((person, "bob"), (person, "bobby"), (person, "carol"), (other, "dave")):
        who.run("peers", "add", name, FINGERPRINT, "--profile", who.profile, profile=False).expect(0, 10)
    (home / "folder").mkdir()
    (home / "sent.txt").write_text("x")
    path = f"{binaries}:{os.environ['PATH']}"
    env = clean_environment(home, RELAY_PROFILE=person.profile, PATH=path, ZDOTDIR=home, XDG_CONFIG_HOME=home / "xdg")
    for shell in SHELLS:
        script = subprocess.run(
            [binaries / "relay-client", "completions", shell], env=env, check=True, capture_output=True, timeout=20
        ).stdout
        (home / f"completions.{shell}").write_bytes(script)
    (home / "ask.bash").write_text(BASH)

    return Asking(home, env, other)


class Asking:
    """Asks a shell what it offers, with the cursor at the end of a line."""

    def __init__(self, home, env, other):
        self.home, self.env, self.other = home, env, other

    def __call__(self, shell, line, expected=frozenset()):
        return {each.rstrip("/ ") for each in ask_terminal(shell, line, expected, self.home, self.env)}

    def bash(self, line):
        """Without a terminal."""
        return {each.rstrip("/ ") for each in ask_bash(line, self.home, self.env)}


# As readline calls it: the function that `complete` has been told of, with the line in its variables.
BASH = """
source completions.bash
COMP_LINE=$1 COMP_POINT=${#1}
eval "COMP_WORDS=($1)"
[[ $1 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMP_KEY=9
function=$(complete -p relay-client | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
"$function" relay-client "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def output(arguments, home, env):
    """What a shell prints, line by line."""
    done = subprocess.run(arguments, env=env, cwd=home, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done
    return [line for line in done.stdout.splitlines() if line]


def ask_bash(line, home, env):
    """What bash would offer."""
    return output(["bash", "--norc", "--noprofile", "ask.bash", line], home, env)


# How each is made ready at a terminal of its own: what is typed does not hold the prompt.
INTERACTIVE = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "PS1='RE''ADY '; bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; source ./completions.bash",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "PS1='RE''ADY '; unsetopt beep list_ambiguous; autoload -Uz compinit; compinit -u -D; source ./completions.zsh",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "source completions.fish; function fish_prompt; echo -n RE'ADY '; end",
    ),
}
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|\([A-Z]|.)")


def ask_terminal(shell, line, expected, home, env):
    """What the shell shows when Tab is typed: the line as it is then, and what is listed below it."""
    command, setup = INTERACTIVE[shell]
    terminal = Terminal(columns=150, rows=40)
    process = Process(
        [*Terminal.own, shutil.which(command[0]) or command[0], *command[1:]],
        env=env,
        folder=home / "logs",
        cwd=home,
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
    )
    terminal.started()
    terminal.type(setup + "\n")
    terminal.wait_for("READY ")
    before = len(terminal.seen())

    def shown():
        drawn = terminal.seen()[before:]
        return set(ESCAPES.sub(" ", drawn).split()) | set(
            " ".join(rendered("READY " + drawn)).replace("Z", " ").split()
        )

    if len(expected) > 1:
        # zsh lists what fits when nothing else has been typed.
        terminal.type(f"{line}\t")
        until(lambda: shown() >= expected, 20, lambda: f"{shown()}")
    else:
        # What is typed after it is shown after it.
        terminal.type(f"{line}\tZ")
        until(lambda: "Z" in terminal.seen()[before:], 20, terminal.seen)
    process.kill()
    return shown()


@pytest.mark.parametrize("line", ASKED)
def test_bash_offers_what_fits(asking, line):
    assert asking.bash(line) == ASKED[line]


@pytest.mark.parametrize("line", ASKED | JOINED)
@pytest.mark.parametrize("shell", INTERACTIVE)
def test_a_shell_offers_what_fits(asking, shell, line):
    offers(asking, shell, line, (ASKED | JOINED)[line])


@pytest.mark.parametrize("line", VALUES)
def test_bash_offers_values_behind_an_equals_sign(asking, line):
    offers(asking, "bash", line, VALUES[line])


def offers(asking, shell, line, fitting):
    """What fits, neither what does not, nor what is of another profile."""
    shown = asking(shell, line, fitting)
    assert shown >= fitting, shown
    typed = line.split()
    assert not shown & ({"bob", "bobby", "carol", "dave", *COMMANDS} - fitting - set(typed) - {typed[-1] + "b"}), shown


@pytest.mark.parametrize("shell", SHELLS)
def test_names_are_those_of_the_profile_that_is_named(asking, shell):
    other = asking.other.profile
    for option in (f"--profile {other}", f"--profile '{other}'", f"--profile={other}"):
        assert "dave" in asking(shell, f"relay-client send {option} d")
    # A profile that is not there, or is damaged, has no names, and nothing is said about it.
    assert "bob" not in asking(shell, "relay-client send --profile /nowhere b")


def test_fish_offers_the_same_without_a_terminal(asking):
    """As its `complete -C` asks, which programs use."""
    for line in ("relay-client rece", "relay-client send bo", "relay-client send carol,b", "relay-client send "):
        script = f"source completions.fish; complete -C '{line}'"
        offered = {
            each.split("\t")[0] for each in output(["fish", "--no-config", "-c", script], asking.home, asking.env)
        }
        assert offered == ASKED.get(line, {"bob", "bobby", "carol"}), line


def test_completions_of_another_shell_are_refused(people):
    process = people("alice").run("completions", "ksh", profile=False).expect(64, 10)
    assert "bash" in process.err() and "zsh" in process.err() and "fish" in process.err()


def test_completions_that_cannot_be_written_are_lost(binaries, tmp_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [binaries / "relay-client", "completions", "bash"],
            env=clean_environment(tmp_path),
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=20,
        )
    assert done.returncode == 74 and b"cannot write" in done.stderr, done
