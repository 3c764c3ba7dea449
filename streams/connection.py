"""Connections to Kafka: client options from the settings, clients that say why they can't connect, bounded reads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import ConsumerRecord, TopicPartition

from config.settings import KafkaSettings

CLIENT_ID: Final = "slawatch"

_PROBE_SECONDS: Final = 5.0
"""Longest wait when a refused connection is looked at again for its cause."""
_POLL_MS: Final = 500
"""Longest wait of one poll: how often a bounded read looks at its progress."""


class KafkaFault(Exception):  # noqa: N818  # read by people: "Kafka is unreachable", not "an error"
    """Kafka can't be used as the settings say; the message is for the user and holds no secret."""


class BrokerUnreachable(KafkaFault):
    """No broker answers; the message names the hosts tried and the setting."""


class CredentialsRefused(KafkaFault):
    """A broker answers and refuses the user, the mechanism or the certificate."""


class TopicMissing(KafkaFault):
    """A topic that must exist does not."""


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes (consumer, producer and admin client).

    Raises
    ------
    KafkaFault
        If a file of secrets or certificates can't be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "client_id": CLIENT_ID,
        "request_timeout_ms": round(kafka.request_timeout_seconds * 1000),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = _password(kafka)
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(kafka)
    return options


def faust_credentials(kafka: KafkaSettings) -> Any:
    """Return ``broker_credentials`` of a Faust app: SASL or SSL credentials, None without either.

    Raises
    ------
    KafkaFault
        If a file of secrets or certificates can't be read.
    """
    if kafka.security_protocol == "PLAINTEXT":
        return None
    import faust  # it takes a second: commands without an app don't pay for it

    context = _ssl_context(kafka) if kafka.security_protocol.endswith("SSL") else None
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    # Faust derives SASL_PLAINTEXT or SASL_SSL from the presence of a context.
    return faust.SASLCredentials(
        username=kafka.sasl_username, password=_password(kafka), mechanism=kafka.sasl_mechanism, ssl_context=context
    )


def faust_brokers(kafka: KafkaSettings) -> list[str]:
    """Return the bootstrap servers as Faust's ``broker`` wants them: ``kafka://host:port``."""
    return [f"kafka://{server.strip()}" for server in kafka.bootstrap.split(",") if server.strip()]


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a started admin client; see :func:`start_client` for what it raises."""
    client = AIOKafkaAdminClient(**client_options(kafka))
    try:
        await start_client(client.start, kafka)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def producer_client(kafka: KafkaSettings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Give a started idempotent producer with ``acks=all``; ``options`` win. On leaving, what is buffered is sent."""
    producer = AIOKafkaProducer(**client_options(kafka), **({"acks": "all", "enable_idempotence": True} | options))
    try:
        await start_client(producer.start, kafka)
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def consumer_client(kafka: KafkaSettings, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a started consumer without a group that reads committed records only; ``options`` win."""
    consumer = AIOKafkaConsumer(**client_options(kafka), **(_CONSUMER_OPTIONS | options))
    try:
        await start_client(consumer.start, kafka)
        yield consumer
    finally:
        await stop_consumer(consumer)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer whatever the state of its broker, and close its connections.

    aiokafka's ``stop`` cancels and awaits tasks of its own. One that waits to try again, or has not run yet, hands the
    cancellation on to the caller, and the rest stays open.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping})
    if not stopping.cancelled():
        stopping.result()
        return
    fetcher = consumer._fetcher  # noqa: SLF001  # nothing public closes what `stop` left open
    tasks = {fetcher._fetch_task, *fetcher._pending_tasks} if fetcher is not None else set()  # noqa: SLF001
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    await consumer._client.close()  # noqa: SLF001


_CONSUMER_OPTIONS: Final[dict[str, Any]] = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
}


async def start_client(start: Callable[[], Any], kafka: KafkaSettings) -> None:
    """Await a client's ``start`` and turn its failure into one that a user can act on.

    Raises
    ------
    BrokerUnreachable
        If no bootstrap server answers.
    CredentialsRefused
        If one answers and refuses the user, the mechanism or the certificate.
    """
    try:
        await start()
    except (KafkaError, OSError, TimeoutError) as error:
        # aiokafka logs the cause and raises "unable to bootstrap" for all of them: look again.
        raise await _cause(kafka, error) from error


async def partition_counts(kafka: KafkaSettings) -> dict[str, int]:
    """Return the number of partitions of every topic this user may see.

    Asks for all topics rather than for some: naming a missing topic makes a broker with automatic creation create it,
    with its own defaults.
    """
    async with admin_client(kafka) as admin:
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


async def require_topics(kafka: KafkaSettings, topics: Sequence[str]) -> dict[str, int]:
    """Return the partition counts of some topics.

    Raises
    ------
    TopicMissing
        Naming all that are missing.
    """
    counts = await partition_counts(kafka)
    if missing := [topic for topic in topics if topic not in counts]:
        raise TopicMissing(
            f"no such topic on {kafka.bootstrap}: {', '.join(missing)}; create it: slawatch topics apply"
        )
    return {topic: counts[topic] for topic in topics}


async def read_to_end(
    kafka: KafkaSettings, topics: Sequence[str], *, since_ms: int | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Yield the committed records of some topics up to the end they have when the read begins.

    Parameters
    ----------
    topics
        Full names. The order is that of the offsets within a partition, none between partitions.
    since_ms
        Begin at the first record of this Kafka timestamp or later; None reads from the start.

    Yields
    ------
    ConsumerRecord
        With key and value as bytes.

    Raises
    ------
    TopicMissing
        If one of the topics does not exist.
    BrokerUnreachable
        If the broker stops answering for ``request_timeout_seconds`` on the way.
    """
    counts = await require_topics(kafka, topics)
    async with consumer_client(kafka, fetch_max_wait_ms=100) as consumer:
        partitions = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        consumer.assign(partitions)
        pending = await seek_to_start(consumer, partitions, since_ms)
        ends = await consumer.end_offsets(list(pending)) if pending else {}
        progress = dict.fromkeys(pending, -1)
        last_progress = asyncio.get_running_loop().time()
        while True:
            for partition in list(pending):
                # The position, not the last record: markers of transactions and compacted records have offsets too.
                position = await consumer.position(partition)
                if position > progress[partition]:
                    progress[partition] = position
                    last_progress = asyncio.get_running_loop().time()
                if position >= ends[partition]:
                    pending.discard(partition)
            if not pending:
                return
            if asyncio.get_running_loop().time() - last_progress > kafka.request_timeout_seconds:
                raise BrokerUnreachable(
                    f"{kafka.bootstrap} sent nothing of {', '.join(sorted({p.topic for p in pending}))} "
                    f"for {kafka.request_timeout_seconds:g} s"
                )
            for partition, records in (await consumer.getmany(*pending, timeout_ms=_POLL_MS)).items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record


async def seek_to_start(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], since_ms: int | None = None
) -> set[TopicPartition]:
    """Seek assigned partitions to their start, or to an instant; return those that have something from there on."""
    if since_ms is None:
        for partition, offset in (await consumer.beginning_offsets(list(partitions))).items():
            consumer.seek(partition, offset)
        return set(partitions)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    for partition, at in found.items():
        if at is not None:
            consumer.seek(partition, at.offset)
    return {partition for partition, at in found.items() if at is not None}


