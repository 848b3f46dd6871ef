"""Pairs of texts, and long texts in windows: ids and logits are Hugging Face's (`expected_stages.json`)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.predictor import Predictor

FOLDERS = {name: f"hugging_face/{name}_sequence_classification" for name in ("xlmr", "albert")}


@pytest.fixture(params=["xlmr-openvino", "albert-openvino", "albert-tensorflow"])
def peer(request, fixtures, opened):
    """A family's predictor, in an engine, and tokenizer, and what Hugging Face says."""
    family, engine = request.param.split("-")
    folder = FOLDERS[family]
    expected = json.loads((fixtures / folder / "expected_stages.json").read_text("utf-8"))
    predictor = opened(folder, engine)
    return predictor, predictor._tokenizer, expected


def test_pairs(peer):
    predictor, tokenizer, expected = peer
    for row in expected["pairs"]:
        first, second, length = row["first"], row["second"], row["max_length"]
        encoded = tokenizer.encode_pairs([(first, second)], length)
        assert encoded.ids == [row["ids"]]
        assert encoded.segment_ids in (None, [row["segments"]])
        found = predictor.logits([first], length, seconds=[second])
        np.testing.assert_allclose(found.logits, [row["logits"]], atol=1e-5)
        assert found.truncated.tolist() == encoded.truncated
        assert found.windows is None
    assert {row["segments"] is None for row in expected["pairs"]} == {tokenizer.bos_id == 0}


def test_windows(peer):
    predictor, tokenizer, expected = peer
    for row in expected["windows"]:
        first, second, length = row["first"], row["second"], row["max_length"]
        seconds = None if second is None else [second]
        encoded, counts = tokenizer.encode_windows([first], length, row["stride"], seconds)
        assert encoded.ids == row["ids"]
        assert counts == [len(row["ids"])]
        if encoded.segment_ids is not None:
            assert encoded.segment_ids == row["segments"]
        found = predictor.logits([first], length, None, None, seconds, row["stride"])
        np.testing.assert_allclose(found.logits, row["logits"], atol=1e-5)
        assert found.windows.tolist() == counts
        assert not found.truncated.any()
    assert {len(row["ids"]) == 1 for row in expected["windows"]} == {True, False}


def test_every_window_is_a_row_like_any_other_in_the_callers_order(peer):
    """Texts with one window and with many, twice; equal ones are computed once."""
    predictor, _, expected = peer
    rows = [row for row in expected["windows"] if row["second"] is None]
    texts = [rows[i]["first"] for i in (0, 1, 0, 3, 1)] + [""]
    found = predictor.logits(texts, 16, batch_size=4, stride=3)
    alone = [predictor.logits([text], 16, stride=3) for text in texts]
    assert found.windows.tolist() == [int(one.windows[0]) for one in alone]
    assert len(set(found.windows.tolist())) > 2
    np.testing.assert_allclose(found.logits, np.concatenate([one.logits for one in alone]), atol=1e-5)


def test_windows_are_computed_once_for_equal_texts_but_not_for_equal_halves_of_pairs(opened, monkeypatch):
    predictor = opened(FOLDERS["xlmr"])
    computed, run = [], predictor._runner.run
    monkeypatch.setattr(predictor._runner, "run", lambda inputs: (computed.append(inputs), run(inputs))[1])
    predictor.logits(["one", "one", "one"], 16, seconds=["a", "b", "a"])
    assert sum(len(inputs["token_ids"]) for inputs in computed) == 2


def test_a_second_text_beyond_half_the_room_is_cut_and_told(peer):
    """No window would hold anything of the first text otherwise."""
    _, tokenizer, _ = peer
    first, second = tokenizer.tokenize(["one two three four " * 9, "five six seven eight " * 9])
    n_special = len(tokenizer.encode_pairs([("", "")]).ids[0])
    room = 20
    encoded, counts = tokenizer.encode_windows(
        ["one two three four " * 9, "one two"], room + n_special, 2, ["five six seven eight " * 9] * 2
    )
    assert encoded.truncated == [True] * sum(counts)
    assert all(len(ids) <= room + n_special for ids in encoded.ids)
    held = [ids[1:11] for ids in encoded.ids[: counts[0]]]
    assert held[0] + [i for ids in held[1:-1] for i in ids[2:]] == first[: 10 + 8 * (counts[0] - 2)]
    assert all(ids[-11:-1] == second[:10] for ids in encoded.ids[: counts[0]])
    # beside a short first text there is room for more of the second
    assert counts[1] == 1
    assert len(encoded.ids[-1]) == room + n_special


@pytest.mark.parametrize(("length", "stride", "seconds"), [(8, 6, None), (12, 4, ["b"]), (3, 0, ["b"])])
def test_windows_without_room_to_move_are_refused_whatever_the_text(opened, length, stride, seconds):
    with pytest.raises(SettingError):
        opened(FOLDERS["xlmr"]).logits(["a"], length, None, None, seconds, stride)


def test_lower_case_holds_for_both_texts_of_a_pair(opened):
    predictor: Predictor = opened(FOLDERS["xlmr"])
    asked = predictor.logits(["ONE <mask> TWO"], 32, None, True, ["Three"], 3).logits
    spelled = predictor.logits(["one <mask> two"], 32, None, None, ["three"], 3).logits
    np.testing.assert_array_equal(asked, spelled)


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("second", [None, "two three"])
def test_first_windows_are_those_of_all(opened, name, second):
    """With a bound a text has the first of its windows; a text that has no more keeps them all."""
    tokenizer = opened(FOLDERS[name])._tokenizer
    texts = ["word after word " * 200, "short", "one two three " * 9]
    seconds = None if second is None else [second] * len(texts)
    whole, n_all = tokenizer.encode_windows(texts, 16, 3, seconds)
    for most in (1, 2, n_all[2], n_all[0]):
        some, counts = tokenizer.encode_windows(texts, 16, 3, seconds, most)
        assert counts == [min(most, count) for count in n_all]
        starts = np.cumsum([0, *n_all])
        chosen = [starts[text] + at for text, count in enumerate(counts) for at in range(count)]
        assert some.ids == [whole.ids[at] for at in chosen]
        if whole.segment_ids is not None:
            assert some.segment_ids == [whole.segment_ids[at] for at in chosen]
        assert some.truncated == [n_all[i] > most for i, count in enumerate(counts) for _ in range(count)]
    assert not any(whole.truncated)


def test_text_beyond_the_windows_is_not_tokenized(opened, monkeypatch):
    predictor, read = opened(FOLDERS["xlmr"]), []
    encode = type(predictor._tokenizer)._encode_raw

    def counted(self, segments):
        read.extend(map(len, segments))
        return encode(self, segments)

    monkeypatch.setattr(type(predictor._tokenizer), "_encode_raw", counted)
    found = predictor.logits(["word after word " * 20_000, "short"], 16, stride=3, max_windows=5)
    assert found.windows.tolist() == [5, 1]
    assert found.truncated.tolist() == [True, False]
    assert len(found.logits) == 6
    assert sum(read) < 3000
