# SPDX-License-Identifier: Apache-2.0
"""The files of a checkout, and Swift text with its comments and strings blanked out."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

#: What a rule finds: path, line (0 for the whole file) and the problem.
Problems = Iterator[tuple[str, int, str]]
#: A name, and where it is used: path and line.
Place = tuple[str, str, int]


class Tree:
    """The files under `root` that are, or could become, part of the repository."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.tracked = self._git("ls-files", "-z", "--cached")
        self.paths = sorted(
            path
            for path in set(self.tracked) | set(self._git("ls-files", "-z", "--others", "--exclude-standard"))
            if os.path.isfile(os.path.join(root, path))
        )
        self._texts: dict[str, str] = {}
        #: What a check has to say although it passes.
        self.notes: list[str] = []

    def _git(self, *arguments: str) -> list[str]:
        result = subprocess.run(("git", "-C", self.root, *arguments), capture_output=True, check=False, timeout=60)
        if result.returncode != 0:
            raise SystemExit(f"scripts/check: not a git checkout: {self.root}")
        return [path.decode("utf-8", "surrogateescape") for path in result.stdout.split(b"\0") if path]

    def text(self, path: str) -> str:
        """The file's text; bytes that are not UTF-8 are replaced."""
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def swift(self, *folders: str) -> list[str]:
        """Paths of the Swift files under the folders."""
        return [path for path in self.paths if path.endswith(".swift") and path.startswith(folders)]

    def code(self, path: str) -> str:
        """The Swift text without comments and without what strings hold; every line keeps its number."""
        return blank(self.text(path), strings=True)

    def uncommented(self, path: str) -> str:
        """The Swift text without comments."""
        return blank(self.text(path), strings=False)

    def language(self, path: str) -> str:
        """`bash`, `sh`, `python`, or the suffix: by the name, or by the first line when there is no suffix."""
        suffix = os.path.splitext(path)[1].lstrip(".")
        if suffix == "py":
            return "python"
        if suffix:
            return {"sh": "bash"}.get(suffix, suffix)
        first = self.text(path).partition("\n")[0]
        match = re.match(r"#!.*\b(bash|sh|python3?)\b", first)
        return match.group(1).rstrip("3") if match else ""


# What opens a token that hides text: a comment, a string with any number of # before it, or an interpolation's end.
OPENING = re.compile(r'//[^\n]*|/\*|(#*)("""|")')


def blank(text: str, strings: bool) -> str:
    """`text` with comments, and the insides of strings when `strings`, replaced by spaces."""
    out: list[str] = []
    position = 0
    while True:
        match = OPENING.search(text, position)
        if match is None:
            return "".join(out) + text[position:]
        out.append(text[position : match.start()])
        token = match.group(0)
        if token.startswith("//"):
            end = match.end()
            out.append(" " * len(token))
        elif token == "/*":
            end = comment_end(text, match.end())
            out.append(spaces(text[match.start() : end]))
        else:
            end = string_end(text, match.end(), match.group(1), match.group(2))
            inside = text[match.start() : end]
            out.append('"' + spaces(inside[1:-1]) + '"' if strings and len(inside) > 1 else inside)
        position = end


def spaces(text: str) -> str:
    """As many spaces and line feeds as `text` has characters."""
    return "".join("\n" if character == "\n" else " " for character in text)


def comment_end(text: str, position: int) -> int:
    """Where the comment ends whose inside begins at `position`; Swift's comments nest."""
    depth = 1
    for match in re.finditer(r"/\*|\*/", text[position:]):
        depth += 1 if match.group(0) == "/*" else -1
        if depth == 0:
            return position + match.end()
    return len(text)


def string_end(text: str, position: int, hashes: str, quotes: str) -> int:
    """Where the string ends whose inside begins at `position`; interpolations may hold strings of their own."""
    closing, escape = quotes + hashes, "\\" + hashes
    while position < len(text):
        if text.startswith(closing, position):
            return position + len(closing)
        if text.startswith(escape, position):
            position += len(escape)
            position = interpolation_end(text, position + 1) if text.startswith("(", position) else position + 1
        elif text[position] == "\n" and quotes == '"':
            return position  # unfinished: not for this script to say
        else:
            position += 1
    return len(text)


def interpolation_end(text: str, position: int) -> int:
    """Where the interpolation ends whose inside begins at `position`."""
    depth = 1
    while position < len(text) and depth > 0:
        match = OPENING.match(text, position)
        if match is not None and match.group(2):
            position = string_end(text, match.end(), match.group(1), match.group(2))
            continue
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position


def line_of(text: str, position: int) -> int:
    """The number of the line that holds `position`."""
    return text.count("\n", 0, position) + 1


FUNCTION = re.compile(r"(?<![\w.`])(?:func\s+[^\s(<]+|init[?!]?(?=\s*[(<])|deinit\b|subscript(?=\s*[(<]))")


def functions(code: str) -> Iterator[tuple[int, int]]:
    """(line, number of lines) of each function with a body in blanked Swift text."""
    for match in FUNCTION.finditer(code):
        opening = body_start(code, match.end())
        if opening is None:
            continue
        depth, position = 1, opening + 1
        while position < len(code) and depth > 0:
            depth += {"{": 1, "}": -1}.get(code[position], 0)
            position += 1
        line = line_of(code, match.start())
        yield line, line_of(code, position - 1) - line + 1


def body_start(code: str, position: int) -> int | None:
    """The position of the brace that opens the body, or None for a requirement of a protocol."""
    depth = 0
    for index in range(position, len(code)):
        character = code[index]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth == 0 and character == "{":
            return index
        elif depth == 0 and character == "}":
            return None
        elif depth == 0 and character == "\n":
            follows = code[index:].lstrip()
            if not follows.startswith(("{", "where", "->", "throws", "async", "(", "rethrows")):
                return None
        if depth < 0:
            return None
    return None