def _password(kafka: KafkaSettings) -> str | None:
    try:
        return kafka.password()
    except OSError as error:
        raise KafkaFault(f"SLAWATCH_KAFKA__SASL_PASSWORD_FILE: {error.strerror}: {error.filename}") from error


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(kafka, name)
        if path is not None and not path.is_file():
            raise KafkaFault(f"SLAWATCH_KAFKA__{name.upper()}: no such file: {path}")
    try:
        context = ssl.create_default_context(cafile=str(kafka.ca_file) if kafka.ca_file else None)
        if kafka.cert_file and kafka.key_file:
            context.load_cert_chain(kafka.cert_file, kafka.key_file)
    except (ssl.SSLError, OSError) as error:
        raise KafkaFault(
            f"SLAWATCH_KAFKA__CA_FILE, __CERT_FILE or __KEY_FILE can't be used: {error.strerror or error}"
        ) from error
    return context


async def _cause(kafka: KafkaSettings, error: BaseException) -> KafkaFault:
    """Connect to each bootstrap server once more and say what it answers."""
    options = client_options(kafka)
    options.pop("bootstrap_servers")
    options["request_timeout_ms"] = min(options["request_timeout_ms"], round(_PROBE_SECONDS * 1000))
    answers: list[str] = []
    for host, port, _ in collect_hosts(kafka.bootstrap):
        try:
            connection = await create_conn(host, port, **options)
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
        except (AuthenticationFailedError, SaslAuthenticationFailed) as refusal:
            return _credentials_refused(kafka, f"{host}:{port}", _message(refusal))
        except UnsupportedSaslMechanismError:
            return _credentials_refused(kafka, f"{host}:{port}", "the mechanism is not enabled there")
        except IllegalSaslStateError:
            return _credentials_refused(kafka, f"{host}:{port}", "no SASL on that port")
        except ssl.SSLError as refusal:
            said = getattr(refusal, "verify_message", None) or refusal.reason or refusal
            return CredentialsRefused(
                f"{host}:{port}: TLS: {said}; see SLAWATCH_KAFKA__CA_FILE, __CERT_FILE, __KEY_FILE"
            )
        except TimeoutError:
            answers.append(f"{host}:{port} does not answer")
        except (KafkaConnectionError, ConnectionResetError, ConnectionAbortedError):
            # TCP works and the other end hangs up: it speaks another protocol, TLS or SASL for example.
            hint = f"is SLAWATCH_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol} right?"
            if kafka.security_protocol.endswith("SSL") and kafka.cert_file is None:
                hint += " Or does it want a client certificate (SLAWATCH_KAFKA__CERT_FILE, __KEY_FILE)?"
            answers.append(f"{host}:{port} closes the connection; {hint}")
        except (OSError, KafkaError) as refusal:
            answers.append(f"{host}:{port}: {getattr(refusal, 'strerror', None) or _message(refusal)}")
        else:
            answers.append(f"{host}:{port} answers now, it did not before: {_message(error)}")
    return BrokerUnreachable(f"no Kafka broker: {'; '.join(answers)} (SLAWATCH_KAFKA__BOOTSTRAP={kafka.bootstrap})")


def _credentials_refused(kafka: KafkaSettings, broker: str, cause: str) -> CredentialsRefused:
    return CredentialsRefused(
        f"{broker} refuses user {kafka.sasl_username!r} ({kafka.sasl_mechanism}): {cause}; "
        "see SLAWATCH_KAFKA__SASL_USERNAME, __SASL_PASSWORD or __SASL_PASSWORD_FILE, __SASL_MECHANISM"
    )


def _message(error: BaseException) -> str:
    return str(error) or type(error).__name__
