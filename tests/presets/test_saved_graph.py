"""A look at compiled models of other libraries: what it tells, and what is refused before one is opened."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, SparkxlmrError
from sparkxlmr.presets.open_model_folder import is_model, open_folder, open_model
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.protobuf_fields import Message
from sparkxlmr.presets.saved_graph import SavedGraph
from sparkxlmr.presets.sentencepiece_proto import _bytes, _number

IR = """<?xml version="1.0"?>
<net name="tiny" version="11"><layers>
{inputs}
<layer id="2" name="m.embeddings.word_embeddings.weight" type="Const" version="{version}">
 <data element_type="f32" shape="{shape}" offset="0" size="{size}" />
 <output><port id="0" precision="FP32"><dim>6002</dim><dim>2</dim></port></output></layer>
<layer id="3" name="head" type="MatMul" version="opset1">
 <output><port id="2" precision="FP32" names="logits"><dim>-1</dim><dim>{outputs}</dim></port></output>
</layer>
<layer id="4" name="result" type="Result" version="opset1">
 <input><port id="0"><dim>-1</dim><dim>{outputs}</dim></port></input></layer>
</layers><edges><edge from-layer="3" from-port="2" to-layer="4" to-port="0" /></edges></net>
"""
INPUT = """<layer id="{id}" name="p{id}" type="Parameter" version="opset1">
<data shape="?,?" element_type="i64" />
<output><port id="0" precision="I64" names="{name}"><dim>-1</dim><dim>-1</dim></port></output></layer>"""


@pytest.fixture
def folder(tmp_path, fixtures):
    """A folder with XLM-R's `assets/` for four labels, and no graph yet."""
    shutil.copytree(fixtures / "spark_nlp/models/xlmr_onnx/assets", tmp_path / "model/assets")
    return tmp_path / "model"


def write_ir(folder, inputs=("input_ids", "attention_mask"), **changes):
    told = {"version": "opset1", "shape": "6002, 2", "size": 48016, "outputs": 4, **changes}
    told["inputs"] = "".join(INPUT.format(id=10 + i, name=name) for i, name in enumerate(inputs))
    (folder / "openvino_model.xml").write_text(IR.format(**told))
    (folder / "openvino_model.bin").write_bytes(bytes(48016))


def tensor(name, shape, raw=b"", external=None):
    """A TensorProto of float32."""
    fields = [_number(1, size) for size in shape] + [_number(2, 1), _bytes(8, name.encode())]
    if external is None:
        return b"".join([*fields, _bytes(9, raw)])
    for key, value in external.items():
        fields.append(_bytes(13, _bytes(1, key.encode()) + _bytes(2, str(value).encode())))
    return b"".join([*fields, _number(14, 1)])


def onnx(
    tensors=(), nodes=(), outputs=(("logits", (-1, 4)),), inputs=("input_ids", "attention_mask"), more=b""
):
    """A ModelProto: whatever it computes, a look at it sees these names and shapes."""

    def value(name, shape):
        dims = b"".join(_bytes(1, _number(1, size) if size > 0 else _bytes(2, b"n")) for size in shape)
        return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, dims)))

    graph = b"".join(_bytes(1, node) for node in nodes) + b"".join(_bytes(5, item) for item in tensors)
    graph += b"".join(_bytes(11, value(name, (0, 0))) for name in inputs)
    graph += b"".join(_bytes(12, value(*output)) for output in outputs)
    return _number(1, 8) + _bytes(7, graph) + more


def node(operator, domain="", attributes=()):
    parts = [_bytes(4, operator.encode()), _bytes(7, domain.encode())]
    return b"".join([*parts, *(_bytes(5, attribute) for attribute in attributes)])


def test_what_an_onnx_file_tells(fixtures):
    models = fixtures / "spark_nlp/models"
    told = SavedGraph.open(models / "xlmr_onnx")
    assert (told.format, told.family, told.task_kind, told.engines) == (
        "onnx", "xlm_roberta", "text_classifier", ("openvino",),
    )  # fmt: skip
    assert told.labels == ("World", "Sports", "Business", "Sci/Tech")
    # Of the 130 rows of XLM-R's position table two lie before the first position.
    assert (told.max_length, told.vocabulary_rows) == (128, 6002)
    assert told.inputs == {"token_ids": "input_ids", "padding_mask": "attention_mask"}
    albert = open_folder(models / "albert_onnx")
    assert (albert.family, albert.max_length, albert.vocabulary_rows) == ("albert", 130, 3000)
    assert albert.inputs["segment_ids"] == "token_type_ids"
    assert albert.tokenizer_settings == {"do_lower_case": True, "keep_accents": False, "remove_space": True}
    names = [path.relative_to(albert.path).as_posix() for path in albert.files()]
    assert names == ["model.onnx", "assets/spiece.model", "assets/labels.txt"]


