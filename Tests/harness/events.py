# SPDX-License-Identifier: Apache-2.0
"""What `relay-client --json` prints. Every line is held to docs/json-events.schema.json, which is closed for that: an
event or a field that is not in it is an error here, while programs in the wild have to let it pass."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from jsonschema import Draft202012Validator

from .executables import REPOSITORY
from .types import Message

SCHEMA = REPOSITORY / "docs/json-events.schema.json"


class BadLine(AssertionError):
    """A line that the schema does not allow."""


@functools.cache
def schema() -> Message:
    """The schema as it is published."""
    loaded: Message = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(loaded)
    return loaded


def names() -> set[str]:
    """The events that there are."""
    return set(schema()["$defs"]["events"])


@functools.cache
def _validator(event: str) -> Draft202012Validator:
    closed = copy.deepcopy(schema())
    return Draft202012Validator(
        {"$defs": closed["$defs"], "$ref": f"#/$defs/events/{event}", "unevaluatedProperties": False}
    )


def _unique(pairs: list[tuple[str, Any]]) -> Message:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadLine(f"a key comes twice: {[key for key, _ in pairs]}")
    return fields


def event_of(line: str) -> Message:
    """The object of one line. Raises BadLine when the schema does not allow it."""
    try:
        fields = json.loads(line, object_pairs_hook=_unique)
    except ValueError as error:
        raise BadLine(f"no JSON: {line[:300]!r} ({error})") from None
    if not isinstance(fields, dict) or fields.get("event") not in names():
        raise BadLine(f"not an object with an event of docs/json-events.md: {line[:300]}")
    problems = [error.message for error in _validator(fields["event"]).iter_errors(fields)]
    if problems:
        raise BadLine(f"not as docs/json-events.schema.json has it: {line[:300]}\n" + "\n".join(problems))
    return fields


def events_of(text: str) -> list[Message]:
    """The objects of all lines that have ended; a process that runs, or was killed, may leave another one."""
    return [event_of(line) for line in text.split("\n")[:-1]]
