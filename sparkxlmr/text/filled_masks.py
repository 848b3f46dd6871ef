"""What a masked language model's logits become: the likeliest tokens, and the text with them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

_SPACE_MARK = "▁"


@dataclass(frozen=True)
class FilledMask:
    """One way to fill one mask.

    Attributes:
        token: what is put in, as it reads in a text: the piece ``▁Paris`` is ``Paris``.
        token_id: its id.
        score: its softmax probability among the whole vocabulary, 0 to 1.
        text: the text with it in, as its ids decode; other masks stay as they are spelled.
    """

    token: str
    token_id: int
    score: float
    text: str


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
    if len(ids) > 1 and tokenizer.id_to_token(ids[0]) == _SPACE_MARK:
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
    logits: np.ndarray, top_k: int, targets: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest tokens of some masks, best first; of equal ones the lower id comes first.

    Args:
        logits: (n, vocabulary) of any float dtype.
        top_k: how many tokens for each; fewer where there are fewer.
        targets: ids to choose from, as :func:`target_ids` gives them; None allows all.

    Returns:
        ``(ids, scores)``, int64 and float32 of shape (n, k). Scores are softmax probabilities over the whole
        vocabulary, also where targets are given.

    Raises:
        SettingError: ``top_k`` is below 1.

    >>> ids, scores = best_tokens(np.log([[0.5, 0.1, 0.4]]), top_k=2, targets=np.array([1, 2]))
    >>> ids.tolist(), scores.astype(float).round(3).tolist()
    ([[2, 1]], [[0.4, 0.1]])
    """
    if top_k < 1:
        raise SettingError(f"top_k is {top_k}", "a whole number of at least 1", "5 is usual")
    logits = logits.astype(np.float32)
    most = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    total = np.exp(logits - most).sum(axis=-1, keepdims=True)
    allowed = logits if targets is None else logits[:, targets]
    k = min(top_k, allowed.shape[-1])
    places = np.array([_largest(row, k) for row in allowed], dtype=np.int64).reshape(len(logits), k)
    scores = np.exp(np.take_along_axis(allowed, places, axis=-1) - most) / total
    return places if targets is None else targets[places], scores


def _largest(row: np.ndarray, k: int) -> np.ndarray:
    least = np.partition(row, -k)[-k]
    candidates = np.flatnonzero(row >= least)
    return candidates[np.argsort(-row[candidates], kind="stable")][:k]


def filled_masks(
    tokenizer: SentencePieceTokenizer,
    ids: Sequence[int],
    position: int,
    token_ids: Sequence[int],
    scores: Sequence[float],
) -> list[FilledMask]:
    """The ways to fill the mask at one position of a text's ids, in the order given."""
    return [
        FilledMask(
            token=_read(tokenizer, token_id),
            token_id=int(token_id),
            score=float(score),
            text=_text(tokenizer, [*ids[:position], int(token_id), *ids[position + 1 :]]),
        )
        for token_id, score in zip(token_ids, scores, strict=True)
    ]


def _read(tokenizer: SentencePieceTokenizer, token_id: int) -> str:
    if token_id in tokenizer.special_ids:
        return tokenizer.id_to_token(token_id)
    return tokenizer.decode([token_id])


def _text(tokenizer: SentencePieceTokenizer, ids: Sequence[int]) -> str:
    """The text of ids, with masks spelled; a mask stands apart from what is before it."""
    parts: list[str] = []
    start = 0
    for at in [*(i for i, token_id in enumerate(ids) if token_id == tokenizer.mask_id), len(ids)]:
        piece = [i for i in ids[start:at] if i == tokenizer.unk_id or i not in tokenizer.special_ids]
        if piece:
            apart = parts and tokenizer.id_to_token(piece[0]).startswith(_SPACE_MARK)
            parts.append((" " if apart else "") + tokenizer.decode(piece))
        if at < len(ids):
            parts.append((" " if parts else "") + tokenizer.mask_token)
        start = at + 1
    return "".join(parts)