def test_the_hash_covers_graph_vocabulary_and_labels(folder):
    write_ir(folder)
    first = SavedGraph.open(folder).content_hash
    moved = folder.with_name("moved")
    shutil.copytree(folder, moved)
    assert SavedGraph.open(moved).content_hash == first
    (moved / "assets/labels.txt").write_text("a\nb\nc\nd")
    assert SavedGraph.open(moved).content_hash != first


def test_labels_are_lines_as_they_are_written(folder):
    write_ir(folder)
    (folder / "assets/labels.txt").write_bytes("\ufeffWorld\r\nTop \u2028news\r\nC\r\nD\r\n\r\n".encode())
    assert SavedGraph.open(folder).labels == ("World", "Top \u2028news", "C", "D")


def test_names_as_tensorflow_writes_them_and_an_unnamed_position_table(folder):
    write_ir(folder, inputs=("serving_default_input_ids:0", "attention_mask:0"))
    opened = SavedGraph.open(folder)
    assert opened.inputs["token_ids"] == "serving_default_input_ids:0"
    assert opened.max_length == 512


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\nb\nc", r"shape \[-1, 4\], and assets/labels.txt names 3 labels"), ("", "has no labels"),
     ("a\n\nc\nd", "an empty line"), (None, "There is no .*labels.txt")],
)  # fmt: skip
def test_labels_that_do_not_fit(folder, text, said):
    write_ir(folder)
    (folder / "assets/labels.txt").unlink()
    if text is not None:
        (folder / "assets/labels.txt").write_text(text)
    with pytest.raises(NotAPresetError, match=said):
        SavedGraph.open(folder)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"inputs": ("input_ids",)}, NotAPresetError, "takes input_ids"),
        ({"inputs": ("input_ids", "attention_mask", "position_ids")}, NotAPresetError, "position_ids"),
        ({"version": "extension"}, NotAPresetError, "a layer 'Const' of 'extension'"),
        ({"size": 99999999}, DamagedModelError, "ends at byte 99999999"),
        ({"shape": "6002, 2000000000"}, DamagedModelError, "48016 bytes are stored"),
        ({"outputs": 3}, NotAPresetError, r"shape \[-1, 3\]"),
        ({"outputs": "many"}, NotAPresetError, "no OpenVINO IR"),
    ],
)
def test_an_ir_that_is_refused(folder, changes, error, said):
    write_ir(folder, **changes)
    with pytest.raises(error, match=said):
        SavedGraph.open(folder)


def test_a_small_xml_file_does_not_become_a_large_one(folder):
    write_ir(folder)
    xml = (folder / "openvino_model.xml").read_text()
    bomb = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    (folder / "openvino_model.xml").write_text(xml.replace("<net ", bomb + "<net ", 1))
    with pytest.raises(NotAPresetError, match="document type"):
        SavedGraph.open(folder)


