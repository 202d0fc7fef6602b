"""The contract of a step: typed options in, numbers and sections of the report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from phispace.errors import InputError
from phispace.storage import jsonable

if TYPE_CHECKING:
    from phispace.report.document import Part
    from phispace.studies.runner import Context


class StepOptions(BaseModel):
    """A step's options; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


O = TypeVar("O", bound=StepOptions)  # noqa: E741 - the step's own options


@dataclass(frozen=True)
class Outcome:
    """What a step found.

    Attributes:
        result: numbers and paths (relative to the study's directory) that later steps use; JSON-able.
        sections: parts of the report.
        answer: a sentence for the report's head, or "".
        headline: `Fact` parts for a hurried reader.
    """

    result: dict[str, Any]
    sections: Sequence[Part] = ()
    answer: str = ""
    headline: Sequence[Part] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "result": jsonable(self.result),
            "sections": [s.model_dump(mode="json") for s in self.sections],
            "answer": self.answer,
            "headline": [h.model_dump(mode="json") for h in self.headline],
        }


class Step(Generic[O]):
    """Base of all steps."""

    Options: ClassVar[type[StepOptions]] = StepOptions

    def parse(self, table: Mapping[str, Any], name: str) -> O:
        """Typed options from a declaration's table.

        Raises:
            InputError: naming the step, the option and what is wrong.
        """
        try:
            return self.Options.model_validate(table)  # type: ignore[return-value]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(p) for p in first["loc"])
            raise InputError(f"Step {name!r}, option {where!r}: {first['msg']}.") from error

    def title(self, options: O) -> str:
        """What is being done, in a few words."""
        raise NotImplementedError(f"{type(self).__name__} must define title (abstract)")

    def run(self, context: Context, name: str, options: O) -> Outcome:
        """Do it."""
        raise NotImplementedError(f"{type(self).__name__} must define run (abstract)")
