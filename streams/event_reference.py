"""Writes what is generated about public events: ``python -m streams.event_reference [DIR]``.

JSON Schemas and the AsyncAPI document into ``docs/reference/events``, an example of each kind into ``examples/events``,
and beside those of agreements the JSON Schema of mappings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from config.mapping_model import mapping_schema
from config.settings import Settings
from streams.asyncapi import asyncapi_text
from streams.event_schemas import KINDS, document, text_of

REFERENCE_FOLDER = Path("docs/reference/events")
EXAMPLES_FOLDER = Path("examples/events")
MAPPING_SCHEMA = Path("config/schema/mapping.schema.json")


def files() -> dict[Path, str]:
    """Return every generated file, by its path in the tree, as under default settings."""
    found = {REFERENCE_FOLDER / f"{kind}.schema.json": text_of(document(kind)) for kind in KINDS}
    found[REFERENCE_FOLDER / "asyncapi.yaml"] = asyncapi_text(Settings.model_construct())
    for name, kind in KINDS.items():
        text = json.dumps(kind.example, indent=2, ensure_ascii=False) + "\n"
        found[EXAMPLES_FOLDER / f"{name}.json"] = text
    found[MAPPING_SCHEMA] = mapping_schema()
    return found


def main(root: Path) -> None:
    """Write the files below a folder; what is there of kinds that are gone is deleted."""
    wanted = files()
    for folder in (REFERENCE_FOLDER, EXAMPLES_FOLDER):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for old in (root / folder).iterdir():
            if old.suffix in {".json", ".yaml"} and old.relative_to(root) not in wanted:
                old.unlink()
    for path, text in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
