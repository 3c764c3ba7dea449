"""The page of topics is the catalogue."""

from pathlib import Path

import streams
from config.settings import Settings
from streams import topics_reference
from streams.topics import Topics
from streams.topics_reference import RESERVED, markdown

ROOT = Path(streams.__file__).parents[1]


def test_the_reference_page_is_current():
    page = (ROOT / "docs" / "reference" / "topics.md").read_text(encoding="utf-8")
    assert page == markdown(), "regenerate it: make reference"


def test_the_page_does_not_depend_on_the_environment(monkeypatch):
    plain = markdown()
    monkeypatch.setenv("SLAWATCH_TOPICS__PREFIX", "other.")
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "24")
    assert markdown() == plain


def test_every_topic_has_a_row_its_configuration_and_rights():
    page = markdown()
    for topic in Topics(Settings.model_construct()).all:
        assert f"\n| `{topic.name}`" in page
        assert f"--topic {topic.name}" in page
        assert ", ".join(f"`{name}={value}`" for name, value in topic.configs.items()) in page


def test_a_topic_that_an_agent_uses_is_not_called_reserved():
    """What the page says to have no effect is named by no agent."""
    agents = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "agents").glob("*.py"))
    names = {value: name for name, value in vars(topics_reference).items() if isinstance(value, str)}
    for topic in RESERVED:
        assert names[topic] not in agents.split()
        assert topic not in agents