BRANCH = _bytes(6, _bytes(1, node("Secret", "evil.ops")))
SPARSE = _bytes(22, _number(3, 10**12))


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (onnx(nodes=[node("Run", "my.library")]), NotAPresetError, "the operator 'Run' of 'my.library'"),
        (onnx(nodes=[node("If", attributes=[BRANCH])]), NotAPresetError, "'Secret' of 'evil.ops'"),
        (onnx(nodes=[node("Constant", attributes=[SPARSE])]), NotAPresetError, "sparse"),
        (onnx([tensor("w", (10**6, 10**6), b"1234")]), DamagedModelError, "4 bytes are stored"),
        (onnx([tensor("w", (-1, 4), b"1234")]), DamagedModelError, "4 bytes are stored"),
        (onnx([tensor("w", (4,), external={"location": "../secret"})]), NotAPresetError, "../secret"),
        (onnx([tensor("w", (4,), external={"location": "/etc/passwd"})]), NotAPresetError, "/etc/passwd"),
        (onnx([tensor("w", (4,), external={"location": "C:/secret"})]), NotAPresetError, "C:/secret"),
        (onnx([tensor("w", (4,), external={"location": "a/..\\..\\b"})]), NotAPresetError, "refers to"),
        (onnx([tensor("w", (4,), external={"location": "link"})]), NotAPresetError, "'link'"),
        (onnx([tensor("w", (4,), external={"location": "gone"})]), DamagedModelError, "is not there"),
        (onnx([tensor("w", (64,), external={"location": "w.bin", "offset": 8})]), DamagedModelError, "8 b"),
        (onnx([tensor("w", (4,), external={"location": "w.bin", "offset": -8})]), DamagedModelError, "piece"),
        (onnx([tensor("w", (4,), external={"location": "w.bin", "length": 99})]), DamagedModelError, "piece"),
        (onnx(outputs=[("a", (0, 4)), ("b", (0, 4))]), NotAPresetError, "answers a, b"),
        (onnx(outputs=[("last_hidden_state", (0, 0, 48))]), NotAPresetError, "names 4 labels"),
        (onnx(outputs=[("a", (0, 0, 4)), ("b", (0, 0, 4))]), NotAPresetError, "answers a, b"),
        (onnx(inputs=["input_ids", "attention_mask", "past"]), NotAPresetError, "past"),
        (_number(1, 8), NotAPresetError, "holds no graph"),
        (onnx()[:-1], DamagedModelError, "a field of"),
        (b"", DamagedModelError, "is empty"),
        (b"\xff" * 40, DamagedModelError, "more than 64 bits"),
    ],
)  # fmt: skip
def test_an_onnx_file_that_is_refused(folder, content, error, said):
    (folder / "model.onnx").write_bytes(content)
    (folder / "w.bin").write_bytes(bytes(16))
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(error, match=said):
        SavedGraph.open(folder)


def test_weights_in_files_beside_are_part_of_the_model(folder):
    """A function that the file itself defines is no operator of another library."""
    body = _bytes(1, b"Mine") + _bytes(7, node("Identity")) + _bytes(10, b"pkg.torch")
    (folder / "weights").mkdir()
    (folder / "weights/a.bin").write_bytes(bytes(32))
    places = [{"location": "weights/a.bin", "length": 16}, {"location": "weights/a.bin", "offset": 16}]
    tensors = [tensor(f"t{i}", (2, 2), external=place) for i, place in enumerate(places)]
    content = onnx(tensors, [node("Mine", "pkg.torch"), node("Gelu", "com.microsoft")], more=_bytes(25, body))
    (folder / "model.onnx").write_bytes(content)
    opened = SavedGraph.open(folder)
    assert opened.graph_files == ("model.onnx", "weights/a.bin")


def test_a_folder_of_links_into_a_cache_is_whole(folder, tmp_path):
    """As Hugging Face's cache lays a model out: every file a link into one folder of blobs."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / "1").write_bytes(onnx([tensor("w", (4,), external={"location": "w.bin"})]))
    (blobs / "2").write_bytes(bytes(16))
    (folder / "model.onnx").symlink_to(blobs / "1")
    (folder / "w.bin").symlink_to(blobs / "2")
    assert SavedGraph.open(folder).graph_files == ("model.onnx", "w.bin")


def test_which_folder_is_what(folder, fixtures, tiny_preset):
    with pytest.raises(NotAPresetError, match="no config"):
        open_folder(folder)
    assert not is_model(folder)
    (folder / "model.onnx").write_bytes(onnx())
    assert is_model(folder)
    with pytest.raises(NotAPresetError, match="has no openvino_model"):
        SavedGraph.open(fixtures)
    assert isinstance(open_folder(folder), SavedGraph)
    assert isinstance(open_model(str(folder)), SavedGraph)
    # A checkpoint with an ONNX file beside its weights is a checkpoint.
    checkpoint = folder.with_name("checkpoint")
    shutil.copytree(fixtures / "hugging_face/xlmr_sequence_classification", checkpoint)
    (checkpoint / "model.onnx").write_bytes(onnx())
    assert isinstance(open_folder(checkpoint), Preset)
    assert isinstance(open_folder(tiny_preset), Preset)
    with pytest.raises(PresetNotFoundError):
        open_model(str(folder / "nothing"))


def test_one_vocabulary_that_fits(folder, fixtures):
    (folder / "model.onnx").write_bytes(onnx([tensor("word_embeddings", (6001, 1), bytes(24004))]))
    with pytest.raises(NotAPresetError, match="has 6002 ids, and its graph embeddings for 6001"):
        SavedGraph.open(folder).text_tokenizer()
    vocabulary = fixtures / "hugging_face/albert_tokenizer/spiece.model"
    shutil.copy(vocabulary, folder / "assets/spiece.model")
    with pytest.raises(NotAPresetError, match=r"has sentencepiece.bpe.model and spiece.model"):
        SavedGraph.open(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, fixtures):
    """The golden ONNX file's first bytes: its nodes, and a folder to change them in."""
    folder = tmp_path_factory.mktemp("mutated") / "model"
    shutil.copytree(fixtures / "spark_nlp/models/albert_onnx", folder)
    return folder, (folder / "model.onnx").read_bytes()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    places=st.lists(st.floats(0, 0.999), min_size=1, max_size=8),
    cut=st.floats(0.2, 1),
    seed=st.integers(0, 9),
)
def test_whatever_changes_in_a_file_only_our_errors_come_out(whole, places, cut, seed):
    folder, content = whole
    changed = bytearray(content[: int(len(content) * cut)])
    noise = np.random.default_rng(seed).integers(0, 256, len(places)).tolist()
    for place, byte in zip(places, noise, strict=True):
        changed[int(place**4 * len(changed))] = byte
    (folder / "model.onnx").write_bytes(changed)
    try:
        opened = SavedGraph.open(folder)
    except SparkxlmrError:
        return
    assert len(opened.labels) == 3


