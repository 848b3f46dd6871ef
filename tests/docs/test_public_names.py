"""Every public name of the doors says what it is, and its arguments say their types."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sparkxlmr

DOORS = (
    "sparkxlmr", "sparkxlmr.annotation", "sparkxlmr.annotator", "sparkxlmr.base", "sparkxlmr.display",
    "sparkxlmr.errors", "sparkxlmr.functions", "sparkxlmr.light", "sparkxlmr.models", "sparkxlmr.pretrained",
)  # fmt: skip


def public(door: str) -> dict[str, Any]:
    module = importlib.import_module(door)
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    found = {name: getattr(module, name) for name in names}
    return {
        name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)
    }


def ours(cls: type) -> Iterator[tuple[str, str | None, Callable[..., Any]]]:
    """The public methods and properties that this package defines in a class or its bases; their docs."""
    for part in cls.__mro__:
        if part.__module__.startswith("sparkxlmr"):
            for name, value in vars(part).items():
                if not name.startswith("_"):
                    said = inspect.getdoc(getattr(part, name))  # of a method that overrides, its base's too
                    value = value.fget if isinstance(value, property) else inspect.unwrap(value)
                    value = getattr(value, "__func__", value)
                    if inspect.isfunction(value):
                        yield f"{part.__qualname__}.{name}", said, value


@pytest.mark.parametrize("door", DOORS)
def test_public_names_have_docstrings_and_types(door: str) -> None:
    assert importlib.import_module(door).__doc__
    silent, untyped = set(), set()
    for name, value in public(door).items():
        members = list(ours(value)) if inspect.isclass(value) else [(name, inspect.getdoc(value), value)]
        if not inspect.getdoc(value):
            silent.add(name)
        for path, said, function in members:
            if not said:
                silent.add(path)
            signature = inspect.signature(function)
            parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
            if (
                any(p.annotation is p.empty for p in parameters)
                or signature.return_annotation is signature.empty
            ):
                untyped.add(path)
    assert (silent, untyped) == (set(), set())


def test_the_package_says_what_it_offers() -> None:
    assert set(sparkxlmr.__all__) <= set(dir(sparkxlmr))
    for name in sparkxlmr.__all__:
        assert inspect.getdoc(getattr(sparkxlmr, name))
