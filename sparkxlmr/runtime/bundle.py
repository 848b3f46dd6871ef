"""The bundle: a model compiled for one engine, with its tokenizer and labels, as a folder that a worker
opens.

::

    manifest.json        what this is, and size and SHA-256 of every file
    model.xml model.bin  the engine's own files (here OpenVINO's)
    vocabulary.spm       the tokenizer's; a bundle beside its preset refers to the preset's instead

The manifest names each file logically (``"model.bin"``) and says where it lies (``"path"``). The bundle's
hash covers everything but those paths, so a bundle is the same bundle beside its preset, in an archive and on
a host.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.files import sha256_of

MANIFEST = "manifest.json"
FORMAT = 1
# A preset keeps its bundles two folders below itself: <preset>/bundles/<engine>, or <engine>-int8.
BUNDLES = "bundles"
_UP_TO_PRESET = "../../"
#: Tokens of a text that stages read unless `maxSentenceLength` is set: Spark NLP's default.
DEFAULT_TEXT_LENGTH = 128
# A manifest of a model is a few kB; with 100,000 labels a few MB.
_MAX_MANIFEST = 64 * 1024 * 1024
_SAFE_NAME = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(/[A-Za-z0-9_\-][A-Za-z0-9_.\-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BundleFile:
    """One file: where it lies relative to the bundle's folder, its SHA-256 in hex, its bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds. It checks itself at birth and raises DamagedModelError.

    - `family`, `task`: as in the preset (``"xlm_roberta"``, ``"text_classifier"``).
    - `engine`: whose files these are; `precisions`: what they can be run in (`("int8",)` alone where the
      weights are int8).
    - `max_length`: tokens of the longest text the model takes, special tokens included.
    - `text_length`: tokens of a text that stages read by default, where the preset truncates texts below
      `DEFAULT_TEXT_LENGTH`; else None, and no entry in the file.
    - `labels`: names of a classifier's classes in the order of the logits; none of another task.
    - `activation`: what turns logits into scores where the preset says so (``"softmax"``, ``"sigmoid"``,
      ``"identity"``), or None: by the number of labels
      (:func:`sparkxlmr.presets.output_function.output_function`).
    - `tokenizer`: `{"family": ..., "file": logical name}`, and under `"settings"` the family's own (names to
      plain values or, for added tokens, a list of objects) where the preset has any.
    - `source`: content hash of the preset this was compiled from (int8: and of how it was quantised);
      `revision`: of the engine's compiler.
    - `files`: logical name to BundleFile.
    """

    family: str
    task: str
    engine: str
    precisions: tuple[str, ...]
    max_length: int
    labels: tuple[str, ...]
    tokenizer: Mapping[str, Any]
    source: str
    files: Mapping[str, BundleFile]
    activation: str | None = None
    text_length: int | None = None
    revision: int = 1
    format: int = FORMAT
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not _whole(self.format) or self.format != FORMAT:
            raise NotAPresetError(
                f"The bundle has format {self.format!r}", f"format {FORMAT}", "use a newer sparkxlmr"
            )
        words = (self.family, self.task, self.engine, self.source)
        _require(all(isinstance(word, str) and word for word in words), "family, task, engine and source")
        for name, needed in (("precisions", True), ("labels", self.task == "text_classifier")):
            values = getattr(self, name)
            _require((bool(values) or not needed) and all(isinstance(value, str) for value in values), name)
        _require(_whole(self.max_length) and self.max_length >= 1, "max_length")
        _require(
            self.text_length is None
            or (_whole(self.text_length) and 1 <= self.text_length <= self.max_length),
            "text_length",
        )
        _require(_whole(self.revision), "revision")
        _require(self.activation is None or isinstance(self.activation, str), "activation")
        _require(_is_tokenizer(self.tokenizer), "tokenizer")
        _require(isinstance(self.files, Mapping) and bool(self.files), "files")
        for name, file in self.files.items():
            _require(_is_safe(name) and name != MANIFEST, f"the file name {name!r}")
            folders = name.split("/")[:-1]
            above = {"/".join(folders[: depth + 1]) for depth in range(len(folders))}
            _require(not above & {MANIFEST, *self.files}, f"{name!r} lies below a file")
            path = file.path.removeprefix(_UP_TO_PRESET) if isinstance(file.path, str) else ""
            _require(_is_safe(path) and file.path != MANIFEST, f"the path of {name!r}")
            _require(
                isinstance(file.sha256, str) and bool(_SHA256.fullmatch(file.sha256)), f"sha256 of {name!r}"
            )
            _require(_whole(file.size) and file.size >= 0, f"the size of {name!r}")
        _require(self.tokenizer["file"] in self.files, "the tokenizer's file")
        object.__setattr__(self, "hash", self._content_hash())

    def _content_hash(self) -> str:
        """SHA-256 in hex over everything but the paths."""
        content = self.to_json()
        for file in content["files"].values():
            del file["path"]
        return hashlib.sha256(_canonical(content)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        files = {name: vars(self.files[name]).copy() for name in sorted(self.files)}
        return {
            "format": self.format,
            "family": self.family,
            "task": self.task,
            "engine": self.engine,
            "revision": self.revision,
            "precisions": list(self.precisions),
            "max_length": self.max_length,
            **({} if self.text_length is None else {"text_length": self.text_length}),
            "activation": self.activation,
            "labels": list(self.labels),
            "tokenizer": {
                name: dict(sorted(value.items())) if isinstance(value, Mapping) else value
                for name, value in self.tokenizer.items()
            },
            "source": self.source,
            "files": files,
        }

    def to_bytes(self) -> bytes:
        """The text of `manifest.json`, UTF-8; equal manifests give equal bytes."""
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=True)
        return text.encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Raises NotAPresetError or DamagedModelError where the text is not that of a manifest."""
        try:
            entries = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise DamagedModelError(
                f"The bundle's {MANIFEST} cannot be read ({error})", "JSON", "copy or compile the model again"
            ) from error
        _require(isinstance(entries, dict), "an object at the top")
        _require(entries.get("format") is not None, "format")
        wanted = {name for name, part in cls.__dataclass_fields__.items() if part.init}
        if entries["format"] == FORMAT:
            _require(set(entries) | {"text_length"} == wanted, f"exactly the entries {sorted(wanted)}")
        else:
            raise NotAPresetError(
                f"The bundle has format {entries['format']!r}", f"format {FORMAT}", "use a newer sparkxlmr"
            )
        files = entries["files"]
        _require(isinstance(files, dict), "files")
        for name, file in files.items():
            _require(
                isinstance(file, dict) and set(file) == {"path", "sha256", "size"}, f"the entry of {name!r}"
            )
        for name in ("labels", "precisions"):
            _require(isinstance(entries[name], list), name)
        tuples = {name: tuple(entries[name]) for name in ("labels", "precisions")}
        parsed = {name: BundleFile(**file) for name, file in files.items()}
        return cls(**{**entries, **tuples, "files": parsed})


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk. `folder` is where its `manifest.json` lies.

    `Bundle.open` reads the manifest only; `verify` reads every byte. A bundle pickles as its folder and
    manifest.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Reads and checks the manifest; no other file is touched.

        Raises NotAPresetError where there is no bundle or one of a newer format, DamagedModelError where the
        manifest is not whole.
        """
        # Not resolved: a cache may be a folder of links, and the links' own names are what the manifest
        # knows.
        folder = Path(folder).absolute()
        manifest = folder / MANIFEST
        if not manifest.is_file():
            raise NotAPresetError(
                f"{folder} is not a bundle: it has no {MANIFEST}",
                "the folder of a compiled model",
                "compile the preset, or name the preset's own folder",
            )
        if manifest.stat().st_size > _MAX_MANIFEST:
            raise DamagedModelError(f"{manifest} is too large", "a manifest", "compile the model again")
        return cls(folder, Manifest.from_bytes(manifest.read_bytes()))

    @classmethod
    def open_whole(cls, folder: str | Path) -> Bundle | None:
        """The bundle in a folder of a cache; None where none is there that is whole and of this format.

        Every file is there with its size; the bytes are not read. Caches lose files one by one, and what
        they lost is made again.
        """
        try:
            bundle = cls.open(folder)
            bundle.check_sizes()
        except (NotAPresetError, DamagedModelError, OSError):
            return None
        return bundle

    @classmethod
    def open_known(cls, folder: str | Path, bundle_hash: str) -> Bundle:
        """As :meth:`open`, where another process has verified the bundle of that hash in the folder.

        Raises DamagedModelError also where the manifest is of another bundle: other labels, other files.
        """
        bundle = cls.open(folder)
        if bundle.hash != bundle_hash:
            raise DamagedModelError(
                f"The model in {bundle.folder} is {bundle.hash[:12]}...",
                f"{bundle_hash[:12]}..., which was verified there",
                "copy or compile the model again",
            )
        return bundle

    @property
    def hash(self) -> str:
        """SHA-256 in hex: the same wherever the bundle lies, different where any byte of it differs."""
        return self.manifest.hash

    @property
    def engine(self) -> str:
        return self.manifest.engine

    @property
    def labels(self) -> tuple[str, ...]:
        return self.manifest.labels

    @property
    def max_length(self) -> int:
        return self.manifest.max_length

    def file(self, name: str) -> Path:
        """Where the file of that logical name lies. Raises DamagedModelError where the bundle has none."""
        if name not in self.manifest.files:
            raise DamagedModelError(
                f"The bundle in {self.folder} has no file {name!r}",
                f"one of {sorted(self.manifest.files)}",
                "compile the preset again",
            )
        path = self.manifest.files[name].path
        if not path.startswith(_UP_TO_PRESET):
            return self.folder / path
        if self.folder.parent.name != BUNDLES:
            raise DamagedModelError(
                f"The bundle in {self.folder} refers to {path!r}, a file of its preset",
                f"to be in the preset's folder {BUNDLES}/{self.folder.name}",
                "move the whole preset, not its bundle alone",
            )
        return self.folder.parent.parent / path.removeprefix(_UP_TO_PRESET)

    @property
    def tokenizer_file(self) -> Path:
        return self.file(self.manifest.tokenizer["file"])

    def check_sizes(self) -> None:
        """That every file is there with its recorded size; quick. Raises DamagedModelError naming the
        file."""
        for name, file in self.manifest.files.items():
            path = self.file(name)
            if not path.is_file():
                raise _damaged(path, "is missing", f"a file of {file.size} bytes")
            if path.stat().st_size != file.size:
                raise _damaged(path, f"has {path.stat().st_size} bytes", f"{file.size} bytes")

    def verify(self) -> Bundle:
        """Reads every file and compares size and SHA-256; returns itself. Raises DamagedModelError."""
        self.check_sizes()
        for name, file in self.manifest.files.items():
            found = sha256_of(self.file(name))
            if found != file.sha256:
                raise _damaged(self.file(name), f"has SHA-256 {found[:12]}...", f"{file.sha256[:12]}...")
        return self


def describe_files(folder: Path, names: Iterable[str]) -> dict[str, BundleFile]:
    """The entries of files that lie in `folder` under their logical names."""
    return {name: describe_file(folder / name, name) for name in names}


def describe_file(file: Path, path: str) -> BundleFile:
    return BundleFile(path, sha256_of(file), file.stat().st_size)


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _is_safe(name: object) -> bool:
    """A relative path of plain names: nothing hidden, absolute, upward, or special on any system."""
    return isinstance(name, str) and bool(_SAFE_NAME.fullmatch(name))


def _is_tokenizer(entry: object) -> bool:
    """Whether this is a manifest's `tokenizer`. Without settings the entry is left out, so that there is one
    way to say so."""
    if not isinstance(entry, Mapping) or set(entry) - {"settings"} != {"family", "file"}:
        return False
    settings = entry.get("settings", {"": ""})
    return (
        all(isinstance(entry[name], str) for name in ("family", "file"))
        and isinstance(settings, Mapping)
        and bool(settings)
        and all(_is_plain(value) or _are_objects(value) for value in settings.values())
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str | bool | int | float)


def _are_objects(value: object) -> bool:
    """Whether this is a list of objects with plain values, as added tokens are."""
    return isinstance(value, list) and all(
        isinstance(one, Mapping) and all(map(_is_plain, one.values())) for one in value
    )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise DamagedModelError(
            f"The bundle's {MANIFEST} is not usable: {what}",
            "a manifest as sparkxlmr writes it",
            "copy or compile the model again",
        )


def _damaged(path: Path, came: str, expected: str) -> DamagedModelError:
    return DamagedModelError(
        f"The model file {path} {came}",
        expected,
        "copy or compile the model again; a folder below SPARKXLMR_HOME can be deleted and is made anew",
    )
