"""Tokenizers with keras-hub's names, over the text floor."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from sparkxlmr.errors import OutputError, SettingError
from sparkxlmr.models import families
from sparkxlmr.models.families import classproperty
from sparkxlmr.models.texts import as_column, is_one
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preprocessor
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.packing import pack

T = TypeVar("T", bound="Tokenizer")
VOCABULARY_FILE = "vocabulary.spm"  # keras-hub's name for it


class Tokenizer:
    """Base of the tokenizers. ``Tokenizer.from_preset`` gives the right one for a preset.

    Args:
        proto: a SentencePiece model: the path of its file, its bytes, or those as base64 text (as configs
            keep them).
        sequence_length: pads or cuts every text to so many ids; None leaves each as long as it is.
        dtype: ``"int32"`` (or another type of whole numbers) for ids, ``"string"`` for pieces.
        add_bos, add_eos: put the family's start and end token around each text.
        settings: what is done to a text first, for ALBERT: ``do_lower_case``, ``keep_accents`` and
            ``remove_space``, as :class:`sparkxlmr.text.albert.AlbertNormalization` describes them. None
            hands texts to SentencePiece as they are, as keras-hub does.

    The family's rule on the text floor is at hand as :attr:`text`.

    Raises:
        SettingError: a ``dtype`` that holds no ids, or ``settings`` that the family has not.
        PresetNotFoundError, DamagedModelError, NotAPresetError: no file, no SentencePiece model, or one of
            another family.

    >>> tokenizer = Tokenizer.from_preset("xlm_roberta_tiny_language_id")
    >>> ids = tokenizer("a small text <mask>")
    >>> ids[-1] == tokenizer.mask_token_id == tokenizer.vocabulary_size() - 1
    True
    >>> tokenizer.detokenize(ids)
    'a small text'
    """

    family: ClassVar[str]

    def __init__(
        self,
        proto: bytes | str | PathLike[str],
        sequence_length: int | None = None,
        dtype: Any = "int32",
        add_bos: bool = False,
        add_eos: bool = False,
        settings: Mapping[str, bool] | None = None,
    ) -> None:
        self.dtype = _checked(dtype)
        self.settings = dict(settings or {})
        self.text = tokenizer_for(self.family, _proto(proto), self.settings)
        self.sequence_length = sequence_length
        self.add_bos = add_bos
        self.add_eos = add_eos

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The presets that have a name here; see :func:`sparkxlmr.models.families.presets_of`."""
        return families.presets_of(cls)

    @classmethod
    def from_preset(cls: type[T], preset: str | PathLike[str], **kwargs: Any) -> T:
        """The tokenizer of a preset; ``kwargs`` go to the constructor.

        Raises:
            PresetNotFoundError, NotAPresetError: see :meth:`sparkxlmr.presets.preset.Preset.open`.
        """
        return cls.from_opened(Preset.open(preset), **kwargs)

    @classmethod
    def from_opened(cls: type[T], preset: Preset, **kwargs: Any) -> T:
        """The same for a preset that is open already."""
        made = families.class_for(cls, preset, "tokenizer")
        return made(**{"proto": preset.proto(), "settings": preset.tokenizer_settings, **kwargs})

    # --- text to ids and back ---

    def __call__(self, inputs: str | Sequence[str]) -> Any:
        return self.tokenize(inputs)

    def tokenize(self, inputs: str | Sequence[str]) -> Any:
        """Ids of one text (a list) or of several (a list of lists); pieces where ``dtype`` is ``"string"``.

        With ``sequence_length`` an array: (length,) for one text, (n, length) for several.

        Raises:
            InputError: something that is no text.
        """
        if is_one(inputs):
            return self.tokenize(as_column(inputs))[0]
        start = [self.text.bos_id] if self.add_bos else []
        end = [self.text.eos_id] if self.add_eos else []
        length = self.sequence_length
        room = None if length is None else max(length - len(start) - len(end), 0)
        rows = [[*start, *found[:room], *end][:length] for found in self.text.tokenize(as_column(inputs))]
        if self.dtype == "string":
            pad = [] if length is None else [self.text.id_to_token(self.text.pad_id)] * length
            named = [[self.text.id_to_token(i) for i in row] for row in rows]
            return named if length is None else np.array([(row + pad)[:length] for row in named])
        return rows if length is None else pack(rows, self.text.pad_id, length)[0].astype(self.dtype)

    def detokenize(self, inputs: Any) -> Any:
        """The text of a sequence of ids, or the texts of several; special ids are left out."""
        rows = np.asarray(inputs).tolist() if hasattr(inputs, "__array__") else list(inputs)
        if rows and isinstance(rows[0], (list, tuple, np.ndarray)):
            return [self.text.decode(row) for row in rows]
        return self.text.decode(rows)

    # --- the vocabulary ---

    def vocabulary_size(self) -> int:
        """How many ids there are, those of special tokens included."""
        return int(self.text.vocabulary_size)

    def get_vocabulary(self) -> list[str]:
        """All tokens in the order of their ids."""
        return [self.text.id_to_token(i) for i in range(self.vocabulary_size())]

    def id_to_token(self, id: int) -> str:
        """The piece, or special token, of an id."""
        return str(self.text.id_to_token(id))

    def token_to_id(self, token: str) -> int:
        """The id of a piece or special token; that of the unknown token for any other string."""
        return int(self.text.token_to_id(token))

    @property
    def start_token_id(self) -> int:
        """Id of the token before every text."""
        return self.text.bos_id

    @property
    def end_token_id(self) -> int:
        """Id of the token behind every text."""
        return self.text.eos_id

    @property
    def pad_token_id(self) -> int:
        """Id that fills up shorter texts of a batch."""
        return self.text.pad_id

    @property
    def unk_token_id(self) -> int:
        """Id of what the vocabulary does not know."""
        return self.text.unk_id

    @property
    def mask_token_id(self) -> int:
        """Id of the mask."""
        return self.text.mask_id

    @property
    def special_token_ids(self) -> list[int]:
        """Ids of all special tokens, in ascending order."""
        return sorted(self.text.special_ids)

    @property
    def special_tokens(self) -> list[str]:
        """All special tokens, in the order of their ids."""
        return [self.text.id_to_token(i) for i in self.special_token_ids]

    # --- keeping it ---

    def save_assets(self, dir_path: str | PathLike[str]) -> None:
        """Writes the SentencePiece model as ``vocabulary.spm`` into a folder.

        Raises:
            OutputError: it cannot be written.
        """
        path = Path(dir_path) / VOCABULARY_FILE
        try:
            path.write_bytes(self.text.proto)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror}", "a folder with room", "choose another folder"
            ) from error

    def save_to_preset(self, preset_dir: str | PathLike[str]) -> Path:
        """Writes the tokenizer into a preset folder, beside an encoder that was saved there.

        Raises:
            OutputError: the folder cannot be written.
        """
        return write_preprocessor(preset_dir, self.family, self.text.proto, self.settings)

    def load_assets(self, dir_path: str | PathLike[str]) -> None:
        """Takes the SentencePiece model that :meth:`save_assets` wrote, in place of the present one."""
        self.text = tokenizer_for(self.family, Path(dir_path) / VOCABULARY_FILE, self.settings)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the SentencePiece model among them as base64 text."""
        return {
            "proto": base64.b64encode(self.text.proto).decode("ascii"),
            "sequence_length": self.sequence_length,
            "dtype": self.dtype,
            "add_bos": self.add_bos,
            "add_eos": self.add_eos,
            "settings": self.settings,
        }

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        """A tokenizer from what :meth:`get_config` gave."""
        # Never a path here: a model file from outside must not make this process read another file.
        proto = config["proto"]
        return cls(**{**config, "proto": _from_base64(proto) if isinstance(proto, str) else proto})


def _checked(dtype: Any) -> str:
    try:
        name = "string" if dtype in ("string", str) else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name != "string" and (not name or np.dtype(name).kind not in "iu"):
        raise SettingError(f"dtype is {dtype!r}", "a type of whole numbers, or 'string'", "pass 'int32'")
    return name


def _proto(proto: bytes | str | PathLike[str]) -> bytes | str | PathLike[str]:
    if not isinstance(proto, (bytes, str, PathLike)):
        raise SettingError(
            f"proto is {proto!r:.80} of type {type(proto).__name__}",
            "the path or the bytes of a SentencePiece model",
            "pass one, or load the tokenizer with from_preset",
        )
    # No path is as long as a vocabulary in base64, and none of the systems here allows one.
    return _from_base64(proto) if isinstance(proto, str) and len(proto) >= 4096 else proto


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SettingError(
            f"proto is a text of {len(text)} characters that is no base64",
            "the path or the bytes of a SentencePiece model",
            "pass the path of the file",
        ) from error
