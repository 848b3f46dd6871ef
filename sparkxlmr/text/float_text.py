"""Numbers as the texts that Spark makes of them."""

from __future__ import annotations

import numpy as np


def float_text(value: float | np.float32) -> str:
    """A float32 as Spark's ``cast(x as string)`` writes it: always with a point, tiny and huge ones with E.

    The digits are the fewest that give the number back. Java before 19 sometimes writes more of them
    (``2.0E-44`` as ``1.96E-44``): compare such texts as numbers.

    >>> [float_text(x) for x in (1, 0.9987654, 3.2e-5, 1e7, float("nan"), -float("inf"))]
    ['1.0', '0.9987654', '3.2E-5', '1.0E7', 'NaN', '-Infinity']
    """
    number = np.float32(value)
    size = abs(number)
    if np.isnan(number):
        return "NaN"
    if np.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if size == 0 or np.float32(1e-3) <= size < np.float32(1e7):
        return np.format_float_positional(number, unique=True, trim="0")
    mantissa, exponent = np.format_float_scientific(number, unique=True, trim="0").split("e")
    return f"{mantissa}E{int(exponent)}"
