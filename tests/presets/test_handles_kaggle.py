"""``kaggle://`` and keras-hub's own names, by kagglehub from a server that stands in for Kaggle."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import sys
import traceback

import pytest

from sparkxlmr.errors import EnvironmentNotReadyError, NotAPresetError, PresetNotFoundError
from sparkxlmr.presets import hub_download, hub_names
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.preset import Preset

HANDLE = "kaggle://org/xlm_roberta/keras/tiny"
SECRET, SIGNATURE = "averysecretkey", "X-Goog-Signature=0123456789abcdef"
FILES = [
    "assets/tokenizer/vocabulary.spm",
    "config.json",
    "metadata.json",
    "model.weights.h5",
    "preprocessor.json",
    "task.json",
    "task.weights.h5",
    "tokenizer.json",
]


class Models:
    """What Kaggle holds, as a handler of its requests."""

    def __init__(self, answer, folder):
        self.answer = answer
        self.files = {name: (folder / name).read_bytes() for name in FILES}
        self.newest = 3
        self.status = 200
        self.port = 0
        self.asked = []

    def __call__(self, request):
        if request.path.startswith("/api/v1/models.ModelApiService/"):
            return self.call(request.path.rpartition("/")[2], json.loads(request.body))
        if request.path.startswith("/bucket/"):
            data = self.files[request.path.partition("?")[0].removeprefix("/bucket/")]
            md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
            headers = {"x-goog-hash": f"md5={md5}", "Content-Type": "application/octet-stream"}
            return self.answer(200, data, headers, ranged=True)
        return self.answer(404)

    def call(self, method, asked):
        place = "/".join(asked[key] for key in ("ownerSlug", "modelSlug", "framework", "instanceSlug"))
        self.asked.append((method, place, asked.get("versionNumber"), asked.get("path")))
        answered = {"Content-Type": "application/json"}
        if self.status != 200:
            return self.answer(self.status, b"{}", answered)
        if method == "GetModelInstance":
            return self.answer(200, json.dumps({"versionNumber": self.newest}).encode(), answered)
        if asked["path"] not in self.files:
            return self.answer(404, b"{}", answered)
        location = f"http://localhost:{self.port}/bucket/{asked['path']}?{SIGNATURE}"
        return self.answer(302, b"", {"Location": location})


@pytest.fixture
def models(answer, fixtures):
    return Models(answer, fixtures / "keras_hub" / "xlmr_text_classifier")


@pytest.fixture
def hub(start_hub, models, cache, monkeypatch, tmp_path):
    from kagglehub import clients
    from kagglesdk import kaggle_env

    hub = start_hub(models)
    models.port = hub.port
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, hub.url)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    # It looks through the whole call stack, which is deep here, for each file.
    monkeypatch.setattr(clients, "get_user_agent", lambda: "kagglehub")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    return hub


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_model_is_opened_file_by_file(hub, models, fixtures, cache, capsys, caplog):
    before = dict(os.environ)
    with caplog.at_level(logging.DEBUG):
        preset = Preset.open(f"{HANDLE}/2")
    assert preset.config == Preset.open(fixtures / "keras_hub" / "xlmr_text_classifier").config
    assert preset.path == cache / "kaggle" / "org/xlm_roberta/keras/tiny/2" / "tiny"
    assert names(preset.path) == FILES
    assert names(preset.path.parent) == [f"tiny/{name}" for name in FILES]
    # Neither a listing nor an archive of the model was asked for.
    assert {method for method, *_ in models.asked} == {"DownloadModelInstanceVersion"}
    assert all(path for *_, path in models.asked)
    assert dict(os.environ) == before
    assert capsys.readouterr().out == ""
    assert SIGNATURE not in caplog.text
    assert SECRET not in caplog.text


def test_a_version_is_fetched_once_and_the_newest_is_asked_for(hub, models):
    pinned = resolve(f"{HANDLE}/3")
    n_requests = len(hub.requests)
    assert resolve(f"{HANDLE}/3") == pinned
    assert len(hub.requests) == n_requests
    assert resolve(HANDLE) == pinned
    models.newest = 4
    models.files["config.json"] += b"\n"
    newer = resolve(HANDLE)
    assert newer.parent.name == "4"
    assert (newer / "config.json").read_bytes() == (pinned / "config.json").read_bytes() + b"\n"


@pytest.mark.parametrize("name", sorted(hub_names.KERAS_HUB))
def test_a_name_of_keras_hub_is_its_model_of_kaggle(hub, models, name):
    folder = resolve(name)
    assert folder.name == name
    (place,) = {place for _, place, _, _ in models.asked}
    (version,) = {version for _, _, version, _ in models.asked}
    owner, model, framework, variation = place.split("/")
    assert hub_names.KERAS_HUB[name] == f"kaggle://{owner}/{model}/keras/{variation}/{version}"
    assert (owner, variation, framework.lower().rpartition("_")[2]) == ("keras", name, "keras")


def test_a_broken_download_goes_on_where_it_stopped(hub, models, monkeypatch):
    monkeypatch.setattr(hub_download, "_PAUSES", ())
    size = len(models.files["model.weights.h5"])
    # kagglehub writes a MiB at a time, and asks once for a file's size before it goes on with it.
    hub.cuts["/bucket/model.weights.h5"] = [1_200_000, 0, 0]
    with pytest.raises(EnvironmentNotReadyError, match="cannot be fetched") as caught:
        resolve(f"{HANDLE}/3")
    told = "".join(traceback.format_exception(caught.value))
    assert SIGNATURE not in told
    assert SECRET not in told
    n_requests, n_asked = len(hub.requests), len(models.asked)
    folder = resolve(f"{HANDLE}/3")
    assert names(folder) == FILES
    assert (folder / "model.weights.h5").read_bytes() == models.files["model.weights.h5"]
    resumed = [r for r in hub.requests[n_requests:] if r.path.startswith("/bucket/model.weights.h5")]
    assert (resumed[-1].start, resumed[-1].sent) == (2**20, size - 2**20)
    # Of what was there before, nothing is asked for again; what was missing is.
    assert {path for *_, path in models.asked[n_asked:]} == {"model.weights.h5"}


@pytest.mark.parametrize(
    ("handle", "status", "error", "says"),
    [
        (HANDLE, 403, EnvironmentNotReadyError, "KAGGLE_API_TOKEN"),
        (f"{HANDLE}/2", 401, EnvironmentNotReadyError, "private"),
        (f"{HANDLE}/9", 404, PresetNotFoundError, "no such model or version"),
        (HANDLE, 503, EnvironmentNotReadyError, "cannot be fetched"),
        ("kaggle://org/xlm_roberta/no_such_framework/tiny", 200, PresetNotFoundError, "no_such_framework"),
        ("kaggle://org/xlm_roberta/keras", 200, PresetNotFoundError, r"variation\[/version\]"),
        ("kaggle://org/../keras/tiny", 200, PresetNotFoundError, "names no model"),
    ],
)
def test_each_refusal_is_told_apart_without_a_secret(hub, models, handle, status, error, says):
    models.status = status
    with pytest.raises(error, match=says) as caught:
        resolve(handle)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert "\n" not in str(caught.value)


def test_an_index_cannot_name_files_elsewhere(hub, models):
    del models.files["model.weights.h5"]
    models.files["model.weights.json"] = json.dumps({"weight_map": {"a": ["../../evil.h5"]}}).encode()
    with pytest.raises(NotAPresetError, match=r"The index .* names"):
        resolve(f"{HANDLE}/3")
    shards = ["model_00000.weights.h5", "model_00001.weights.h5"]
    models.files["model.weights.json"] = json.dumps({"weight_map": {"a": shards, "b": shards[0]}}).encode()
    models.files |= dict.fromkeys(shards, b"a shard")
    assert {"model.weights.json", *shards} < set(names(resolve(f"{HANDLE}/4")))
    del models.files["model.weights.json"]
    with pytest.raises(NotAPresetError, match="no weights"):
        resolve(f"{HANDLE}/5")


def test_without_network_the_copy_serves_and_a_line_says_so(hub, caplog):
    folder = resolve(HANDLE)
    hub.stop()
    with caplog.at_level(logging.WARNING, "sparkxlmr"):
        assert resolve(HANDLE) == folder
    assert [HANDLE in record.getMessage() for record in caplog.records] == [True]
    with pytest.raises(EnvironmentNotReadyError, match="pass its path"):
        resolve("albert_base_en_uncased")


def test_without_the_package_one_line_names_it(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(EnvironmentNotReadyError, match=r'pip install "sparkxlmr\[hub\]"'):
        resolve(HANDLE)
