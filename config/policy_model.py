"""Alert policies that people write to compare them: when a running clock pages.

.. code-block:: yaml

    kind: AlertPolicies
    policies:
      - {name: half, consumed: 50%}
      - {name: early, probability: {page: 0.7, clear: 0.6}, consumed: 90%, untrusted: 75%}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError
from typing_extensions import override

from config.faults import Fault, Loc, Problem, StrictModel, path_of, problems_of, suggestion
from config.fields import ShareText
from config.yaml_reader import YamlSyntaxError, read_documents
from sla.errors import UnitError
from sla.forecast.policy import BUILT_IN, AlertPolicy
from sla.units import parse_ratio

ALL: Final = "all"
"""Name that stands for all built-in policies."""


class PolicyFileError(Exception):
    """Policies that can't be used; ``faults`` lists every one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = [str(fault) for fault in faults]


class ProbabilityModel(StrictModel):
    """A threshold with hysteresis."""

    page: ShareText = Field(description="Pages from this breach probability on.")
    clear: ShareText | None = Field(None, description="Falls silent below this; absent: below `page`.")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """``clear`` is not above ``page``."""
        page, clear = _share(data.get("page")), _share(data.get("clear"))
        if page is not None and clear is not None and clear > page:
            yield ("clear",), "is above `page`: it would fall silent as it begins"


class PolicyModel(StrictModel):
    """When a running clock pages."""

    name: str = Field(min_length=1, description="As it stands in the comparison.")
    consumed: ShareText | None = Field(None, description="Pages from this share of the target on, in any case.")
    probability: ProbabilityModel | None = Field(None, description="Pages by breach probability.")
    untrusted: ShareText | None = Field(
        None, description="Share of the target that pages while the forecast is not trusted; absent: always trust it."
    )

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Something has to page."""
        if data.get("consumed") is None and data.get("probability") is None:
            yield (), "never pages: give `consumed`, `probability` or both"
        if data.get("untrusted") is not None and data.get("probability") is None:
            yield ("untrusted",), "says what pages instead of a `probability`: there is none"

    def policy(self) -> AlertPolicy:
        """Return the policy of the domain."""
        probability = self.probability
        page = None if probability is None else _share(probability.page)
        clear = None if probability is None else _share(probability.clear)
        return AlertPolicy(self.name, _share(self.consumed), page, clear, _share(self.untrusted))


class PoliciesModel(StrictModel):
    """A file of alert policies."""

    kind: Literal["AlertPolicies"]
    policies: tuple[PolicyModel, ...] = Field(min_length=1)


def named_policies(names: Sequence[str]) -> tuple[AlertPolicy, ...]:
    """Return policies by name: ``all``, a built-in one, or the path of a YAML file.

    Raises
    ------
    PolicyFileError
        With all faults of all names and files.
    """
    known = {policy.name: policy for policy in BUILT_IN}
    found: dict[str, AlertPolicy] = {}
    faults: list[Fault] = []
    for name in names:
        if name == ALL:
            found |= known
        elif name in known:
            found[name] = known[name]
        elif Path(name).suffix in {".yaml", ".yml"}:
            found |= {policy.name: policy for policy in _policies_of(Path(name), faults)}
        else:
            near = suggestion(name, (ALL, *known))
            faults.append(Fault(f"--policy {name}", "", f"no policy of this name and no YAML file{near}"))
    if faults:
        raise PolicyFileError(faults)
    return tuple(found.values())


def _policies_of(path: Path, faults: list[Fault]) -> Iterator[AlertPolicy]:
    try:
        documents = list(read_documents(path.read_text(encoding="utf-8")))
    except OSError as error:
        faults.append(Fault(str(path), "", error.strerror or str(error)))
        return
    except (UnicodeDecodeError, YamlSyntaxError) as error:
        faults.append(Fault(str(path), "", f"no YAML: {error}"))
        return
    for document in documents:
        found: list[Problem] = list(document.problems)
        try:
            model = PoliciesModel.model_validate(document.data)
        except ValidationError as error:
            found += problems_of(error, PoliciesModel)
        else:
            if not found:
                yield from (policy.policy() for policy in model.policies)
        faults.extend(Fault(str(path), path_of(loc), message, _line(document.line_of, loc)) for loc, message in found)


def _line(line_of: Any, loc: Loc) -> int | None:
    line: int | None = line_of(loc)
    return line


def _share(value: object) -> float | None:
    if value is None:
        return None
    try:
        return float(parse_ratio(str(value)))
    except UnitError:
        return None  # told by the field itself
