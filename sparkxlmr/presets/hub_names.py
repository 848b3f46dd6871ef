"""Where the models lie that keras-hub knows by name."""

from __future__ import annotations

#: keras-hub's preset names and their handles, versions included, as keras-hub 0.32 has them
#: (``xlm_roberta_presets.py`` and ``albert_presets.py`` there).
KERAS_HUB = {
    "xlm_roberta_base_multi": "kaggle://keras/xlm_roberta/keras/xlm_roberta_base_multi/3",
    "xlm_roberta_large_multi": "kaggle://keras/xlm_roberta/keras/xlm_roberta_large_multi/3",
    "albert_base_en_uncased": "kaggle://keras/albert/keras/albert_base_en_uncased/5",
    "albert_large_en_uncased": "kaggle://keras/albert/keras/albert_large_en_uncased/3",
    "albert_extra_large_en_uncased": "kaggle://keras/albert/keras/albert_extra_large_en_uncased/3",
    "albert_extra_extra_large_en_uncased": "kaggle://keras/albert/keras/albert_extra_extra_large_en_uncased/3",
}
