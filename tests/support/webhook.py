"""A webhook that Alertmanager notifies: keeps every notification, in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from typing_extensions import override


@dataclass(frozen=True)
class Notification:
    """One notification: that of a whole group of alerts."""

    status: str
    group: str
    group_labels: Mapping[str, str]
    alerts: tuple[Mapping[str, Any], ...]

    def names(self, status: str) -> set[str]:
        """Return the names of its alerts that fire, or that are resolved."""
        return {alert["labels"]["alertname"] for alert in self.alerts if alert["status"] == status}


class Webhook:
    """Listens on a loopback port of its own while the ``with`` block runs."""

    def __init__(self) -> None:
        self._told: list[Notification] = []
        told = self._told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.append(
                    Notification(
                        document["status"], document["groupKey"], document["groupLabels"], tuple(document["alerts"])
                    )
                )
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook", daemon=True)

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def told(self, **group_labels: str) -> list[Notification]:
        """Return the notifications of the groups that have these labels, in order."""
        return [one for one in self._told if group_labels.items() <= one.group_labels.items()]
