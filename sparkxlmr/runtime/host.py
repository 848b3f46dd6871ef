"""One copy of a bundle per host, shared by all worker processes of one user, and verified by each of them.

The first process that needs a bundle unpacks it; the others open the same files, whose memory-mapped pages
they share. Every process that opens the files reads all of them once and compares their SHA-256 with the
manifest: 1 GiB takes 0.8 s of a CPU with SHA instructions and 2.9 s of one without (measured), and brings the
pages into memory that the engine is about to read. A damaged copy is unpacked again.

What remains possible: bytes that change on the disk, or in memory, after a process has verified them and for
as long as it runs; and a folder into which somebody who may write there puts another manifest together with
other files.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sparkxlmr.errors import DamagedModelError, SettingError
from sparkxlmr.presets.disk import writing_below
from sparkxlmr.presets.home import private_folder, temporary_folder
from sparkxlmr.presets.locks import locked
from sparkxlmr.runtime.archive import unpack
from sparkxlmr.runtime.bundle import Bundle

# A folder for the copies and marks of this host, where the system's temporary folder is too small or shared.
HOST_FOLDER = "SPARKXLMR_HOST_FOLDER"
# What this process has verified already.
_verified: set[tuple[object, ...]] = set()
_log = logging.getLogger(__name__)


def host_folder() -> Path:
    """The user's folder on this host: `SPARKXLMR_HOST_FOLDER`, else `sparkxlmr-<user>` in the temporary
    folder.

    Made with mode 0700. Raises EnvironmentNotReadyError where it belongs to another user, others may write
    to it (what lies there is trusted to be verified), or it cannot be made.
    """
    named = os.environ.get(HOST_FOLDER)
    return private_folder(Path(named).absolute() if named else temporary_folder(), HOST_FOLDER)


def verified_folder(bundle: Bundle) -> Bundle:
    """Return the bundle after comparing every byte with its manifest; once per process.

    A file that has changed since (size, times of change, inode) is read again. For the process that only
    hands a bundle on: one that opens the files calls :meth:`Bundle.verify` itself, each time.

    Raises:
        DamagedModelError: a file is missing or does not match; the message names it.
    """
    bundle.check_sizes()
    state = _fingerprint(bundle)
    if state not in _verified:
        bundle.verify()
        _verified.add(state)
    return bundle


def unpacked_once(bundle_hash: str, archive: Path | Callable[[Path], None]) -> Bundle:
    """The bundle of that hash in this host's folder; made from `archive` by the first process that asks.

    `archive`: the archive's path, or a function that writes the archive to the path it is given (where its
    bytes come in pieces); it is called at most once per host, under a lock. Every byte of a copy that is
    there is verified; one that lost or changed a byte is made again. Raises DamagedModelError where the
    archive is not whole or another bundle, NotAPresetError where it is missing, EnvironmentNotReadyError
    where there is no room for the copy, SettingError where `bundle_hash` is no hash.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", bundle_hash):
        raise SettingError(
            f"The bundle's hash is {bundle_hash!r}", "64 hexadecimal digits", "use Bundle.hash"
        )
    folder = host_folder() / "bundles" / bundle_hash
    lock = host_folder() / "locks" / bundle_hash
    bundle = _opened(folder, bundle_hash)
    if bundle is None:
        with locked(lock):
            bundle = _opened(folder, bundle_hash)
            if bundle is None:
                return _unpacked(bundle_hash, archive, folder)
    # Outside of the lock: the processes of a host read the files at the same time.
    try:
        return bundle.verify()
    except (DamagedModelError, OSError) as error:
        _log.warning("The copy of a model on this host is damaged and is unpacked again: %s", error)
    with locked(lock):
        bundle = _opened(folder, bundle_hash)
        with suppress(DamagedModelError, OSError):
            if bundle is not None:
                return bundle.verify()  # another process has unpacked it meanwhile
        return _unpacked(bundle_hash, archive, folder)


def _unpacked(bundle_hash: str, archive: Path | Callable[[Path], None], folder: Path) -> Bundle:
    """A new copy in place of what is in the folder. Called under the lock."""
    if folder.exists():
        # What cannot be removed shows when the new copy takes its place.
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(archive, Path):
        return unpack(archive, folder, bundle_hash)
    received = folder.with_suffix(".zip")
    try:
        with writing_below(folder.parent, HOST_FOLDER):
            received.parent.mkdir(exist_ok=True)
            archive(received)
        return unpack(received, folder, bundle_hash)
    finally:
        with suppress(OSError):
            received.unlink(missing_ok=True)


def _opened(folder: Path, bundle_hash: str) -> Bundle | None:
    """The bundle in `folder` where it is whole: temporary folders lose old files one by one."""
    bundle = Bundle.open_whole(folder)
    return bundle if bundle is not None and bundle.hash == bundle_hash else None


def _fingerprint(bundle: Bundle) -> tuple[object, ...]:
    """What tells that a bundle's files are still those that were verified."""
    found = [bundle.file(name).stat() for name in sorted(bundle.manifest.files)]
    states = [(file.st_size, file.st_mtime_ns, file.st_ctime_ns, file.st_ino) for file in found]
    return bundle.hash, str(bundle.folder), *states
