"""Numbers as the texts that Spark makes of them."""

from __future__ import annotations

import numpy as np

_OTHERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def float_text(value: float | np.float32) -> str:
    """A float32 as Spark's ``cast(x as string)`` writes it: always with a point, tiny and huge ones with E.

    The digits are the fewest that give the number back. Java before 19 sometimes writes more of them
    (``2.0E-44`` as ``1.96E-44``): compare such texts as numbers.

    >>> [float_text(x) for x in (1, 0.9987654, 3.2e-5, 1e7, float("nan"), -float("inf"))]
    ['1.0', '0.9987654', '3.2E-5', '1.0E7', 'NaN', '-Infinity']
    """
    # A text of 205 labels has 205 scores: NumPy's own text is much quicker than its formatting functions.
    text = str(value if isinstance(value, np.float32) else np.float32(value))
    if text in _OTHERS:
        return _OTHERS[text]
    sign, size = ("-", text[1:]) if text.startswith("-") else ("", text)
    mantissa, _, power = size.partition("e")
    whole, _, rest = mantissa.partition(".")
    if not power and len(whole) <= 7 and not rest.startswith("000"):
        return text
    if power.startswith("-"):  # tiny, and written as Java does but for zeros
        return f"{sign}{mantissa if rest else mantissa + '.0'}E{int(power)}"
    # Digits without zeros before or behind, and the power of ten of the first one.
    digits = (whole + rest).lstrip("0")
    exponent = len(whole) - 1 + int(power or 0) - (len(whole + rest) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return text
    if -3 <= exponent < 7:
        return sign + np.format_float_positional(np.float32(size), unique=True, trim="0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"
