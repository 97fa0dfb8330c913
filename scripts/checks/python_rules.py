# SPDX-License-Identifier: Apache-2.0
"""The rules for Python. Each rule takes a Tree and yields (path, line, problem)."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tomllib

from .tree import Problems, Tree

MAXIMUM_FUNCTION_LINES = 60
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REQUIREMENTS = "Tests/requirements.txt"
INSTALL = f"`scripts/test checks` installs it, or: .build-venv/bin/pip install --requirement {REQUIREMENTS}"
PROBLEM = re.compile(r"^([^:\n]+):(\d+):(?:\d+:)? (?!note: )(.*)$", re.MULTILINE)


class MissingTool(Exception):
    """A tool is not installed, or is not of the version that is pinned."""


def pinned_tool(tree: Tree, name: str) -> tuple[str, ...]:
    """The command of a tool in .build-venv, else on the PATH; either has to be of the version that is pinned."""
    pinned = re.search(rf"^{name}==(\S+)$", tree.text(REQUIREMENTS), re.MULTILINE)
    if pinned is None:
        raise MissingTool(f"{name} is not pinned")
    version = pinned[1]
    for command in ((os.path.join(ROOT, ".build-venv/bin/python"), "-m", name), (name,)):
        if shutil.which(command[0]):
            asked = subprocess.run((*command, "--version"), capture_output=True, text=True, check=False, timeout=60)
            if version in asked.stdout.split():
                return command
    raise MissingTool(f"{name} {version} is not installed: {INSTALL}")


def tool_problems(tree: Tree, name: str, *arguments: str) -> Problems:
    """Runs a tool in the tree; yields a problem for each line `path:line: problem` that it prints."""
    try:
        tool = pinned_tool(tree, name)
    except MissingTool as missing:
        yield REQUIREMENTS, 0, str(missing)
        return
    result = subprocess.run(
        (*tool, *arguments), cwd=tree.root, capture_output=True, text=True, check=False, timeout=300
    )
    problems = list(PROBLEM.finditer(result.stdout))
    for problem in problems:
        yield problem[1], int(problem[2]), problem[3]
    if result.returncode != 0 and not problems:
        yield "", 0, f"{name} ended with status {result.returncode}: {(result.stderr or result.stdout).strip()[-500:]}"


def python_files(tree: Tree) -> list[str]:
    """All Python files, with a suffix or without."""
    return [path for path in tree.paths if tree.language(path) == "python"]


def parsed(tree: Tree) -> Problems:
    """Python files parse, and their functions are short."""
    for path in python_files(tree):
        try:
            module = ast.parse(tree.text(path))
        except SyntaxError as error:
            yield path, error.lineno or 0, f"does not parse: {error.msg}"
            continue
        for node in ast.walk(module):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAXIMUM_FUNCTION_LINES:
                    yield path, node.lineno, f"a function of {length} lines, {MAXIMUM_FUNCTION_LINES} at most"


def named(tree: Tree) -> Problems:
    """Python without a suffix is named for ruff and for mypy, which do not find it in a folder by themselves."""
    settings = tomllib.loads(tree.text("pyproject.toml"))["tool"]
    for path in python_files(tree):
        for tool, key in (("ruff", "extend-include"), ("mypy", "files")):
            if not path.endswith(".py") and path not in settings[tool][key]:
                yield path, 1, f"`{key}` of [tool.{tool}] in pyproject.toml does not name it"


def formatted(tree: Tree) -> Problems:
    """Python is formatted by ruff, as pyproject.toml has it."""
    yield from tool_problems(tree, "ruff", "format", "--check", "--output-format=concise", "--quiet", ".")


def linted(tree: Tree) -> Problems:
    """ruff finds nothing in Python, with the rules of pyproject.toml."""
    yield from tool_problems(tree, "ruff", "check", "--output-format=concise", "--quiet", ".")


def typed(tree: Tree) -> Problems:
    """mypy, strict outside the tests themselves, finds nothing in Python."""
    yield from tool_problems(tree, "mypy", "--hide-error-context", "--no-error-summary", "--no-pretty")
