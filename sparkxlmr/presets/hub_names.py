"""The models that other libraries know by name, and where they lie: the table `names.json`."""

from __future__ import annotations

import json
from importlib import resources

# Not by __file__: the package may have come as a zip.
_TABLE = json.loads(resources.files(__package__).joinpath("names.json").read_text(encoding="utf-8"))

#: keras-hub's preset names and their handles, versions included, as keras-hub 0.32 has them
#: (``xlm_roberta_presets.py`` and ``albert_presets.py`` there).
KERAS_HUB: dict[str, str] = _TABLE["keras_hub"]

#: names of Spark NLP's models, and how to get such a model here. Where an original on Hugging Face is named,
#: Spark NLP's model card names it; the others were trained by John Snow Labs.
SPARK_NLP: dict[str, str] = _TABLE["spark_nlp"]
