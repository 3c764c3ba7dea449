"""Stock Faust doing the same work as the tickets agent: decode, engine, state in a Faust table, verdicts sent.

One record at a time, as Faust's tutorial does it, with ``cython_optimizations``: the row of the ticket and its buckets
go to the table (and so to its changelog), verdicts and rollups to their topics. At least once; no fencing, no outbox.
"""

from __future__ import annotations

import asyncio
import sys

import faust

from agents.register_view import compile_register
from config.settings import load_settings
from sla.engine import TicketEngine
from sla.events import Heartbeat
from streams.codecs import decode_ticket, encode_verdict
from streams.connection import faust_brokers
from streams.register_topics import read_register
from streams.rollups import encode_rollup
from streams.topics import ROLLUPS, TICKETS, VERDICTS, Topics

settings = load_settings()
topics = Topics(settings)
partitions = settings.topics.partitions
app = faust.App(
    f"{topics.prefix}stock",
    broker=faust_brokers(settings.kafka),
    store="memory://",
    web_enabled=False,
    topic_partitions=partitions,
    topic_disable_leader=True,
    cython_optimizations=True,
    consumer_auto_offset_reset="earliest",
    datadir=f"/tmp/stock-faust-{settings.topics.prefix}",
    producer_compression_type="lz4",
)
RAW = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
source = app.topic(topics.name(TICKETS), key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
verdicts = app.topic(topics.name(VERDICTS), key_type=bytes, value_type=bytes, value_serializer="raw")
rollups = app.topic(topics.name(ROLLUPS), key_type=bytes, value_type=bytes, value_serializer="raw")
rows = app.Table("rows", partitions=partitions, schema=RAW)
engines: dict[int, TicketEngine] = {}
register = compile_register(asyncio.run(read_register(settings))).register
count = 0


@app.agent(source)
async def tickets(stream: faust.Stream[bytes]) -> None:
    global count
    async for event in stream.events():
        partition = event.message.partition
        engine = engines.get(partition)
        if engine is None:
            engine = engines[partition] = TicketEngine(register)
        decoded = decode_ticket(event.value, event.key)
        if isinstance(decoded, tuple):
            engine.apply(*decoded)
            outcome = engine.finish()
            for key, row in outcome.rows.items():
                if row is None:
                    rows.pop(key, None)
                else:
                    rows[key] = row
            for verdict, _ in outcome.verdicts:
                await verdicts.send(key=verdict.ticket.encode(), value=encode_verdict(verdict))
            for rollup in outcome.rollups:
                await rollups.send(key=rollup.target.encode(), value=encode_rollup(rollup))
        elif isinstance(decoded, Heartbeat):
            engine.advance_to(decoded.at_ms)
            count -= 1
        count += 1
        if count % 1000 == 0:
            print("COUNT", count, flush=True, file=sys.__stdout__)


if __name__ == "__main__":
    from mode import Worker

    Worker(app, loglevel="WARNING").execute_from_commandline()
