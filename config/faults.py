"""Faults of documents that people edit: where, what, and what was probably meant.

A *problem* is a place inside one document and a message; a :class:`Fault` is a problem with its file. Validation never
stops at the first: an author fixes a file once.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, ClassVar, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from typing_extensions import override

Loc = tuple[str | int, ...]
"""Place inside a document: field names and list positions, from the top."""

Problem = tuple[Loc, str]
"""What is wrong at a place of one document."""

UNSUPPORTED = "not supported by this release"
"""Said of fields that the format knows and this release does not act on: nobody may believe they are monitored."""

_OWN_ERROR = "agreement"
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one file.

    Attributes
    ----------
    file : str
        The file as the user named it (not made absolute).
    path : str
        Place in the document, such as ``revisions[0].targets[2].calendar``; empty: the file as a whole.
    message : str
        What is wrong, with a suggestion where there is a likely one.
    line : int or None
        Line in the file, from 1; used to list faults in the order of the text.
    """

    file: str
    path: str
    message: str
    line: int | None = None

    @override
    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.message) if part)


class StrictModel(BaseModel):
    """Base of every part of a document: unknown fields are faults, values can't be changed afterwards.

    ``unsupported`` names fields that the format has and this release does not act on. What concerns several fields is
    checked by :meth:`check` over the document as written, also where single fields are wrong: pydantic's own
    after-validators would wait until everything else is right, and authors would be told the rest only then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    unsupported: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:  # noqa: ARG003 - parts without such rules
        """Yield problems that concern several fields; ``data`` is unchecked, so anything may be of a wrong type."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _gather(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        found = list(cls.check(data)) if isinstance(data, Mapping) else []
        try:
            model = handler(data)
        except ValidationError as error:
            details = [_again(detail) for detail in error.errors(include_url=False)] + _details(found)
            raise ValidationError.from_exception_data(cls.__name__, details) from None
        if found:
            raise problems(cls.__name__, found)
        return model


def path_of(loc: Loc) -> str:
    """Render a place: ``("revisions", 0, "status")`` is ``revisions[0].status``."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def suggestion(word: object, known: Iterable[str], similarity: float = 0.6) -> str:
    """Return `` (berlin?)`` for ``berln`` if ``berlin`` is known, and an empty string if nothing is near.

    ``similarity`` (0..1) is that of difflib: 1 asks for the word itself, in any case.
    """
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=similarity)
    return f" ({folded[near[0]]}?)" if near else ""


def unknown(word: object, known: Sequence[str]) -> str:
    """Say that a word is unknown, with the likely one, or with all if there are few and none is near."""
    near = suggestion(word, known)
    listed = "" if near or not 0 < len(known) <= 8 else f": one of {', '.join(known)}"
    return f"unknown {shown(word)}{near}{listed}"


def shown(value: object) -> str:
    """Render a value for a message: text in quotes, anything else as JSON, cut to a readable length."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def problem(message: str) -> PydanticCustomError:
    """Return the exception a validator raises for one problem at the place it validates."""
    return PydanticCustomError(_OWN_ERROR, "{message}", {"message": message})


def problems(title: str, found: Iterable[Problem]) -> ValidationError:
    """Return the exception a validator raises for several problems at once, at places below its own."""
    return ValidationError.from_exception_data(title, _details(found))


def _details(found: Iterable[Problem]) -> list[InitErrorDetails]:
    return [InitErrorDetails(type=problem(message), loc=loc, input=None) for loc, message in found]


def _again(detail: ErrorDetails) -> InitErrorDetails:
    """Turn an error that pydantic reported back into one that can be raised."""
    context = detail.get("ctx", {})
    kind = problem(context["message"]) if detail["type"] == _OWN_ERROR else detail["type"]
    return InitErrorDetails(type=kind, loc=detail["loc"], input=detail["input"], ctx=context)


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Translate what pydantic found into words for the author of a document of this model."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        loc, given, kind = detail["loc"], detail["input"], detail["type"]
        match kind:
            case "missing":
                if isinstance(given, dict) and loc[-1] == "within" and "by" in given:
                    continue  # `by:` stands in its place and is reported itself
                message = "missing"
            case "extra_forbidden":
                message = _extra(model, loc)
            case "enum" | "literal_error":
                message = unknown(given, _QUOTED.findall(detail["ctx"]["expected"]))
            case "string_type":
                message = f"must be text, not {shown(given)}" + _quote_hint(given)
            case "int_type":
                message = f"must be a whole number, not {shown(given)}"
            case "model_type" | "dict_type" | "model_attributes_type":
                message = f"must be a mapping of fields, not {shown(given)}"
            case "tuple_type" | "list_type":
                message = f"must be a list, not {shown(given)}"
            case _:
                message = detail["msg"]
        found.append((loc, message))
    return found


def _quote_hint(given: object) -> str:
    return f": write '{shown(given)}' in quotes" if isinstance(given, (int, float, bool)) else ""


def _extra(model: type[BaseModel], loc: Loc) -> str:
    owner = _model_at(model, loc[:-1])
    if owner is None:
        return "unknown field"
    if issubclass(owner, StrictModel) and loc[-1] in owner.unsupported:
        return UNSUPPORTED
    spelt = [info.alias or name for name, info in owner.model_fields.items()]
    return f"unknown field{suggestion(loc[-1], spelt)}"


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """Return the model that describes a place of a document, or None if no model does."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            here = get_args(here)[0] if get_origin(here) is tuple else None
        else:
            field = here.model_fields.get(part) if _is_model(here) else None
            here = None if field is None else field.annotation
        if get_origin(here) in (Union, UnionType):
            here = next(branch for branch in get_args(here) if branch is not type(None))
    return here if _is_model(here) else None


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
