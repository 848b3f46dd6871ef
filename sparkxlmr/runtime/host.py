"""One verified copy of a bundle per host, shared by all worker processes of one user.

Hashing a model of 1 GB takes a second or more, and a host starts many workers: the first hashes (or unpacks),
leaves a mark, and the others open the same files, whose memory-mapped pages they share.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from sparkxlmr.errors import SettingError
from sparkxlmr.presets.home import private_folder, temporary_folder
from sparkxlmr.presets.locks import locked
from sparkxlmr.runtime.archive import unpack
from sparkxlmr.runtime.bundle import Bundle

# A folder for the copies and marks of this host, where the system's temporary folder is too small or shared.
HOST_FOLDER = "SPARKXLMR_HOST_FOLDER"


def host_folder() -> Path:
    """The user's folder on this host: `SPARKXLMR_HOST_FOLDER`, else `sparkxlmr-<user>` in the temporary
    folder.

    Made with mode 0700. Raises EnvironmentNotReadyError where it belongs to another user, others may write
    to it (what lies there is trusted to be verified), or it cannot be made.
    """
    named = os.environ.get(HOST_FOLDER)
    return private_folder(Path(named).absolute() if named else temporary_folder(), HOST_FOLDER)


def verified_folder(bundle: Bundle) -> Bundle:
    """The same bundle, with every byte known to match its manifest; read once per host, not once per process.

    The mark that is left behind holds for this hash, this folder, and these sizes and times of change: a file
    that is written again is read again. Raises DamagedModelError naming the file that does not match.
    """
    bundle.check_sizes()
    mark = host_folder() / "verified" / _fingerprint(bundle)
    if mark.exists():
        return bundle
    with locked(host_folder() / "locks" / bundle.hash):
        if not mark.exists():
            bundle.verify()
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
    return bundle


def unpacked_once(bundle_hash: str, archive: Path | Callable[[Path], None]) -> Bundle:
    """The bundle of that hash in this host's folder; made from `archive` by the first process that asks.

    `archive`: the archive's path, or a function that writes the archive to the path it is given (where its
    bytes come in pieces); it is called at most once per host, under a lock. A copy that lost a file since is
    made again. Raises DamagedModelError where the archive is not whole or another bundle, NotAPresetError
    where it is missing, EnvironmentNotReadyError where there is no room for the copy, SettingError where
    `bundle_hash` is no hash.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", bundle_hash):
        raise SettingError(
            f"The bundle's hash is {bundle_hash!r}", "64 hexadecimal digits", "use Bundle.hash"
        )
    folder = host_folder() / "bundles" / bundle_hash
    if (bundle := _opened(folder, bundle_hash)) is not None:
        return bundle
    with locked(host_folder() / "locks" / bundle_hash):
        if (bundle := _opened(folder, bundle_hash)) is not None:
            return bundle
        if folder.exists():
            # What cannot be removed shows when the new copy takes its place.
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(archive, Path):
            return unpack(archive, folder, bundle_hash)
        received = folder.with_suffix(".zip")
        received.parent.mkdir(exist_ok=True)
        try:
            archive(received)
            return unpack(received, folder, bundle_hash)
        finally:
            received.unlink(missing_ok=True)


def _opened(folder: Path, bundle_hash: str) -> Bundle | None:
    """The bundle in `folder` where it is whole: temporary folders lose old files one by one."""
    bundle = Bundle.open_whole(folder)
    return bundle if bundle is not None and bundle.hash == bundle_hash else None


def _fingerprint(bundle: Bundle) -> str:
    digest = hashlib.sha256(f"{bundle.hash} {bundle.folder}".encode("utf-8", "surrogateescape"))
    for name in sorted(bundle.manifest.files):
        found = bundle.file(name).stat()
        digest.update(f" {name} {found.st_size} {found.st_mtime_ns} {found.st_ino}".encode())
    return digest.hexdigest()
