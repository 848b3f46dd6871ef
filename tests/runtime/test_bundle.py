"""The bundle and its archive: same bytes, same hash; damage is always an error of this package."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.archive import archive_name, pack, unpack
from sparkxlmr.runtime.bundle import MANIFEST, Bundle, Manifest


def edited(bundle: Bundle, **changes: object) -> Path:
    """The folder of the bundle with entries of its manifest replaced."""
    entries = json.loads((bundle.folder / MANIFEST).read_text())
    (bundle.folder / MANIFEST).write_text(json.dumps({**entries, **changes}))
    return bundle.folder


def test_what_a_manifest_tells(plain_bundle):
    assert (plain_bundle.engine, plain_bundle.max_length, plain_bundle.labels) == ("openvino", 50, ("a", "ß"))
    assert plain_bundle.tokenizer_file.read_bytes() == b"pieces"
    assert plain_bundle.verify() is plain_bundle
    assert len(plain_bundle.hash) == 64
    assert pickle.loads(pickle.dumps(plain_bundle)) == plain_bundle


def test_archive_gives_the_same_bundle_elsewhere(plain_bundle, tmp_path):
    archive = pack(plain_bundle, tmp_path / "out")
    assert archive.name == archive_name(plain_bundle.hash)
    there = unpack(archive, tmp_path / "there", plain_bundle.hash)
    assert there.verify().hash == plain_bundle.hash
    again = pack(there, tmp_path / "again")
    assert again.read_bytes() == archive.read_bytes()
    # A second unpacking into the same place takes what is there.
    assert unpack(archive, tmp_path / "there").folder == there.folder
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "out", "plain", "there"]


def test_a_bundle_beside_its_preset_refers_to_the_presets_vocabulary(plain_bundle, tmp_path):
    preset = tmp_path / "preset"
    (preset / "assets" / "tokenizer").mkdir(parents=True)
    shutil.copy(plain_bundle.file("vocabulary.spm"), preset / "assets" / "tokenizer" / "vocabulary.spm")
    files = json.loads((plain_bundle.folder / MANIFEST).read_text())["files"]
    files["vocabulary.spm"]["path"] = "../../assets/tokenizer/vocabulary.spm"
    folder = edited(plain_bundle, files=files)
    (folder / "vocabulary.spm").unlink()
    beside = Bundle.open(shutil.move(folder, preset / "bundles" / "openvino")).verify()
    assert beside.hash == plain_bundle.hash
    assert unpack(pack(beside, tmp_path), tmp_path / "there").verify().hash == plain_bundle.hash
    with pytest.raises(DamagedModelError, match="move the whole preset"):
        Bundle.open(shutil.copytree(beside.folder, tmp_path / "alone")).verify()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../up",
        "../../../up",
        "a/../b",
        "../../../../etc/passwd",
        "C:\\x",
        "a\\b",
        ".hidden",
        "",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(plain_bundle, path):
    files = json.loads((plain_bundle.folder / MANIFEST).read_text())["files"]
    files["graph.bin"]["path"] = path
    with pytest.raises(DamagedModelError, match=r"path of 'graph\.bin'"):
        Bundle.open(edited(plain_bundle, files=files))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []},
        {"labels": "ab"},
        {"max_length": 0},
        {"max_length": True},
        {"files": {}},
        {"files": []},
        {"tokenizer": {"family": "x", "file": "missing"}},
        {"tokenizer": {"family": "x", "file": ["a"]}},
        {"extra": 1},
        {"source": None},
    ],
)
def test_a_manifest_that_is_not_one_is_refused(plain_bundle, change):
    with pytest.raises(DamagedModelError, match="manifest"):
        Bundle.open(edited(plain_bundle, **change))


def test_a_later_format_says_so(plain_bundle):
    with pytest.raises(NotAPresetError, match="newer sparkxlmr"):
        Bundle.open(edited(plain_bundle, format=2, something="else"))


def test_settings_of_a_tokenizer_are_part_of_what_a_bundle_is(plain_bundle):
    tokenizer = {
        **plain_bundle.manifest.tokenizer,
        "settings": {"keep_accents": True, "do_lower_case": False},
    }
    manifest = replace(plain_bundle.manifest, tokenizer=tokenizer)
    assert manifest.hash != plain_bundle.hash
    again = Manifest.from_bytes(manifest.to_bytes())
    assert (again.hash, again.tokenizer) == (manifest.hash, tokenizer)
    turned = dict(reversed(tokenizer["settings"].items()))
    assert replace(manifest, tokenizer={**tokenizer, "settings": turned}).to_bytes() == manifest.to_bytes()
    for spoilt in ({}, None, "x", {"a": None}, {"a": [1]}):
        with pytest.raises(DamagedModelError, match="tokenizer"):
            replace(manifest, tokenizer={**tokenizer, "settings": spoilt})


def test_only_a_classifier_needs_labels(plain_bundle):
    assert replace(plain_bundle.manifest, task="masked_lm", labels=()).labels == ()
    with pytest.raises(DamagedModelError, match="labels"):
        replace(plain_bundle.manifest, labels=())


def test_the_manifest_that_ships_is_still_the_same():
    """Of a model without settings nothing new is said: its hash is that of earlier releases."""
    shipped = Preset.open("xlm_roberta_tiny_language_id").path / "bundles" / "openvino" / MANIFEST
    assert Manifest.from_bytes(shipped.read_bytes()).to_bytes() == shipped.read_bytes()


def test_no_bundle_there(tmp_path):
    with pytest.raises(NotAPresetError, match="not a bundle"):
        Bundle.open(tmp_path)


def test_damage_names_the_file(plain_bundle):
    graph = plain_bundle.file("graph.bin")
    graph.write_bytes(b"GRAPH")
    with pytest.raises(DamagedModelError, match=r"graph\.bin has SHA-256"):
        plain_bundle.verify()
    graph.write_bytes(b"gra")
    with pytest.raises(DamagedModelError, match=r"graph\.bin has 3 bytes. Expected 5"):
        plain_bundle.verify()
    graph.unlink()
    with pytest.raises(DamagedModelError, match=r"graph\.bin is missing"):
        pack(plain_bundle, plain_bundle.folder.parent)
    with pytest.raises(DamagedModelError, match="no file 'other'"):
        plain_bundle.file("other")


def test_pack_damaged_archive(plain_bundle, tmp_path):
    """Sent as it is, every executor would refuse it, in each job anew."""
    archive = pack(plain_bundle, tmp_path)
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"pieces", b"pieceS"))
    assert pack(plain_bundle, tmp_path) == archive
    assert archive.read_bytes() == whole


@pytest.mark.parametrize("kept", [0, 100, -30])
def test_a_torn_archive_is_packed_again(plain_bundle, tmp_path, kept):
    archive = pack(plain_bundle, tmp_path)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:kept])
    assert pack(plain_bundle, tmp_path) == archive
    assert archive.read_bytes() == whole
    inode = archive.stat().st_ino
    pack(plain_bundle, tmp_path)
    assert archive.stat().st_ino == inode


def test_an_archive_that_changed_under_its_name_is_refused(plain_bundle, tmp_path):
    plain_bundle.file("graph.bin").write_bytes(b"GRAPH")
    archive = pack(plain_bundle, tmp_path)
    with pytest.raises(DamagedModelError, match=r"another 'graph\.bin'"):
        unpack(archive, tmp_path / "there")
    with pytest.raises(DamagedModelError, match="holds the bundle"):
        unpack(archive, tmp_path / "there", "f" * 64)
    assert not (tmp_path / "there").exists()


def test_an_archive_with_a_file_too_many_writes_nothing(plain_bundle, tmp_path):
    archive = pack(plain_bundle, tmp_path / "out")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("../outside", b"x")
    with pytest.raises(DamagedModelError, match="other files"):
        unpack(archive, tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "plain"]


def test_files_of_someone_else_are_never_replaced(plain_bundle, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("precious")
    with pytest.raises(NotAPresetError):
        unpack(pack(plain_bundle, tmp_path), taken)
    assert (taken / "mine").read_text() == "precious"


@pytest.fixture(scope="module")
def archive_bytes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    files = {"graph.bin": b"graph" * 9, "deep/er/index": b"\x00" * 40, "vocabulary.spm": b"pieces"}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    from sparkxlmr.runtime.bundle import describe_files

    manifest = Manifest(
        family="f",
        task="t",
        engine="e",
        precisions=("float32",),
        max_length=9,
        labels=("x",),
        tokenizer={"family": "f", "file": "vocabulary.spm"},
        source="s",
        files=describe_files(folder, files),
    )
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    bundle = Bundle.open(folder)
    return pack(bundle, tmp_path_factory.mktemp("packed")).read_bytes(), bundle.hash


EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=0, max_size=6)), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(EDITS, st.none() | st.integers(0, 10_000))
def test_a_damaged_archive_is_an_error_of_this_package_or_still_the_same(archive_bytes, edits, cut):
    whole, bundle_hash = archive_bytes
    content = bytearray(whole if cut is None else whole[: cut % len(whole)])
    for position, data in edits:
        at = position % (len(content) + 1)
        content[at : at + len(data)] = data
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "damaged.zip"
        archive.write_bytes(bytes(content))
        try:
            bundle = unpack(archive, Path(folder) / "there", bundle_hash)
        except SparkxlmrError:
            assert sorted(path.name for path in Path(folder).iterdir()) == ["damaged.zip"]
        else:
            assert bundle.verify().hash == bundle_hash


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_manifest_is_an_error_of_this_package(archive_bytes, data):
    """Bytes changed, or whole entries of any JSON in place of those that belong there."""
    whole, _ = archive_bytes
    start, stop = whole.index(b"{\n"), whole.index(b"\n}\n") + 3
    content = whole[start:stop]
    if data.draw(st.booleans(), "bytes"):
        at = data.draw(st.integers(0, len(content)))
        content = (
            content[:at] + data.draw(st.binary(max_size=8)) + content[at + data.draw(st.integers(0, 9)) :]
        )
    else:
        entries = json.loads(content)
        target = entries
        while True:
            key = data.draw(st.sampled_from(sorted(target)))
            if not isinstance(target[key], dict) or data.draw(st.booleans()):
                target[key] = data.draw(JSON)
                break
            target = target[key]
        content = json.dumps(entries).encode()
    try:
        manifest = Manifest.from_bytes(content)
    except SparkxlmrError:
        return
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
