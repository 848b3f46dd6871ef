"""Masks filled as Hugging Face and keras-hub fill them, with bounded memory, none dropped."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime import mask_filler
from sparkxlmr.runtime.child import ChildPredictor
from sparkxlmr.runtime.mask_filler import MaskFiller
from sparkxlmr.runtime.row_mask_filler import FillOptions, fill_rows, sequence_of
from sparkxlmr.text.filled_masks import Gap, best_tokens, filled_masks

XLM_R, ALBERT = "hugging_face/xlmr_masked_lm", "hugging_face/albert_masked_lm"


class CountingRunner:
    """An engine's own, with the shapes it is given noted."""

    def __init__(self, runner):
        self.runner, self.widths, self.batch_tokens = runner, None, runner.batch_tokens
        self.texts, self.masks, self.width = 0, [], 0

    def run(self, inputs):
        self.texts += len(inputs["token_ids"])
        self.width = max(self.width, inputs["token_ids"].shape[1])
        self.masks.append(len(inputs["mask_positions"]))
        return self.runner.run(inputs)


@pytest.fixture
def counting(bundle_of):
    filler = MaskFiller(bundle_of(XLM_R), threads=1)
    filler._runner = CountingRunner(filler._runner)
    return filler


@pytest.mark.parametrize(
    ("folder", "engine"), [(XLM_R, "openvino"), (ALBERT, "openvino"), (ALBERT, "tensorflow")]
)
def test_masks_are_filled_as_hugging_face_fills_them(opened, fixtures, folder, engine):
    expected = json.loads((fixtures / folder / "expected.json").read_text(encoding="utf-8"))
    filler = opened(folder, engine)
    mask_token, longest = filler._tokenizer.mask_token, 126
    found = filler.fill([row["text"] for row in expected], longest, top_k=5)
    n_compared = 0
    for row, masks in zip(expected, found, strict=True):
        assert [row["text"][mask.begin : mask.end + 1] for mask in masks] == [mask_token] * len(masks)
        assert len(masks) >= len(row["positions"])
        # What Hugging Face cut off it has not answered, and what stands at the cut is read in a window here.
        is_whole = len(row["input_ids"]) < longest
        for mask, place, ids, probabilities in zip(
            masks, row["positions"], row["top5"], row["prob5"], strict=False
        ):
            if is_whole or place < 3 * longest // 4:
                assert_best(mask, ids, probabilities)
                n_compared += 1
    assert n_compared >= sum(len(row["positions"]) for row in expected) - 1


def assert_best(mask, ids, probabilities):
    """The same scores; the same tokens, but that neighbours which nearly tie may change places."""
    np.testing.assert_allclose([one.score for one in mask.filled], probabilities, atol=1e-5)
    clear = np.abs(np.diff(probabilities)) > 1e-5
    for rank, token_id in enumerate(ids[:-1]):
        if clear[max(0, rank - 1) : rank + 1].all():
            assert mask.filled[rank].token_id == token_id


def test_logits_at_the_masks_are_keras_hubs(opened, fixtures):
    folder = "keras_hub/xlmr_masked_lm"
    expected = json.loads((fixtures / folder / "expected.json").read_text(encoding="utf-8"))
    inputs = {name: np.array(expected["inputs"][name], np.int32) for name in ("token_ids", "padding_mask")}
    columns = np.array(expected["inputs"]["mask_positions"])
    places = [(row, column) for row, places in enumerate(columns) for column in places]
    logits = opened(folder)._runner.run({**inputs, "mask_positions": np.array(places, np.int32)})
    best = np.array(expected["top5"]).reshape(len(places), 5)
    np.testing.assert_allclose(
        np.take_along_axis(logits, best, 1), np.array(expected["top5_logits"]).reshape(best.shape), atol=1e-4
    )


def test_what_is_put_in_reads_as_the_models_own_fill_mask_says(opened):
    """Token, score and text are those of the one rule."""
    filler = opened(XLM_R)
    text = "one <mask> two<mask>, three"
    masks = filler.fill([text], 64, top_k=3)[0]
    assert [(mask.begin, mask.end) for mask in masks] == [(4, 9), (14, 19)]
    tokenizer = filler._tokenizer
    ids = tokenizer.encode([text]).ids[0]
    positions = [at for at, token_id in enumerate(ids) if token_id == tokenizer.mask_id]
    for mask, position in zip(masks, positions, strict=True):
        best, scores = ([getattr(one, name) for one in mask.filled] for name in ("token_id", "score"))
        gap = Gap.of(tokenizer, text, mask.begin, ids, position)
        assert mask.filled == filled_masks(tokenizer, gap, best, scores)


def test_texts_without_a_mask_are_not_read_and_equal_ones_once(counting):
    found = counting.fill(["", "no mask", "a <mask>", "a <mask>", "\ud800"], 32)
    assert [len(masks) for masks in found] == [0, 0, 1, 1, 0]
    assert found[2] == found[3]
    assert counting._runner.texts == 1
    assert counting.fill([], 32) == []


def test_batch_mates_do_not_matter_and_order_is_kept(opened, fixtures):
    texts = [row["text"] for row in json.loads((fixtures / XLM_R / "expected.json").read_text("utf-8"))]
    filler = opened(XLM_R)
    whole = filler.fill(texts, 128)
    again = filler.fill(texts[::-1], 128, batch_size=3)[::-1]
    for masks, others in zip(whole, again, strict=True):
        for mask, other in zip(masks, others, strict=True):
            np.testing.assert_allclose(
                [one.score for one in mask.filled], [one.score for one in other.filled], atol=1e-5
            )


