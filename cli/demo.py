"""``slawatch demo``: everything on this machine, a simulated day of a service desk, and what slawatch sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    speed: Annotated[float, typer.Option(help="Seconds of event time per second.")] = 600.0,
    hours: Annotated[float, typer.Option(help="Hours of event time.")] = 24.0,
    tickets_per_day: Annotated[float, typer.Option(help="Tickets of a working day.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Same seed, same day.")] = 1,
    start: Annotated[str, typer.Option(metavar="INSTANT", help="First instant.")] = "2026-11-02T06:00:00+07:00",
    workers: Annotated[int, typer.Option(min=1, max=4, help="Worker processes.")] = 1,
    port: Annotated[int, typer.Option(help="Port of the first worker's web server; 0 takes a free one.")] = 6066,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Logs and data of Prometheus and Alertmanager.")] = Path(
        ".slawatch/demo"
    ),
    wait: Annotated[bool, typer.Option(help="Keep everything running at the end, until Ctrl-C.")] = True,
) -> None:
    """Start Kafka, a worker and, where installed, Prometheus and Alertmanager; play a synthetic day; show what is seen.

    Uses the Kafka of SLAWATCH_KAFKA__BOOTSTRAP when that is set, else a container, else Kafka's jars (fetched once).
    """
    from cli.demo_run import DemoOptions, run_demo

    raise typer.Exit(
        run_demo(
            DemoOptions(
                speed=speed,
                hours=hours,
                tickets_per_day=tickets_per_day,
                seed=seed,
                start=start,
                workers=workers,
                port=port,
                folder=folder,
                wait=wait,
            )
        )
    )
