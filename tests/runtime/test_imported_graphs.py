"""Compiled models of other libraries become bundles: the same answers, by both engines where both can."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from sparkxlmr.errors import DamagedModelError, EngineError, NotAPresetError, SettingError, WeightsError
from sparkxlmr.presets.open_model_folder import open_folder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime import engine_choice
from sparkxlmr.runtime.bundle import MANIFEST, Bundle
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.engine_choice import engine_for
from sparkxlmr.runtime.engines.openvino_import import imported_graph
from sparkxlmr.runtime.engines.tensorflow import TensorFlowEngine
from sparkxlmr.runtime.engines.tensorflow_import import import_saved_model
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.text.packing import pack

# Of one text the recorded attention mask is another; "www" is cut the other way round by SentencePiece
# before 0.2.2.
UNLIKE = re.compile(r"<pad>|www")
NAMES = ("input_ids", "attention_mask")
TEXTS = ["Wall St. falls again", "Sport", "<s> strange </s>", "", "naïve ＡＢＣ 日本語 😀 " * 40]


@pytest.fixture(scope="module")
def onnx_folder(fixtures):
    return lambda family: fixtures / "spark_nlp/models" / f"{family}_onnx"


def logits(model, engine, folder, texts, max_length=128):
    return open_model(compile_bundle(model, engine, folder), threads=2).logits(texts, max_length).logits


@pytest.mark.parametrize("family", ["xlmr", "albert"])
def test_onnx_and_ir_answer_as_hugging_face_does(family, onnx_folder, fixtures, tmp_path):
    source = fixtures / "hugging_face" / f"{family}_sequence_classification"
    expected = json.loads((source / "expected.json").read_text(encoding="utf-8"))
    chosen = [row for row, text in enumerate(expected["texts"]) if not UNLIKE.search(text)]
    assert len(chosen) >= 110
    texts = [expected["texts"][row] for row in chosen]
    onnx = open_folder(onnx_folder(family))
    found = logits(onnx, "openvino", tmp_path / "onnx", texts)
    np.testing.assert_allclose(found, np.float32(expected["logits"])[chosen], atol=1e-4)

    ir = tmp_path / "ir"
    shutil.copytree(onnx_folder(family) / "assets", ir / "assets")
    graph = ov.Core().read_model(str(onnx.graph_path))
    ov.save_model(graph, ir / "openvino_model.xml", compress_to_fp16=False)
    opened = open_folder(ir)
    assert (opened.format, opened.max_length) == ("openvino", onnx.max_length)
    np.testing.assert_allclose(logits(opened, "openvino", tmp_path / "again", texts), found, atol=1e-6)


def test_a_bundle_is_made_of_the_files_alone(onnx_folder, tmp_path):
    """Neither the folder nor what was compiled before shows in its bytes; the names are any bundle's."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(onnx_folder("xlmr"), copy)
    first = compile_bundle(open_folder(onnx_folder("xlmr")), "openvino", tmp_path / "a")
    second = compile_bundle(open_folder(copy), "openvino", copy / "bundles/openvino")
    assert first.hash == second.hash
    # Beside its model a bundle refers to the vocabulary, as a preset's does.
    assert second.manifest.files["vocabulary.spm"].path == "../../assets/sentencepiece.bpe.model"
    assert second.tokenizer_file.samefile(copy / "assets/sentencepiece.bpe.model")
    manifest = first.manifest
    assert manifest.labels == ("World", "Sports", "Business", "Sci/Tech")
    assert (manifest.task, manifest.family, manifest.max_length) == ("text_classifier", "xlm_roberta", 128)
    graph = ov.Core().read_model(str(first.file("model.xml")))
    assert {(port.get_any_name(), port.get_element_type().get_type_name()) for port in graph.inputs} == {
        ("token_ids", "i32"), ("padding_mask", "i32"),
    }  # fmt: skip


# --- graphs made here: a text's logits are the mean of its tokens' rows in a table ---


