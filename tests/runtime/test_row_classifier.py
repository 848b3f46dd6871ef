"""Rows of texts to labels and scores, with a predictor that says what the text says."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.runtime.predictor import Prediction
from sparkxlmr.runtime.row_classifier import RowOptions, classify_rows


class Spelled:
    """Each text spells its own logits ("1 2 0", with windows "1 2 0|0 2 1"); one that ends in "..." counts as
    truncated."""

    def __init__(self):
        self.calls = []

    def __call__(self, texts, max_length, batch_size, lower_case, seconds, stride, max_windows):
        self.calls.append((list(texts), max_length, batch_size, lower_case, seconds, stride))
        windows = [text.removesuffix("...").split("|") for text in texts]
        numbers = [[float(word) for word in window.split()] for found in windows for window in found]
        return Prediction(
            np.array(numbers, np.float32),
            np.array([text.endswith("...") for text in texts], bool),
            None if stride is None else np.array([len(found) for found in windows]),
        )


def classify(rows, seconds=None, **options):
    return classify_rows(rows, Spelled(), RowOptions(128, **options), seconds)


def test_all_rows_go_in_one_call_and_blank_texts_never():
    predict = Spelled()
    rows = [["1 0"], None, [], ["", " \n\u3000", None], ["0 1", "", "2 0"]]
    answers = classify_rows(rows, predict, RowOptions(64, batch_size=3, lower_case=True))
    assert predict.calls == [(["1 0", "0 1", "2 0"], 64, 3, True, None, None)]
    assert answers.source.lists() == [[0], [], [], [], [0, 2]]
    assert answers.label.lists() == [[0], [], [], [], [1, 0]]
    assert answers.scores.lengths.tolist() == [2, 0, 0, 0, 4]


def test_a_batch_of_nothing_but_null_asks_nobody():
    predict = Spelled()
    answers = classify_rows([None] * 5, predict, RowOptions(64))
    assert predict.calls == []
    for values in vars(answers).values():
        assert values.lengths.tolist() == [0] * 5


def test_softmax_takes_the_first_of_equal_labels():
    answers = classify([["1 3 3"]])
    assert answers.label.lists() == [[1]]
    assert answers.scores[0].sum() == pytest.approx(1)


def test_sigmoid_takes_every_label_above_the_threshold_and_none_at_it():
    answers = classify([["0 1 -1", "-9 -9 -9", "9 -9 9"]], activation="sigmoid", threshold=0.5)
    assert answers.source.lists() == [[0, 2, 2]]
    assert answers.label.lists() == [[1, 0, 2]]
    assert answers.block.lists() == [[0, 2, 2]]
    assert len(answers.scores[0]) == 9


def test_coalesce_is_the_mean_of_the_probabilities_at_the_first_scored_text():
    answers = classify([["", "0 9", "9 0", "9 0..."]], coalesce=True)
    assert answers.source.lists() == [[1]]
    assert answers.label.lists() == [[0]]
    assert answers.truncated.lists() == [[True]]
    np.testing.assert_allclose(answers.scores[0], [2 / 3, 1 / 3], atol=1e-3)


def test_top_keeps_the_best_with_their_ids():
    answers = classify([["0 2 1", "3 2 1"]], top=2)
    assert answers.ids[0].tolist() == [1, 2, 0, 1]
    assert len(answers.scores[0]) == 4
    assert answers.label.lists() == [[1, 0]]


def test_each_label_above_the_threshold_has_its_own_score_among_the_top():
    answers = classify([["0 2 1", "-9 -9 -9", "3 -2 1"]], activation="sigmoid", threshold=0.4, top=2)
    assert answers.source.lists() == [[0, 0, 0, 2, 2]]
    assert answers.label.lists() == [[0, 1, 2, 0, 2]]
    assert answers.block.lists() == [[0, 1, 2, 3, 4]]
    assert answers.ids[0].reshape(5, 2).tolist() == [[0, 1], [1, 2], [2, 1], [0, 2], [2, 0]]
    found = answers.scores[0].reshape(5, 2)[:, 0]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.array([0, 2, 1, 3, 1]))), atol=1e-6)


def test_more_top_scores_than_labels_are_all_of_them():
    assert classify([["0 1"]], top=99).ids[0].tolist() == [1, 0]


def test_row_scores_are_the_mean_over_the_texts():
    answers = classify([["9 0", "0 9"], ["0 0"]], row_scores=True)
    np.testing.assert_allclose(answers.row_scores[0], [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(answers.row_scores[1], [0.5, 0.5], atol=1e-6)


def test_a_text_in_windows_has_their_mean_and_their_number():
    rows = [["9 0|0 9|9 0", "", "0 9"], None, ["0 0"]]
    answers = classify(rows, stride=3, row_scores=True, row_logits=True)
    assert answers.source.lists() == [[0, 2], [], [0]]
    assert answers.windows.lists() == [[3, 1], [], [1]]
    assert answers.label.lists() == [[0, 1], [], [0]]
    np.testing.assert_allclose(answers.scores[0], [2 / 3, 1 / 3, 0, 1], atol=1e-3)
    # of the row: the mean over its texts, each of which counts once
    np.testing.assert_allclose(answers.row_scores[0], [1 / 3, 2 / 3], atol=1e-3)
    np.testing.assert_allclose(answers.row_logits[0], [3, 6])
    assert classify(rows, stride=3, coalesce=True).windows.lists() == [[4], [], [1]]
    assert classify([["0 9"]]).windows.lists() == [[]]


def test_each_text_of_a_row_is_paired_with_the_rows_second():
    predict = Spelled()
    rows = [["1 0", "", "0 1"], ["2 0"], ["3 0"], None, ["4 0"]]
    options = RowOptions(64, pairs=True, stride=5)
    answers = classify_rows(rows, predict, options, ["one", None, " ", "two", "three"])
    assert predict.calls == [(["1 0", "0 1", "4 0"], 64, None, None, ["one", "one", "three"], 5)]
    assert answers.source.lists() == [[0, 2], [], [], [], [0]]


def test_row_logits_of_a_single_text_are_its_own():
    assert classify([["9 0"]], row_logits=True).row_logits[0].tolist() == [9, 0]
