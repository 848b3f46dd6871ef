"""Models that are not read here, and handles that nothing has: the error names what helps."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from sparkxlmr.errors import NotAPresetError, PresetNotFoundError
from sparkxlmr.presets import names
from sparkxlmr.presets.contents import check_labels
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.preset import Preset

XLMR = "hugging_face/xlmr_sequence_classification"
KERAS_NLP = {
    "xlmr_text_classifier": ("XLMRoberta", "xlm_roberta"),
    "albert_text_classifier": ("Albert", "albert"),
}


def edit(folder, **change):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **change}), "utf-8")


@pytest.fixture
def checkpoint(fixtures, tmp_path):
    return shutil.copytree(fixtures / XLMR, tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("handle", "says"),
    [
        ("org/name", r"did you mean hf://org/name\?"),
        ("org/name@v1", r"did you mean hf://org/name@v1\?"),
        ("https://huggingface.co/org/name/tree/main", r"did you mean hf://org/name\?"),
        ("huggingface.co/org/name", r"did you mean hf://org/name\?"),
        ("xlm_roberta_tiny_languge_id", r"did you mean xlm_roberta_tiny_language_id\?"),
        ("xlm_roberta_base_mult", r"did you mean xlm_roberta_base_multi\?"),
        ("some/where/else", "check the spelling"),
        ("zzz", "check the spelling"),
    ],
)
def test_unknown_handle_suggests_what_it_resembles(handle, says):
    with pytest.raises(PresetNotFoundError, match=says):
        resolve(handle)


def test_unknown_name_of_a_stage_suggests_what_it_resembles():
    with pytest.raises(PresetNotFoundError, match=r"did you mean xlm_roberta_tiny_language_id\?"):
        names.open_named("xlm_roberta_tiny_languge_id")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architectures": ["XLMRobertaForTokenClassification"]}, "token classification is not supported"),
        ({"architectures": ["XLMRobertaForQuestionAnswering"]}, "question answering is not supported"),
        ({"architectures": ["XLMRobertaForMultipleChoice"]}, "multiple choice is not supported"),
        ({"architectures": ["XLMRobertaForCausalLM"]}, "text generation is not supported"),
        ({"architectures": ["AlbertModel"]}, "of XLMRoberta"),
        ({"architectures": ["BertModel"], "model_type": "bert"}, r"model_type 'bert' \('BertModel'\)"),
        ({"model_type": None, "auto_map": {"AutoModel": "modeling.Model"}}, "publisher's own Python code"),
        ({"model_type": "xlm-roberta-xl"}, "'xlm-roberta-xl'"),
    ],
)
def test_checkpoint_of_another_task_or_type_is_named(checkpoint, change, says):
    edit(checkpoint, **change)
    with pytest.raises(NotAPresetError, match=says) as caught:
        Preset.open(checkpoint)
    assert "use a checkpoint of XLM-R" not in str(caught.value)


def test_checkpoint_without_type_is_no_preset_of_keras_hub(checkpoint):
    """As jina's remote code models: ``auto_map`` and no ``model_type``."""
    document = {"architectures": ["Custom"], "auto_map": {"AutoModel": "modeling.Model"}, "hidden_size": 4}
    (checkpoint / "config.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(NotAPresetError, match="publisher's own Python code"):
        Preset.open(checkpoint)


@pytest.mark.parametrize("has_config", [True, False])
def test_adapter_is_to_be_merged_first(checkpoint, has_config):
    (checkpoint / "model.safetensors").unlink()
    if not has_config:
        (checkpoint / "config.json").unlink()
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "task_type": "SEQ_CLS"}
    (checkpoint / "adapter_config.json").write_text(json.dumps(adapter), "utf-8")
    call = r"AutoModelForSequenceClassification\.from_pretrained\('org/base'.*merge_and_unload\(\)"
    with pytest.raises(NotAPresetError, match=rf"adapter \(LORA\) of 'org/base'.*merge it first: .*{call}"):
        Preset.open(checkpoint)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("tf_model.h5", "from_tf=True"),
        ("flax_model.msgpack", "from_flax=True"),
        ("onnx/model.onnx", "loadSavedModel"),
        ("openvino/openvino_model.xml", "loadSavedModel"),
    ],
)
def test_weights_of_another_framework_are_to_be_converted(checkpoint, file, says):
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / file).parent.mkdir(exist_ok=True)
    (checkpoint / file).write_bytes(b"weights")
    with pytest.raises(NotAPresetError, match=says):
        Preset.open(checkpoint)


def test_checkpoint_without_tokenizer_names_what_to_copy(checkpoint):
    (checkpoint / "sentencepiece.bpe.model").unlink()
    with pytest.raises(NotAPresetError, match=r"copy the SentencePiece model or tokenizer\.json"):
        Preset.open(checkpoint).text_tokenizer()


def test_classes_of_one_name_are_refused_wherever_they_are(checkpoint, fixtures, tmp_path):
    edit(checkpoint, id2label={"0": "A", "1": "B", "2": "A", "3": "C"})
    with pytest.raises(NotAPresetError, match=r"id2label of .*config\.json gives .* \[0, 2\] .*\(A\)"):
        Preset.open(checkpoint)
    folder = shutil.copytree(fixtures / "keras_hub/xlmr_text_classifier", tmp_path / "preset")
    task = json.loads((folder / "task.json").read_text("utf-8"))
    names_of_classes = ["same"] * task["config"]["num_classes"]
    (folder / "task.json").write_text(json.dumps({**task, "classes": names_of_classes}), "utf-8")
    with pytest.raises(NotAPresetError, match=r"`classes` of .*task\.json"):
        Preset.open(folder)
    check_labels(["a", "b"], "")


@pytest.mark.parametrize("name", KERAS_NLP)
def test_preset_of_keras_nlp_is_read_as_keras_hubs(name, fixtures, tmp_path):
    source = fixtures / "keras_hub" / name
    folder = shutil.copytree(source, tmp_path / "preset")
    family, snake = KERAS_NLP[name]
    for path in folder.glob("*.json"):
        text = path.read_text("utf-8").replace("keras_hub", "keras_nlp")
        text = text.replace(f"{family}TextClassifierPreprocessor", f"{family}Preprocessor")
        text = text.replace(f"{family}TextClassifier", f"{family}Classifier")
        path.write_text(text.replace(f"{snake}_text_classifier", f"{snake}_classifier"), "utf-8")
    assert f"keras_nlp>{family}Classifier" in (folder / "task.json").read_text("utf-8")
    old, new = Preset.open(folder), Preset.open(source)
    assert (old.config, old.task, old.labels) == (new.config, new.task, new.labels)
    assert (old.sequence_length, old.truncate) == (new.sequence_length, new.truncate)
    weights = new.weights()
    assert all(np.array_equal(array, weights[key]) for key, array in old.weights().items())
    assert old.text_tokenizer().encode(["a text"]) == new.text_tokenizer().encode(["a text"])
