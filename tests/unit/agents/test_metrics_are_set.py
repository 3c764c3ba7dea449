"""A metric that nothing sets is a promise to an operator that nobody keeps."""

import re
from pathlib import Path

import pytest

from export.catalogue import CATALOGUE

ROOT = Path(__file__).parents[3]
SETTERS = [path for folder in ("agents", "export") for path in sorted((ROOT / folder).glob("*.py"))]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_metric_of_the_catalogue_is_set_by_somebody(name: str) -> None:
    handle = name.removeprefix("slawatch_").removeprefix("sla_")
    use = re.compile(rf"\b{handle}\b[\s\S]{{0,80}}?(\.(set|inc|observe)\(|, )")
    users = [path.name for path in SETTERS if path.name != "catalogue.py" and _uses(path, handle, use)]
    assert users, f"{name} is in the catalogue, but nothing sets it"


def _uses(path: Path, handle: str, use: re.Pattern[str]) -> bool:
    source = path.read_text(encoding="utf-8")
    # Its definition, and lists of families that start at zero, set nothing.
    source = re.sub(rf"self\.{handle} = self\._\w+\([^)]*\)|^ *self\.{handle},$", "", source, flags=re.MULTILINE)
    return bool(use.search(source))
