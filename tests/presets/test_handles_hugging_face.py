"""``hf://``: what is fetched, how often, what a break leaves, and what is said when it cannot be."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest

from sparkxlmr.errors import (
    DamagedModelError,
    EnvironmentNotReadyError,
    NotAPresetError,
    PresetNotFoundError,
    SparkxlmrError,
)
from sparkxlmr.presets import hub_download, hub_errors
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.preset import Preset

TOKEN, PASSWORD = "hf_averysecrettoken", "averysecretpassword"
SIGNATURE = "X-Amz-Signature=0123456789abcdef"
INVALID = "Invalid credentials in Authorization header"
OLD, NEW = "a" * 40, "b" * 40
MODEL = ["config.json", "model.safetensors", "sentencepiece.bpe.model"]


class Repositories:
    """What the hub holds, as a handler of its requests: large files lie at another address, signed."""

    def __init__(self, answer):
        self.answer = answer
        self.files = {}
        self.newest = OLD
        self.refusal = None
        self.tells = {}
        self.knows_ranges = True
        self.port = 0

    def __call__(self, request):
        path = request.path.partition("?")[0]
        if self.refusal is not None and self.refusal[0] in path:
            told = {"X-Error-Code": self.refusal[2], "X-Error-Message": self.refusal[2]}
            return self.answer(self.refusal[1], b"{}", told)
        if path.startswith("/api/models/org/tiny"):
            revision = path.partition("/revision/")[2]
            if revision not in ("", "main", "v1", OLD, NEW):
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            commit = revision if revision in (OLD, NEW) else self.newest
            return self.answer(
                200, json.dumps(self.listing(commit)).encode(), {"Content-Type": "application/json"}
            )
        if path.startswith("/api/"):
            return self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        file = path.partition("/resolve/")[2].partition("/")[2]
        if path.startswith("/cdn/"):
            return self.answer(200, self.files[path.removeprefix("/cdn/")], ranged=self.knows_ranges)
        if file not in self.files:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        if self.is_large(file):
            return self.answer(302, b"", {"Location": f"http://localhost:{self.port}/cdn/{file}?{SIGNATURE}"})
        return self.answer(200, self.files[file], ranged=self.knows_ranges)

    def is_large(self, file):
        return len(self.files[file]) > 100_000

    def listing(self, commit):
        siblings = []
        for name, data in self.files.items():
            entry = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if self.is_large(name):
                sha256 = self.tells.get(name, hashlib.sha256(data).hexdigest())
                entry["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 134}
            siblings.append(entry)
        return {"id": "org/tiny", "sha": commit, "siblings": siblings, "private": False, "tags": []}


@pytest.fixture
def repositories(answer, fixtures):
    held = Repositories(answer)
    folder = fixtures / "hugging_face" / "xlmr_sequence_classification"
    held.files = {name: (folder / name).read_bytes() for name in MODEL}
    return held


@pytest.fixture
def hub(start_hub, repositories, cache, monkeypatch):
    hub = start_hub(repositories)
    repositories.port = hub.port
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", f"//user:{PASSWORD}@"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def spilled(text):
    return [secret for secret in (TOKEN, PASSWORD, SIGNATURE) if secret in text]


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_repository_is_opened_and_only_what_matters_is_fetched(hub, repositories, fixtures, cache):
    for other in (
        "onnx/model.onnx",
        "flax_model.msgpack",
        "tf_model.h5",
        "pytorch_model.bin",
    ):
        repositories.files[other] = b"another copy"
    repositories.files["../../escaped.json"] = b"{}"
    repositories.files["tokenizer_config.json"] = repositories.files["tokenizer.json"] = b"{}"
    preset = Preset.open("hf://org/tiny")
    expected = Preset.open(fixtures / "hugging_face" / "xlmr_sequence_classification")
    assert preset.name == "tiny"
    assert (preset.config, preset.task, preset.labels) == (expected.config, expected.task, expected.labels)
    for name, weight in expected.weights().items():
        np.testing.assert_array_equal(preset.weights()[name], weight)
    assert preset.path == cache / "hugging_face" / "org--tiny" / OLD / "tiny"
    assert names(preset.path) == sorted([*MODEL, "tokenizer_config.json", "tokenizer.json"])
    assert not list(cache.parent.parent.rglob("escaped.json"))


def test_a_commit_is_fetched_once_and_a_branch_is_looked_after(hub, repositories, cache):
    pinned = resolve(f"hf://org/tiny@{OLD}")
    asked = len(hub.requests)
    assert resolve(f"hf://org/tiny@{OLD}") == pinned
    assert len(hub.requests) == asked
    assert resolve("hf://org/tiny") == resolve("hf://org/tiny@v1/") == pinned
    paths = [request.path.partition("?")[0] for request in hub.requests[asked:]]
    assert paths == ["/api/models/org/tiny", "/api/models/org/tiny/revision/v1"]
    repositories.newest = NEW
    repositories.files["config.json"] += b"\n"
    newer = resolve("hf://org/tiny")
    assert newer.parent.name == NEW
    assert (newer / "config.json").read_bytes() == (pinned / "config.json").read_bytes() + b"\n"


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    resolve("hf://org/tiny")
    sent = {request.path.partition("?")[0]: request.headers.get("authorization") for request in hub.requests}
    assert sent[f"/org/tiny/resolve/{OLD}/model.safetensors"] == f"Bearer {TOKEN}"
    assert sent["/cdn/model.safetensors"] is None


def test_nothing_that_is_logged_holds_a_secret(hub, caplog):
    with caplog.at_level(logging.DEBUG):
        resolve("hf://org/tiny")
    assert f"GET http://127.0.0.1:{hub.port}/org/tiny/resolve/{OLD}/config.json" in caplog.text
    assert not spilled(caplog.text)


def test_without_network_the_copy_serves_and_a_line_says_so(hub, caplog):
    folder = resolve("hf://org/tiny")
    hub.stop()
    with caplog.at_level(logging.WARNING, "sparkxlmr"):
        assert resolve("hf://org/tiny") == folder
    (record,) = caplog.records
    assert "hf://org/tiny" in record.getMessage()
    assert OLD[:12] in record.getMessage()
    assert "\n" not in record.getMessage()
    with pytest.raises(EnvironmentNotReadyError, match=r"hf://org/tiny@v1 cannot be fetched.*HF_ENDPOINT"):
        resolve("hf://org/tiny@v1")


def test_a_newer_revision_that_does_not_come_leaves_the_older_one(hub, repositories, caplog):
    folder = resolve("hf://org/tiny")
    repositories.newest, repositories.refusal = NEW, ("/resolve/", 503, "")
    with caplog.at_level(logging.WARNING, "sparkxlmr"):
        assert resolve("hf://org/tiny") == folder
    assert [OLD[:12] in record.getMessage() for record in caplog.records] == [True]
    repositories.refusal = None
    assert resolve("hf://org/tiny").parent.name == NEW


def test_offline_mode_asks_nobody(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EnvironmentNotReadyError, match="HF_HUB_OFFLINE is set"):
        resolve("hf://org/tiny")
    assert hub.requests == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = resolve("hf://org/tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(hub.requests)
    assert resolve("hf://org/tiny") == folder
    assert len(hub.requests) == asked


def test_a_hub_that_takes_the_connection_and_is_silent(hub, repositories, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(hub_errors, "PATIENCE", 0.2)
    hub.answer = lambda request: (answered.wait(10), repositories(request))[1]
    with pytest.raises(EnvironmentNotReadyError, match=r"no answer within 0\.2 seconds"):
        resolve("hf://org/tiny")
    answered.set()


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(hub, repositories, knows_ranges, monkeypatch):
    repositories.knows_ranges = knows_ranges
    size = len(repositories.files["model.safetensors"])
    hub.cuts["/cdn/model.safetensors"] = [1000, 0, 300_000]
    monkeypatch.setattr(hub_download, "_PAUSES", (0.0,))
    folder = resolve("hf://org/tiny")
    assert (folder / "model.safetensors").read_bytes() == repositories.files["model.safetensors"]
    sent = [(r.start, r.sent) for r in hub.requests if r.path.startswith("/cdn/model.safetensors")]
    if knows_ranges:
        assert sent == [(0, 1000), (1000, 0), (1000, 300_000), (301_000, size - 301_000)]


def test_a_half_fetched_model_is_no_model_and_the_next_open_ends_it(hub, repositories, cache, monkeypatch):
    size = len(repositories.files["model.safetensors"])
    hub.cuts["/cdn/model.safetensors"] = [1000, 0]
    monkeypatch.setattr(hub_download, "_PAUSES", ())
    with pytest.raises(EnvironmentNotReadyError, match="cannot be fetched") as caught:
        resolve("hf://org/tiny")
    assert not spilled("".join(traceback.format_exception(caught.value)))
    assert not (cache / "hugging_face" / "org--tiny" / OLD / "tiny").exists()
    before = len(hub.requests)
    fetching = cache / "hugging_face" / "org--tiny" / OLD / ".fetching"
    (fetching / ".nfs0001").write_text("what a file server leaves")
    folder = resolve("hf://org/tiny")
    later = hub.requests[before:]
    assert sum(request.sent for request in later if "/model.safetensors" in request.path) == size - 1000
    assert not [request for request in later if "config.json" in request.path]
    assert names(folder) == MODEL
    assert names(folder.parent) == [f"tiny/{name}" for name in MODEL]


def test_two_processes_fetch_it_once(hub, repositories):
    code = "import sys; from sparkxlmr.presets.handles import resolve; print(resolve(sys.argv[1]))"
    command = [sys.executable, "-c", code, "hf://org/tiny"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(answers) == 1
    assert [len(hub.asked_for(f"/resolve/{OLD}/{name}")) for name in MODEL] == [1, 1, 1]


@pytest.mark.parametrize(
    ("handle", "refusal", "error", "says"),
    [
        ("hf://org/none", None, PresetNotFoundError, "no such repository, or a private one"),
        ("hf://org/tiny@v9", None, PresetNotFoundError, "no revision 'v9'"),
        ("hf://org/tiny", ("/resolve/", 403, "GatedRepo"), EnvironmentNotReadyError, "agreement"),
        ("hf://org/tiny", ("/resolve/", 401, "GatedRepo"), EnvironmentNotReadyError, "agreement"),
        ("hf://org/tiny", ("/api/", 401, ""), PresetNotFoundError, "private"),
        ("hf://org/tiny", ("/api/", 401, INVALID), EnvironmentNotReadyError, "does not know the token"),
        ("hf://org/tiny", ("/api/", 503, ""), EnvironmentNotReadyError, "cannot be fetched"),
        ("hf://org/tiny/more", None, PresetNotFoundError, r"hf://org/name\[@revision\]"),
        ("hf://../tiny", None, PresetNotFoundError, "names no repository"),
        ("hf://org--tiny", None, PresetNotFoundError, "Cannot have -- or"),
    ],
)
def test_each_refusal_is_told_apart_without_a_secret(hub, repositories, handle, refusal, error, says):
    repositories.refusal = refusal
    with pytest.raises(error, match=says) as caught:
        resolve(handle)
    assert not spilled("".join(traceback.format_exception(caught.value)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shard", ["../../escaped.safetensors", "/tmp/escaped.safetensors", "a\\b.safetensors", ""]
)
def test_an_index_cannot_name_files_elsewhere(hub, repositories, shard, cache):
    del repositories.files["model.safetensors"]
    repositories.files["model.safetensors.index.json"] = json.dumps({"weight_map": {"a": shard}}).encode()
    repositories.files[shard] = b"evil"
    with pytest.raises(NotAPresetError, match=r"The index .* names"):
        resolve("hf://org/tiny")
    assert not [request for request in hub.requests if "escaped" in request.path]


def test_shards_are_fetched_and_a_pickle_only_where_nothing_else_is(hub, repositories):
    data = repositories.files.pop("model.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    repositories.files["pytorch_model.bin"] = data
    assert names(resolve(f"hf://org/tiny@{OLD}"))[1] == "pytorch_model.bin"
    repositories.files["model.safetensors.index.json"] = json.dumps(index).encode()
    with pytest.raises(DamagedModelError, match="model-00001"):
        resolve(f"hf://org/tiny@{NEW}")
    repositories.files |= dict.fromkeys(index["weight_map"].values(), b"a shard")
    folder = resolve(f"hf://org/tiny@{NEW}")
    assert names(folder)[1:4] == [*sorted(index["weight_map"].values()), "model.safetensors.index.json"]


def test_what_came_is_what_the_hub_told(hub, repositories):
    repositories.tells["model.safetensors"] = "0" * 64
    with pytest.raises(DamagedModelError, match="sha256"):
        resolve("hf://org/tiny")
    repositories.tells.clear()
    hub.cuts.clear()
    assert (resolve("hf://org/tiny") / "model.safetensors").read_bytes() == repositories.files[
        "model.safetensors"
    ]


def test_a_repository_without_a_model(hub, repositories):
    del repositories.files["model.safetensors"]
    with pytest.raises(NotAPresetError, match=r"no weights.* from_tf=True"):
        resolve("hf://org/tiny")
    config = repositories.files.pop("config.json")
    with pytest.raises(NotAPresetError, match=r"config\.json"):
        resolve(f"hf://org/tiny@{NEW}")
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "task_type": "SEQ_CLS"}
    repositories.files["adapter_config.json"] = json.dumps(adapter).encode()
    for files in ({}, {"config.json": config}):
        repositories.files |= files
        with pytest.raises(NotAPresetError, match=r"adapter \(LORA\) of 'org/base'.*merge_and_unload"):
            resolve(f"hf://org/tiny@{NEW}")


def test_without_the_package_one_line_names_it_and_the_cache_still_serves(hub, monkeypatch):
    folder = resolve(f"hf://org/tiny@{OLD}")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert resolve(f"hf://org/tiny@{OLD}") == folder
    with pytest.raises(EnvironmentNotReadyError, match=r'pip install "sparkxlmr\[hub\]"'):
        resolve("hf://org/tiny")


def test_a_disk_that_is_full_is_named(hub, cache):
    cache.mkdir(parents=True)
    (cache / "hugging_face").write_text("in the way")
    with pytest.raises(SparkxlmrError, match="SPARKXLMR_HOME"):
        resolve("hf://org/tiny")
