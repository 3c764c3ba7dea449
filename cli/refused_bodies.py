"""Keeps bodies of webhooks that could not be mapped, as files that ``slawatch events map`` reads.

Senders don't send again what was refused, so a mistake in a mapping would lose what happened meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from sources.webhook_mapping import REQUEST

LARGEST_FILE_BYTES: Final = 256 * 1024 * 1024
"""A file that has reached this is not written to any more: a sender that is set up wrong must not fill the disk."""

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


class RefusedBodies:
    """One file of JSON lines per mapping in a folder: ``<mapping>.jsonl``.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    OSError
        If the folder can't be made or written to.
    """

    def __init__(self, folder: Path, largest_file_bytes: int = LARGEST_FILE_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "can't be written to", str(folder))
        self._folder = folder
        self._largest_file_bytes = largest_file_bytes
        self._lock = asyncio.Lock()

    async def keep(self, mapping: str, body: object, query: Mapping[str, str]) -> bool:
        """Append one body and return whether it is kept; a disk that fails or is full is logged.

        The query stands beside the fields of the body, where a mapping looks for it; headers are not kept: they may
        hold a secret.
        """
        line = _encode({**body, REQUEST: {"query": dict(query)}} if isinstance(body, dict) else body) + b"\n"
        path = self._folder / f"{mapping}.jsonl"
        try:
            async with self._lock:
                is_kept = await asyncio.to_thread(self._append, path, line)
        except OSError as error:
            _log.error("refused_body_lost", mapping=mapping, file=str(path), error=str(error))
            return False
        if not is_kept:
            _log.error("refused_body_lost", mapping=mapping, file=str(path), largest_bytes=self._largest_file_bytes)
        return is_kept

    def _append(self, path: Path, line: bytes) -> bool:
        with path.open("ab") as file:
            if file.tell() + len(line) > self._largest_file_bytes:
                return False
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return True
