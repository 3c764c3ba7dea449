"""Settings of a process, from the environment (prefix ``SLAWATCH_``, ``__`` between levels) or a file of secrets.

Built once in ``main`` and passed down as values; nothing below reads the environment. Every field says its unit.
Unknown ``SLAWATCH_`` variables are reported by :func:`load_settings` with a suggestion instead of being passed over.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "SLAWATCH_"
DELIMITER = "__"


class SettingsError(Exception):
    """Settings that can't be used; ``faults`` lists all of them, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ClockMode(StrEnum):
    """What moves ``now``."""

    WALL = "wall"
    """Kafka's own timestamps and, once caught up, the instant of the fetch (production)."""
    EVENT = "event"
    """Heartbeats in the topic only (replay, demo, backtest)."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # the input may hold a password


class KafkaSettings(_Section):
    """How to reach Kafka."""

    bootstrap: str = Field("127.0.0.1:9092", description="Bootstrap servers, host:port, separated by commas.")
    security_protocol: str = Field(
        "PLAINTEXT", pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$", description="As in Kafka's own clients."
    )
    sasl_mechanism: str = Field(
        "SCRAM-SHA-512", pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$", description="Used with SASL_* protocols."
    )
    sasl_username: str | None = Field(None, description="SASL user.")
    sasl_password: SecretStr | None = Field(None, description="SASL password; or a file, see sasl_password_file.")
    sasl_password_file: Path | None = Field(None, description="File that holds the SASL password.")
    ca_file: Path | None = Field(None, description="PEM file of the certificate authorities to trust.")
    cert_file: Path | None = Field(None, description="PEM file of the client certificate.")
    key_file: Path | None = Field(None, description="PEM file of the client certificate's key.")
    session_timeout_seconds: float = Field(
        30.0, ge=6, description="After this long without a group heartbeat the group gives a worker's partitions away."
    )
    request_timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer of the broker.")
    replication_factor: int = Field(
        1, ge=1, description="Replicas of topics that `topics apply` creates; 3 in production."
    )
    min_insync_replicas: int = Field(1, ge=1, description="Replicas that must have a write; 2 in production.")

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> KafkaSettings:
        if self.sasl_password and self.sasl_password_file:
            raise ValueError("set sasl_password or sasl_password_file, not both")
        if self.security_protocol.startswith("SASL"):
            if not self.sasl_username:
                raise ValueError("sasl_username is needed with a SASL protocol")
            if not (self.sasl_password or self.sasl_password_file):
                raise ValueError("sasl_password or sasl_password_file is needed with a SASL protocol")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas can't be larger than replication_factor")
        return self

    def password(self) -> str | None:
        """Return the SASL password, read from its file where one is named. Never print it."""
        if self.sasl_password_file:
            return self.sasl_password_file.read_text(encoding="utf-8").strip()
        return self.sasl_password.get_secret_value() if self.sasl_password else None


class TopicSettings(_Section):
    """Names and partition counts of the topics."""

    prefix: str = Field(
        "", pattern=r"^[a-zA-Z0-9._-]*$", description="Put before every topic name and the consumer group."
    )
    partitions: int = Field(
        12, ge=1, le=1000, description="Partitions of sla.tickets and its state. Fixed for the life of the topics."
    )
    events_retention_days: float = Field(7, gt=0, description="How long event topics keep records.")
    verdicts_retention_days: float = Field(400, gt=0, description="How long verdicts and dead letters are kept.")


class EngineSettings(_Section):
    """Limits and pace of the engine."""

    clock: ClockMode = Field(ClockMode.WALL, description="What moves `now`: wall (production) or event (replay, demo).")
    settle_seconds: float = Field(
        30.0, ge=0, description="A breach is declared this long after its deadline: a resolve may be on its way."
    )
    retention_days: float = Field(35.0, gt=0, description="Closed tickets are kept this long after their last event.")
    uptime_lateness_minutes: float = Field(
        60.0, ge=1, description="Samples are taken this long after the end of their minute."
    )
    uptime_retention_days: float = Field(
        70.0, gt=0, description="How far back adjustments and declared states of services reach."
    )
    future_skew_seconds: float = Field(300.0, ge=0, description="Events dated later than arrival + this are refused.")
    chunk_records: int = Field(4096, ge=1, le=65_536, description="Most records of one chunk.")
    sweep_interval_seconds: float = Field(
        0.25, gt=0, description="How often clocks are checked for a change of colour."
    )
    progress_interval_seconds: float = Field(1.0, gt=0, description="How often a partition tells its progress.")
    retake_hours: float = Field(
        12.0, gt=0, description="An owner takes its partition again this often: the broker forgets idle producer ids."
    )
    dead_letter_limit_ratio: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the last 1,000 records failing in our own code at which the worker stops.",
    )
    contract_notice_days: float = Field(
        30.0, ge=0, description="Reviews and ends of contracts are told this long ahead."
    )
    statement_grace_days: float = Field(
        3.0, ge=0, description="A period's statement becomes final this long after its end: late data may come."
    )
    burn_policy_file: Path | None = Field(
        None, description="YAML file with the windows of burn-rate alerts; default: those of Google's SRE workbook."
    )
    largest_event_bytes: int = Field(65_536, ge=1024, description="Larger events are dead-lettered as oversized.")


class AlertmanagerSettings(_Section):
    """Where pages go."""

    urls: tuple[str, ...] = Field(
        (), description="Base URLs of every Alertmanager peer (never a load balancer). JSON list."
    )
    token: SecretStr | None = Field(None, description="Bearer token.")
    token_file: Path | None = Field(None, description="File that holds the bearer token.")
    ca_file: Path | None = Field(None, description="PEM file of the certificate authorities to trust.")
    resend_seconds: float = Field(30.0, gt=0, description="Firing alerts are sent again this often.")
    resolve_resend_seconds: float = Field(900.0, gt=0, description="A resolve is sent again for this long.")
    timeout_seconds: float = Field(10.0, gt=0, description="Longest wait for one answer.")

    def bearer_token(self) -> str | None:
        """Return the bearer token, read from its file where one is named. Never print it."""
        if self.token_file:
            return self.token_file.read_text(encoding="utf-8").strip()
        return self.token.get_secret_value() if self.token else None


class WebSettings(_Section):
    """The worker's HTTP port: /metrics, /health/*, /v1/*."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(6066, ge=0, le=65_535, description="Port; 0 takes a free one and prints it.")
    advertised_url: str | None = Field(
        None, description="Base URL at which other workers reach this one; needed where they run on several machines."
    )
    token: SecretStr | None = Field(
        None, description="Bearer token that /v1/* asks for; needed to open /v1/* beyond loopback."
    )
    token_file: Path | None = Field(None, description="File that holds the bearer token of /v1/*.")
    dashboard_url: str | None = Field(None, description="Base URL of Grafana, for links in alerts.")
    runbook_url: str = Field(
        "https://example.invalid/slawatch/runbooks", description="Base URL of the runbooks, for links in alerts."
    )

    @model_validator(mode="after")
    def _token_is_one(self) -> WebSettings:
        if self.token and self.token_file:
            raise ValueError("set token or token_file, not both")
        return self

    def bearer_token(self) -> str | None:
        """Return the token of /v1/*, read from its file where one is named; None without one. Never print it."""
        token = self.token_file.read_text(encoding="utf-8").strip() if self.token_file else None
        if self.token:
            token = self.token.get_secret_value()
        return token or None


