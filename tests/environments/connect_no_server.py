"""A client of Connect that was told of no server says what to do."""

from __future__ import annotations

import sparkxlmr
from sparkxlmr.errors import EnvironmentNotReadyError


def main() -> None:
    said = ""
    try:
        sparkxlmr.start()
    except EnvironmentNotReadyError as error:
        said = str(error)
    assert 'sparkxlmr.start("sc://host:15002")' in said, said


if __name__ == "__main__":
    main()
