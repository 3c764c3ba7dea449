"""The book of alerts: what is pushed when, and what survives a restart."""

import msgspec
import pytest

from export.alert_book import AlertBook, Applied, DueAlert, RowFormatError
from export.pushed_alert import InvalidAlertError
from sla.outcome import Alert, AlertKind, AlertState

T0 = 1_780_000_000_000
SECOND = 1_000
RESEND = 30 * SECOND
RESOLVE_RESEND = 900 * SECOND
RETRY = 5 * SECOND
ID = "SLATicketAtRisk/INC-1:response:1"


def make_book() -> AlertBook:
    return AlertBook(resend_ms=RESEND, resolve_resend_ms=RESOLVE_RESEND, retry_ms=RETRY, generator_url="http://board")


def decision(
    state: AlertState = AlertState.FIRING,
    *,
    alert_id: str = ID,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Alert:
    return Alert(
        id=alert_id,
        kind=AlertKind.TICKET_AT_RISK,
        state=state,
        severity="warning",
        at_ms=T0 - 86_400_000,
        labels={"team": "v30", "ticket_id": "INC-1"} if labels is None else labels,
        annotations={"summary": "half used"} if annotations is None else annotations,
    )


FIRING, RESOLVED = decision(), decision(AlertState.RESOLVED)


def push(book: AlertBook, now_ms: int) -> list[DueAlert]:
    """One successful push."""
    due = book.due(now_ms)
    book.pushed(due, now_ms)
    return due


def test_a_new_alert_is_due_at_once_with_its_start_and_an_end_four_resends_ahead() -> None:
    book = make_book()
    assert book.apply(FIRING, T0) is Applied.STARTED
    [due] = book.due(T0 + 200)
    assert due.id == ID
    assert due.alert.starts_at_ms == T0
    assert due.alert.ends_at_ms == T0 + 200 + 4 * RESEND
    assert due.alert.labels == {
        "alertname": "SLATicketAtRisk",
        "severity": "warning",
        "team": "v30",
        "ticket_id": "INC-1",
    }
    assert due.alert.annotations == {"summary": "half used"}
    assert due.alert.generator_url == "http://board"


def test_the_start_is_when_it_was_seen_not_the_event_time_of_the_decision() -> None:
    """A replay of an old log must not tell Alertmanager of an alert that started years ago."""
    book = make_book()
    book.apply(FIRING, T0)
    assert book.due(T0)[0].alert.starts_at_ms == T0 != FIRING.at_ms


def test_the_dashboard_of_the_alert_wins_over_the_general_link() -> None:
    book = make_book()
    book.apply(decision(annotations={"dashboard_url": "http://board/inc-1"}), T0)
    assert book.due(T0)[0].alert.generator_url == "http://board/inc-1"


def test_a_firing_alert_is_sent_again_every_resend_and_not_before() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    assert book.next_due_ms() == T0 + RESEND
    assert book.due(T0 + RESEND - 1) == []
    [again] = push(book, T0 + RESEND)
    assert again.alert.starts_at_ms == T0
    assert again.alert.ends_at_ms == T0 + 5 * RESEND


def test_resends_count_from_the_decision_not_from_a_slow_success() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    book.pushed(book.due(T0), T0 + 9 * SECOND)
    assert book.next_due_ms() == T0 + RESEND


def test_repeating_a_decision_changes_nothing() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    book.take_changes()
    assert book.apply(FIRING, T0 + SECOND) is Applied.UNCHANGED
    assert book.due(T0 + SECOND) == []
    assert book.take_changes() == {}


def test_new_annotations_are_sent_at_once_under_the_old_labels_and_start() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    changed = decision(labels={"team": "other"}, annotations={"summary": "90 % used"})
    assert book.apply(changed, T0 + SECOND) is Applied.CHANGED
    [due] = book.due(T0 + SECOND)
    assert due.alert.annotations == {"summary": "90 % used"}
    assert due.alert.labels["team"] == "v30"
    assert due.alert.starts_at_ms == T0


def test_a_failed_push_is_tried_again_soon_and_then_meets_the_resend() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    assert len(book.due(T0)) == 1
    assert book.due(T0 + RETRY - 1) == []
    assert len(push(book, T0 + RETRY)) == 1
    assert book.next_due_ms() == T0 + RETRY + RESEND


def test_a_retry_is_never_later_than_the_resend() -> None:
    book = AlertBook(resend_ms=1000, retry_ms=60_000)
    book.apply(FIRING, T0)
    book.due(T0)
    assert book.next_due_ms() == T0 + 1000


def test_a_refused_alert_waits_for_the_resend() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    book.refused(book.due(T0))
    assert book.next_due_ms() == T0 + RESEND


def test_a_resolve_is_sent_at_once_with_its_own_instant_and_again_for_15_minutes_then_forgotten() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    resolved_at = T0 + 10 * SECOND
    assert book.apply(RESOLVED, resolved_at) is Applied.RESOLVED
    now, sent = resolved_at + 300, []
    first_success = now
    while now < first_success + RESOLVE_RESEND:
        [due] = push(book, now)
        sent.append(due.alert)
        now = book.next_due_ms()
        assert now is not None
    assert {(alert.starts_at_ms, alert.ends_at_ms) for alert in sent} == {(T0, resolved_at)}
    assert len(sent) == RESOLVE_RESEND // RESEND
    book.take_changes()
    assert push(book, now) == []
    assert ID not in book
    assert book.take_changes() == {ID: None}
    assert book.next_due_ms() is None


def test_the_15_minutes_count_from_the_first_push_that_succeeded() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    book.apply(RESOLVED, T0 + SECOND)
    hours_later = T0 + 4 * 3600 * SECOND  # no Alertmanager could be reached
    now = T0 + SECOND
    while now < hours_later:
        assert len(book.due(now)) == 1
        now += RETRY
    push(book, now)
    assert len(book.due(now + RESOLVE_RESEND - 1)) == 1
    assert book.due(now + RESOLVE_RESEND + RETRY) == []
    assert ID not in book


def test_an_alert_that_nobody_was_told_of_ends_silently() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    assert book.apply(RESOLVED, T0 + SECOND) is Applied.DROPPED
    assert book.due(T0 + SECOND) == []
    assert book.take_changes() == {ID: None}


def test_a_push_that_failed_may_have_arrived_so_its_resolve_is_sent_while_it_could_still_fire() -> None:
    """A timeout does not say whether Alertmanager has the alert; it runs out by itself after its endsAt."""
    book = make_book()
    book.apply(FIRING, T0)
    book.due(T0)  # no success reported
    assert book.apply(RESOLVED, T0 + SECOND) is Applied.RESOLVED
    [due] = book.due(T0 + SECOND)
    assert due.alert.ends_at_ms == T0 + SECOND
    assert book.due(T0 + 4 * RESEND - 1) != []
    assert book.due(T0 + 4 * RESEND + RETRY) == []
    assert ID not in book


def test_a_resolve_of_an_unknown_alert_is_nothing() -> None:
    book = make_book()
    assert book.apply(RESOLVED, T0) is Applied.UNCHANGED
    assert len(book) == 0
    assert book.take_changes() == {}


def test_a_resolve_during_a_push_is_not_taken_for_pushed() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    in_flight = book.due(T0)
    book.apply(RESOLVED, T0 + SECOND)
    book.pushed(in_flight, T0 + 2 * SECOND)
    [due] = book.due(T0 + 2 * SECOND)
    assert due.state is AlertState.RESOLVED
    # The firing did arrive, so the resolve is owed for as long as it takes.
    assert len(book.due(T0 + 3600 * SECOND)) == 1


def test_a_change_during_a_push_stays_due() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    in_flight = book.due(T0)
    book.apply(decision(annotations={"summary": "90 % used"}), T0 + SECOND)
    book.pushed(in_flight, T0 + SECOND)
    [due] = book.due(T0 + SECOND)
    assert due.alert.annotations == {"summary": "90 % used"}


def test_firing_again_after_a_delivered_resolve_is_a_new_episode_with_new_labels() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    book.apply(RESOLVED, T0 + SECOND)
    push(book, T0 + SECOND)
    assert book.apply(decision(labels={"team": "other"}), T0 + 60 * SECOND) is Applied.STARTED
    [due] = push(book, T0 + 60 * SECOND)
    assert due.state is AlertState.FIRING
    assert due.alert.starts_at_ms == T0 + 60 * SECOND
    assert due.alert.labels["team"] == "other"


def test_firing_again_before_the_resolve_was_delivered_keeps_the_labels_and_still_owes_a_resolve() -> None:
    """Alertmanager still holds the first episode: other labels would leave it there as an orphan."""
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    book.apply(RESOLVED, T0 + SECOND)
    book.due(T0 + SECOND)  # fails
    book.apply(decision(labels={"team": "other"}), T0 + 2 * SECOND)
    book.apply(decision(AlertState.RESOLVED), T0 + 3 * SECOND)
    [due] = book.due(T0 + 3600 * SECOND)
    assert due.state is AlertState.RESOLVED
    assert due.alert.labels["team"] == "v30"
    assert due.alert.starts_at_ms == T0 + 2 * SECOND


def test_a_resolve_never_ends_before_its_start_nor_in_the_future_when_the_wall_clock_is_set_back() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    book.apply(RESOLVED, T0 - 3600 * SECOND)
    earlier = T0 - 3600 * SECOND + SECOND
    [due] = book.due(earlier)
    assert due.alert.starts_at_ms <= due.alert.ends_at_ms <= earlier


def test_a_start_is_never_in_the_future_and_stays_where_the_clock_put_it() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    assert push(book, T0)[0].alert.starts_at_ms == T0
    back = T0 - 600 * SECOND
    book.apply(decision(annotations={"summary": "x"}), back)
    assert push(book, back)[0].alert.starts_at_ms == back
    assert push(book, T0 + RESEND)[0].alert.starts_at_ms == back


def test_a_restart_keeps_start_labels_and_what_is_owed() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    reborn = make_book()
    reborn.load(ID, book.row(ID))
    assert reborn.row(ID) == book.row(ID)
    [due] = reborn.due(T0 + 10 * SECOND)
    assert due.alert.starts_at_ms == T0
    assert due.alert.labels == book.due(T0 + RESEND)[0].alert.labels
    assert reborn.apply(FIRING, T0 + 11 * SECOND) is Applied.UNCHANGED


def test_a_resolve_already_resent_for_15_minutes_while_nobody_ran_is_forgotten_after_a_restart() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    push(book, T0)
    book.apply(RESOLVED, T0 + SECOND)
    push(book, T0 + SECOND)
    reborn = make_book()
    reborn.load(ID, book.row(ID))
    assert reborn.due(T0 + SECOND + RESOLVE_RESEND) == []
    assert reborn.take_changes() == {ID: None}


def test_after_a_restart_an_undelivered_alert_may_have_been_pushed_by_the_former_owner() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    row = book.row(ID)
    book.due(T0)  # pushed, and the owner dies before it can note it
    reborn = make_book()
    reborn.load(ID, row)
    assert reborn.apply(RESOLVED, T0 + SECOND) is Applied.RESOLVED
    assert len(reborn.due(T0 + SECOND)) == 1
    assert reborn.due(T0 + SECOND + 4 * RESEND) == []
    assert ID not in reborn


def test_only_what_has_to_survive_is_reported_as_changed() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    assert book.take_changes() == {ID: book.row(ID)}
    push(book, T0)
    assert list(book.take_changes()) == [ID]  # it is known to have arrived
    push(book, T0 + RESEND)
    assert book.take_changes() == {}  # a resend is no news


def test_a_row_starts_with_its_format() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    assert book.row(ID)[0] == 1


@pytest.mark.parametrize("row", [b"", b"\x02\x90", b"\x01", b"\x01\xc1", b"\x01\x80", b"\x01\x90"])
def test_a_row_of_a_newer_release_or_a_damaged_one_stops_the_worker(row: bytes) -> None:
    with pytest.raises(RowFormatError, match="SLATicketAtRisk/INC-1"):
        make_book().load(ID, row)


def test_a_row_with_fields_of_a_later_release_of_the_same_format_can_be_read() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    fields = msgspec.msgpack.decode(book.row(ID)[1:])
    reborn = make_book()
    reborn.load(ID, b"\x01" + msgspec.msgpack.encode([*fields, "later"]))
    assert reborn.due(T0)[0].alert.starts_at_ms == T0


def test_bad_names_are_refused_and_leave_the_book_as_it_was() -> None:
    book = make_book()
    with pytest.raises(InvalidAlertError, match="bad-name"):
        book.apply(decision(labels={"bad-name": "x"}), T0)
    assert len(book) == 0
    book.apply(FIRING, T0)
    with pytest.raises(InvalidAlertError):
        book.apply(decision(annotations={"bad name": "x"}), T0)
    assert book.due(T0)[0].alert.annotations == {"summary": "half used"}


@pytest.mark.parametrize("labels", [{}, {"alertname": "", "severity": ""}])
def test_name_and_severity_are_added_where_the_decision_has_none(labels: dict[str, str]) -> None:
    book = make_book()
    book.apply(decision(labels=labels), T0)
    assert book.due(T0)[0].alert.labels == {"alertname": "SLATicketAtRisk", "severity": "warning"}


def test_the_most_urgent_come_first_and_the_rest_stays_due() -> None:
    book = make_book()
    for number in range(5):
        book.apply(decision(alert_id=f"a{number}"), T0 + number)
    assert [due.id for due in book.due(T0 + 10, limit=3)] == ["a0", "a1", "a2"]
    assert [due.id for due in book.due(T0 + 10)] == ["a3", "a4"]


def test_firing_alerts_are_counted_by_name() -> None:
    book = make_book()
    book.apply(FIRING, T0)
    book.apply(decision(alert_id="other"), T0)
    push(book, T0)
    book.apply(RESOLVED, T0 + SECOND)
    assert book.firing_count() == 1
    assert book.firing_by_name() == {kind.value: int(kind is AlertKind.TICKET_AT_RISK) for kind in AlertKind}
    assert len(book) == 2


def test_firing_alerts_are_counted_by_contract_and_team_and_the_rarest_together() -> None:
    book = make_book()
    teams = ["V30"] * 3 + ["V5"] * 2 + ["A", "B"]
    for number, team in enumerate(teams):
        book.apply(decision(alert_id=f"a{number}", labels={"sla_id": "desk", "team": team}), T0)
    name = AlertKind.TICKET_AT_RISK.value
    assert book.firing_by_team()[name, "desk", "V30"] == 3
    assert book.firing_by_team(limit=2) == {(name, "desk", "V30"): 3, (name, "desk", "V5"): 2, (name, "", ""): 2}
    assert sum(book.firing_by_team(limit=1).values()) == book.firing_count() == len(teams)


@pytest.mark.parametrize("argument", ["resend_ms", "resolve_resend_ms", "retry_ms"])
def test_intervals_must_be_positive(argument: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        AlertBook(**({"resend_ms": 1} | {argument: 0}))


def test_what_the_book_holds_can_be_shown_by_id() -> None:
    book = make_book()
    book.apply(decision(alert_id="b"), T0)
    book.apply(decision(alert_id="a"), T0 + SECOND)
    push(book, T0 + SECOND)
    book.apply(decision(AlertState.RESOLVED, alert_id="a"), T0 + 2 * SECOND)
    shown = book.documents()
    assert [(document["id"], document["state"]) for document in shown] == [("a", "resolved"), ("b", "firing")]
    assert shown[1]["starts_at"] == "2026-05-28T20:26:40.000Z"
    assert shown[1]["annotations"] == {"summary": "half used"}