class LogSettings(_Section):
    """Logging."""

    level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe level that is written."
    )
    format: str = Field("auto", pattern="^(auto|json|console)$", description="auto: console on a terminal, else JSON.")


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    engine: EngineSettings = EngineSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Build the settings from the environment; ``overrides`` (sections as dicts) win.

    Raises
    ------
    SettingsError
        With every fault at once: values that don't fit and unknown ``SLAWATCH_`` variables, each with a suggestion.
    """
    faults = list(_unknown_variables(os.environ if environ is None else environ))
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] == "extra_forbidden":
                continue  # told above, with a suggestion
            path = DELIMITER.join(str(part) for part in fault["loc"]).upper()
            faults.append(f"{PREFIX}{path}: {fault['msg']}")
        raise SettingsError(faults) from error
    if faults:
        raise SettingsError(faults)
    return settings


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = set(variable_names())
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith(f"{PREFIX}TEST_"):
            near = difflib.get_close_matches(name, known, n=1)
            yield f"{name}: unknown setting" + (f" ({near[0]}?)" if near else "")


def variable_names() -> Iterator[str]:
    """Yield the name of every environment variable that is a setting."""
    for section, info in Settings.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name in annotation.model_fields:
                yield f"{PREFIX}{section}{DELIMITER}{name}".upper()
            yield f"{PREFIX}{section}".upper()
        else:
            yield f"{PREFIX}{section}".upper()
