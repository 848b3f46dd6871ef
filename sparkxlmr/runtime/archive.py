"""A bundle as one file, to send it to executors and to keep it in a saved stage.

A plain zip without compression: the manifest first, then each file under its logical name. Equal bundles give
equal archives, so a name that holds the hash names one content only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

from sparkxlmr.errors import (
    DamagedModelError,
    EnvironmentNotReadyError,
    NotAPresetError,
    OutputError,
    SparkxlmrError,
)
from sparkxlmr.presets.disk import described
from sparkxlmr.presets.files import partial_path, to_disk
from sparkxlmr.runtime.bundle import MANIFEST, Bundle, BundleFile, Manifest

# The first moment a zip can hold: the archive must not tell when it was made.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20
# zipfile, fed with damaged bytes, raises any of these; none of them means anything else here.
_NO_ZIP = (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error, zlib.error)


def archive_name(bundle_hash: str) -> str:
    """The archive's file name.

    >>> archive_name("0" * 64)
    'sparkxlmr-0000000000000000000000000000000000000000000000000000000000000000.zip'
    """
    return f"sparkxlmr-{bundle_hash}.zip"


def pack(bundle: Bundle, folder: str | Path) -> Path:
    """Writes `folder/sparkxlmr-<hash>.zip` and returns its path; one that is there already is kept, if
    it is whole.

    Raises DamagedModelError where a file of the bundle is missing or of another size. The bytes are copied as
    they are: `unpack` compares their hashes. OutputError where the folder cannot be written.
    """
    bundle.check_sizes()
    folder = Path(folder)
    target = folder / archive_name(bundle.hash)
    if _is_archive_of(bundle.manifest, target):
        return target
    # Not mkstemp: its file could be read by its owner only, and executors may run as another user.
    temporary = partial_path(folder, "packing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_entry(MANIFEST), _portable(bundle.manifest).to_bytes())
            for name, file in sorted(bundle.manifest.files.items()):
                entry = _entry(name)
                # zipfile decides by this whether the entry needs the fields for more than 4 GB.
                entry.file_size = file.size
                with bundle.file(name).open("rb") as source, archive.open(entry, "w") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK)
        to_disk(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(
            f"The archive {target} cannot be written: {described(error, folder)}",
            "a folder with room that this user may write to",
            "make room, or set SPARKXLMR_HOME to another folder",
        ) from error
    finally:
        with contextlib.suppress(OSError):  # of a folder that is none; what is left goes after a day
            temporary.unlink(missing_ok=True)
    return target


def unpack(archive: str | Path, into: str | Path, expected_hash: str | None = None) -> Bundle:
    """Makes the folder `into` from an archive, whole or not at all, and returns the bundle in it.

    Every byte is held to the manifest while it is copied, so the result needs no `verify`. Only files that
    the manifest names are written, and only below `into`. A whole bundle that another process put there
    meanwhile is taken. Raises DamagedModelError where the archive is not whole, is not what its manifest
    says, or is another bundle than `expected_hash`; NotAPresetError where there is no such file;
    EnvironmentNotReadyError where this user cannot read it, or the folder cannot be written.
    """
    archive, into = Path(archive), Path(into).absolute()
    if not archive.is_file():
        raise NotAPresetError(
            f"There is no archive {archive}", "the archive of a bundle", "send or pack the model again"
        )
    partial = partial_path(into.parent, "unpacking")
    try:
        partial.mkdir(parents=True)
        with zipfile.ZipFile(archive) as opened:
            manifest = _read_manifest(opened, archive, expected_hash)
            for name, file in manifest.files.items():
                _copy_out(opened, archive, name, file, partial / name)
        (partial / MANIFEST).write_bytes(manifest.to_bytes())
        to_disk(partial)
        return _put(partial, into, manifest)
    except SparkxlmrError:
        raise
    except _NO_ZIP as error:
        raise _damaged(archive, f"cannot be read ({error})") from error
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"{archive} cannot be unpacked into {into}: {described(error, into.parent)}",
            "an archive that this user may read, and a folder with room",
            "make room, or set SPARKXLMR_HOST_FOLDER (driver: SPARKXLMR_HOME) to another folder",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_archive_of(manifest: Manifest, archive: Path) -> bool:
    """Whether a whole archive of that bundle is there; every byte is compared with the archive's checksums,
    because executors would refuse a damaged one in each job anew."""
    try:
        with zipfile.ZipFile(archive) as opened:
            _read_manifest(opened, archive, manifest.hash)
            files = manifest.files.items()
            fits = all(opened.getinfo(name).file_size == file.size for name, file in files)
            return fits and opened.testzip() is None
    except (SparkxlmrError, OSError, *_NO_ZIP):
        return False


def _portable(manifest: Manifest) -> Manifest:
    """The same manifest with every file at its logical name."""
    return replace(manifest, files={name: replace(file, path=name) for name, file in manifest.files.items()})


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NO_DATE)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _read_manifest(opened: zipfile.ZipFile, archive: Path, expected_hash: str | None) -> Manifest:
    names = sorted(opened.namelist())
    encrypted = 1
    if any(entry.compress_type or entry.flag_bits & encrypted for entry in opened.infolist()):
        raise _damaged(archive, "holds compressed or encrypted files")
    if MANIFEST not in names:
        raise _damaged(archive, f"has no {MANIFEST}")
    with opened.open(MANIFEST) as stream:
        manifest = Manifest.from_bytes(stream.read(64 * _CHUNK))
    if names != sorted([MANIFEST, *manifest.files]):
        raise _damaged(archive, "holds other files than its manifest names")
    if any(file.path != name for name, file in manifest.files.items()):
        raise _damaged(archive, "holds a manifest with paths of another place")
    if expected_hash is not None and manifest.hash != expected_hash:
        raise _damaged(archive, f"holds the bundle {manifest.hash[:12]}..., not {expected_hash[:12]}...")
    return manifest


def _copy_out(opened: zipfile.ZipFile, archive: Path, name: str, file: BundleFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, copied = hashlib.sha256(), 0
    with opened.open(name) as source, target.open("wb") as sink:
        # Never more than the manifest says: a few bytes of zip can stand for any number of them.
        while chunk := source.read(min(_CHUNK, file.size - copied + 1)):
            copied += len(chunk)
            if copied > file.size:
                break
            digest.update(chunk)
            sink.write(chunk)
    if copied != file.size or digest.hexdigest() != file.sha256:
        raise _damaged(archive, f"holds another {name!r} than its manifest says")


def _put(partial: Path, into: Path, manifest: Manifest) -> Bundle:
    try:
        os.replace(partial, into)
    except OSError:
        # A folder that is there and not empty is never replaced: it is another's copy, or someone's files.
        there = Bundle.open(into)
        if there.hash != manifest.hash:
            raise _damaged(
                into, f"holds the bundle {there.hash[:12]}..., not {manifest.hash[:12]}..."
            ) from None
        return there.verify()
    return Bundle.open(into)


def _damaged(path: Path, came: str) -> DamagedModelError:
    return DamagedModelError(
        f"{path} {came}", "the archive of one bundle, unchanged", "copy or pack it again"
    )
