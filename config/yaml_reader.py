"""YAML as text that means what its author sees: places and lines are kept, ambiguous spellings are faults.

Readers of YAML 1.1 and 1.2 disagree about a bare ``no`` (false or text), ``010`` (8 or 10) and ``10:30`` (630 or text).
A contract is reviewed by people and read by several tools, so:

- ``true``, ``false``, ``null`` and numbers in their JSON spelling are what they look like;
- everything else is text, in particular dates, instants and times of day (``10:30``, ``08:00-17:00``);
- a bare ``yes``, ``no``, ``on``, ``off`` and a number in any other spelling (``007``, ``1_000``, ``1.10``) is a fault
  that says what to write: guessing wrong would let a condition never hold, in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from typing_extensions import override

from config.faults import Loc, Problem

_AMBIGUOUS: Final = "tag:slawatch,2026:ambiguous"
_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_NUMBER: Final = "tag:slawatch,2026:number"
_TEXT: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"
_SEQUENCE: Final = "tag:yaml.org,2002:seq"
_MAPPING: Final = "tag:yaml.org,2002:map"

_LARGEST_DOCUMENT_NODES: Final = 200_000
"""Aliases of aliases grow exponentially; the largest sensible contract has a few thousand values."""

_DEEPEST_NESTING: Final = 100
"""The deepest sensible contract has about ten levels; Python's stack ends somewhere below a thousand."""

_LONGEST_NUMBER: Final = 30
"""Longer ones are serial numbers: text."""

_TOO_DEEP: Final = f"nested more than {_DEEPEST_NESTING} deep"

_NUMBER_LIKE = re.compile(
    r"^[-+]?(0[xob][0-9a-fA-F_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.[0-9_]+([eE][-+]?[0-9]+)?)$"
)
_JSON_INTEGER = re.compile(r"^-?(0|[1-9][0-9]*)$")
_JSON_NUMBER = re.compile(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$")


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the resolution of plain scalars described above; only ``compose`` is used."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self._depth == _DEEPEST_NESTING:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise YamlSyntaxError(f"line {mark.line + 1}, column {mark.column + 1}: {_TOO_DEEP}", mark.line + 1)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_Loader.add_implicit_resolver(_NULL, re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_AMBIGUOUS, re.compile(r"^(yes|no|on|off)$", re.IGNORECASE), list("yYnNoO"))
_Loader.add_implicit_resolver(_MERGE, re.compile(r"^<<$"), ["<"])
_Loader.add_implicit_resolver(_NUMBER, _NUMBER_LIKE, list("-+.0123456789"))


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a file.

    Attributes
    ----------
    data : Any
        Plain values: dict, list, str, int, float, bool, None. Keys are always text.
    lines : mapping of place to line
        Line of every value, from 1.
    problems : tuple of (place, message)
        Ambiguous spellings, repeated keys and the like; ``data`` is as good as it can be beside them.
    """

    data: Any
    lines: Mapping[Loc, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line_of(self, loc: Loc) -> int | None:
        """Return the line of a place, or of what encloses it if the place itself is missing."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc)


class YamlSyntaxError(Exception):
    """The text is no YAML from some line on; ``line`` counts from 1."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


def read_documents(text: str) -> Iterator[YamlDocument]:
    """Yield the documents of a text, one by one; empty ones are left out.

    Raises
    ------
    YamlSyntaxError
        Where the text stops being YAML, or is nested too deeply; the documents before that have been yielded.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            document = _Walk().document(node)
            if document.data is not None or document.problems:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlSyntaxError(f"{where}no YAML: {said}", None if mark is None else mark.line + 1) from error
    except yaml.YAMLError as error:
        raise YamlSyntaxError(f"no YAML: {error}", None) from error
    finally:
        if loader is not None:
            loader.dispose()


class _Walk:
    """Turns the nodes of one document into plain values."""

    def __init__(self) -> None:
        self.lines: dict[Loc, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0
        self.open: set[int] = set()

    def document(self, node: yaml.Node) -> YamlDocument:
        data = self.value(node, ())
        return YamlDocument(data, self.lines, tuple(self.problems))

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        self.lines[loc] = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > _LARGEST_DOCUMENT_NODES:
            raise YamlSyntaxError(
                f"line {self.lines[loc]}: more than {_LARGEST_DOCUMENT_NODES} values: aliases that multiply?",
                self.lines[loc],
            )
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, loc)
        if id(node) in self.open:
            self.problems.append((loc, "an alias that contains itself"))
            return None
        if len(self.open) == _DEEPEST_NESTING:
            raise YamlSyntaxError(f"line {self.lines[loc]}: {_TOO_DEEP}: aliases of aliases?", self.lines[loc])
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self.expect(node, _SEQUENCE, loc)
                return [self.value(child, (*loc, index)) for index, child in enumerate(node.value)]
            assert isinstance(node, yaml.MappingNode)
            self.expect(node, _MAPPING, loc)
            return self.mapping(node, loc)
        finally:
            self.open.discard(id(node))

    def expect(self, node: yaml.Node, tag: str, loc: Loc) -> None:
        if node.tag != tag:
            self.problems.append((loc, f"tags such as {node.tag} are not read"))

    def mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append((loc, f"line {key_node.start_mark.line + 1}: a key must be a word"))
                continue
            if key_node.tag == _MERGE:
                for name, value in self.merge(value_node, loc):
                    merged.setdefault(name, value)
                continue
            key = key_node.value
            if key_node.tag == _AMBIGUOUS:
                self.problems.append(((*loc, key), f"a bare {key} is a boolean to some readers of YAML: quote it"))
            line = key_node.start_mark.line + 1
            if key in own:
                self.problems.append(((*loc, key), f"stands twice, in lines {self.lines[*loc, key]} and {line}"))
            own[key] = self.value(value_node, (*loc, key))
            self.lines[*loc, key] = line
        return {**{name: value for name, value in merged.items() if name not in own}, **own}

    def merge(self, node: yaml.Node, loc: Loc) -> Iterator[tuple[str, Any]]:
        """Yield what ``<<: *anchor`` (or a list of anchors, earlier ones first) brings in."""
        line = self.lines[loc]
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if isinstance(source, yaml.MappingNode) and id(source) not in self.open:
                brought = self.value(source, loc)
                self.lines[loc] = line
                yield from brought.items()
            else:
                self.problems.append((loc, "<< takes a mapping or a list of mappings"))

    def scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        text: str = node.value
        match node.tag:
            case "tag:yaml.org,2002:str":
                return text
            case "tag:yaml.org,2002:null":
                return None
            case "tag:yaml.org,2002:bool":
                return text.lower() == "true"
            case "tag:slawatch,2026:number":
                return self.number(text, loc)
            case "tag:slawatch,2026:ambiguous":
                self.problems.append((loc, _say_quote(text)))
                return text
            case _:
                self.problems.append((loc, f"tags such as {node.tag} are not read"))
                return text

    def number(self, text: str, loc: Loc) -> Any:
        if _JSON_NUMBER.match(text) and len(text) <= _LONGEST_NUMBER:
            number = int(text) if _JSON_INTEGER.match(text) else float(text)
            rendered = json.dumps(number)
            if rendered == text:
                return number
            meant = f"the number {rendered}"
        else:
            meant = "a number to some readers of YAML and text to others"
        self.problems.append((loc, f"{text} is {meant}: write '{text}' in quotes to mean the text"))
        return text


def _say_quote(word: str) -> str:
    true = word.lower() in ("yes", "on")
    return (
        f"a bare {word} is a boolean to some readers of YAML and text to others: "
        f"write '{word}' in quotes, or {'true' if true else 'false'}"
    )
