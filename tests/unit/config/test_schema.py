"""The JSON Schemas that editors read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.schema import schema_text

CONFIG = Path(__file__).parents[3] / "config"


@pytest.mark.parametrize("kind", ["contract", "calendar"])
def test_the_schema_in_the_tree_is_the_generated_one(kind: str) -> None:
    shipped = (CONFIG / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(kind), (
        f"write it again: slawatch contracts schema {kind} > config/schema/{kind}.schema.json"
    )


def test_every_example_names_a_schema_that_is_there() -> None:
    examples = [*(CONFIG / "contracts").glob("*.yaml"), *(CONFIG / "calendars").glob("*.yaml")]
    assert examples
    for example in examples:
        first = example.read_text(encoding="utf-8").splitlines()[0]
        hint, _, schema = first.partition("$schema=")
        assert hint == "# yaml-language-server: ", example
        assert (example.parent / schema).is_file(), example


def test_the_schema_knows_every_field_and_no_other() -> None:
    schema = json.loads(schema_text("contract"))
    assert schema["additionalProperties"] is False
    assert {
        "kind",
        "id",
        "type",
        "level",
        "provider",
        "customer",
        "customer_group",
        "supports",
        "owner",
        "revisions",
    } <= set(schema["properties"])
    target = schema["$defs"]["TargetModel"]
    assert target["additionalProperties"] is False
    assert set(target["required"]) == {"id", "start", "stop", "within"}
