"""The rules an alert must keep before it may go to Alertmanager."""

import pytest

from export.pushed_alert import InvalidAlertError, PushedAlert

NOW = 1_780_000_000_123


def test_both_times_are_always_sent_in_utc_with_their_zone() -> None:
    document = PushedAlert({"alertname": "A"}, {}, NOW, NOW + 120_000).document()
    assert document["startsAt"] == "2026-05-28T20:26:40.123Z"
    assert document["endsAt"] == "2026-05-28T20:28:40.123Z"


def test_empty_values_are_dropped_here_so_that_the_identity_is_what_was_sent() -> None:
    document = PushedAlert({"alertname": "A", "team": ""}, {"summary": "s", "note": ""}, NOW, NOW).document()
    assert document["labels"] == {"alertname": "A"}
    assert document["annotations"] == {"summary": "s"}


def test_the_generator_url_is_sent_when_there_is_one() -> None:
    assert "generatorURL" not in PushedAlert({"alertname": "A"}, {}, NOW, NOW).document()
    document = PushedAlert({"alertname": "A"}, {}, NOW, NOW, "http://grafana/d/x").document()
    assert document["generatorURL"] == "http://grafana/d/x"


@pytest.mark.parametrize("name", ["bad-name", "1st", "", "ümlaut", "a b", "team\n", "a:b"])
def test_names_that_a_release_of_alertmanager_may_refuse_are_refused_here(name: str) -> None:
    with pytest.raises(InvalidAlertError, match="label"):
        PushedAlert({"alertname": "A", name: "x"}, {}, NOW, NOW)
    with pytest.raises(InvalidAlertError, match="annotation"):
        PushedAlert({"alertname": "A"}, {name: "x"}, NOW, NOW)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidAlertError) as caught:
        PushedAlert({"alertname": "", "bad-name": "x"}, {"worse name": "y"}, NOW, NOW - 1)
    for part in ("'bad-name'", "'worse name'", "'alertname' is missing", "before it starts"):
        assert part in str(caught.value)
