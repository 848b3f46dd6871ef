"""Where this session's models lie."""

from __future__ import annotations

from pyspark.sql import SparkSession

#: folders of models, paths or URLs with commas between them
MODELS = "spark.sparkxlmr.models"


def model_places() -> list[str]:
    """The folders that the active session names in `spark.sparkxlmr.models`; none is started to ask it."""
    session = SparkSession.getActiveSession()
    named = session.conf.get(MODELS, "") if session is not None else ""
    return [place.strip() for place in (named or "").split(",") if place.strip()]
