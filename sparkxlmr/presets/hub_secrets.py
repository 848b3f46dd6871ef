"""What nobody may read in a message or a log: users and queries of URLs, tokens."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "KAGGLE_KEY", "KAGGLE_API_TOKEN")
_CUT = (
    # Azure writes its container where others write a user, who may be a token.
    (re.compile(r"(?<!abfs)(?<!abfss)(?<!wasb)(?<!wasbs)://[^/?#\s'\"]*@"), "://"),
    (re.compile(r"(://[^/?#:@\s'\"]*):[^/?#\s'\"]*@"), r"\1@"),
    (re.compile(r"(?<=[^\s'\"])\?[^\s'\"<>)]*=[^\s'\"<>)]*"), "?..."),
    (re.compile(r"\b(Bearer|Basic) +[^\s'\"]+", re.IGNORECASE), r"\1 ..."),
    (re.compile(r"\bhf_[A-Za-z0-9]{8,}"), "hf_..."),
)
# The loggers that quote addresses: at level INFO, and at DEBUG where a server redirects to.
_LOGGERS = (
    "httpx", "httpx2", "httpcore.http11", "httpcore2.http11", "urllib3.connectionpool", "urllib3.util.retry",
    "huggingface_hub.utils._http", "kagglehub.clients",
)  # fmt: skip


def redacted(text: str) -> str:
    """The text without the user and query of its URLs, without tokens: what may be shown and logged.

    >>> redacted("GET https://me:secret@example.org/a?X-Amz-Signature=12ab: refused")
    'GET https://example.org/a?... refused'
    >>> redacted("abfss://container@account.dfs.core.windows.net/model")
    'abfss://container@account.dfs.core.windows.net/model'
    """
    for name in _VARIABLES:
        secret = os.environ.get(name, "").strip()
        if len(secret) > 3:
            text = text.replace(secret, "...")
    for pattern, instead in _CUT:
        text = pattern.sub(instead, text)
    return text


def shown(handle: object) -> str:
    """A handle for a message: redacted and of bounded length."""
    text = redacted(str(handle))
    return text if len(text) <= 200 else text[:200] + "..."


@contextmanager
def discreet() -> Iterator[None]:
    """While the block lasts, the libraries that speak with hubs log addresses redacted."""

    def redact(record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        return True

    for name in _LOGGERS:
        logging.getLogger(name).addFilter(redact)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(redact)
