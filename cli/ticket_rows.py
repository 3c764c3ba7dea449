"""The live state of tickets, read from the workers' state topic; no worker needs to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.settings import Settings


async def read_ticket_rows(settings: Settings) -> dict[int, dict[bytes, bytes]]:
    """Return the newest row of every key, by partition; system rows included.

    Raises
    ------
    KafkaFault
        If the state topic can't be read.
    """
    from streams.connection import read_to_end
    from streams.topics import TICKETS_STATE, Topics

    rows: dict[int, dict[bytes, bytes]] = {}
    async for record in read_to_end(settings.kafka, [Topics(settings).name(TICKETS_STATE)]):
        of_partition = rows.setdefault(record.partition, {})
        if record.value is None:
            of_partition.pop(record.key, None)
        else:
            of_partition[record.key] = record.value
    return rows