def table(rows=6002, classes=4):
    return np.random.default_rng(0).normal(size=(rows, classes)).astype(np.float32)


def expected_of(model, texts, max_length=128):
    encoded = model.text_tokenizer().encode(texts, max_length)
    return np.stack([table()[ids].mean(axis=0) for ids in encoded.ids])


def write_ir(folder, assets, inputs=NAMES, shape=(-1, -1), kind=np.int64, mask=True):
    """That model as an IR. `mask`: whether it looks at its mask."""
    shutil.copytree(assets / "assets", folder / "assets")
    ports = {name: op.parameter(list(shape), kind, name=name) for name in inputs}
    for name, port in ports.items():
        port.output(0).set_names({name})
    rows = op.gather(op.constant(table()), ports["input_ids"], op.constant(0))
    shown = op.unsqueeze(op.convert(ports["attention_mask"], "f32"), op.constant(2))
    shown = shown if mask else op.maximum(shown, op.constant(np.float32(1)))
    total = op.reduce_sum(op.multiply(rows, shown), op.constant([1]))
    answer = op.divide(total, op.reduce_sum(shown, op.constant([1])))
    for name in set(inputs) - {"input_ids", "attention_mask"}:
        answer = op.add(answer, op.reduce_sum(op.convert(ports[name], "f32"), op.constant([1]), True))
    result = op.result(answer)
    answer.output(0).set_names({"logits"})
    ov.save_model(ov.Model([result], list(ports.values()), "m"), folder / "openvino_model.xml", False)
    return open_folder(folder)


def write_encoder(folder, assets):
    """An encoder as an IR: the vectors of the tokens are their rows in the table."""
    shutil.copytree(assets / "assets", folder / "assets", ignore=lambda *_: ["labels.txt"])
    ports = {name: op.parameter([-1, -1], np.int64, name=name) for name in NAMES}
    for name, port in ports.items():
        port.output(0).set_names({name})
    rows = op.gather(op.constant(table()), ports["input_ids"], op.constant(0))
    rows.output(0).set_names({"last_hidden_state"})
    pooled = op.result(op.gather(rows, op.constant(0), op.constant(1)))
    graph = ov.Model([op.result(rows), pooled], list(ports.values()), "m")
    ov.save_model(graph, folder / "openvino_model.xml", False)
    return open_folder(folder)


def vectors_of(model, texts, max_length=128):
    encoded = model.text_tokenizer().encode(texts, max_length)
    return [np.stack([table()[ids[0]], table()[ids].mean(axis=0)]) for ids in encoded.ids]


def test_an_encoder_without_labels_gives_vectors(onnx_folder, tmp_path):
    model = write_encoder(tmp_path / "model", onnx_folder("xlmr"))
    assert (model.task_kind, model.dimension, model.labels) == ("encoder", 4, ())
    assert [path.name for path in model.files()][2:] == ["sentencepiece.bpe.model"]
    embedder = open_model(compile_bundle(model, "openvino", tmp_path / "bundle"), threads=2)
    for place, pooling in enumerate(("cls", "mean")):
        found = embedder.embed(TEXTS, 128, pooling).vectors
        expected = np.stack(vectors_of(model, TEXTS))[:, place]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_segments_that_an_export_of_xlmr_asks_for_are_zeros(onnx_folder, tmp_path):
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    model = write_ir(tmp_path / "model", onnx_folder("xlmr"), inputs, kind=np.int32)
    found = logits(model, "openvino", tmp_path / "bundle", TEXTS)
    np.testing.assert_allclose(found, expected_of(model, TEXTS), atol=1e-5)


def test_albert_without_segments_takes_them_all_the_same(onnx_folder, tmp_path):
    folder = tmp_path / "model"
    write_ir(folder, onnx_folder("xlmr"))
    shutil.rmtree(folder / "assets")
    shutil.copytree(onnx_folder("albert") / "assets", folder / "assets")
    (folder / "assets/labels.txt").write_text("a\nb\nc\nd")
    model = open_folder(folder)
    found = logits(model, "openvino", tmp_path / "bundle", TEXTS)
    np.testing.assert_allclose(found, expected_of(model, TEXTS), atol=1e-5)


