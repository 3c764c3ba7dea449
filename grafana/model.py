"""What a board is made of, as values: boards say what they answer, ``render.py`` says how Grafana is told.

A board is a list of rows of panels; a panel is a table entry, so that adding one is adding a value. Positions, ids,
data source, legends and the text beside every colour are added when the board is rendered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

TAG = "slawatch"
"""Tag of all boards; the links at the top of each board list it."""

DATASOURCE = "${datasource}"
"""Every query goes to the data source chosen at the top of the board."""


class Colour(StrEnum):
    """The colours of states, the same on every board. None of them stands without a word or a number."""

    GOOD = "green"
    WARNING = "orange"
    BAD = "red"
    PLAIN = "text"
    INFO = "blue"


class Kind(StrEnum):
    """How a panel is drawn; the values are Grafana's panel types."""

    STAT = "stat"
    LINES = "timeseries"
    TABLE = "table"
    BARS = "bargauge"
    HEATMAP = "heatmap"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query of a panel.

    Attributes
    ----------
    expr : str
        PromQL with the board's variables.
    legend : str
        Name of a series, with ``{{label}}``; in a table the title of the column.
    unit : str
        Unit of a table's column, by Grafana's id; that of the panel if empty.
    words : mapping of int to (str, Colour)
        What a table's column says instead of a number.
    steps : tuple of (float or None, Colour)
        Thresholds of a table's column.
    exemplars : bool
        Whether single cases are shown as points: hovering over one names its ticket.
    """

    expr: str
    legend: str = ""
    unit: str = ""
    words: dict[int, tuple[str, Colour]] = field(default_factory=dict)
    steps: tuple[tuple[float | None, Colour], ...] = ()
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link from a panel to another board.

    Attributes
    ----------
    board : str
        Uid.
    title : str
        What is found there.
    fields : mapping of str to str
        Variable of that board to the label of the row or series clicked on.
    """

    board: str
    title: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes
    ----------
    title, description : str
        What is seen, and how to read it: what is good, what to do.
    unit : str
        Grafana's id of the unit.
    steps : tuple of (float or None, Colour)
        Thresholds: from each value on, its colour; the first has None for everything below.
    words : mapping of int to (str, Colour)
        What is said instead of a number that stands for a state.
    width, height : int
        In Grafana's grid, which is 24 wide.
    limit : int or None
        Most rows or bars; queries that can be long say it themselves, with ``topk``.
    hide : tuple of str
        Labels that a table does not show.
    sort : str
        Column by which a table is sorted, the largest first.
    no_value : str
        What is said when there is no data. No data is not 0.
    may_be_empty : str
        Why there may be no data in a healthy installation that is busy; empty if there always is.
    """

    title: str
    description: str
    kind: Kind
    queries: tuple[Query, ...]
    unit: str = "short"
    steps: tuple[tuple[float | None, Colour], ...] = ()
    words: dict[int, tuple[str, Colour]] = field(default_factory=dict)
    width: int = 12
    height: int = 8
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    stacked: bool = False
    hide: tuple[str, ...] = ()
    sort: str = ""
    links: tuple[Link, ...] = ()
    no_value: str = "no data"
    may_be_empty: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels below it."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a board, filled by a query.

    Attributes
    ----------
    all_value : str or None
        What "All" stands for; None: every value offered, which lets one choice narrow the next.
    """

    name: str
    label: str
    query: str
    all_value: str | None = None
    multiple: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on every time axis of a board.

    Attributes
    ----------
    enabled : bool
        Whether they are shown unless switched off; else unless switched on.
    may_be_empty : str
        As of panels.
    """

    name: str
    expr: str
    title: str
    colour: Colour
    tags: str = ""
    enabled: bool = True
    step: str = "60s"
    may_be_empty: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard.

    Attributes
    ----------
    uid : str
        Never changes: links from alerts and bookmarks hold it.
    question : str
        What it answers, in a sentence; its description.
    """

    uid: str
    title: str
    question: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    since: str = "now-6h"

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)
