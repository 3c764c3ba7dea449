"""YAML means what its author sees."""

from __future__ import annotations

from typing import Any

import pytest

from config.yaml_reader import YamlDocument, YamlSyntaxError, read_documents


def read(text: str) -> YamlDocument:
    (document,) = read_documents(text)
    return document


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("10:30", "10:30"),
        ("08:00", "08:00"),
        ("1:02:03", "1:02:03"),
        ("08:00-17:00", "08:00-17:00"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00+07:00", "2026-01-01T00:00:00+07:00"),
        ("12-25", "12-25"),
        ("95%", "95%"),
        ("4bh", "4bh"),
        ("Accepted/Wait - User", "Accepted/Wait - User"),
        ("'no'", "no"),
        ('"007"', "007"),
        ("!!str 12", "12"),
        ("north", "north"),
        ("y", "y"),
        ("=", "="),
    ],
)
def test_a_value_is_read_as_it_looks(written: str, value: Any) -> None:
    document = read(f"a: {written}")
    assert document.problems == ()
    assert document.data == {"a": value}
    assert type(document.data["a"]) is type(value)


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_a_bare_word_that_is_a_boolean_to_some_readers_is_a_problem(word: str) -> None:
    ((loc, message),) = read(f"a: [{word}]").problems
    assert loc == ("a", 0)
    assert f"write '{word}' in quotes, or {'true' if word in ('yes', 'ON') else 'false'}" in message


@pytest.mark.parametrize("number", ["007", "1_000", "0x1F", "0o17", "1.10", "+5", ".5", "1.", "1e3", "-0", "9" * 40])
def test_a_number_in_another_spelling_than_its_json_is_a_problem(number: str) -> None:
    document = read(f"a: {number}")
    ((loc, message),) = document.problems
    assert loc == ("a",)
    assert f"write '{number}' in quotes" in message
    assert document.data == {"a": number}


def test_a_bare_on_as_a_key_is_a_problem_and_stays_text() -> None:
    document = read("on: {x: 1}")
    assert document.data == {"on": {"x": 1}}
    assert document.problems == ((("on",), "a bare on is a boolean to some readers of YAML: quote it"),)


def test_keys_are_text() -> None:
    assert read("1: a\ntrue: b\n").data == {"1": "a", "true": "b"}


def test_a_key_that_stands_twice_is_a_problem() -> None:
    assert read("a: 1\nb: 2\na: 3\n").problems == ((("a",), "stands twice, in lines 1 and 3"),)


def test_places_have_lines_and_missing_ones_those_of_what_encloses_them() -> None:
    document = read("a:\n  - b: 1\n  - c:\n      d: 2\n")
    assert [document.line_of(loc) for loc in [("a",), ("a", 0, "b"), ("a", 1, "c", "d"), ("a", 1, "e", "f")]] == [
        1,
        2,
        4,
        3,
    ]


def test_anchors_and_merges_are_read_and_own_keys_win() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\none: {<<: *base, b: 5}\ntwo: {<<: [*base, *more], d: 6}\nthree: *base\n"
    data = read(text).data
    assert data["one"] == {"a": 1, "b": 5}
    assert data["two"] == {"a": 1, "b": 2, "c": 4, "d": 6}
    assert data["three"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [*x]", "an alias that contains itself"),
        ("a: !secret b", "tags such as !secret are not read"),
        ("a: !!python/object:os.system {}", "are not read"),
        ("a: {<<: 3}", "<< takes a mapping or a list of mappings"),
        ("a: {[1]: 3}", "a key must be a word"),
    ],
)
def test_what_an_agreement_does_not_need_is_a_problem(text: str, message: str) -> None:
    ((_, told),) = read(text).problems
    assert message in told


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlSyntaxError, match="aliases that multiply"):
        read("\n".join(lines))


def test_documents_before_a_syntax_error_are_read_and_the_error_has_its_line() -> None:
    documents = read_documents("a: 1\n---\n# nothing\n---\nb: [\n")
    assert next(documents).data == {"a": 1}
    with pytest.raises(YamlSyntaxError, match="line 6, column 1: no YAML") as caught:
        next(documents)
    assert caught.value.line == 6


@pytest.mark.parametrize("text", ["a: 'b", "\ta: 1", "a: \x00", "a: *nowhere", "%YAML 3\n---\na"])
def test_no_yaml_is_told_and_never_a_crash(text: str) -> None:
    with pytest.raises(YamlSyntaxError):
        list(read_documents(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: " + "[" * 500 + "]" * 500, 2),
        ("[" * 500, 1),
        ("\n".join(" " * depth + "a:" for depth in range(500)), 100),
        ("- " * 500 + "x", 1),
        ("a: " + "{? " * 500, 1),
        ("a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500)), None),
        ("a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 500)), None),
    ],
    ids=["flow", "unclosed", "block", "sequences", "keys", "aliases", "merges"],
)
def test_what_is_nested_too_deeply_is_told_with_its_line(text: str, line: int | None) -> None:
    with pytest.raises(YamlSyntaxError, match="nested more than 100 deep") as caught:
        list(read_documents(text))
    assert caught.value.line is not None
    assert line is None or abs(caught.value.line - line) <= 1


def test_a_hundred_levels_are_read() -> None:
    data = read("[" * 99 + "x" + "]" * 99).data
    for _ in range(99):
        [data] = data
    assert data == "x"
