"""Names of things: one literal table a kind, entries imported only when they are asked for.

A table maps a name to `"module:Class"`. Third parties add entries through the entry-point group
`phispace.<kind>` (for example `phispace.methods`); a name that is taken already is an error, never an overwrite.

A family is a library's names under a prefix: `timm:resnet50` is the entry that the function of the family `timm` makes
of `resnet50`. What a family knows is asked only when one of its names is used.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from phispace.errors import InputError, MissingDependencyError

KINDS = ("methods", "encoders", "images", "evaluations", "maps", "studies")

_TABLES = {
    "methods": "phispace.methods",
    "encoders": "phispace.encoders",
    "images": "phispace.data",
    "evaluations": "phispace.evaluation",
    "maps": "phispace.maps",
    "studies": "phispace.studies",
}


class Registry:
    """A kind's names.

    Args:
        kind: plural name, one of `KINDS`.
        table: name -> `"module:attribute"`.
        aliases: other names of the same entries.
        families: prefix -> `"module:function"`; the function takes the name behind the prefix and gives the entry.
    """

    def __init__(
        self,
        kind: str,
        table: Mapping[str, str],
        aliases: Mapping[str, str] | None = None,
        families: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self._own = dict(table)
        self.aliases = dict(aliases or {})
        self.families = dict(families or {})

    @property
    def singular(self) -> str:
        """The kind's name for one entry."""
        return "study" if self.kind == "studies" else self.kind[:-1]

    @cached_property
    def table(self) -> dict[str, str]:
        merged = dict(self._own)
        for point in entry_points(group=f"phispace.{self.kind}"):
            if point.name in merged or point.name in self.aliases:
                raise InputError(
                    f"The entry point {point.value!r} registers {self.singular} {point.name!r}, a name that is taken."
                )
            merged[point.name] = point.value
        return merged

    def names(self) -> list[str]:
        """All names, in the order of the table (aliases left out)."""
        return list(self.table)

    def resolve(self, name: str) -> str:
        """The name itself, or what it is an alias of.

        Raises:
            InputError: no such name; close matches are listed.
        """
        name = self.aliases.get(name, name)
        prefix, colon, rest = name.partition(":")
        if name in self.table or (prefix in self.families and rest):
            return name
        known = [*self.table, *self.aliases, *(f"{family}:NAME" for family in self.families)]
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if colon:
            close = [f"{family}:NAME" for family in self.families]
        hint = f" Did you mean {', '.join(close)}?" if close else f" There are: {', '.join(self.table)}."
        raise InputError(f"There is no {self.singular} named {name!r}.{hint}")

    def target(self, name: str) -> str:
        """Where the entry of this name is defined, `"module:attribute"`; of a family's name, the family's function.

        Raises:
            InputError: no such name.
        """
        name = self.resolve(name)
        return self.table[name] if name in self.table else self.families[name.partition(":")[0]]

    def get(self, name: str) -> Any:
        """Import and return the entry of this name."""
        name = self.resolve(name)
        module, _, attribute = self.target(name).partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
            return found if name in self.table else found(name.partition(":")[2])
        except ModuleNotFoundError as error:
            if error.name and error.name.split(".")[0] == "phispace":
                raise
            raise MissingDependencyError(
                f"The {self.singular} {name!r} needs the package {error.name!r}, which is not installed."
            ) from error


def registry(kind: str) -> Registry:
    """The registry of one kind: `methods`, `encoders`, `images`, `evaluations`, `maps` or `studies`.

    Singular forms are accepted.
    """
    plural = "studies" if kind == "study" else kind if kind in KINDS else f"{kind}s"
    if plural not in _TABLES:
        raise InputError(f"There is no kind named {kind!r}. There are: {', '.join(KINDS)}.")
    found: Registry = importlib.import_module(_TABLES[plural]).REGISTRY
    return found
