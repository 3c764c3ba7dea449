"""What targets were called when verdicts on them were published: it outlives their contracts.

A verdict can be taken back long after its contract has left the register, and must then bear the names under which its
readers know it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sla.contract import Target
from sla.row import RowFormatError

TERMS_PREFIX: Final = b"n"

TERMS_FORMAT: Final = 1


class Terms(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One revision of a target, as far as verdicts tell of it."""

    contract: str
    metric: str
    target_ms: int


_decode = msgspec.msgpack.Decoder(Terms).decode
_encode = msgspec.msgpack.Encoder().encode


class PublishedTerms:
    """The terms of every target that a partition has published a verdict on."""

    def __init__(self) -> None:
        self._terms: dict[tuple[str, int], Terms] = {}
        self._new: list[tuple[str, int]] = []

    def load(self, key: bytes, row: bytes) -> None:
        """Take one restored row over.

        Raises
        ------
        RowFormatError
            If a newer release wrote it.
        """
        if row[0] != TERMS_FORMAT:
            raise RowFormatError(f"format {row[0]} of published terms, this release reads {TERMS_FORMAT}")
        self._terms[_name_of(key)] = _decode(row[1:])

    def note(self, target: Target) -> None:
        """Remember the terms of a target that a verdict goes out on."""
        name = (target.id, target.revision)
        if name not in self._terms:
            self._terms[name] = Terms(target.contract, target.metric, target.within.duration_ms)
            self._new.append(name)

    def get(self, target_id: str, revision: int) -> Terms | None:
        """Return the terms of a revision of a target; None if no verdict on it was published."""
        return self._terms.get((target_id, revision))

    def finish(self, rows: dict[bytes, bytes | None]) -> None:
        """End the step: put the rows of what is new into ``rows``."""
        for name in self._new:
            rows[_key_of(name)] = bytes((TERMS_FORMAT,)) + _encode(self._terms[name])
        self._new.clear()


def _key_of(name: tuple[str, int]) -> bytes:
    return TERMS_PREFIX + b"%d:" % name[1] + name[0].encode()


def _name_of(key: bytes) -> tuple[str, int]:
    revision, _, target_id = key[len(TERMS_PREFIX) :].decode().partition(":")
    return target_id, int(revision)
