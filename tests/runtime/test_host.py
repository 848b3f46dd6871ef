"""One verified copy a host: made once, checked once, never trusted to strangers."""

from __future__ import annotations

import os
import shutil
import threading
import time

import pytest

from sparkxlmr.errors import DamagedModelError, EnvironmentNotReadyError, NotAPresetError, SettingError
from sparkxlmr.runtime import host
from sparkxlmr.runtime.archive import pack
from sparkxlmr.runtime.bundle import MANIFEST, Bundle


@pytest.fixture
def verifications(monkeypatch):
    """Folders whose every byte was read."""
    read, verify = [], Bundle.verify
    monkeypatch.setattr(Bundle, "verify", lambda self: (read.append(self.folder), verify(self))[1])
    return read


def test_a_folder_is_read_once_until_it_changes(plain_bundle, host_home, verifications):
    for _ in range(3):
        assert host.verified_folder(plain_bundle) is plain_bundle
    assert len(verifications) == 1
    graph = plain_bundle.file("graph.bin")
    graph.write_bytes(b"GRAPH")
    os.utime(graph, ns=(1, 1))
    with pytest.raises(DamagedModelError, match=r"graph\.bin"):
        host.verified_folder(plain_bundle)
    assert len(verifications) == 2


def flip(path):
    """Changes one byte; size and time of change stay, as on a damaged disk."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_verified_folder_in_a_new_process(plain_bundle, host_home, monkeypatch):
    """What one process has verified is no proof for the next one: bytes change without a time of change."""
    host.verified_folder(plain_bundle)
    flip(plain_bundle.file("graph.bin"))
    monkeypatch.setattr(host, "_verified", set(), raising=False)
    with pytest.raises(DamagedModelError, match=r"graph\.bin has SHA-256"):
        host.verified_folder(plain_bundle)


@pytest.mark.parametrize("name", ["graph.bin", "saved/variables/index", "vocabulary.spm"])
def test_unpacked_once_damaged_copy(plain_bundle, host_home, tmp_path, caplog, name):
    """A worker never opens it: the copy is verified by each process, and made again."""
    archive = pack(plain_bundle, tmp_path)
    first = host.unpacked_once(plain_bundle.hash, archive)
    flip(first.file(name))
    mended = host.unpacked_once(plain_bundle.hash, archive)
    assert mended.verify().hash == plain_bundle.hash
    assert "is damaged and is unpacked again" in caplog.text
    assert name.rpartition("/")[2] in caplog.text


def test_unpacked_once_edited_manifest(plain_bundle, host_home, tmp_path):
    archive = pack(plain_bundle, tmp_path)
    manifest = host.unpacked_once(plain_bundle.hash, archive).folder / MANIFEST
    content = manifest.read_bytes()
    manifest.write_bytes(content.replace(b'"a"', b'"z"'))
    assert host.unpacked_once(plain_bundle.hash, archive).labels == plain_bundle.labels
    assert manifest.read_bytes() == content


def test_unpacked_once_damaged_archive(plain_bundle, host_home, tmp_path):
    archive = pack(plain_bundle, tmp_path)
    flip(host.unpacked_once(plain_bundle.hash, archive).file("graph.bin"))
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"pieces", b"pieceS"))
    with pytest.raises(DamagedModelError, match=r"Bad CRC-32 for file 'vocabulary\.spm'"):
        host.unpacked_once(plain_bundle.hash, archive)


def test_an_archive_is_unpacked_once_by_many(plain_bundle, host_home, tmp_path):
    archive = pack(plain_bundle, tmp_path)
    fetched, found = [], []

    def fetch(target):
        fetched.append(target)
        time.sleep(0.1)
        shutil.copy(archive, target)

    threads = [
        threading.Thread(target=lambda: found.append(host.unpacked_once(plain_bundle.hash, fetch)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1
    assert {bundle.hash for bundle in found} == {plain_bundle.hash}
    assert not fetched[0].exists()
    assert found[0].folder.is_relative_to(host_home)


def test_a_copy_that_lost_a_file_is_made_again(plain_bundle, host_home, tmp_path):
    archive = pack(plain_bundle, tmp_path)
    first = host.unpacked_once(plain_bundle.hash, archive)
    first.file("graph.bin").unlink()
    assert host.unpacked_once(plain_bundle.hash, archive).verify().hash == plain_bundle.hash


def test_an_archive_that_did_not_come(plain_bundle, host_home, tmp_path):
    with pytest.raises(NotAPresetError, match="There is no archive"):
        host.unpacked_once(plain_bundle.hash, tmp_path / "missing.zip")
    with pytest.raises(NotAPresetError, match="There is no archive"):
        host.unpacked_once(plain_bundle.hash, lambda target: None)


def test_no_room_for_the_copy(plain_bundle, host_home, tmp_path, monkeypatch):
    archive = pack(plain_bundle, tmp_path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparkxlmr.runtime.archive._copy_out", full)
    with pytest.raises(EnvironmentNotReadyError, match=r"No space left.*SPARKXLMR_HOST_FOLDER"):
        host.unpacked_once(plain_bundle.hash, archive)


def test_unpacked_once_full_disk_while_receiving(plain_bundle, host_home):
    """The pieces of a broadcast are joined on the host first."""

    def full(target):
        raise OSError(28, "No space left on device")

    with pytest.raises(
        EnvironmentNotReadyError, match=r"bundles cannot be written to: No space.*HOST_FOLDER"
    ):
        host.unpacked_once(plain_bundle.hash, full)


def test_another_bundle_is_refused(plain_bundle, host_home, tmp_path):
    archive = pack(plain_bundle, tmp_path)
    with pytest.raises(DamagedModelError, match="holds the bundle"):
        host.unpacked_once("a" * 64, archive)
    with pytest.raises(SettingError, match="64 hexadecimal digits"):
        host.unpacked_once("../../x", archive)


@pytest.mark.skipif(os.name != "posix", reason="who owns a folder is asked of POSIX systems only")
def test_a_folder_that_others_may_write_to_is_refused(host_home, monkeypatch):
    assert host.host_folder().stat().st_mode & 0o777 == 0o700
    host_home.chmod(0o777)
    with pytest.raises(EnvironmentNotReadyError, match="SPARKXLMR_HOST_FOLDER"):
        host.host_folder()
    host_home.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: os.stat(host_home).st_uid + 1)
    with pytest.raises(EnvironmentNotReadyError, match="another user"):
        host.host_folder()


def test_a_link_to_another_folder_is_refused(host_home, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    host_home.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentNotReadyError, match="no folder"):
        host.host_folder()
