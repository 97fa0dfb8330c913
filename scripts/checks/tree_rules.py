# SPDX-License-Identifier: Apache-2.0
"""The rules for everything else in the repository. Each rule takes a Tree and yields (path, line, problem)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from .tree import Problems, Tree, line_of

LICENCE = "SPDX-License-Identifier: Apache-2.0"
MAXIMUM_TRACKED_BYTES = 1_000_000
# Folders of tests of a target as a whole: the model of what it decides, the vectors of what it writes.
OF_WHOLE_TARGETS = ("Model", "Vectors")
# Spelled in two parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
SECRETS = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE " r"KEY-----")),
    ("an access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b")),
    ("a bearer token", re.compile(r"Bearer\s+[A-Za-z0-9_-]{40,}")),
    (
        "a password in a URL",
        re.compile(
            r"\b(?:rediss?|https?)://[^\s/:@<>\[\]{}$]+:(?!password@|secret@|PASSWORD@)[^\s/:@<>\[\]{}$]{6,}@"
            r"(?!127\.|localhost)"
        ),
    ),
)


def licence(tree: Tree) -> Problems:
    """The first line of every source file names the licence."""
    for path in tree.paths:
        language = tree.language(path)
        lines = tree.text(path).splitlines()[:2] if language else []
        if language in ("swift", "c", "h", "js"):
            allowed = 2 if path.endswith("Package.swift") else 1
            if f"// {LICENCE}" not in lines[:allowed]:
                yield path, 1, f"the first line has to be: // {LICENCE}"
        elif language in ("python", "bash", "sh", "in"):
            allowed = 2 if lines and lines[0].startswith("#!") else 1
            if f"# {LICENCE}" not in lines[:allowed]:
                yield path, 1, f"the first line, or the one below #!, has to be: # {LICENCE}"


def unfinished(tree: Tree) -> Problems:
    """What is left to do is in an issue, not in a comment."""
    for path in tree.paths:
        text = tree.text(path)
        for match in UNFINISHED.finditer(text):
            yield path, line_of(text, match.start()), f"{match.group(0)} in the tree"


def tracked(tree: Tree) -> Problems:
    """Nothing that is made, and nothing secret, is in the repository."""
    made = re.compile(
        r"(?:^|/)(?:\.build[^/]*|\.venv[^/]*|__pycache__|out)/|(?:^|/)Package\.resolved$|\.(?:pem|key|p12|pyc|o|rdb|aof|log)$"
    )
    for path in tree.tracked:
        if made.search(path):
            yield path, 0, "must not be tracked"
        elif os.path.isfile(os.path.join(tree.root, path)) and (
            os.path.getsize(os.path.join(tree.root, path)) > MAXIMUM_TRACKED_BYTES
        ):
            yield path, 0, f"larger than {MAXIMUM_TRACKED_BYTES} bytes"


def secrets(tree: Tree) -> Problems:
    """No key and no password in any file."""
    for path in tree.paths:
        text = tree.text(path)
        for name, pattern in SECRETS:
            for match in pattern.finditer(text):
                yield path, line_of(text, match.start()), f"looks like {name}"


def folders(tree: Tree) -> Problems:
    """Folders are nouns of the domain."""
    for path in tree.paths:
        match = re.search(r"(?:^|/)(Utils?|Utilities|Helpers?|Common|Misc|New|Shared)/", path)
        if match:
            yield path, 0, f"{match.group(1)} says nothing about what is in it"


def mirrored(tree: Tree) -> Problems:
    """Tests in Swift lie in the folder in which Sources has what they test."""
    folders_of: dict[str, set[str]] = {}
    homes: dict[tuple[str, str], set[str]] = {}
    for path in tree.swift("Sources/"):
        _, target, *inner, file = path.split("/")
        folders_of.setdefault(target, set()).add("/".join(inner))
        homes.setdefault((target, file.removesuffix(".swift")), set()).add("/".join(inner))
    for path in tree.swift("Tests/"):
        _, tests, *inner, file = path.split("/")
        target, folder = tests.removesuffix("Tests"), "/".join(inner)
        # The fuzzer's tests, and those of no target, have folders of their own.
        if target == tests or target not in folders_of:
            continue
        code = tree.code(path)
        suites = re.finditer(r"\b(?:actor|class|enum|struct)\s+(\w+)Tests\b", code)
        subjects = {suite.group(1): line_of(code, suite.start()) for suite in suites}
        if file.endswith("Tests.swift"):
            subjects.setdefault(file.removesuffix("Tests.swift"), 0)
            if folder not in folders_of[target] and folder not in OF_WHOLE_TARGETS:
                yield path, 0, f"there is no folder Sources/{target}/{folder}"
        for subject, line in subjects.items():
            home = homes.get((target, subject), {folder})
            if folder not in home:
                yield path, line, f"{subject} is in Sources/{target}/{min(home)}"


def shell(tree: Tree) -> Problems:
    """Shell scripts parse, and shellcheck has nothing to say."""
    paths = [path for path in tree.paths if tree.language(path) in ("bash", "sh")]
    for path in paths:
        parsed = subprocess.run(
            (tree.language(path), "-n", path), cwd=tree.root, capture_output=True, text=True, check=False
        )
        if parsed.returncode != 0:
            yield path, 0, parsed.stderr.strip().partition("\n")[0]
    if shutil.which("shellcheck") and paths:
        result = subprocess.run(
            ("shellcheck", "--external-sources", "--exclude", "SC2015", "--format", "gcc", *paths),
            cwd=tree.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        for line in result.stdout.splitlines():
            path, number, _, problem = line.split(":", 3)
            yield path, int(number), problem.strip()


def links(tree: Tree) -> Problems:
    """Links between the documents, and the tests and sources they name, lead somewhere."""
    sources = " ".join(path for path in tree.paths if path.startswith(("Sources/", "Tests/", "docs/", "scripts/")))
    python = [path for path in tree.paths if path.startswith("Tests/") and path.endswith(".py")]
    functions = " ".join([*python, *(name for path in python for name in re.findall(r"def (\w+)", tree.text(path)))])
    known = {part for path in tree.paths for part in path.removesuffix(".swift").split("/")}
    for path in tree.swift("Sources/", "Tests/"):
        known.update(re.findall(r"\b[A-Z]\w*", tree.code(path)))
    for path in tree.paths:
        if not path.endswith(".md"):
            continue
        text = re.sub(
            r"^```.*?^```",
            lambda match: re.sub(r"[^\n]", " ", match.group(0)),
            tree.text(path),
            flags=re.DOTALL | re.MULTILINE,
        )
        for match in re.finditer(r"\]\(([^)\s]+)\)", text):
            target = match.group(1).partition("#")[0]
            if not target or re.match(r"[a-z]+:", target):
                continue
            if not os.path.exists(os.path.join(tree.root, os.path.dirname(path), target)):
                yield path, line_of(text, match.start()), f"leads nowhere: {target}"
        for match in re.finditer(r"`(\w[\w/]*\.(?:swift|py))::(\w+)`", text):
            test = "Tests/" + match.group(1)
            if test not in tree.paths or not re.search(rf"\b(?:def|func) {match.group(2)}\b", tree.text(test)):
                yield path, line_of(text, match.start()), f"there is no such test: {match.group(0)}"
        for match in re.finditer(r"`([A-Z]\w+(?:/[A-Z][\w+]*)+)`", text) if path == "docs/architecture.md" else ():
            if not re.search(rf"/{re.escape(match.group(1))}[./]", sources):
                yield path, line_of(text, match.start()), f"there is no such folder or file: {match.group(0)}"
        for match in re.finditer(r"`([A-Z]\w*(?:\+\w+)?)(?:\.\w+)?`", text) if path == "docs/architecture.md" else ():
            if match.group(1) not in known:
                yield path, line_of(text, match.start()), f"there is no such type or file: {match.group(0)}"
        for match in re.finditer(r"`([a-z]\w*_\w+)(?:\[[^]`]*\])?`", text) if path == "Tests/Cluster/README.md" else ():
            if match.group(1) not in functions:
                yield path, line_of(text, match.start()), f"no test has that in its name: {match.group(0)}"


# The walks of docs/architecture.md, with the files that each may have at most.
WALKS = {
    "`send`, file by file": 24,
    "A chunk on one node": 13,
    "A token": 13,
    "A notification between nodes": 28,
}
NAMED = re.compile(r"`(?:\w+/)*([A-Z][\w+]*)`")


def walks(tree: Tree) -> Problems:
    """The walks in docs/architecture.md are as short as they have to be, each with as many files as it says."""
    page, text = "docs/architecture.md", tree.text("docs/architecture.md")
    files = {os.path.basename(path).removesuffix(".swift") for path in tree.swift("Sources/")}
    found = set()
    for section in re.finditer(r"^## ([^\n]*)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL):
        title, line = section.group(1), line_of(text, section.start())
        steps = "".join(re.findall(r"^\d+\. .*\n(?: {3}.*\n)*", section.group(2), re.MULTILINE))
        # What is in brackets would be counted nowhere.
        for brackets in re.findall(r"\((?!uses:)([^()]*)\)", steps):
            for name in NAMED.findall(brackets):
                if name in files:
                    yield page, line, f"{title}: {name} is in brackets: it is a step, or behind `uses:`"
        if title not in WALKS:
            continue
        found.add(title)
        count = len({name for name in NAMED.findall(re.sub(r"\([^()]*\)", "", steps)) if name in files})
        said = re.search(r"\b(\d+) files\b", section.group(2))
        if not said or int(said.group(1)) != count:
            yield page, line, f"{title}: its steps name {count} files, which the text before them does not say"
        if not 0 < count <= WALKS[title]:
            yield page, line, f"{title}: {count} files, {WALKS[title]} at most"
    for title in WALKS.keys() - found:
        yield page, 0, f"there is no walk: {title}"


# The targets through which a client's message goes on the relay, and how to find the places that are about one: its
# case and its type, and what the parts of the broker call what it leads to.
RELAY = (
    "Sources/WSProtocol/",
    "Sources/TransferBroker/",
    "Sources/StreamRelay/",
    "Sources/RelayNode/",
    "Sources/RelayCluster/",
)
MESSAGES = {
    "accept": re.compile(
        r"(?<![\w)\]?])\.accept\b|\bstruct Accept\b|\bClientMessage\.Accept\b|\.accepted\(\s*by:|\bfunc accepted\("
        r"|\b\w*[rR]efusalOfAccept\b|\bstartDownload\(SessionID\b"
    ),
    "note": re.compile(
        r"(?<![\w)\]?])\.note\b|\bstruct Note\b|\bcase note\(|\.noted\(\s*by:|\bfunc noted\(|\btellNote\b"
        r"|\bnoteToReceiver\b"
    ),
}
SWITCH = re.compile(
    r"^([ \t]*)(?:\w+ )*switch (?:message|notice|notification) \{\n(.*?)^\1\}", re.MULTILINE | re.DOTALL
)


def messages(tree: Tree) -> Problems:
    """docs/architecture.md has the files that a client's message touches; no switch over messages has a default."""
    page, text = "docs/architecture.md", tree.text("docs/architecture.md")
    table = re.search(
        r"^### The files that a new message of a client touches\n.*?(?=^#|\Z)", text, re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^\| `([\w/+]+)` \|(.*)\|(.*)\|$", table.group(0), re.MULTILINE) if table else []
    for column, (message, pattern) in enumerate(MESSAGES.items(), 1):
        listed = {f"Sources/{row[0]}.swift" for row in rows if row[column].strip()}
        touched = {path for path in tree.swift(*RELAY) if pattern.search(tree.code(path))}
        for path in sorted(touched - listed):
            yield path, 0, f"is about `{message}`, which the table of files in {page} does not say"
        for path in sorted(listed - touched):
            yield page, 0, f"{path} has nothing about `{message}`"
    for path in tree.swift(*RELAY):
        code = tree.code(path)
        for match in SWITCH.finditer(code):
            default = re.search(rf"^{match.group(1)}default:", match.group(2), re.MULTILINE)
            if default:
                yield path, line_of(code, match.start(2) + default.start()), "a switch over messages with a default"


def described(tree: Tree) -> Problems:
    """Each target, and each folder of one, has a sentence in docs/architecture.md."""
    text = tree.text("docs/architecture.md")
    for path in sorted({os.path.dirname(path): path for path in tree.swift("Sources/")}.values()):
        _, target, *inner = os.path.dirname(path).split("/")
        # The variants of a folder, which one of two builds leaves out, are in its own sentence.
        name = "/".join([target, *inner[:1]])
        if not any(f"| `{each}` |" in text for each in (name, *inner[:1])):
            yield path, 1, f"docs/architecture.md has no sentence for {name}"


def endings(tree: Tree) -> Problems:
    """Text files end with a line feed, and no line ends in a blank."""
    for path in tree.paths:
        if os.path.splitext(path)[1] in (".png", ".gif", ".bin"):
            continue
        text = tree.text(path)
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "no line feed at the end"
        match = re.search(r"[ \t]+$|\r", text, re.MULTILINE)
        if match:
            yield path, line_of(text, match.start()), "a blank, or a carriage return, at the end of a line"