def test_a_graph_that_was_exported_for_one_shape_is_opened_up(onnx_folder, tmp_path):
    model = write_ir(tmp_path / "model", onnx_folder("xlmr"), shape=(1, 16))
    found = logits(model, "openvino", tmp_path / "bundle", TEXTS)
    np.testing.assert_allclose(found, expected_of(model, TEXTS), atol=1e-5)


def test_a_graph_that_does_not_look_at_its_mask_is_refused(onnx_folder, tmp_path):
    model = write_ir(tmp_path / "model", onnx_folder("xlmr"), mask=False)
    with pytest.raises(WeightsError, match="answers otherwise where a longer text stands beside"):
        imported_graph(model)


@pytest.mark.parametrize(
    ("before", "after"), [(b"Erf", b"Erg"), (b"/m/roberta/Gather_output_0", b"\xff/m/oberta/Gather_output_0")]
)
def test_a_graph_that_openvino_cannot_read_is_refused_in_one_line(onnx_folder, tmp_path, before, after):
    folder = tmp_path / "model"
    shutil.copytree(onnx_folder("xlmr"), folder)
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(
        content.replace(b"\x22\x04Erf", b"\x22\x04Erg").replace(b"Erf", b"Erg")
    )
    with pytest.raises(NotAPresetError, match=r"OpenVINO .* cannot read .*model\.onnx") as refused:
        compile_bundle(open_folder(folder), "openvino", tmp_path / "bundle")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "bundle").exists()


# --- TensorFlow ---


@pytest.fixture(scope="module")
def saved_model(onnx_folder, tmp_path_factory):
    """`saved_model(name, change)`: that model as a SavedModel; `change(tf, module, logits)` spoils it."""
    import tensorflow as tf

    def write(name, change=None):
        folder = tmp_path_factory.mktemp(name) / "model"
        module = tf.Module()
        module.rows = tf.Variable(table(), name="m/word_embeddings/weight")
        module.positions = tf.Variable(tf.zeros((66, 1)), name="m/position_embeddings/embeddings")

        def logits(input_ids, attention_mask):
            shown = tf.cast(attention_mask, tf.float32)[:, :, None]
            places = tf.gather(module.positions, 2 + tf.range(tf.shape(input_ids)[1]))
            total = tf.reduce_sum((tf.gather(module.rows, input_ids) + places) * shown, axis=1)
            answer = total / tf.reduce_sum(shown, axis=1)
            if change == "encode":
                return {"last_hidden_state": tf.gather(module.rows, input_ids), "pooler_output": answer}
            return {"logits": answer if change is None else change(tf, module, answer)}

        specs = [tf.TensorSpec((None, None), tf.int32, name) for name in ("input_ids", "attention_mask")]
        served = tf.function(logits, input_signature=specs).get_concrete_function()
        tf.saved_model.save(module, str(folder), signatures={"serving_default": served})
        shutil.copytree(onnx_folder("xlmr") / "assets", folder / "assets", dirs_exist_ok=True)
        return folder

    return write


def test_a_saved_model_answers_alike_with_both_engines(saved_model, tmp_path):
    folder = saved_model("plain")
    model = open_folder(folder)
    assert (model.format, model.max_length, model.vocabulary_rows) == ("tensorflow", 64, 6002)
    assert model.engines == ("openvino", "tensorflow")
    names = [path.relative_to(folder).as_posix() for path in model.files()]
    assert names[:2] == ["saved_model.pb", "variables/variables.index"]
    expected = expected_of(model, TEXTS, 64)
    for engine in model.engines:
        found = logits(model, engine, tmp_path / engine, TEXTS, 64)
        np.testing.assert_allclose(found, expected, atol=1e-5)

    (folder / "assets/labels.txt").write_text("a\nb\nc")
    with pytest.raises(NotAPresetError, match="names 3 labels"):
        open_folder(folder)
    (folder / "assets/labels.txt").write_text("a\nb\nc\nd")
    (folder / "variables/variables.index").unlink()
    with pytest.raises(DamagedModelError, match="has no variables"):
        open_folder(folder)


