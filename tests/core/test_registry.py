"""Names of things."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from phispace.errors import InputError, MissingDependencyError
from phispace.registry import KINDS, Registry, registry


def test_close_matches_are_suggested() -> None:
    table = Registry("methods", {"simclr": "a:b", "vicreg": "a:c"}, aliases={"dim": "vicreg"})
    assert table.resolve("dim") == "vicreg"
    with pytest.raises(InputError, match=r"no method named 'simcrl'\. Did you mean simclr"):
        table.resolve("simcrl")
    with pytest.raises(InputError, match="There are: simclr, vicreg"):
        table.resolve("zzzzzz")


def test_a_missing_package_is_named_and_a_missing_module_of_ours_is_a_bug() -> None:
    table = Registry("encoders", {"x": "no_such_package_anywhere:X", "y": "phispace.no_such_module:Y"})
    with pytest.raises(MissingDependencyError, match="encoder 'x' needs the package 'no_such_package_anywhere'"):
        table.get("x")
    with pytest.raises(ModuleNotFoundError):
        table.get("y")


def test_third_parties_add_names_and_cannot_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"phispace.methods": [EntryPoint("mine", "json:dumps", "phispace.methods")]}
    monkeypatch.setattr(sys.modules["phispace.registry"], "entry_points", lambda group: points.get(group, []))
    table = Registry("methods", {"own": "json:loads"})
    assert table.names() == ["own", "mine"]
    assert table.get("mine")([1]) == "[1]"
    taken = Registry("methods", {"mine": "json:loads"})
    with pytest.raises(InputError, match="'json:dumps' registers method 'mine', a name that is taken"):
        taken.names()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_table(kind: str) -> None:
    found = registry(kind)
    assert found.kind == kind
    assert registry(kind.removesuffix("s")).kind == kind or kind in ("studies",)


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="no kind named 'things'"):
        registry("things")
