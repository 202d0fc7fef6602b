"""What a report says, apart from how it looks: a small typed document, stored as JSON beside its HTML.

Whoever has results fills it (a run, a study, a leaderboard); `phispace.report.render` turns it into one HTML file,
today or in a year, without the models. Pictures are named by paths relative to the report's directory.

    report = Report(title="...", question="...", answer="...", sections=[Text(...), Table(...), Figure(...)])
    report.save("runs/a/report.json")
    render(report, "runs/a/report.html")
"""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from phispace import storage
from phispace.errors import DataError
from phispace.report.plaintext import PlainText

Form = Literal["share", "points", "number", "count", "minutes", "seconds", "bytes"]
Tone = Literal["plain", "finding", "caution"]
Verdict = Literal["yes", "partly", "no", "open"]
P = TypeVar("P", bound=BaseModel)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _inside(path: str) -> str:
    """Only paths below the report's own directory: a report that was sent by somebody must not embed other files."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or "\0" in path:
        raise ValueError(f"a path inside the report's directory, with forward slashes, is expected; got {path!r}")
    return pure.as_posix()


def _reachable(link: str) -> str:
    """A place in this page (`#name`), or a relative path; never a scheme or another host."""
    if link and not re.fullmatch(r"#[A-Za-z][\w-]*", link):
        pure = PurePosixPath(link)
        if pure.is_absolute() or "\\" in link or ":" in link or "\0" in link or link.startswith("//"):
            raise ValueError(f"a link is #NAME or a relative path with forward slashes; got {link!r}")
    return link


Real = Annotated[float | None, BeforeValidator(_finite)]
InnerPath = Annotated[
    str, BeforeValidator(lambda p: p.as_posix() if isinstance(p, Path) else p), AfterValidator(_inside)
]

Link = Annotated[str, AfterValidator(_reachable)]


class Part(BaseModel):
    """Base of all parts: frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Part):
    """A measured number with what one must know of it.

    Attributes:
        value: the number; None (or `nan`) where it is undefined, and then `reason` says why.
        low, high: 95 % interval.
        spread: standard deviation over repeats, shown as `value ± spread`.
        form: how it is written. `share` is a part of one, shown as a percentage; `points` is a difference of two
            shares, shown in percentage points; `minutes` and `seconds` are in their unit; `bytes` in the fitting one.
            None takes the form of the table's column, else `number`.
        notes: caveats, which become footnotes.
        best: emphasised; see `phispace.report.emphasis`.
        link: where it comes from: a row of this page by its anchor, or a file beside it.
    """

    value: Real
    low: Real = None
    high: Real = None
    spread: Real = None
    form: Form | None = None
    reason: PlainText = ""
    notes: tuple[PlainText, ...] = ()
    best: bool = False
    link: Link = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def formed(self, form: Form | None) -> Number:
        """The same in this form, if it has none of its own."""
        return self if self.form is not None or form is None else self.model_copy(update={"form": form})


class Column(Part):
    """A column of a table; `form` is what its numbers have in common, so that the unit stands in the head."""

    title: PlainText
    form: Form | None = None
    note: PlainText = ""
    higher_is_better: bool | None = None


class Row(Part):
    """A row of a table. A baseline stands apart from the results; `anchor` is what links of this page lead to."""

    label: PlainText
    cells: tuple[Number | PlainText | None, ...]
    baseline: bool = False
    note: PlainText = ""
    link: Link = ""
    anchor: Annotated[str, Field(pattern=r"^([A-Za-z][\w-]*)?$")] = ""


class Text(Part):
    """Paragraphs and points of plain text."""

    kind: Literal["text"] = "text"
    title: PlainText = ""
    paragraphs: tuple[PlainText, ...] = ()
    points: tuple[PlainText, ...] = ()
    tone: Tone = "plain"


class Code(Part):
    """A command, a configuration or another text to be copied as it is; long ones are folded."""

    kind: Literal["code"] = "code"
    title: PlainText = ""
    text: PlainText
    caption: PlainText = ""
    folded: bool = False


class Table(Part):
    """A table of numbers; `label_title` heads the first column, which holds the rows' labels.

    A table with `folded` is hidden behind that line until a reader opens it.
    """

    kind: Literal["table"] = "table"
    title: PlainText = ""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    label_title: PlainText = ""
    caption: PlainText = ""
    notes: tuple[PlainText, ...] = ()
    folded: PlainText = ""

    @model_validator(mode="after")
    def _rectangular(self) -> Table:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"row {row.label!r} has {len(row.cells)} cells for {len(self.columns)} columns")
        return self