def test_an_encoder_as_a_saved_model_gives_vectors(saved_model, tmp_path):
    import tensorflow as tf

    folder = saved_model("encoder", "encode")
    (folder / "assets/labels.txt").unlink()
    model = open_folder(folder)
    assert (model.task_kind, model.dimension) == ("encoder", 4)
    import_saved_model(model, tmp_path / "made")
    encoded = model.text_tokenizer().encode(TEXTS, 64)
    token_ids, padding_mask = pack(encoded.ids, 1)
    answer = tf.saved_model.load(str(tmp_path / "made")).signatures["logits"]
    found = answer(token_ids=tf.constant(token_ids), padding_mask=tf.constant(padding_mask))["logits"]
    np.testing.assert_allclose(found.numpy(), np.stack(vectors_of(model, TEXTS, 64)), atol=1e-5)


def read_secret(tf, module, logits):
    return logits + tf.io.decode_raw(tf.io.read_file("/etc/hostname"), tf.float32)[0] * 0


def run_python(tf, module, logits):
    return tf.py_function(lambda x: x, [logits], tf.float32)


def write_in_a_branch(tf, module, logits):
    def write():
        with tf.control_dependencies([tf.io.write_file("/tmp/never", "x")]):
            return tf.identity(logits)

    return tf.cond(tf.shape(logits)[0] > 10**6, write, lambda: logits)


def look_up(tf, module, logits):
    keys = tf.constant(["a"])
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1.0])), 0.0
    )
    return logits + module.table.lookup(tf.constant("a")) * 0


@pytest.mark.parametrize(
    ("change", "said"),
    [(read_secret, "operator '(ReadFile|DecodeRaw)'"), (run_python, "operator 'EagerPyFunc'"),
     (write_in_a_branch, "operator 'WriteFile'"), (look_up, "makes tables or other resources")],
)  # fmt: skip
def test_a_saved_model_that_does_more_than_compute_is_refused(saved_model, change, said):
    folder = saved_model(change.__name__, change)
    with pytest.raises(NotAPresetError, match=said):
        open_folder(folder)


def test_a_function_that_is_handed_to_a_function_is_looked_at_too(saved_model):
    from tensorflow.core.protobuf import saved_model_pb2

    folder = saved_model("handed")
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    evil = graph.library.function.add()
    evil.signature.name = "evil"
    evil.node_def.add(name="write", op="WriteFile")
    calls = [node for node in graph.node if "f" in node.attr and "Partitioned" in node.op]
    assert calls
    for call in calls:
        call.attr["f"].func.attr["theirs"].func.name = "evil"
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(NotAPresetError, match="operator 'WriteFile'"):
        open_folder(folder)


def test_variables_of_which_hardly_any_is_stored_are_refused(saved_model):
    folder = saved_model("large")
    graph = (folder / "saved_model.pb").read_bytes()
    # The dimensions (6002, 4) of the table, as varints, become (16777216, 127).
    small, large = b"\x12\x03\x08\xf2\x2e\x12\x02\x08\x04", b"\x12\x03\x08\xff\x7f\x12\x02\x08\x7f"
    assert small in graph
    (folder / "saved_model.pb").write_bytes(graph.replace(small, large))
    with pytest.raises(DamagedModelError, match=r"shape \[16383, 127\]"):
        open_folder(folder)


# --- which engine ---