def test_a_mask_beyond_the_length_is_read_with_what_stands_around_it(counting):
    words = "the people of the city said that they would go to the house and see " * 20
    text = f"{words}<mask> {words}<mask> end"
    masks = counting.fill([text], 32, top_k=4)[0]
    assert [text[mask.begin : mask.end + 1] for mask in masks] == ["<mask>", "<mask>"]
    assert counting._runner.width == 32
    tokenizer, runner = counting._tokenizer, counting._runner.runner
    ids = tokenizer.encode([text]).ids[0]
    positions = [at for at, token_id in enumerate(ids) if token_id == tokenizer.mask_id]
    assert positions[0] > 200
    # A quarter of the thirty tokens stands before a mask, and the text's end ends the last window.
    starts = (positions[0] - 7, len(ids) - 1 - 30)
    for mask, position, start in zip(masks, positions, starts, strict=True):
        window = np.array([[ids[0], *ids[start : start + 30], ids[-1]]], np.int32)
        at = np.array([[0, 1 + position - start]], np.int32)
        logits = runner.run({"token_ids": window, "padding_mask": np.ones_like(window), "mask_positions": at})
        best, scores = best_tokens(logits, 4)
        assert [one.token_id for one in mask.filled] == best[0].tolist()
        np.testing.assert_allclose([one.score for one in mask.filled], scores[0], atol=1e-6)


def test_logits_of_few_masks_exist_at_a_time(counting, monkeypatch):
    texts = ["<mask> " * 9 + "end", "a <mask> b", "<mask> c <mask>"]
    whole = counting.fill(texts, 64)
    assert counting._runner.masks == [12]
    counting._runner.masks.clear()
    monkeypatch.setattr(mask_filler, "MOST_LOGITS", 4 * counting._tokenizer.vocabulary_size + 1)
    parts = counting.fill(texts, 64)
    assert sum(counting._runner.masks) == 12
    assert max(counting._runner.masks) <= 4
    for masks, others in zip(whole, parts, strict=True):
        for mask, other in zip(masks, others, strict=True):
            assert [one.token_id for one in mask.filled] == [one.token_id for one in other.filled]
            np.testing.assert_allclose(
                [one.score for one in mask.filled], [one.score for one in other.filled], atol=1e-6
            )


def test_a_row_of_a_hundred_masks(counting):
    text = "".join(f"{number} <mask>{' ' * (number % 3)}" for number in range(100))
    rows = fill_rows([["", text], None, ["a <mask>"]], counting.fill, FillOptions(40, top_k=2))
    assert [len(row) for row in rows.source] == [200, 0, 2]
    assert rows.mask[0] == [mask for mask in range(100) for _ in range(2)]
    assert (set(rows.source[0]), set(rows.rank[0])) == ({1}, {1, 2})
    for at, (begin, end) in enumerate(zip(rows.begin[0], rows.end[0], strict=True)):
        assert text[begin : end + 1] == "<mask>"
        sequence = sequence_of(text, rows.kept[0][at], rows.put_in[0][at], end)
        assert sequence.count("<mask>") == 99
        assert sequence.startswith(text[:begin].rstrip())
        assert sequence.endswith(text[end + 1 :])
    # Read in windows, and of each stretch only what its masks need.
    assert counting._runner.width == 40
    assert sum(counting._runner.masks) == 101


def test_targets_are_what_is_chosen_from(opened):
    filler = opened(XLM_R)
    free = filler.fill(["a <mask> b"], 16, top_k=50)[0][0].filled
    pieces = [filler._tokenizer.id_to_token(one.token_id) for one in free]
    among = filler.fill(["a <mask> b"], 16, 5, [pieces[7], pieces[2]])[0][0].filled
    assert [one.token_id for one in among] == [free[2].token_id, free[7].token_id]
    np.testing.assert_allclose([one.score for one in among], [free[2].score, free[7].score], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 2}, "3 to 128"),
        ({"max_length": 129}, "3 to 128"),
        ({"max_length": 16, "top_k": 0}, "top_k is 0"),
        ({"max_length": 16, "targets": ["no such word there"]}, "no such word"),
    ],
)
def test_settings_are_refused_even_where_there_is_no_mask(opened, settings, message):
    with pytest.raises(SettingError, match=message):
        opened(XLM_R).fill(["a"], **settings)


def test_masks_that_normalisation_makes_are_none_of_the_text(opened):
    """Full-width letters: NFKD makes the mask's own of them, where it is not lower-cased."""
    filler = opened(ALBERT)
    text = "［MASK］ x [MASK] y ［MASK］ [MASK]"
    assert filler._tokenizer_in(False).encode([text]).ids[0].count(filler._tokenizer.mask_id) == 4
    spelled = [at for at in range(len(text)) if text.startswith("[MASK]", at)]
    for lower_case in (None, False):
        assert [mask.begin for mask in filler.fill([text], 64, lower_case=lower_case)[0]] == spelled


def test_a_child_fills_too(bundle_of, opened):
    child = ChildPredictor(bundle_of(XLM_R), "float32", 1, "")
    found = child.fill(["a <mask>"], 16, 2)
    child.close()
    assert [[one.token_id for one in mask.filled] for mask in found[0]] == [
        [one.token_id for one in mask.filled] for mask in opened(XLM_R).fill(["a <mask>"], 16, 2)[0]
    ]
