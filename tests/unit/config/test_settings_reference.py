"""The settings as people see them: complete, current, and without secrets."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

import config
from config.settings import Settings, load_settings, variable_names
from config.settings_reference import MASK, NOT_READ_YET, in_force, markdown, settings, shown

ROOT = Path(config.__file__).parents[1]
PACKAGES = ("agents", "cli", "config", "export", "sources", "streams")


def test_the_reference_page_is_current():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == markdown(), "regenerate it: make reference"


def test_every_setting_is_listed_once():
    sections = {f"SLAWATCH_{section}".upper() for section in Settings.model_fields if section != "data_dir"}
    names = [setting.name for setting in settings()]
    assert len(set(names)) == len(names)
    assert set(names) == set(variable_names()) - sections


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: setting.name)
def test_a_setting_says_what_it_is(setting):
    assert setting.description.endswith(".")
    assert "|" not in setting.description
    assert setting.type


@pytest.mark.parametrize(
    ("name", "type_", "unit", "default"),
    [
        (
            "SLAWATCH_KAFKA__SECURITY_PROTOCOL",
            "one of `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`",
            "",
            "PLAINTEXT",
        ),
        ("SLAWATCH_KAFKA__SESSION_TIMEOUT_SECONDS", "number >= 6", "seconds", "30"),
        ("SLAWATCH_KAFKA__SASL_PASSWORD", "secret text", "", ""),
        ("SLAWATCH_KAFKA__CA_FILE", "path", "", ""),
        ("SLAWATCH_TOPICS__PARTITIONS", "whole number >= 1, <= 1000", "", "12"),
        ("SLAWATCH_ENGINE__CLOCK", "one of `wall`, `event`", "", "wall"),
        ("SLAWATCH_ENGINE__DEAD_LETTER_LIMIT_RATIO", "number > 0, <= 1", "ratio", "0.5"),
        ("SLAWATCH_ALERTMANAGER__URLS", "JSON list of text", "", "[]"),
    ],
)
def test_types_bounds_units_and_defaults_are_told(name, type_, unit, default):
    (setting,) = [setting for setting in settings() if setting.name == name]
    assert (setting.type, setting.unit, setting.default) == (type_, unit, default)


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: setting.name)
def test_a_setting_that_nothing_reads_says_so(setting):
    """A description promises an effect; what has none yet is marked, and the mark goes when it has one."""
    sources = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    own = {ROOT / "config" / "settings_reference.py"}
    uses = [file for file in sources if file not in own and re.search(rf"\.{setting.field}\b", file.read_text())]
    assert bool(uses) != (setting.name in NOT_READ_YET), uses


def test_what_is_in_force_is_told_and_secrets_are_not(monkeypatch):
    monkeypatch.setenv("SLAWATCH_KAFKA__BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("SLAWATCH_WEB__TOKEN", "geheim")
    monkeypatch.setenv("SLAWATCH_ALERTMANAGER__URLS", '["https://bob:geheim@pager:9093", "http://other"]')
    found = {setting.name: (value, differs) for setting, value, differs in in_force(load_settings())}
    assert found["SLAWATCH_KAFKA__BOOTSTRAP"] == ("broker:9092", True)
    assert found["SLAWATCH_KAFKA__REQUEST_TIMEOUT_SECONDS"] == ("60", False)
    assert found["SLAWATCH_WEB__TOKEN"] == (MASK, True)
    assert found["SLAWATCH_ALERTMANAGER__URLS"] == (f'["https://{MASK}@pager:9093", "http://other"]', True)
    assert "geheim" not in str(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (SecretStr("geheim"), MASK),
        (Path("a/b"), "a/b"),
        (604_800.0, "604800"),
        (0.25, "0.25"),
        (True, "true"),
        (("x",), '["x"]'),
        ("kafka://bob:geheim@broker:9092", f"kafka://{MASK}@broker:9092"),
    ],
)
def test_values_are_rendered_as_they_are_written(value, text):
    assert shown(value) == text
