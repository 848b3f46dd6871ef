"""Settings to options: what decides where, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.runtime.row_mask_filler import FillOptions
from sparkxlmr.runtime.stage_options import MAX_WINDOWS, Chosen, fill_options, row_options

DEFAULTS = {
    "maxSentenceLength": 128, "batchSize": 8, "caseSensitive": False, "activation": "softmax",
    "multilabel": False, "threshold": 0.5, "coalesceSentences": False, "longTextStrategy": "truncate",
    "topK": 5,
}  # fmt: skip


def chosen(**explicit):
    return Chosen({**DEFAULTS, **explicit}, frozenset(explicit), "Stage", "a_model")


def test_defaults_leave_everything_to_the_model(plain_bundle):
    assert row_options(chosen(), plain_bundle) == RowOptions(plain_bundle.max_length)
    assert fill_options(chosen(), plain_bundle) == FillOptions(plain_bundle.max_length)


def test_what_was_set_decides_even_where_it_is_the_default(plain_bundle):
    found = row_options(chosen(batchSize=8, caseSensitive=False, activation="softmax"), plain_bundle)
    assert found == RowOptions(plain_bundle.max_length, batch_size=8, lower_case=True)
    found = row_options(chosen(multilabel=True, threshold=0.25, rawPredictionCol="r"), plain_bundle)
    assert (found.activation, found.threshold) == ("sigmoid", 0.25)
    assert (found.row_scores, found.row_logits, found.pairs, found.stride) == (False, True, False, None)
    assert fill_options(chosen(targets=["a"], topK=2), plain_bundle).targets == ("a",)


def test_a_model_of_many_labels_gives_one_where_either_setting_says_so(plain_bundle):
    manifest = dataclasses.replace(plain_bundle.manifest, activation="sigmoid")
    bundle = dataclasses.replace(plain_bundle, manifest=manifest)
    assert row_options(chosen(), bundle).activation == "sigmoid"
    assert row_options(chosen(activation="softmax"), bundle).activation == "softmax"
    assert row_options(chosen(multilabel=False), bundle).activation == "softmax"
    assert row_options(chosen(multilabel=False, activation="sigmoid"), bundle).activation == "sigmoid"


def test_an_empty_column_name_is_none_as_in_spark_ml(plain_bundle):
    names = dict.fromkeys(("predictionCol", "probabilityCol", "rawPredictionCol"), "")
    found = row_options(chosen(**names), plain_bundle)
    assert (found.row_scores, found.row_logits) == (False, False)


def test_a_length_beyond_the_models_is_refused_only_where_it_was_asked_for(plain_bundle):
    with pytest.raises(SettingError, match=r"Stage: maxSentenceLength is 51.*a_model"):
        row_options(chosen(maxSentenceLength=51), plain_bundle)


@pytest.mark.parametrize(
    ("settings", "stride"),
    [
        ({}, 12), ({"stride": 0}, 0), ({"stride": 47}, 47), ({"maxSentenceLength": 3}, 0),
        ({"pairCol": "p"}, 12), ({"pairCol": "p", "stride": 22}, 22),
        ({"pairCol": "p", "maxSentenceLength": 6}, 0),
    ],
)  # fmt: skip
def test_windows_share_a_quarter_unless_told(plain_bundle, settings, stride):
    """`stride` alone, without windows, decides nothing."""
    assert row_options(chosen(**settings), plain_bundle).stride is None
    assert row_options(chosen(longTextStrategy="windows", **settings), plain_bundle).stride == stride


def test_windows_are_bounded(plain_bundle):
    """Also in stages that an earlier release saved, which have no such setting."""
    found = row_options(chosen(longTextStrategy="windows"), plain_bundle)
    assert found.max_windows == MAX_WINDOWS
    assert row_options(chosen(longTextStrategy="windows", maxWindows=7), plain_bundle).max_windows == 7
    assert row_options(chosen(maxWindows=7), plain_bundle).max_windows is None


def test_a_pair_without_room_for_both_texts_is_refused(plain_bundle):
    assert row_options(chosen(maxSentenceLength=5), plain_bundle).max_length == 5
    with pytest.raises(SettingError, match="maxSentenceLength is 5, and pairCol is set"):
        row_options(chosen(maxSentenceLength=5, pairCol="p"), plain_bundle)


@pytest.mark.parametrize("settings", [{"stride": 48}, {"stride": 23, "pairCol": "p"}])
def test_windows_that_would_stand_still_are_refused(plain_bundle, settings):
    with pytest.raises(SettingError, match=f"stride is {settings['stride']}"):
        row_options(chosen(longTextStrategy="windows", **settings), plain_bundle)
