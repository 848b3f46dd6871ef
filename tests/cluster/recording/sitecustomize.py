"""Put the engines beside this file before the package's own, in every Python with this folder on its path."""

from pathlib import Path

from sparkxlmr.runtime import engines

engines.__path__.insert(0, str(Path(__file__).parent / "engines"))
