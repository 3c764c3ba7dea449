"""The boards, one file each; ``ALL`` names them in the order in which they are listed."""

from __future__ import annotations

from grafana.boards import availability, objectives, overview, pipeline, sla_detail, team_queue
from grafana.model import Board

ALL: tuple[Board, ...] = (
    overview.BOARD,
    sla_detail.BOARD,
    team_queue.BOARD,
    objectives.BOARD,
    availability.BOARD,
    pipeline.BOARD,
)
"""Every board that is built."""
