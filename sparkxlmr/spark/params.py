"""One declaration makes a Param, its getter and its setter.

A stage declares its settings as class attributes::

    class DocumentAssembler(Settings, Transformer):
        cleanupMode = param("How to clean.", str, default="disabled", choices=("disabled", "inplace"))

and has ``DocumentAssembler.cleanupMode`` (a pyspark ``Param``), ``setCleanupMode`` (returns the stage, so
that calls chain) and ``getCleanupMode``. Values are checked on the driver, at once, wherever they come from:
a setter, a keyword of the constructor, ``copy(extra)`` or a saved stage. The Param map is the only place
where a setting lives, so pyspark's own ``copy``, ``explainParams``, ``Pipeline`` and ``DefaultParamsWriter``
know everything.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pyspark.ml.param import Param, Params

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.text.annotation_html import table_html

Self = TypeVar("Self", bound="Settings")
_NO_DEFAULT: Any = ...  # a singleton that pickles
_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    list: "a list of strings",
}


def _as_string(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError


def _as_int(value: Any) -> int:
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value)) if not isinstance(value, numbers.Integral) else int(value)
    raise TypeError


def _as_float(value: Any) -> float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value:
        return float(value)
    raise TypeError


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError


def _as_strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        return [_as_string(item) for item in value]
    raise TypeError


_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    str: _as_string, int: _as_int, float: _as_float, bool: _as_bool, list: _as_strings,
}  # fmt: skip


class Setting(Param):
    """A pyspark ``Param`` that knows its type, default and limits. Made by :func:`param`."""

    def __init__(
        self,
        doc: str,
        kind: type,
        default: Any = _NO_DEFAULT,
        choices: Iterable[str] | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        check: Callable[[Any], str | None] | None = None,
    ) -> None:
        super().__init__(Params._dummy(), "unnamed", doc)
        if kind not in _CONVERTERS:
            raise TypeError(f"param: kind is {kind!r}, expected one of str, int, float, bool, list")
        self.kind, self.default, self.check = kind, default, check
        self.choices = None if choices is None else tuple(choices)
        self.minimum, self.maximum = minimum, maximum
        self.stage = ""
        self.typeConverter = self.convert

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.stage = name, owner.__name__
        suffix = name[0].upper() + name[1:]
        for method in (_setter(name, f"set{suffix}", self), _getter(name, f"get{suffix}", self)):
            if method.__name__ not in owner.__dict__:  # a hand-written one in the same class wins
                method.__qualname__ = f"{owner.__qualname__}.{method.__name__}"
                method.__module__ = owner.__module__
                setattr(owner, method.__name__, method)

    def _copy_new_parent(self, parent: Any) -> Setting:
        mine = cast(Setting, super()._copy_new_parent(parent))
        mine.stage = type(parent).__name__
        mine.typeConverter = mine.convert
        return mine

    @property
    def has_default(self) -> bool:
        return self.default is not _NO_DEFAULT

    def but(self, **changes: Any) -> Setting:
        """The same declaration with some arguments of :func:`param` changed, for a subclass.

        >>> param("Name of the new column.", str).but(default="document").default
        'document'
        """
        arguments = {
            "doc": self.doc, "kind": self.kind, "default": self.default, "choices": self.choices,
            "minimum": self.minimum, "maximum": self.maximum, "check": self.check,
        }  # fmt: skip
        return Setting(**{**arguments, **changes})

    def convert(self, value: Any) -> Any:
        """`value` in the form in which it is stored.

        Raises:
            SettingError: the value has another type, or is outside the choices or limits.
        """
        try:
            value = _CONVERTERS[self.kind](value)
        except (TypeError, ValueError, OverflowError):
            raise self.refused(value) from None
        if self.choices is not None:
            value = value.strip().lower()
            if value not in self.choices:
                raise self.refused(value)
        if (self.minimum is not None and value < self.minimum) or (
            self.maximum is not None and value > self.maximum
        ):
            raise self.refused(value)
        complaint = self.check(value) if self.check is not None else None
        if complaint:
            raise self.refused(value, complaint)
        return value

    def refused(self, value: Any, expected: str | None = None) -> SettingError:
        """The error that names stage, setting, value and what is allowed."""
        shown = repr(value) if len(repr(value)) <= 200 else repr(value)[:200] + "..."
        remedy = f"pass such a value to set{self.name[0].upper()}{self.name[1:]}"
        return SettingError(f"{self.stage}: {self.name} is {shown}", expected or self.expected, remedy)

    @property
    def expected(self) -> str:
        """What is allowed, in words."""
        if self.choices is not None:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        words = _NAMES[self.kind]
        if self.minimum is not None and self.maximum is not None:
            return f"{words} from {self.minimum} to {self.maximum}"
        if self.minimum is not None:
            return f"{words} of at least {self.minimum}"
        return words if self.maximum is None else f"{words} of at most {self.maximum}"


def param(
    doc: str,
    kind: type,
    default: Any = _NO_DEFAULT,
    *,
    choices: Iterable[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """Declare one setting of a stage (a class attribute of a subclass of :class:`Settings`).

    Args:
        doc: what it means, shown by ``explainParams`` and as the docstring of setter and getter.
        kind: ``str``, ``int``, ``float``, ``bool`` or ``list`` (of strings; its setter takes a list or
            several arguments).
        default: the value when none is set. Without one the getter returns None until a value is set.
        choices: for strings, what is allowed; compared without case and surrounding blanks, stored as written
            here.
        minimum: smallest number allowed.
        maximum: largest number allowed.
        check: a further rule; given the converted value, it returns None or what it expected instead, in
            words.
    """
    return Setting(doc, kind, default, choices, minimum, maximum, check)


def _setter(name: str, method: str, setting: Setting) -> Callable[..., Any]:
    if setting.kind is list:

        def setter(self: Settings, *value: Any) -> Any:
            return self._put(name, value[0] if len(value) == 1 else list(value))

    else:

        def setter(self: Settings, value: Any) -> Any:  # type: ignore[misc]
            return self._put(name, value)

    setter.__name__ = method
    setter.__doc__ = (
        f"Set {name}: {setting.doc}\n\nRaises:\n    SettingError: unless it is {setting.expected}."
    )
    return setter


def _getter(name: str, method: str, setting: Setting) -> Callable[..., Any]:
    def getter(self: Settings) -> Any:
        return self.setting(name)

    getter.__name__ = method
    getter.__doc__ = f"The value of {name}, its default, or None: {setting.doc}"
    return getter


def _shown(value: Any) -> str:
    text = "" if value is None else repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


class Settings(Params):
    """Base of every stage: settings declared with :func:`param`.

    Constructors need no argument (Spark loads stages so) and take every setting as a keyword:
    ``DocumentAssembler(inputCol="text")`` is ``DocumentAssembler().setInputCol("text")``.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        defaults = {p.name: p.default for p in self.params if isinstance(p, Setting) and p.has_default}
        self._setDefault(**defaults)
        self.setParams(**settings)

    def setParams(self: Self, **settings: Any) -> Self:
        """Set several settings by name; those given as None are left as they are.

        Raises:
            SettingError: a name that this stage does not have, or a value that it refuses.
        """
        for name, value in settings.items():
            if not self.hasParam(name):
                known = ", ".join(sorted(p.name for p in self.params))
                raise SettingError(f"{type(self).__name__} has no setting {name!r}", f"one of {known}")
            if value is not None:
                getattr(self, f"set{name[0].upper()}{name[1:]}")(value)
        return self

    def set(self, param: Param, value: Any) -> None:
        """Spark's own way to set a Param, also used when a stage is loaded; checks as the setters do."""
        self._shouldOwn(param)
        self._set(**{param.name: value})

    def setting(self, name: str) -> Any:
        """The value of a setting, else its default, else None. A list comes as a copy."""
        param = self.getParam(name)
        value = self.getOrDefault(param) if self.isDefined(param) else None
        return list(value) if isinstance(value, list) else value

    def chosen(self, model: str = "it was given") -> Chosen:
        """All settings as plain values, for functions that know no Spark; `model`: its name, for messages."""
        values = {param.name: self.setting(param.name) for param in self.params}
        explicit = frozenset(param.name for param in self.params if self.isSet(param))
        return Chosen(values, explicit, type(self).__name__, model)

    def required(self, name: str) -> Any:
        """The value of a setting that has to be there.

        Raises:
            SettingError: it is not set.
        """
        value = self.setting(name)
        if value is None or value == [] or value == "":
            setter = f"set{name[0].upper()}{name[1:]}"
            raise SettingError(f"{type(self).__name__}: {name} is not set", "a value", f"call {setter}(...)")
        return value

    def _repr_html_(self) -> str:
        """What notebooks show: each setting, its value and meaning, everything escaped."""
        rows = [
            (p.name, _shown(self.setting(p.name)), "set" if self.isSet(p) else "", p.doc) for p in self.params
        ]
        return table_html(self._title(), ("setting", "value", "", "meaning"), rows)

    def _title(self) -> str:
        """What stands above the settings in a notebook."""
        return type(self).__name__

    def _put(self: Self, name: str, value: Any) -> Self:
        if value is None:
            param = self.getParam(name)
            refused = param.refused(value) if isinstance(param, Setting) else SettingError(f"{name} is None")
            raise SettingError(refused.came, refused.expected, f"to unset it call stage.clear(stage.{name})")
        self._set(**{name: value})
        return self

    if TYPE_CHECKING:  # the setters and getters that param() makes

        def __getattr__(self, name: str) -> Any: ...
