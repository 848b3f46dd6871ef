"""Arguments that a class does not take: an error that names the likely one, instead of silence."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from sparkxlmr.errors import WrongTypeError


def known_arguments(cls: type, base: type) -> list[str]:
    """Return the named arguments of a class' constructor and of those that it passes ``**kwargs`` on to.

    Args:
        cls: the class.
        base: its last ancestor that is considered.

    >>> class Base:
    ...     def __init__(self, name, *, size=1, **kwargs): ...
    >>> class Child(Base):
    ...     def __init__(self, color, **kwargs): ...
    >>> known_arguments(Child, Base)
    ['color', 'name', 'size']
    """
    names: list[str] = []
    for ancestor in cls.__mro__[: cls.__mro__.index(base) + 1]:
        if "__init__" in vars(ancestor):
            constructor = vars(ancestor)["__init__"]
            parameters = list(inspect.signature(constructor).parameters.values())[1:]
            names += [part.name for part in parameters if part.kind in _NAMED and part.name not in names]
            if all(part.kind is not inspect.Parameter.VAR_KEYWORD for part in parameters):
                break
    return names


def refuse_unknown(
    cls: type, arguments: Mapping[str, Any], known: list[str], remedies: Mapping[str, str] | None = None
) -> None:
    """Raise WrongTypeError if there are any ``arguments`` outside ``known``.

    Args:
        cls: the class that is named in the message.
        arguments: those that were passed.
        known: those that the class takes.
        remedies: a fix for arguments that belong elsewhere.
    """
    unknown = [name for name in arguments if name not in known]
    if not unknown:
        return
    name = unknown[0]
    fix = (remedies or {}).get(name)
    if fix is None:
        close = difflib.get_close_matches(name, known, n=1)
        fix = f"did you mean {close[0]}?" if close else f"leave {name} out"
    raise WrongTypeError(
        f"{cls.__name__} was called with the unknown argument {name!r}", f"one of {', '.join(known)}", fix
    )


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