def test_only_engines_that_read_the_format_are_chosen(onnx_folder, monkeypatch, tmp_path):
    model = open_folder(onnx_folder("xlmr"))
    assert engine_for(model, "auto") == "openvino"
    assert engine_for(model, "auto", gpu=True) == "openvino"
    for ask in (
        lambda: engine_for(model, "tensorflow"),
        lambda: compile_bundle(model, "tensorflow", tmp_path),
    ):
        with pytest.raises(SettingError, match=r"'tensorflow', which does not read .*xlmr_onnx"):
            ask()
    with pytest.raises(SettingError, match="'auto' or one of"):
        engine_for(model, "caffe")


def test_auto_takes_the_gpus_engine_for_a_format_that_both_read(saved_model, tiny_preset, monkeypatch):
    model = open_folder(saved_model("gpu"))
    assert [engine_for(model, "auto", gpu) for gpu in (False, True)] == ["openvino", "tensorflow"]
    assert engine_for(model, "tensorflow") == "tensorflow"
    monkeypatch.setattr(engine_choice, "available", lambda: ("openvino",))
    assert engine_for(model, "auto", gpu=True) == "openvino"
    assert engine_for(Preset.open(tiny_preset), "openvino") == "openvino"


def test_a_child_that_fails_says_why(saved_model, tmp_path, monkeypatch):
    """The SavedModel is looked at again where it is opened: what was exchanged in between is refused too."""
    folder = saved_model("exchanged")
    model = open_folder(folder)
    shutil.copy(saved_model("bad", read_secret) / "saved_model.pb", folder / "saved_model.pb")
    with pytest.raises(EngineError, match="runs the operator"):
        TensorFlowEngine().compile(model, tmp_path)


def test_import_stated_length_beyond_table(onnx_folder, tmp_path):
    """What a user states is held to the graph: its position table has 128 rows to use."""
    shutil.copytree(onnx_folder("xlmr") / "assets", tmp_path / "model/assets")
    content = (onnx_folder("xlmr") / "model.onnx").read_bytes()
    (tmp_path / "model/model.onnx").write_bytes(content.replace(b"position_embeddings", b"p" * 19))
    (tmp_path / "model/config.json").write_text('{"max_position_embeddings": 514}')
    model = open_folder(tmp_path / "model")
    assert model.max_length == 512
    assert model.path / "config.json" in model.files()
    with pytest.raises(NotAPresetError, match="6002 ids and 128 positions"):
        compile_bundle(model, "openvino", tmp_path / "bundle")


def test_import_unnamed_tables_long_text(onnx_folder, tmp_path):
    """A graph without names gives the same logits, and refuses texts that are longer than its table."""
    shutil.copytree(onnx_folder("xlmr") / "assets", tmp_path / "model/assets")
    content = (onnx_folder("xlmr") / "model.onnx").read_bytes()
    (tmp_path / "model/model.onnx").write_bytes(content.replace(b"position_embeddings", b"p" * 19))
    bundle = compile_bundle(open_folder(tmp_path / "model"), "openvino", tmp_path / "bundle")
    assert bundle.max_length == 128
    texts = ["Oil prices rose again. " * 200, "Sport"]
    named = logits(open_folder(onnx_folder("xlmr")), "openvino", tmp_path / "named", texts)
    reader = open_model(bundle, threads=2)
    np.testing.assert_allclose(reader.logits(texts, 128).logits, named, atol=1e-5)
    with pytest.raises(SettingError, match="2 to 128"):
        reader.logits(texts, 512)


def test_runner_bundle_with_wrong_length(onnx_folder, tmp_path):
    """A bundle of an earlier release may state 512 tokens: the graph's own table counts."""
    bundle = compile_bundle(open_folder(onnx_folder("xlmr")), "openvino", tmp_path / "bundle")
    manifest = replace(bundle.manifest, max_length=512)
    (bundle.folder / MANIFEST).write_bytes(manifest.to_bytes())
    reader = open_model(Bundle.open(bundle.folder), threads=2)
    assert reader.logits(["Sport"], 512).logits.shape == (1, 4)
    with pytest.raises(EngineError, match="1 to 128 tokens"):
        reader.logits(["Oil prices rose again. " * 200], 512)
