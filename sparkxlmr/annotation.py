"""The annotation, by Spark NLP's name of this module: ``from sparkxlmr.annotation import Annotation``."""

from sparkxlmr.text.annotation import Annotation

__all__ = ["Annotation"]
