"""Logging: one form for all, and no secrets in it."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from config.settings import LogSettings
from export.logging_setup import MASK, configure_logging, masked_text


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    names = ("aiokafka", "kafka", "faust", "mode", "asyncio", "aiohttp.access")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)
    structlog.reset_defaults()


def fail(error: Exception) -> None:
    raise error


def configured(**settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(LogSettings(**settings), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_records_are_json_with_data_as_keys() -> None:
    stream = configured()
    structlog.get_logger("streams.lane").info("chunk_done", partition=3, records=4096)
    [line] = lines(stream)
    assert line["event"] == "chunk_done"
    assert (line["partition"], line["records"], line["level"], line["logger"]) == (3, 4096, "info", "streams.lane")
    assert line["timestamp"].endswith("Z")


def test_records_of_libraries_take_the_same_form() -> None:
    stream = configured()
    logging.getLogger("aiokafka.consumer").warning("Heartbeat failed for group %s", "g")
    [line] = lines(stream)
    assert line["event"] == "Heartbeat failed for group g"
    assert (line["logger"], line["level"]) == ("aiokafka.consumer", "warning")


def test_libraries_speak_up_only_when_something_is_wrong_unless_debugging() -> None:
    stream = configured()
    logging.getLogger("faust").info("chatter")
    assert lines(stream) == []
    stream = configured(level="DEBUG")
    logging.getLogger("faust").debug("chatter")
    assert [line["event"] for line in lines(stream)] == ["chatter"]
    stream = configured(level="ERROR")
    logging.getLogger("faust").warning("chatter")
    assert lines(stream) == []


def test_the_level_holds_for_our_records() -> None:
    stream = configured(level="WARNING")
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_tracebacks_are_one_json_line() -> None:
    stream = configured()
    try:
        fail(ValueError("broken at https://user:hush@host/x"))
    except ValueError:
        structlog.get_logger("x").exception("failed")
        logging.getLogger("lib").exception("failed too")
    for line in lines(stream):
        assert "ValueError: broken at https://" in line["exception"]
        assert "hush" not in line["exception"]


def test_configuring_again_replaces_and_does_not_double() -> None:
    first = configured()
    second = configured()
    structlog.get_logger("x").info("once")
    logging.getLogger("lib").warning("twice?")
    assert first.getvalue() == ""
    assert len(lines(second)) == 2


def test_handlers_of_others_stay() -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    configured()
    assert other in logging.getLogger().handlers


def test_warnings_are_logged() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("mind the gap", UserWarning, stacklevel=1)
    logging.captureWarnings(capture=False)
    assert "mind the gap" in lines(stream)[0]["event"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("console", io.StringIO, False),
    ],
)
def test_console_on_a_terminal_else_json(log_format: str, stream: type[io.StringIO], is_json: bool) -> None:
    out = stream()
    configure_logging(LogSettings(format=log_format), out)
    structlog.get_logger("x").info("hello", password="hush")
    text = out.getvalue()
    assert text.startswith("{") == is_json
    assert "hello" in text
    assert "hush" not in text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_never_printed(log_format: str) -> None:
    stream = configured(format=log_format)
    log = structlog.get_logger("x")
    log.info(
        "connecting",
        sasl_password="hush1",
        token=b"hush2",
        headers={"Authorization": "Bearer hush3", "accept": "x"},
        secret=SecretStr("hush4"),
        urls=["http://user:hush5@host:9093/x"],
        nested={"deep": [{"api_key": "hush6"}]},
    )
    logging.getLogger("aiokafka").warning("auth with password='hush7' at kafka://u:hush8@b and Bearer hush9")
    try:
        fail(ConnectionError("http://user:hush10@host refused token=hush11"))
    except ConnectionError:
        log.exception("failed")
    text = stream.getvalue()
    assert "hush" not in text
    assert text.count(MASK) >= 9
    assert "host:9093" in text


@pytest.mark.parametrize(
    "text",
    [
        "http://host:9093/path",
        "offset=12 partition=3",
        "a token bucket",
        "mail to a@b.example: soon",
        "2026-05-28T20:26:40Z",
    ],
)
def test_texts_without_secrets_stay_as_they_are(text: str) -> None:
    assert masked_text(text) == text


def test_what_a_library_repeats_is_written_once_unless_everything_is_wanted() -> None:
    for level, written in (("INFO", 1), ("DEBUG", 3)):
        stream = configured(level=level)
        for node in range(3):
            logging.getLogger("aiokafka").error("Unable connect to node with id %s", node)
        assert len(lines(stream)) == written
