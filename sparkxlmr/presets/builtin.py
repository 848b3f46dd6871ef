"""The presets that ship with the package."""

from __future__ import annotations

from pathlib import Path

from sparkxlmr.errors import PresetNotFoundError


def names() -> tuple[str, ...]:
    """Names of the built-in presets, sorted."""
    root = _root()
    if root is None:
        return ()
    return tuple(sorted(path.parent.name for path in root.glob("*/config.json")))


def locate(name: str) -> Path:
    """The folder of a built-in preset.

    Raises:
        PresetNotFoundError: no built-in preset has that name.
    """
    known = names()
    root = _root()
    if root is None or name not in known:
        raise PresetNotFoundError(
            f"There is no built-in preset {name!r}",
            f"one of {', '.join(known) or 'none (this installation ships no preset)'}",
            "pass one of these names, or the path of a preset folder",
        )
    return root / name


def _root() -> Path | None:
    """The installed presets; in a checkout, where the package holds none, ``models/`` beside the package."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "builtin", package.parent / "models"
    if installed.is_dir():
        return installed
    return checkout if (package.parent / "pyproject.toml").is_file() and checkout.is_dir() else None
