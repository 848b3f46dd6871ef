"""The presets that ship with the package; in an installation this folder is ``sparkxlmr.builtin``."""
