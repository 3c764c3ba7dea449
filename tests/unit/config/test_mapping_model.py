"""A mapping with mistakes is told about all of them before the first webhook arrives."""

from pathlib import Path

import pytest

from config.loader import load_agreements
from config.mapping_model import Bodies, MappingError, Scheme, load_mapping

ROOT = Path(__file__).parents[3]
GOOD = """\
kind: Mapping
id: desk
ticket: key
at: when
otherwise: updated
"""


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "m.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MappingError) as caught:
        load_mapping(file)
    return [str(fault).removeprefix(f"{file}: ") for fault in caught.value.faults]


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "mappings").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_mappings_have_no_faults_and_the_id_of_their_file(path):
    assert load_mapping(path).id == path.stem


def test_an_expression_may_stand_alone_where_nothing_is_said_beside_it(tmp_path):
    file = tmp_path / "m.yaml"
    file.write_text(GOOD + "fields: {team: group.name, priority: {value: prio, words: {hi: P1}}}\n", encoding="utf-8")
    mapping = load_mapping(file)
    assert (mapping.at.value, mapping.at.format, mapping.bodies) == ("when", "iso", Bodies.SNAPSHOTS)
    assert mapping.fields["team"].value == "group.name"
    assert mapping.fields["priority"].words == {"hi": "P1"}
    assert mapping.authentication.scheme is Scheme.BEARER


def test_all_faults_are_told_at_once_in_the_order_of_the_lines(tmp_path):
    text = """\
kind: Mapping
id: desk!
ticket: issue.[
at: {value: when, timezone: Jakarta, fromat: iso}
events:
  - {event: created, when: action == "created"}
  - {event: closed, when: "contians(tags, 'x')"}
  - {when: done}
fields:
  team: {words: {a: b}}
authentication: {scheme: hmac, tolerance_seconds: 60}
"""
    assert faults(tmp_path, text) == [
        "id: 'desk!' is no id: letters, digits, '.', '_' and '-', starting with a letter or digit",
        "ticket: no JMESPath: Incomplete expression:",
        "at.timezone: unknown time zone 'Jakarta' (Asia/Jakarta?)",
        "at.fromat: unknown field (format?)",
        "events[0].when: \"created\" in double quotes is a field of the body; for the text write 'created'",
        "events[1].when: JMESPath has no function 'contians' (contains?)",
        "events[2].event: missing",
        "fields.team.value: missing",
        "authentication.header: missing: the header that holds the signature",
        "authentication.tolerance_seconds: there is no timestamp_header it could apply to",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            GOOD.replace("otherwise: updated\n", ""),
            "events: missing: without events and otherwise no body tells anything",
        ),
        (GOOD.replace("Mapping", "Contract"), "kind: must be Mapping"),
        (GOOD + "---\n" + GOOD, "a mapping is one YAML document that starts with `kind: Mapping`"),
        ("- 1\n", "a mapping is one YAML document that starts with `kind: Mapping`"),
        (GOOD + "authentication: {algorithm: sha1}\n", "authentication.algorithm: belongs to the scheme hmac"),
        (
            GOOD + "authentication: {scheme: basic, prefix: x}\n",
            "authentication.prefix: belongs to the schemes bearer and hmac",
        ),
        (
            GOOD + "authentication: {scheme: hmac, header: a b}\n",
            "authentication.header: 'a b' is no name of an HTTP header",
        ),
        ("kind: Mapping\nid: [\n", "line 3, column 1: no YAML:"),
        (GOOD + "sequence: yes\n", "sequence: "),
        (
            GOOD + "ignore: [{}]\n".format("'" + "(" * 1_500 + "'"),
            "ignore[0]: no JMESPath",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, fault):
    assert any(found.startswith(fault) for found in faults(tmp_path, text)), faults(tmp_path, text)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    with pytest.raises(MappingError, match="can't be read"):
        load_mapping(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff")
    with pytest.raises(MappingError, match="is not UTF-8"):
        load_mapping(tmp_path / "latin.yaml")


def test_mappings_beside_agreements_are_passed_over(tmp_path):
    (tmp_path / "m.yaml").write_text(GOOD, encoding="utf-8")
    calendar = (ROOT / "config" / "calendars" / "always.yaml").read_text(encoding="utf-8")
    (tmp_path / "c.yaml").write_text(calendar, encoding="utf-8")
    assert load_agreements([tmp_path]).skipped == (str(tmp_path / "m.yaml"),)
