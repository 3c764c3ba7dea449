"""What libraries repeat is told once in a while, with the number of times."""

import logging

import pytest

from export.log_repeats import RepeatFilter


class Log:
    """What passes the filter."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._filter = RepeatFilter(("aiokafka", "faust"), 30.0, lambda: self.seconds)

    def say(
        self, message: object, *args: object, name: str = "aiokafka.client", level: int = logging.ERROR
    ) -> str | None:
        record = logging.LogRecord(name, level, "client.py", 1, message, args, None)
        return record.getMessage() if self._filter.filter(record) else None


def test_a_repetition_is_left_out_whatever_its_arguments() -> None:
    log = Log()
    assert log.say("Unable connect to node with id %s: %s", 1, "refused") == "Unable connect to node with id 1: refused"
    log.seconds = 29.9
    assert log.say("Unable connect to node with id %s: %s", 2, "timed out") is None


def test_after_a_while_it_is_told_with_the_number_left_out() -> None:
    log = Log()
    log.say("Unable connect to node with id %s: %s", 1, "refused")
    for _ in range(199):
        log.seconds += 0.1
        log.say("Unable connect to node with id %s: %s", 1, "refused")
    log.seconds = 30.0
    told = log.say("Unable connect to node with id %s: %s", 1, "refused")
    assert told == "Unable connect to node with id 1: refused (and 199 more in 30 s)"
    assert log.say("Unable connect to node with id %s: %s", 1, "refused") is None


def test_one_that_was_not_repeated_is_told_as_it_is() -> None:
    log = Log()
    log.say("100 %% of %s", "it")
    log.seconds = 3_600.0
    assert log.say("100 %% of %s", "it") == "100 % of it"


@pytest.mark.parametrize(
    ("name", "level"),
    [
        pytest.param("agents.worker", logging.ERROR, id="our own"),
        pytest.param("aiokafka_tools", logging.ERROR, id="a name that begins alike"),
        pytest.param("aiokafka.client", logging.CRITICAL, id="critical"),
    ],
)
def test_others_always_pass(name: str, level: int) -> None:
    log = Log()
    for _ in range(3):
        assert log.say("the same", name=name, level=level) == "the same"


def test_tracebacks_always_pass() -> None:
    repeats = RepeatFilter(("aiokafka",))
    fault = (ValueError, ValueError("broken"), None)
    for _ in range(3):
        assert repeats.filter(logging.LogRecord("aiokafka", logging.ERROR, "client.py", 1, "failed", (), fault))


def test_another_message_level_or_logger_is_no_repetition() -> None:
    log = Log()
    log.say("the same")
    assert log.say("another") == "another"
    assert log.say("the same", level=logging.WARNING) == "the same"
    assert log.say("the same", name="aiokafka.conn") == "the same"
    assert log.say("the same", name="faust") == "the same"


def test_texts_without_end_fill_no_memory() -> None:
    log = Log()
    for number in range(5_000):
        assert log.say(f"message {number}")
    assert len(log._filter._written) <= 1_000


def test_a_message_that_is_no_text_passes_once() -> None:
    log = Log()
    error = ValueError("broken")
    assert log.say(error) == "broken"
    assert log.say(error) is None