class Figure(Part):
    """A picture: PNG, WebP, JPEG or GIF, by its path.

    Attributes:
        alt: what it shows, for those who do not see it.
        dark: the same picture drawn for a dark page; by default NAME.dark.png beside NAME.png, if it is there.
        width: share of the page it may take.
        pixelated: small images are enlarged without smoothing.
    """

    kind: Literal["figure"] = "figure"
    title: PlainText = ""
    path: InnerPath
    dark: InnerPath | None = None
    alt: PlainText
    caption: PlainText = ""
    width: Literal["half", "full"] = "full"
    pixelated: bool = False


class Gallery(Part):
    """Pictures side by side, as many in a row as there is room for."""

    kind: Literal["gallery"] = "gallery"
    title: PlainText = ""
    figures: tuple[Figure, ...]
    caption: PlainText = ""


class Film(Part):
    """An animated WebP or GIF.

    Attributes:
        stills: chosen frames, for print, for readers who want no motion, and where the film is too large to embed.
        frames: directory of the frames as single pictures, or None.
    """

    kind: Literal["film"] = "film"
    title: PlainText = ""
    path: InnerPath
    alt: PlainText
    caption: PlainText = ""
    stills: tuple[Figure, ...] = ()
    frames: InnerPath | None = None


class Fact(Part):
    """A name and its value."""

    name: PlainText
    value: Number | PlainText
    note: PlainText = ""


class Facts(Part):
    """A list of names and values."""

    kind: Literal["facts"] = "facts"
    title: PlainText = ""
    facts: tuple[Fact, ...]
    caption: PlainText = ""


class Finding(Part):
    """A claim or guess, what the measurement says of it, and the numbers it says so by."""

    claim: PlainText
    verdict: Verdict
    answer: PlainText
    numbers: tuple[Fact, ...] = ()


class Findings(Part):
    """Claims and their answers."""

    kind: Literal["findings"] = "findings"
    title: PlainText = ""
    findings: tuple[Finding, ...]
    caption: PlainText = ""


Section = Annotated[
    Text | Code | Table | Figure | Gallery | Film | Facts | Findings,
    Field(discriminator="kind"),
]


class Provenance(Part):
    """Where the numbers come from and how to get them again.

    Attributes:
        command: what repeats it.
        facts: versions, machine, fingerprints ...
        configuration: the full configuration as text, folded in the page.
        sources: files that the report rests on, relative to it.
    """

    command: PlainText = ""
    facts: tuple[Fact, ...] = ()
    configuration: PlainText = ""
    sources: tuple[InnerPath, ...] = ()


class Report(Part):
    """A report.

    Attributes:
        title: what it is about, in a few words.
        question: the question, in one sentence.
        answer: the answer, in a sentence made from the numbers.
        headline: the few numbers that a hurried reader takes away.
        sections: in reading order. One with a title opens a new chapter, one without belongs to the chapter before.
        caveats: what a reader must know before quoting the numbers.
        made: when, ISO 8601.
    """

    title: PlainText
    question: PlainText
    answer: PlainText
    subtitle: PlainText = ""
    headline: tuple[Fact, ...] = ()
    sections: tuple[Section, ...] = ()
    caveats: tuple[PlainText, ...] = ()
    provenance: Provenance = Provenance()
    made: PlainText = ""

    def save(self, path: Path | str) -> Path:
        """Write as JSON, atomically."""
        path = Path(path)
        storage.write_json(path, {"format": "phispace.report", **self.model_dump(mode="json")})
        return path

    @classmethod
    def open(cls, path: Path | str) -> Report:
        """Read what `save` wrote.

        Raises:
            DataError: missing, newer than this phispace, or not a report; the first field that does not fit is named.
        """
        body = storage.read_json(path)
        if body.pop("format", None) != "phispace.report":
            raise DataError(f"{path} is not a report of phispace; `phispace report RUN` makes one.")
        body.pop("schema_version", None)
        return parse(cls, body, str(path))


def parse(kind: type[P], body: Any, where: str) -> P:
    """A part from plain JSON values.

    Raises:
        DataError: naming the first field that does not fit.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"]) or kind.__name__
        raise DataError(f"{where} is not a {kind.__name__.lower()} of phispace: {place}: {first['msg']}.") from error
