"""What a masked language model's logits become: the likeliest tokens, and the text with them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.text.tokenizer import SPACE_MARK, SentencePieceTokenizer


@dataclass(frozen=True)
class Gap:
    """A mask in its text, from code point `begin` to before `stop`.

    `bare`: where the text before it ends without its white space; `begin` where there is nothing but that.
    `after_blank`: the white space before it is a piece of its own to the model, as it is without Hugging
    Face's rule that a mask takes it in.
    """

    text: str
    begin: int
    stop: int
    bare: int
    after_blank: bool = False

    @classmethod
    def of(cls, tokenizer: SentencePieceTokenizer, text: str, begin: int, ids: Sequence[int], at: int) -> Gap:
        """The gap of the mask at `ids[at]`, which the text spells from `begin` on."""
        bare = begin
        while bare and text[bare - 1].isspace():
            bare -= 1
        after_blank = at > 0 and tokenizer.id_to_token(ids[at - 1]) == SPACE_MARK
        return cls(text, begin, begin + len(tokenizer.mask_token), bare or begin, after_blank)

    @property
    def begins_word(self) -> bool:
        """Whether a word may begin here without a further blank."""
        return not self.begin or self.text[self.begin - 1].isspace()


@dataclass(frozen=True, repr=False)
class FilledMask:
    """One way to fill one mask.

    Attributes:
        token: the token as it reads: the piece ``▁Paris`` is ``Paris``.
        token_id: its id.
        score: its softmax probability among all rows of the model's vocabulary, 0 to 1.
        gap: the mask that it fills.
        kept: so many code points of the text before the mask stay as they are.
        put_in: what follows them in the mask's place: the token, after a blank where one has to be.

    A piece that begins a word has white space before it: what the text has there, else one blank. Another
    piece goes on where the text before the mask ends, without its white space, which the model has not seen.
    A special token puts nothing in, but that the mask's own leaves the text as it is.
    """

    token: str
    token_id: int
    score: float
    gap: Gap
    kept: int
    put_in: str

    @property
    def text(self) -> str:
        """The text with the token in this mask's place; everything else in it is as it was."""
        return f"{self.gap.text[: self.kept]}{self.put_in}{self.gap.text[self.gap.stop :]}"

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in ("token", "token_id", "score", "text"))
        return f"FilledMask({', '.join(shown)})"


def target_ids(tokenizer: SentencePieceTokenizer, targets: Sequence[str]) -> np.ndarray:
    """The ids of tokens to choose from: a target is a piece of the vocabulary, or a text of one piece.

    Hugging Face's rule, but for a text of more than one piece, where it takes the first: here an error.

    Returns:
        int64, ascending, each id once.

    Raises:
        SettingError: no targets, or one that the vocabulary lacks; it is named.
    """
    if isinstance(targets, str):
        targets = [targets]
    if not targets:
        raise SettingError("targets is empty", "at least one token", "leave it out for the whole vocabulary")
    found = {_target_id(tokenizer, target) for target in targets}
    return np.array(sorted(found), dtype=np.int64)


def _target_id(tokenizer: SentencePieceTokenizer, target: str) -> int:
    token_id = tokenizer.token_to_id(target)
    if token_id != tokenizer.unk_id:
        return token_id
    ids = tokenizer.tokenize([target])[0]
    if len(ids) > 1 and tokenizer.id_to_token(ids[0]) == SPACE_MARK:
        ids = ids[1:]  # the space before a word, where the word has no piece with it
    if len(ids) != 1 or ids[0] == tokenizer.unk_id:
        pieces = [tokenizer.id_to_token(i) for i in ids]
        raise SettingError(
            f"The target {target!r} is no token of this model (it reads it as {pieces})",
            "targets that are one piece of its vocabulary",
            "leave it out, or choose a shorter word",
        )
    return ids[0]


def best_tokens(
    logits: np.ndarray, top_k: int, targets: np.ndarray | None = None, vocabulary_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest tokens of some masks, best first; of equal ones the lower id comes first.

    Args:
        logits: (n, rows of the model's vocabulary) of any float dtype.
        top_k: how many tokens for each; fewer where there are fewer.
        targets: ids to choose from, as :func:`target_ids` gives them; None allows all.
        vocabulary_size: the tokenizer's number of ids. A model may have more rows, which pad its vocabulary
            to a round number and belong to no token: they are never chosen. None: it has no such rows.

    Returns:
        ``(ids, scores)``, int64 and float32 of shape (n, k). Scores are softmax probabilities over all rows
        of the model, as in transformers, also where targets are given or rows belong to no token.

    Raises:
        SettingError: ``top_k`` is below 1.

    >>> best_tokens(np.log([[0.1, 0.3, 0.6]]), top_k=2, vocabulary_size=2)[0].tolist()
    [[1, 0]]
    >>> ids, scores = best_tokens(np.log([[0.5, 0.1, 0.4]]), top_k=2, targets=np.array([1, 2]))
    >>> ids.tolist(), scores.astype(float).round(3).tolist()
    ([[2, 1]], [[0.4, 0.1]])
    """
    if top_k < 1:
        raise SettingError(f"top_k is {top_k}", "a whole number of at least 1", "5 is usual")
    logits = logits.astype(np.float32)
    most = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    total = np.exp(logits - most).sum(axis=-1, keepdims=True)
    allowed = logits[:, :vocabulary_size] if targets is None else logits[:, targets]
    k = min(top_k, allowed.shape[-1])
    places = np.array([_largest(row, k) for row in allowed], dtype=np.int64).reshape(len(logits), k)
    scores = np.exp(np.take_along_axis(allowed, places, axis=-1) - most) / total
    return places if targets is None else targets[places], scores


def _largest(row: np.ndarray, k: int) -> np.ndarray:
    least = np.partition(row, -k)[-k]
    candidates = np.flatnonzero(row >= least)
    return candidates[np.argsort(-row[candidates], kind="stable")][:k]


def filled_masks(
    tokenizer: SentencePieceTokenizer, gap: Gap, token_ids: Sequence[int], scores: Sequence[float]
) -> list[FilledMask]:
    """The ways to fill a mask, in the order given."""
    return [
        _filled(tokenizer, gap, int(token_id), float(score))
        for token_id, score in zip(token_ids, scores, strict=True)
    ]


def _filled(tokenizer: SentencePieceTokenizer, gap: Gap, token_id: int, score: float) -> FilledMask:
    piece = tokenizer.id_to_token(token_id)
    if token_id == tokenizer.mask_id:
        return FilledMask(piece, token_id, score, gap, gap.begin, piece)
    if token_id in tokenizer.special_ids:
        return FilledMask(piece, token_id, score, gap, gap.bare, "")
    word = tokenizer.decode([token_id])
    if piece.startswith(SPACE_MARK):
        put_in = word if gap.begins_word else f" {word}"
        return FilledMask(word, token_id, score, gap, gap.begin, put_in)
    return FilledMask(word, token_id, score, gap, gap.begin if gap.after_blank else gap.bare, word)
