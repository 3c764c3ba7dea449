"""A Faust store that keeps nothing itself: it hands restore and rebalance to its stage.

Hung under one table per stage, so that Faust's own assignor, recovery and changelog bookkeeping are used as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faust.stores import STORES
from faust.stores.base import Store as BaseStore
from faust.types import TP

STORE_URL = "slawatch://stage"


class StageStore(BaseStore):
    """Restores changelog chunks into the stage that owns the table."""

    @property
    def _stage(self) -> Any:
        return self.app.stage_of(self.table.name)

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Apply restored chunks. Never raises: Faust would log it and lose the chunk."""
        for event in batch:
            self._stage.restore_chunk(event)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset up to which memory is current; None restores from the start."""
        return self._stage.restored_offset(tp.partition)  # type: ignore[no-any-return]

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Nothing to do: the stage follows its own writes."""

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Take ownership before recovery asks for the high watermarks: the restore then reads up to our marker."""
        await self._stage.on_rebalance(generation_id)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Build the partitions. Never raises: Faust would lose it."""
        await self._stage.on_restored({tp.partition for tp in active_tps})

    async def backup_partition(self, tp: TP, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Not used: the changelog is the backup."""

    def restore_backup(self, tp: TP, latest: bool = True, backup_id: int = 0) -> None:
        """Not used: the changelog is the backup."""

    def reset_state(self) -> None:
        """Nothing on disk."""

    def _clear(self) -> None:
        """Nothing to clear."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("rows are written by steps, see streams/partition.py")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("rows are written by steps, see streams/partition.py")


STORES.aliases["slawatch"] = "streams.store:StageStore"
