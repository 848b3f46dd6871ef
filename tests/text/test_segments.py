"""Several segments as one sequence: how many ids of each remain, and where the special ones are."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.text.segments import join_encoded, join_segments, truncated_lengths
from sparkxlmr.text.truncation import share


def dealt(lengths, room):
    """Round robin as it is defined: one id at a time to each segment that has more."""
    kept = [0] * len(lengths)
    while room > 0 and kept != list(lengths):
        for index, length in enumerate(lengths):
            if room > 0 and kept[index] < length:
                kept[index] += 1
                room -= 1
    return kept


def test_truncated_lengths_deals_ids_in_turn():
    rng = np.random.default_rng(0)
    for _ in range(500):
        lengths = rng.integers(0, 9, rng.integers(1, 5)).tolist()
        room = int(rng.integers(0, 30))
        assert truncated_lengths(lengths, room) == dealt(lengths, room), (lengths, room)
        waterfall = truncated_lengths(lengths, room, "waterfall")
        assert sum(waterfall) == min(room, sum(lengths))
        if len(lengths) == 2:
            assert tuple(truncated_lengths(lengths, room)) == share(*lengths, room, "round_robin")
            assert tuple(waterfall) == share(*lengths, room, "waterfall")


def test_truncated_lengths_refuses_an_unknown_rule():
    with pytest.raises(SettingError, match="truncate is 'left'"):
        truncated_lengths([1], 1, "left")


def test_join_segments_truncates_at_the_side():
    segments = [[1, 2, 3], [4, 5, 6], [7]]
    right = join_segments(segments, [0], [9], [8], 5)
    left = join_segments(segments, [0], [9], [8], 5, side="left")
    assert right.ids == [0, 1, 2, 9, 4, 5, 9, 7, 8]
    assert left.ids == [0, 2, 3, 9, 5, 6, 9, 7, 8]
    assert right.segment_ids == left.segment_ids == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert right.truncated
    assert left.truncated


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["xlmr", "albert"])
def test_join_encoded_agrees_with_pairs(fixtures, name, side):
    from sparkxlmr.text.families import tokenizer_for

    family = {"xlmr": "xlm_roberta", "albert": "albert"}[name]
    vocabulary = next((fixtures / "keras_hub" / f"{name}_text_classifier").rglob("vocabulary.spm"))
    tokenizer = tokenizer_for(family, vocabulary, {"truncation_side": side})
    first, second = ["a b c d e f g", "", "one"], ["h", "i j", "k l m n o p q r s"]
    columns = [tokenizer.tokenize(first), tokenizer.tokenize(second)]
    for truncate in ("round_robin", "waterfall"):
        for length in (6, 9, 40, None):
            pairs = tokenizer.encode_pairs(list(zip(first, second, strict=True)), length, truncate)
            assert join_encoded(tokenizer, columns, length, truncate) == pairs
    with pytest.raises(SettingError, match="special tokens of 4 segments"):
        join_encoded(tokenizer, columns * 2, 4)
