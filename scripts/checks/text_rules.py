# SPDX-License-Identifier: Apache-2.0
"""The rules for documents and comments. Each rule takes a Tree and yields (path, line, problem)."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from .tree import Problems, Tree, line_of

MAXIMUM_COLUMNS = 120
# Words that hide who or what acts: name the client, node, user or process instead.
PERSONS = "whoever|somebody|nobody|anybody|everybody"
VAGUE = re.compile(rf"\b(?:{PERSONS}|is no more)\b", re.IGNORECASE)
# The same in a name that `parts` has taken apart, in which no apostrophe stands before an s.
VAGUE_NAME = re.compile(rf"\b(?:{PERSONS})s?\b", re.IGNORECASE)
# The title of a test in Swift, which stands in place of its function's name.
TITLE = re.compile(r'@(?:Test|Suite)\s*\(\s*"((?:[^"\\]|\\.)*)"')


def prose(path: str, text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of the lines of a document that are prose: no code, and of tables only the words."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(('.\\"', "<!--")):
            yield number, re.sub(r"`[^`]*`", lambda code: " " * len(code.group(0)), line)


def python_comments(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of the comments and documentation strings of Python."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and ast.get_docstring(node):
                for offset, line in enumerate(str(first.value.value).splitlines()):
                    yield first.lineno + offset, line


def comments(tree: Tree, path: str) -> Iterator[tuple[int, str]]:
    """(line, text) of what a file says to people: documents, the comments of code, and the texts of the programs."""
    text, language = tree.text(path), tree.language(path)
    if language == "md" or re.search(r"/man/.*\.\d$", path):
        yield from prose(path, text)
    elif language == "python":
        try:
            yield from python_comments(text)
        except (SyntaxError, tokenize.TokenError):
            return  # the rule `python` says so
    elif language in ("bash", "sh"):
        for number, line in enumerate(text.splitlines(), 1):
            comment = re.search(r"(?:^|\s)# .*", line)
            if comment:
                yield number, comment.group(0)
    elif language == "swift":
        # The code of Sources as well: its texts are help and messages, and its names are read, too.
        for number, line in enumerate(text.splitlines(), 1):
            if path.startswith("Sources/") or line.lstrip().startswith("//"):
                yield number, line


def parts(code: str) -> str:
    """Code with its names in parts: those of camelCase and of snake_case, with blanks between them."""
    return re.sub(r"_|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])", " ", code)


def names(tree: Tree, path: str) -> Iterator[tuple[int, str]]:
    """(line, text) of the names in the code of a file, in parts, and of the titles of its tests."""
    text, language = tree.text(path), tree.language(path)
    if language == "python":
        try:
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.NAME:
                    yield token.start[0], parts(token.string)
        except (SyntaxError, tokenize.TokenError):
            return  # the rule `python` says so
    elif language == "swift":
        for number, line in enumerate(tree.code(path).splitlines(), 1):
            yield number, parts(line)
        uncommented = tree.uncommented(path)
        for title in TITLE.finditer(uncommented):
            yield line_of(uncommented, title.start(1)), title.group(1)


def words(tree: Tree) -> Problems:
    """Documents, comments, help, messages and names say who acts, instead of some vague person."""
    for path in tree.paths:
        found = [(number, match.group(0)) for number, text in comments(tree, path) for match in VAGUE.finditer(text)]
        found += [(number, match.group(0)) for number, text in names(tree, path) for match in VAGUE_NAME.finditer(text)]
        for number, word in sorted(set(found)):
            yield path, number, f'"{word}": say which client, node, user or process it is'


def width(tree: Tree) -> Problems:
    """Lines are no wider than 120 columns; tables, code blocks and links in documents are exempt."""
    for path in tree.paths:
        language = tree.language(path)
        if language == "md":
            for number, line in prose(path, tree.text(path)):
                if len(line) > MAXIMUM_COLUMNS and not re.match(r"\||!\[|\s*\S+$", line):
                    yield path, number, f"{len(line)} columns, {MAXIMUM_COLUMNS} at most"
        elif language in ("bash", "sh", "swift"):
            for number, line in enumerate(tree.text(path).splitlines(), 1):
                # swift format looks at code, and not at comments.
                is_held = language != "swift" or line.lstrip().startswith("//")
                if is_held and len(line) > MAXIMUM_COLUMNS:
                    yield path, number, f"{len(line)} columns, {MAXIMUM_COLUMNS} at most"
