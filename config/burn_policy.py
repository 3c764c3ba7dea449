"""Burn policies: the pairs of windows of burn-rate alerts as a YAML document, and its translation into the domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictInt, ValidationError
from typing_extensions import override

from config.faults import Fault, Problem, StrictModel, path_of, problem, problems_of, shown
from config.fields import Identifier, ShareText, Text
from config.yaml_reader import YamlSyntaxError, read_documents
from sla.burn_rate import SHORT_OF_LONG, BurnPair, BurnPolicy, Severity
from sla.contract import TimeBase
from sla.duration import format_duration, parse_within
from sla.errors import SlaError, UnitError
from sla.units import DAY_MS, MINUTE_MS, parse_ratio

BURN_POLICY_KIND: Final = "BurnPolicy"
DEFAULT_BURN_POLICY: Final = Path(__file__).parent / "burn_policies" / "google-sre-workbook.yaml"
"""The policy that applies where the settings name none."""

_LONGEST_MS: Final = 7 * DAY_MS


def _minutes(value: Any) -> str:
    if not isinstance(value, str):
        raise problem(f"{shown(value)} is no duration with its unit: write 1h or 30m")
    try:
        within = parse_within(value)
    except UnitError as error:
        raise problem(str(error)) from error
    if within.base is not TimeBase.ELAPSED or within.duration_ms <= 0 or within.duration_ms % MINUTE_MS:
        raise problem(f"{value} is no whole number of minutes: write 1h or 30m")
    if within.duration_ms > _LONGEST_MS:
        raise problem(f"{value} is longer than {format_duration(_LONGEST_MS, business=False)}")
    return value


MinutesText = Annotated[str, BeforeValidator(_minutes)]
"""A length of time in whole minutes, ``1h``."""


class PairModel(StrictModel):
    """A long and a short window, and what must not be spent in the long one."""

    severity: Severity = Field(description="page or ticket.")
    spends: ShareText = Field(description="Share of the budget that must not go within the long window, such as 2%.")
    long: MinutesText = Field(description="The long window, such as 1h.")
    short: MinutesText = Field(description="The short window, a twelfth of the long one.")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """The short window is a twelfth of the long one, and something may be spent."""
        long_ms, short_ms = _ms_or_none(data.get("long")), _ms_or_none(data.get("short"))
        if long_ms is not None and short_ms is not None and short_ms * SHORT_OF_LONG != long_ms:
            part = format_duration(long_ms // SHORT_OF_LONG, business=False)
            yield ("short",), f"must be a twelfth of the long window: {part}"
        try:
            if "spends" in data and parse_ratio(data["spends"]) == 0:
                yield ("spends",), "0 % would fire always"
        except (SlaError, TypeError):
            pass  # told where it stands

    def to_domain(self) -> BurnPair:
        """Return the domain's pair."""
        long_ms, short_ms = parse_within(self.long).duration_ms, parse_within(self.short).duration_ms
        name = format_duration(long_ms, business=False)
        return BurnPair(name, self.severity, parse_ratio(self.spends), long_ms, short_ms)


class SafeguardsModel(StrictModel):
    """What keeps pairs from firing on noise, and from resolving on silence."""

    min_bad_events: StrictInt = Field(3, ge=1, description="A pair fires on so many bad events at least.")
    confidence: ShareText = Field("95%", description="That the error ratio is higher than allowed, 50% to 99.99%.")
    confident_from: StrictInt = Field(100, ge=1, description="From so many bad events on it is not asked for.")
    min_coverage: ShareText = Field("50%", description="Least share of the short window that has been observed.")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """A confidence is one: half of all noise is no evidence, and nothing is certain."""
        try:
            if not parse_ratio("50%") <= parse_ratio(data.get("confidence", "95%")) <= parse_ratio("99.99%"):
                yield ("confidence",), "must be between 50% and 99.99%"
        except (SlaError, TypeError):
            pass  # told where it stands


class BurnPolicyModel(StrictModel):
    """Pairs of windows and their safeguards."""

    kind: Literal["BurnPolicy"]
    id: Identifier
    source: Text = Field(description="Where the numbers come from: title and address.")
    pairs: tuple[PairModel, ...] = Field(min_length=1)
    safeguards: SafeguardsModel = Field(default_factory=SafeguardsModel)

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """States of pairs are kept by their long windows: no two have the same."""
        pairs = data.get("pairs")
        first: dict[int, int] = {}
        for index, pair in enumerate(pairs if isinstance(pairs, list) else ()):
            long_ms = _ms_or_none(pair.get("long")) if isinstance(pair, Mapping) else None
            if long_ms is not None and first.setdefault(long_ms, index) != index:
                yield ("pairs", index, "long"), f"is that of pairs[{first[long_ms]}]"

    def to_domain(self) -> BurnPolicy:
        """Return the domain's policy."""
        of = self.safeguards
        return BurnPolicy(
            self.id,
            self.source,
            tuple(pair.to_domain() for pair in self.pairs),
            min_bad_events=of.min_bad_events,
            confidence=float(parse_ratio(of.confidence)),
            confident_from=of.confident_from,
            min_coverage=parse_ratio(of.min_coverage),
        )


class BurnPolicyError(Exception):
    """A file that is no burn policy; the text lists every fault, one a line."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@cache
def load_burn_policy(path: Path | None = None) -> BurnPolicy:
    """Read a burn policy; without a file the one that comes with slawatch.

    Raises
    ------
    BurnPolicyError
        With every fault of the file, in the order of its lines.
    """
    file = path or DEFAULT_BURN_POLICY
    try:
        documents = list(read_documents(file.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise BurnPolicyError([Fault(str(file), "", f"can't be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise BurnPolicyError([Fault(str(file), "", f"is not UTF-8: byte {error.start}")]) from error
    except YamlSyntaxError as error:
        raise BurnPolicyError([Fault(str(file), "", str(error), error.line)]) from error
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        raise BurnPolicyError([Fault(str(file), "", "must be one YAML document that starts with `kind: BurnPolicy`")])
    (document,) = documents
    found = list(document.problems)
    try:
        model = BurnPolicyModel.model_validate(document.data)
    except ValidationError as error:
        spelt = {loc for loc, _ in found}
        found += [(loc, message) for loc, message in problems_of(error, BurnPolicyModel) if loc not in spelt]
    if found:
        faults = [Fault(str(file), path_of(loc), message, document.line_of(loc)) for loc, message in found]
        raise BurnPolicyError(sorted(faults, key=lambda fault: fault.line or 0))
    return model.to_domain()


def _ms_or_none(value: Any) -> int | None:
    try:
        return parse_within(value).duration_ms
    except (SlaError, TypeError, AttributeError):
        return None