def test_numbers_are_signed_and_packed_as_protocol_buffers_write_them():
    message = Message(memoryview(_number(1, -3) + _bytes(1, b"\x05\x96\x01") + b"\x0d1234"), "x")
    assert [len(value) for _, value in message.fields() if not isinstance(value, int)] == [3, 4]
    assert Message(memoryview(_number(1, -3) + _bytes(1, b"\x05\x96\x01")), "x").numbers(1) == [-3, 5, 150]
    for broken in (b"\x08", b"\x0b", b"\x0a\x05hi", b"\x0d12", b"\x08" + b"\xff" * 11):
        with pytest.raises(DamagedModelError):
            list(Message(memoryview(broken), "x").fields())
    with pytest.raises(DamagedModelError, match="UTF-8"):
        Message(memoryview(_bytes(1, b"\xff")), "x").text(1)


# --- maximal lengths of graphs whose weights have no names ---


def anonymous(path, target):
    """A copy of an ONNX file in which no name of a table says what it is."""
    content = path.read_bytes()
    for word in (b"position_embeddings", b"word_embeddings", b"token_type_embeddings"):
        assert len(word) > 8
        content = content.replace(word, b"x" * len(word))
    target.write_bytes(content)


@pytest.mark.parametrize(("family", "length", "rows"), [("xlmr", 128, 6002), ("albert", 130, 3000)])
def test_max_length_unnamed_tables(fixtures, tmp_path, family, length, rows):
    """Tables are known by how the graph reads them where their names say nothing."""
    source = fixtures / f"spark_nlp/models/{family}_onnx"
    shutil.copytree(source / "assets", tmp_path / "assets")
    anonymous(source / "model.onnx", tmp_path / "model.onnx")
    opened = SavedGraph.open(tmp_path)
    assert (opened.max_length, opened.vocabulary_rows) == (length, rows)


UNCLEAR = [
    tensor("a", (6002, 2), bytes(48016)),
    tensor("b", (66, 2), bytes(528)),
    tensor("c", (9, 2), bytes(72)),
]


def test_max_length_not_shown_refused(folder):
    """A guess of 512 would let texts through that the graph cannot read."""
    (folder / "model.onnx").write_bytes(onnx(UNCLEAR))
    with pytest.raises(NotAPresetError, match=r"how many tokens it reads.*max_position_embeddings"):
        SavedGraph.open(folder)
    reading = [node("Gather") + _bytes(1, name) for name in (b"a", b"b", b"c")]
    (folder / "model.onnx").write_bytes(onnx(UNCLEAR, reading))
    with pytest.raises(NotAPresetError, match="2 of them could be"):
        SavedGraph.open(folder)
    (folder / "model.onnx").write_bytes(onnx(UNCLEAR, reading[:2]))
    assert SavedGraph.open(folder).max_length == 64


def test_max_length_stated_by_config(folder):
    (folder / "model.onnx").write_bytes(onnx(UNCLEAR))
    (folder / "config.json").write_text('{"max_position_embeddings": 66}')
    assert SavedGraph.open(folder).max_length == 64
    (folder / "config.json").write_text('{"max_position_embeddings": "66"}')
    with pytest.raises(NotAPresetError, match="max_position_embeddings"):
        SavedGraph.open(folder)
