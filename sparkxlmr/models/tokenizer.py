"""Tokenizers as Keras layers with keras-hub's names, over the text layer."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np

from sparkxlmr.errors import InputError, OutputError, SettingError
from sparkxlmr.models import families
from sparkxlmr.models.families import classproperty
from sparkxlmr.models.preprocessing_layer import (
    PreprocessingLayer,
    as_rows,
    dense_tensor,
    in_graph,
    is_ragged,
    is_traced,
    ragged_outputs,
    ragged_tensor,
)
from sparkxlmr.models.texts import as_column
from sparkxlmr.presets.config import check_count
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preprocessor
from sparkxlmr.text.families import tokenizer_for

T = TypeVar("T", bound="Tokenizer")
VOCABULARY_FILE = "vocabulary.spm"  # keras-hub's name for it


class Tokenizer(PreprocessingLayer):
    """Base of the tokenizers. ``Tokenizer.from_preset`` gives the right one for a preset.

    A Keras layer: ``dataset.map(tokenizer)`` gives a ragged tensor for batches of texts, a dense one for
    single texts or with ``sequence_length``; a ``keras.Sequential`` behind a
    ``keras.Input(shape=(), dtype="string")`` may hold one (TensorFlow backend).

    Args:
        proto: a SentencePiece model: the path of its file, its bytes, or those as base64 text (as configs
            keep them).
        sequence_length: pads or cuts every text to so many ids; None leaves each as long as it is.
        dtype: ``"int32"`` (or another type of whole numbers) for ids, ``"string"`` for pieces.
        add_bos, add_eos: put the family's start and end token around each text.
        settings: what is done to a text first, for ALBERT: ``do_lower_case``, ``keep_accents`` and
            ``remove_space``, as :class:`sparkxlmr.text.albert.AlbertNormalization` describes them; and
            ``added_tokens`` and ``truncation_side`` of :func:`sparkxlmr.text.families.tokenizer_for`. None
            hands texts to SentencePiece as they are, as keras-hub does.
        name, trainable: as for every Keras layer.

    The family's rule on the text floor is at hand as :attr:`text`.

    Raises:
        SettingError: a ``dtype`` that holds no ids, a ``sequence_length`` below 1, or ``settings``
            that the family has not.
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
    settings: dict[str, Any]
    backbone_cls: ClassVar[Any]

    def __init__(
        self,
        proto: bytes | str | PathLike[str],
        sequence_length: int | None = None,
        dtype: Any = "int32",
        add_bos: bool = False,
        add_eos: bool = False,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=_checked(dtype), **kwargs)
        # Not tracked: Keras and TensorFlow would replace dicts and lists by wrappers.
        object.__setattr__(self, "settings", dict(settings or {}))
        self.set_proto(proto)
        if sequence_length is not None:
            sequence_length = check_count("sequence_length", sequence_length)
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

    def call(self, inputs: Any) -> Any:
        """Return what :meth:`tokenize` returns."""
        return self.tokenize(inputs)

    def tokenize(self, inputs: str | Sequence[str]) -> Any:
        """Ids of one text (a list) or of several (a list of lists); pieces where ``dtype`` is ``"string"``.

        With ``sequence_length`` an array: (length,) for one text, (n, length) for several.

        Raises:
            InputError: something that is no text.
        """
        if is_traced(inputs):
            return self._tokenize_in_graph(inputs)
        rows = self._rows(as_column(inputs))
        if self.sequence_length is None:
            return rows[0] if _is_one_text(inputs) else rows
        found = np.array(rows, None if self.dtype == "string" else self.dtype)
        found = found.reshape(len(rows), self.sequence_length)
        return found[0] if _is_one_text(inputs) else found

    def _rows(self, texts: list[str]) -> list[list[Any]]:
        """Ids or pieces of each text; all of ``sequence_length`` where there is one."""
        start = [self.text.bos_id] if self.add_bos else []
        end = [self.text.eos_id] if self.add_eos else []
        length = self.sequence_length
        room = None if length is None else max(length - len(start) - len(end), 0)
        rows = self.text.tokenize(texts)
        if room is not None:
            rows = [self.text.shortened(row, room) for row in rows]
        rows = [[*start, *row, *end][:length] for row in rows]
        if length is not None:
            rows = [row + [self.text.pad_id] * (length - len(row)) for row in rows]
        return [[self.text.id_to_token(i) for i in row] for row in rows] if self.dtype == "string" else rows

    @classmethod
    def is_customized(cls) -> bool:
        """Whether a subclass has its own ``tokenize`` or ``call``, which preprocessors then use."""
        return (cls.tokenize, cls.call) != (Tokenizer.tokenize, Tokenizer.call)

    def _tokenize_in_graph(self, inputs: Any) -> Any:
        single, dtype = self._one_text(inputs), object if self.dtype == "string" else self.dtype
        length = self.sequence_length

        def run(texts: Any) -> tuple[np.ndarray, np.ndarray]:
            return ragged_outputs(self._rows(as_column(texts)), dtype)

        values, lengths = in_graph(run, inputs, [(dtype, (length if single else None,)), (np.int64, (None,))])
        if single:
            return values
        return ragged_tensor(values, lengths) if length is None else dense_tensor(values, length)

    def _one_text(self, inputs: Any) -> bool:
        if inputs.shape.rank not in (0, 1):
            raise InputError(
                f"The tensor of texts has the shape {inputs.shape}", "() or (n,)", "squeeze or flatten it"
            )
        return bool(inputs.shape.rank == 0)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shapes and dtypes of the outputs for symbolic inputs."""
        shape = (*inputs.shape, self.sequence_length)
        is_open = self.sequence_length is None and len(inputs.shape) > 0
        return keras.KerasTensor(shape, dtype=self.dtype, ragged=is_open)

    def detokenize(self, inputs: Any) -> Any:
        """The text of a sequence of ids, or the texts of several; special ids are left out."""
        if is_traced(inputs):
            single = not is_ragged(inputs) and inputs.shape.rank == 1
            outputs = [(object, () if single else (None,))]

            def run(ids: Any) -> list[np.ndarray]:
                rows, _ = as_rows(ids)
                texts = [self.text.decode(row).encode() for row in rows]
                return [np.array(texts[0] if single else texts, object)]

            return in_graph(run, inputs, outputs)[0]
        rows, several = as_rows(inputs)
        texts = [self.text.decode(row) for row in rows]
        return texts if several else texts[0]

    # --- the vocabulary ---

    @property
    def proto(self) -> bytes:
        """The serialized SentencePiece model."""
        return self.text.proto

    def set_proto(self, proto: bytes | str | PathLike[str]) -> None:
        """Replace the SentencePiece model; the argument and the errors are those of the constructor."""
        if not isinstance(proto, (bytes, str, PathLike)):
            raise SettingError(
                f"proto is {proto!r:.80} of type {type(proto).__name__}",
                "a SentencePiece model: the path of its file, or its bytes",
                "pass the path of the file",
            )
        self.text = tokenizer_for(self.family, _proto(proto), self.settings)

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
    def start_token(self) -> str:
        """The token before every text: ``<s>`` or ``[CLS]``."""
        return str(self.text.id_to_token(self.text.bos_id))

    @property
    def end_token(self) -> str:
        """The token behind every text: ``</s>`` or ``[SEP]``."""
        return str(self.text.id_to_token(self.text.eos_id))

    @property
    def pad_token(self) -> str:
        """The token of padding: ``<pad>``."""
        return str(self.text.id_to_token(self.text.pad_id))

    @property
    def unk_token(self) -> str:
        """The token of what the vocabulary lacks: ``<unk>``."""
        return str(self.text.id_to_token(self.text.unk_id))

    @property
    def mask_token(self) -> str:
        """The mask as texts spell it: ``<mask>`` or ``[MASK]``."""
        return str(self.text.mask_token)

    # ALBERT's names of the start and end token; here both families have both.
    cls_token, cls_token_id = start_token, start_token_id
    sep_token, sep_token_id = end_token, end_token_id

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
        return write_preprocessor(preset_dir, self.family, self.text.proto, dict(self.settings))

    def load_assets(self, dir_path: str | PathLike[str]) -> None:
        """Takes the SentencePiece model that :meth:`save_assets` wrote, in place of the present one."""
        self.set_proto(Path(dir_path) / VOCABULARY_FILE)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the SentencePiece model among them as base64 text."""
        return {
            **super().get_config(),
            "proto": base64.b64encode(self.text.proto).decode("ascii"),
            "sequence_length": self.sequence_length,
            "dtype": self.dtype,
            "add_bos": self.add_bos,
            "add_eos": self.add_eos,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        """A tokenizer from what :meth:`get_config` gave."""
        # Never a path here: a model file from outside must not make this process read another file.
        proto = config["proto"]
        return cls(**{**config, "proto": _from_base64(proto) if isinstance(proto, str) else proto})


def _is_one_text(inputs: Any) -> bool:
    # A tuple is a batch: unlike preprocessors, tokenizers have no pairs.
    return isinstance(inputs, (str, bytes)) or getattr(inputs, "shape", None) == ()


def _checked(dtype: Any) -> str:
    if isinstance(dtype, (dict, keras.DTypePolicy)):  # from a config
        dtype = keras.dtype_policies.get(dtype).name
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
