"""``slawatch dead-letters``: records that could not be taken in; see why, and send them again."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from cli.console import console as make_console

if TYPE_CHECKING:
    from streams.dead_letters import DeadLetter, DeadLetterError, Replayed

app = typer.Typer(no_args_is_help=True)

_AGO = re.compile(r"(\d+)([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_Reason = Annotated[str | None, typer.Option(help="Only those of this reason, for example malformed.")]
_Since = Annotated[
    str | None, typer.Option(help="Only those of this instant or later: 2026-03-02T08:00:00Z, or 90m, 24h, 7d ago.")
]


@app.callback()
def dead_letters() -> None:
    """List, show and replay records that could not be taken in."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a command says itself what does not answer


@app.command("list")
def list_command(
    *,
    reason: _Reason = None,
    since: _Since = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
) -> None:
    """List dead letters, newest last."""
    from config.settings import load_settings
    from sla.units import format_instant
    from streams.dead_letters import DeadLetterError

    settings = load_settings()
    since_ms = _instant(since)
    _known_reason(reason)

    async def newest() -> tuple[int, deque[DeadLetter | DeadLetterError]]:
        from streams.dead_letters import read_dead_letters

        kept: deque[DeadLetter | DeadLetterError] = deque(maxlen=limit)
        count = 0
        async for letter in read_dead_letters(settings, reason=reason, since_ms=since_ms):
            kept.append(letter)
            count += 1
        return count, kept

    count, letters = asyncio.run(newest())
    table = Table(Column("id", no_wrap=True), "put here", "reason", "from", "key", "replays", "detail")
    for letter in letters:
        if isinstance(letter, DeadLetterError):
            table.add_row("", "", "", "", "", "", str(letter))
        else:
            table.add_row(
                letter.id,
                format_instant(letter.dead_at_ms),
                letter.reason,
                f"{letter.topic}/{letter.partition}@{letter.offset}",
                _text(letter.key, 40),
                str(letter.replays),
                letter.detail,
            )
    console = make_console(markup=False)
    if letters:
        console.print(table)
    console.print(f"{count} dead letters" if count <= limit else f"{count} dead letters, the newest {limit} shown")


@app.command("show")
def show_command(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As listed: partition:offset.")],
) -> None:
    """Show one dead letter whole."""
    from config.settings import load_settings
    from sla.units import format_instant
    from streams.dead_letters import find_dead_letters

    settings = load_settings()
    _check_ids([identity])
    (letter,) = asyncio.run(find_dead_letters(settings, [identity]))
    print(f"id         {letter.id}")
    print(f"reason     {letter.reason}")
    print(f"detail     {letter.detail}")
    print(f"put here   {format_instant(letter.dead_at_ms)}")
    print(f"from       {letter.topic}/{letter.partition}@{letter.offset}, {format_instant(letter.timestamp_ms)}")
    print(f"replays    {letter.replays}")
    if letter.cut_from_bytes is not None:
        print(f"cut        it had {letter.cut_from_bytes} bytes; the beginnings of key and value are kept")
    for name, value in letter.headers:
        print(f"header     {name}: {_text(value, None)}")
    print(f"key        {_text(letter.key, None)}")
    print(f"value      {_text(letter.value, None)}")


@app.command("replay")
def replay_command(
    *,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="As listed: partition:offset.")] = None,
    reason: _Reason = None,
    since: _Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also send what failed again after three replays.")] = False,
) -> None:
    """Send dead letters again to the topics they came from: those named, or all of a reason.

    Of a record whose replay failed again only the newest letter is sent. Events carry their identity, so what was taken
    in meanwhile is not counted twice. Exit code 1 if any was refused.
    """
    from config.settings import load_settings
    from streams.dead_letters import find_dead_letters, replay, replayable

    settings = load_settings()
    if bool(ids) == bool(reason):
        raise typer.BadParameter("name either dead letters or --reason")
    if ids and since:
        raise typer.BadParameter("--since goes with --reason", param_hint="--since")
    since_ms = _instant(since)
    _known_reason(reason)
    _check_ids(ids or [])

    async def send() -> list[Replayed]:
        if ids:
            letters = await find_dead_letters(settings, ids)
        else:
            letters = await replayable(settings, reason or "", since_ms=since_ms)
        return await replay(settings, letters, dry_run=dry_run, force=force, on_each=_say)

    outcomes = asyncio.run(send())
    refused = sum(outcome.refused is not None for outcome in outcomes)
    verb = "would be sent" if dry_run else "sent"
    print(f"{len(outcomes) - refused} {verb}, {refused} refused")
    if refused:
        raise typer.Exit(1)


def _say(outcome: Replayed) -> None:
    letter = outcome.letter
    if outcome.refused:
        print(f"{letter.id}  refused: {outcome.refused}")
    elif outcome.to:
        print(f"{letter.id}  sent to {outcome.to} (replay {letter.replays + 1})")
    else:
        print(f"{letter.id}  would be sent to {letter.topic} (replay {letter.replays + 1})")


def _text(data: bytes | None, most: int | None) -> str:
    """Return bytes as text; control characters escaped, so that a record can't drive the terminal."""
    if data is None:
        return "(none)"
    text = data.decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def _instant(since: str | None) -> int | None:
    if since is None:
        return None
    from sla.errors import UnitError
    from sla.units import parse_instant
    from streams.system_clock import now_ms

    if ago := _AGO.fullmatch(since):
        return now_ms() - int(ago.group(1)) * _UNIT_MS[ago.group(2)]
    try:
        return parse_instant(since)
    except UnitError as error:
        raise typer.BadParameter(f"{error}; or 90m, 24h, 7d", param_hint="--since") from error


def _known_reason(reason: str | None) -> None:
    from sla.events import Reason

    # Typer's own choice would need the enum at import; a word of a newer release is refused like a typo.
    if reason is not None and reason not in set(Reason):
        raise typer.BadParameter(f"{reason!r} is none of {', '.join(Reason)}", param_hint="--reason")


def _check_ids(ids: list[str]) -> None:
    from streams.dead_letters import DeadLetterError, place_of

    faults = []
    for identity in ids:
        try:
            place_of(identity)
        except DeadLetterError as error:
            faults.append(str(error))
    if faults:
        raise typer.BadParameter("; ".join(faults), param_hint="ID")
