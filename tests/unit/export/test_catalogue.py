"""The catalogue keeps its own rules."""

import re
from pathlib import Path

import pytest

from export import catalogue
from export.catalogue import CATALOGUE, LABEL_MEANINGS, CounterSpec, HistogramSpec, MetricSpec

SPECS = pytest.mark.parametrize("spec", CATALOGUE.values(), ids=lambda spec: spec.name)
BASE_UNITS = {"", "seconds", "bytes", "ratio", "messages"}
REFERENCE = Path(catalogue.__file__).parents[1] / "docs" / "reference" / "metrics.md"


@SPECS
def test_names_say_whom_they_are_about_and_use_the_old_alphabet(spec: MetricSpec) -> None:
    assert re.fullmatch(r"(sla|slawatch)_[a-z][a-z0-9_]*", spec.name)


@SPECS
def test_counters_and_only_counters_end_in_total(spec: MetricSpec) -> None:
    assert spec.name.endswith("_total") == isinstance(spec, CounterSpec)


@SPECS
def test_the_unit_is_a_base_unit_and_ends_the_name(spec: MetricSpec) -> None:
    assert spec.unit in BASE_UNITS
    if spec.unit:
        assert spec.family.endswith(f"_{spec.unit}")
    else:
        assert not any(spec.family.endswith(f"_{unit}") for unit in BASE_UNITS if unit)


@SPECS
def test_labels_come_from_the_bounded_vocabulary_and_never_name_a_ticket(spec: MetricSpec) -> None:
    assert set(spec.labels) <= LABEL_MEANINGS.keys()
    assert not any("ticket" in label or "clock" in label for label in spec.labels)
    assert len(set(spec.labels)) == len(spec.labels)
    assert spec.values.keys() <= set(spec.labels)


@SPECS
def test_a_partition_is_always_named_with_its_topic(spec: MetricSpec) -> None:
    assert ("partition" in spec.labels) <= ("topic" in spec.labels)


@SPECS
def test_what_belongs_to_a_partition_is_a_gauge(spec: MetricSpec) -> None:
    """A counter by partition would seem to fall when its partition moves."""
    if "partition" in spec.labels:
        assert spec.partition_owned


@SPECS
def test_help_is_one_sentence(spec: MetricSpec) -> None:
    assert spec.help.endswith(".")
    assert "\n" not in spec.help
    assert len(spec.help) > 20


@SPECS
def test_buckets_ascend(spec: MetricSpec) -> None:
    if isinstance(spec, HistogramSpec):
        assert list(spec.buckets) == sorted(set(spec.buckets))
        assert "le" not in spec.labels


def test_every_word_of_the_vocabulary_is_used() -> None:
    assert {label for spec in CATALOGUE.values() for label in spec.labels} == set(LABEL_MEANINGS)


def test_every_entry_of_the_module_is_in_the_catalogue_under_its_own_name() -> None:
    entries = [value for value in vars(catalogue).values() if isinstance(value, MetricSpec)]
    assert len(entries) == len(CATALOGUE)
    families = [spec.family for spec in entries]
    assert len(set(families)) == len(families)


def test_the_reference_page_is_current() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == catalogue.markdown(), (
        "regenerate it: python -m export.catalogue > docs/reference/metrics.md"
    )


def test_the_reference_page_has_a_row_for_every_metric() -> None:
    page = catalogue.markdown()
    for spec in CATALOGUE.values():
        assert f"| `{spec.name}` | {spec.type} |" in page
