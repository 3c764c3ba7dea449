"""The metrics page: Prometheus text or OpenMetrics, prepared off the event loop and kept for a second.

Rendering many series takes a noticeable fraction of a second; in the event loop it would delay every heartbeat and
every fetch of the worker. So it runs in a thread, at most once a second however many scrapers ask, and the event
loop only hands out finished bytes.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from dataclasses import dataclass
from enum import Enum

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_latest_openmetrics

from export.metrics import Metrics
from export.series import AnyFamily, Histogram, escape_label

_SLICE = 2_000
"""Series rendered before the interpreter's lock is offered to the event loop: about 2 ms."""


class ExpositionFormat(Enum):
    """The formats that are served; the value is the Content-Type (Prometheus 3 refuses a scrape without one)."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """A metrics page ready to send; ``encoding`` is ``gzip`` or None."""

    body: bytes
    content_type: str
    encoding: str | None


def _preferences(header: str) -> list[tuple[str, dict[str, str], float]]:
    """Split an Accept or Accept-Encoding header into (name, parameters, quality), all lower case."""
    entries = []
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        values = {key.strip(): value.strip(' "') for key, _, value in (piece.partition("=") for piece in parameters)}
        try:
            quality = float(values.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if name:
            entries.append((name, values, quality))
    return entries


def choose_format(accept: str | None) -> ExpositionFormat:
    """Return the format a scraper likes best by its Accept header; text when it names none that is served."""
    best, best_quality = ExpositionFormat.TEXT, 0.0
    for name, parameters, quality in _preferences(accept or ""):
        match name:
            case "application/openmetrics-text" if parameters.get("version", "1.0.0") in {"1.0.0", "0.0.1"}:
                offered = ExpositionFormat.OPENMETRICS
            case "text/plain" | "text/*" | "*/*":
                offered = ExpositionFormat.TEXT
            case _:
                continue
        if quality > best_quality:
            best, best_quality = offered, quality
    return best


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Tell whether an Accept-Encoding header allows gzip."""
    qualities = {name: quality for name, _, quality in _preferences(accept_encoding or "")}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _header(family: AnyFamily, page_format: ExpositionFormat) -> str:
    spec = family.spec
    if page_format is ExpositionFormat.TEXT:
        help_text = spec.help.replace("\\", r"\\").replace("\n", r"\n")
        return f"# HELP {spec.name} {help_text}\n# TYPE {spec.name} {spec.type}\n"
    unit = f"# UNIT {spec.family} {spec.unit}\n" if spec.unit else ""
    return f"# HELP {spec.family} {escape_label(spec.help)}\n# TYPE {spec.family} {spec.type}\n{unit}"


def _with_exemplars(family: AnyFamily) -> str | None:
    """Render the samples of a histogram with its exemplars, which Prometheus text does not know; None without any."""
    if not isinstance(family, Histogram) or not any(series.has_exemplars for series in family.handles()):
        return None
    return "".join(series.lines_with_exemplars() for series in family.handles())


def _samples(family: AnyFamily) -> str:
    pieces: list[str] = []
    handles = family.handles()
    for start in range(0, len(handles), _SLICE):
        pieces.extend(series.lines() for series in handles[start : start + _SLICE])
        # Else the event loop waits for the interpreter's switch interval each time it wakes up.
        time.sleep(0)
    return "".join(pieces)


class Exposition:
    """Renders the metrics of a process, at most once in ``max_age_seconds``.

    Parameters
    ----------
    metrics : Metrics
        What to render.
    max_age_seconds : float
        Age up to which a page is handed out again.
    process_metrics : bool
        Whether to add the Prometheus client's ``process_*`` and ``python_*`` metrics.
    """

    def __init__(self, metrics: Metrics, *, max_age_seconds: float = 1.0, process_metrics: bool = True) -> None:
        self._metrics = metrics
        self._max_age_seconds = max_age_seconds
        self._process_registry = CollectorRegistry() if process_metrics else None
        if self._process_registry is not None:
            for collector in (ProcessCollector, PlatformCollector, GCCollector):
                collector(registry=self._process_registry)
        self._rendering = asyncio.Lock()
        self._rendered_at = float("-inf")
        self._samples: list[tuple[AnyFamily, str, str | None]] = []
        self._pages: dict[tuple[ExpositionFormat, bool], bytes] = {}

    async def page(self, accept: str | None = None, accept_encoding: str | None = None) -> Page:
        """Return the page for the headers of a request."""
        page_format, compressed = choose_format(accept), accepts_gzip(accept_encoding)
        # One rendering at a time: scrapers that come meanwhile wait for it instead of starting their own.
        async with self._rendering:
            if time.monotonic() - self._rendered_at >= self._max_age_seconds:
                self._metrics.refresh()
                self._pages.clear()
                self._samples = await asyncio.to_thread(self._render)
                self._rendered_at = time.monotonic()
            body = self._pages.get((page_format, compressed))
            if body is None:
                body = await asyncio.to_thread(self._assemble, page_format, compressed=compressed)
        return Page(body, page_format.value, "gzip" if compressed else None)

    def _render(self) -> list[tuple[AnyFamily, str, str | None]]:
        """Render the samples, which are the same text in both formats but for exemplars (runs in a thread)."""
        started = time.perf_counter()
        samples = [(family, _samples(family), _with_exemplars(family)) for family in self._metrics.families()]
        self._metrics.exposition_duration_seconds.set(time.perf_counter() - started)
        return samples

    def _assemble(self, page_format: ExpositionFormat, *, compressed: bool) -> bytes:
        """Put headers and samples together (runs in a thread)."""
        plain = self._pages.get((page_format, False))
        if plain is None:
            pieces: list[str] = []
            for family, text, with_exemplars in self._samples:
                if text:
                    openmetrics = with_exemplars if page_format is ExpositionFormat.OPENMETRICS else None
                    pieces += (_header(family, page_format), text if openmetrics is None else openmetrics)
            plain = "".join(pieces).encode() + self._process_page(page_format)
            self._pages[page_format, False] = plain
        if not compressed:
            return plain
        # Level 1: a tenth of the size for a seventh of level 9's time.
        body = gzip.compress(plain, compresslevel=1)
        self._pages[page_format, True] = body
        return body

    def _process_page(self, page_format: ExpositionFormat) -> bytes:
        end = b"# EOF\n" if page_format is ExpositionFormat.OPENMETRICS else b""
        if self._process_registry is None:
            return end
        if page_format is ExpositionFormat.OPENMETRICS:
            # Ends in `# EOF` itself.
            return bytes(generate_latest_openmetrics(self._process_registry))  # type: ignore[no-untyped-call]
        return bytes(generate_latest(self._process_registry))
