# SPDX-License-Identifier: Apache-2.0
"""The rules for single types of Swift. Each rule takes a Tree and yields (path, line, problem)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .tree import Problems, Tree, line_of

# Targets of values alone.
PURE = ("Sources/WSProtocol/", "Sources/TransferBroker/", "Sources/TransferClient/")

# The head of a type or an extension, up to its brace.
BODY = re.compile(
    r"^[ \t]*(?:(?:@\w+(?:\([^)\n]*\))?|package|private|fileprivate|nonisolated|indirect|final)[ \t]+)*"
    r"(struct|class|actor|enum|extension)[ \t]+(?:\w+\.)*(\w+)[^{\n]*\{",
    re.MULTILINE,
)
# A method that takes an event and says what to do.
DECIDER = re.compile(r"\bmutating\s+func\s+\w+\s*\([^{]*?->\s*\[?(?:\w+\.)?\w*(?:Action|Step)\b")
MACHINE_DECIDERS = 3
STATE = re.compile(r"\bvar\s+state\b")
MACHINE_RULES = (
    (r"^\s*default\s*:", "no default: over states and events"),
    (
        r"\b(?:ChannelHandlerContext|EventLoopPromise|EventLoopFuture|CheckedContinuation|Channel)\b",
        "a state machine holds values only",
    ),
    (r"\.now\s*\(|\bDate\s*\(|\bContinuousClock\b|\bSuspendingClock\b", "time is an argument"),
    (r"static\s+func\s*==", "actions are equatable without hand-written code"),
    (r"@discardableResult", "a result of a state machine is never dropped"),
)

# A variable that the whole target, or the whole package, can write.
VARIABLE = re.compile(
    r"^[ \t]*(?:(?:weak|lazy|unowned|internal|package)[ \t]+)*var[ \t]+(\w+)\b([^\n{]*)(\{?)", re.MULTILINE
)
INITIALIZER = re.compile(r"\binit[?!]?[ \t]*[(<]")
MUTATING = re.compile(r"\bmutating\s+func\s+(\w+)")
# Methods of the standard library that change a value.
CHANGES = {"append", "insert", "merge", "popFirst", "popLast", "swapAt", "toggle", "formUnion", "subtract"} | {
    "remove",
    "removeAll",
    "removeFirst",
    "removeLast",
    "removeSubrange",
    "removeValue",
    "updateValue",
}


class Body(NamedTuple):
    """One body of a type: its own, or that of an extension."""

    kind: str
    name: str
    path: str
    start: int
    text: str


def end_of_block(code: str, start: int) -> int:
    """Behind the brace that closes the block whose inside begins at `start`."""
    depth, end = 1, start
    while end < len(code) and depth:
        depth += {"{": 1, "}": -1}.get(code[end], 0)
        end += 1
    return end


def bodies(tree: Tree, target: str) -> Iterator[Body]:
    """Every body in the sources of a target."""
    for path in tree.swift(f"Sources/{target}/"):
        code = tree.code(path)
        for match in BODY.finditer(code):
            yield Body(match[1], match[2], path, match.end(), code[match.end() : end_of_block(code, match.end())])


def targets(tree: Tree) -> list[str]:
    """The names of all targets."""
    return sorted({path.split("/")[1] for path in tree.swift("Sources/")})


def is_machine(name: str, parts: list[Body]) -> bool:
    """Whether a struct decides: several of its mutating methods, one for each event, return what to do.

    In the pure targets a struct with a state is one, too.
    """
    if any(part.path.startswith(PURE) and STATE.search(part.text) for part in parts):
        return True
    deciders = sum(len(DECIDER.findall(part.text)) for part in parts)
    return name.endswith("Machine") or deciders >= MACHINE_DECIDERS


def machines(tree: Tree) -> Problems:
    """State machines are pure values: every state is spelled out, time is an argument, nothing is promised.

    A machine is a struct of which several mutating methods return an action or a step, wherever its file is.
    """
    for target in targets(tree):
        everything = list(bodies(tree, target))
        for name in sorted({body.name for body in everything if body.kind == "struct"}):
            parts = [body for body in everything if body.name == name and body.kind in ("struct", "extension")]
            for part in parts if is_machine(name, parts) else ():
                for pattern, problem in MACHINE_RULES:
                    for match in re.finditer(pattern, part.text, re.MULTILINE):
                        place = line_of(tree.code(part.path), part.start + match.start())
                        yield part.path, place, f"{name}: {problem}"


def without_blocks(text: str, opening: re.Pattern[str] | None = None) -> str:
    """`text` with the insides of its blocks blanked: of all, or of those whose head matches `opening`."""
    out, position = list(text), 0
    for match in re.finditer(r"\{", text) if opening is None else opening.finditer(text):
        start = text.find("{", match.start()) + 1
        if match.start() < position or not start:
            continue
        position = end_of_block(text, start)
        out[start:position] = re.sub(r"[^\n]", " ", text[start:position])
    return "".join(out)


def variables(body: Body) -> Iterator[tuple[str, int]]:
    """(name, position) of the stored variables of a type that its whole target can write."""
    flat = without_blocks(body.text)
    for match in VARIABLE.finditer(flat):
        is_observed = re.match(r"\s*(?:didSet|willSet)\b", body.text[match.end() :])
        if not match[3] or "=" in match[2] or is_observed:
            yield match[1], match.start(1)


def written(tree: Tree, target: str) -> str:
    """A pattern for what follows a variable that is written: an assignment, or a call of a method that changes it."""
    changing = CHANGES.union(*(MUTATING.findall(tree.code(path)) for path in tree.swift(f"Sources/{target}/")))
    methods = "|".join(sorted(changing))
    return rf"\b(?:\[[^\]\n]*\]|[?!]|\.\w+)*?(?:\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)|\.(?:{methods})\b)"


def scattered(tree: Tree) -> Problems:
    """Variables that, of a target, only their type writes are private: extensions that write them are in its file."""
    for target in targets(tree):
        everything, ending = list(bodies(tree, target)), written(tree, target)
        for body in everything:
            if body.kind in ("extension", "enum"):
                continue
            parts = [each for each in everything if each.name == body.name]
            extensions = [each for each in parts if each.kind == "extension" and each.path != body.path]
            for name, position in variables(body) if extensions else ():
                own = rf"(?:(?<![.\w])(?<!let )(?<!var )|(?<=\bself\.)){name}{ending}|&(?:self\.)?{name}\b"
                writers = [each.path for each in extensions if re.search(own, without_blocks(each.text, INITIALIZER))]
                others = rf"(?<!\bself)\.{name}{ending}|&\w+\.{name}\b"
                if writers and not any(re.search(others, text) for text in outside(tree, target, parts)):
                    line = line_of(tree.code(body.path), body.start + position)
                    yield body.path, line, f"{body.name}.{name} is written in {writers[0]}: one file, and private"


def outside(tree: Tree, target: str, parts: list[Body]) -> Iterator[str]:
    """The text of each file of a target without these bodies."""
    for path in tree.swift(f"Sources/{target}/"):
        code = tree.code(path)
        for each in parts:
            if each.path == path:
                code = code[: each.start] + " " * len(each.text) + code[each.start + len(each.text) :]
        yield code
