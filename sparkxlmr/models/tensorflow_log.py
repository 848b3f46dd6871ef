"""What TensorFlow writes to stderr about itself, kept from users who did not ask for it."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS_ONLY = "2"
# TensorFlow 2.21 writes these two while it is imported, whatever the level.
_CHATTER = re.compile(
    rb"^(?:WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|I0000 .*oneDNN custom operations are on\..*)\r?\n",
    re.MULTILINE,
)


def quiet_tensorflow() -> bool:
    """Limit TensorFlow's log to errors, unless the user has set ``TF_CPP_MIN_LOG_LEVEL``.

    Call it before TensorFlow is imported, which reads the variable then. Warnings that Keras's own training
    and prediction functions are traced again are dropped too: texts of another length are another shape, and
    each function is traced for a few shapes only.

    Returns:
        Whether the log is limited.
    """
    limited = os.environ.setdefault(_LEVEL, _ERRORS_ONLY) == _ERRORS_ONLY
    if limited:
        logging.getLogger("tensorflow").addFilter(_is_shown)  # the same filter is added once
    return limited


@contextmanager
def quiet_import() -> Iterator[None]:
    """While TensorFlow, or Keras on it, is imported for the first time: drop what no log level drops.

    All else that is written to stderr meanwhile appears behind it.
    """
    if not quiet_tensorflow() or "tensorflow" in sys.modules:
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # a process without one
        yield
        return
    with tempfile.TemporaryFile() as written, os.fdopen(stderr, "wb", buffering=0) as original:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original.fileno(), 2)
            written.seek(0)
            if rest := _CHATTER.sub(b"", written.read()):
                original.write(rest)


def _is_shown(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return "TensorFlowTrainer.make_" not in message or "tf.function retracing" not in message
