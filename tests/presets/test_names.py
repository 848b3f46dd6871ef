"""Models found by name: built in, in a folder of models, below a URL; and what is said where none is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import pytest

from sparkxlmr.errors import PresetNotFoundError
from sparkxlmr.presets import builtin, hub_names
from sparkxlmr.presets.names import find, open_named
from sparkxlmr.presets.saved_graph import SavedGraph

CARDS = "xlm_roberta_base_sequence_classifier_ag_news"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def put(folder: Path, source: Path) -> Path:
    shutil.copytree(source, folder)
    return folder


def test_a_name_is_looked_for_in_the_places_in_their_order(home, tmp_path, tiny_preset, fixtures):
    first, second = str(tmp_path / "first"), f"{tmp_path}/second"
    order = [
        put(home / "models" / CARDS, tiny_preset),
        put(home / CARDS, fixtures / "spark_nlp/models/xlmr_onnx"),
        put(Path(second) / CARDS, tiny_preset),
        put(Path(first) / CARDS, tiny_preset),
    ]
    # A place without a model of that name is passed over, be it a folder of something else or not there.
    (Path(first) / "other").mkdir()
    (tmp_path / "empty" / CARDS).mkdir(parents=True)
    places = [str(tmp_path / "nowhere"), str(tmp_path / "empty"), first, second]
    for folder in reversed(order):
        opened = open_named(CARDS, places)
        assert opened.path == folder
        assert isinstance(opened, SavedGraph) is (folder == home / CARDS)
        shutil.rmtree(folder)
    assert find(CARDS, places) is None


def test_what_is_built_in_is_never_shadowed_and_paths_are_not_names(home, tmp_path, tiny_preset, monkeypatch):
    name = builtin.names()[0]
    put(home / name, tiny_preset)
    assert open_named(name).path == builtin.locate(name)
    put(home / "mine", tiny_preset)
    put(tmp_path / "work" / "mine", tiny_preset)
    monkeypatch.chdir(tmp_path / "work")
    assert open_named("mine").path == home / "mine"
    assert open_named("./mine").path.samefile(tmp_path / "work" / "mine")
    assert open_named(Path("mine")).path.samefile(tmp_path / "work" / "mine")
    put(tmp_path / "work" / "outside", tiny_preset)
    with pytest.raises(PresetNotFoundError):
        open_named("../outside", [str(tmp_path / "work" / "mine")])


def test_a_name_of_keras_hub_is_found_in_a_folder_without_network(home, tiny_preset):
    put(home / "models" / "xlm_roberta_base_multi", tiny_preset)
    assert open_named("xlm_roberta_base_multi").path == home / "models" / "xlm_roberta_base_multi"


def test_a_place_may_be_a_url(home, tiny_preset, tmp_path):
    storage = fsspec.filesystem("memory")
    storage.put(str(tiny_preset) + "/", "/names/team/tiny_one", recursive=True)
    try:
        opened = open_named("tiny_one", [str(tmp_path), "memory://names/team/"])
        assert opened.path.is_relative_to(home / "hub")
        assert opened.labels == ("World", "Sports", "Business", "Sci/Tech")
        with pytest.raises(PresetNotFoundError, match="memory://names/team"):
            open_named("tiny_two", ["memory://names/team"])
    finally:
        storage.rm("/names", recursive=True)


def test_a_missing_model_of_spark_nlps_is_told_in_one_line_how_to_get(home, tmp_path):
    with pytest.raises(PresetNotFoundError) as error:
        open_named(CARDS, [str(tmp_path / "team")])
    said = str(error.value)
    assert "\n" not in said
    for part in (CARDS, str(tmp_path / "team"), str(home / "models"), "examples/ag_news_xlmr_base.py",
                 "SPARKXLMR_HOME", "spark.sparkxlmr.models"):  # fmt: skip
        assert part in said
    with pytest.raises(PresetNotFoundError, match="hf://FacebookAI/xlm-roberta-base"):
        open_named("sent_xlm_roberta_base")
    with pytest.raises(PresetNotFoundError, match="check the spelling"):
        open_named("xlm_roberta_bass")


def test_what_the_table_of_names_speaks_of_is_there():
    root = Path(hub_names.__file__).parents[2]
    table = json.loads((root / "sparkxlmr/presets/names.json").read_text(encoding="utf-8"))
    assert table == {"keras_hub": hub_names.KERAS_HUB, "spark_nlp": hub_names.SPARK_NLP}
    words = {word.strip("(),;") for line in hub_names.SPARK_NLP.values() for word in line.split()}
    told = {word for word in words if word.startswith(("docs/", "examples/"))}
    assert told
    assert all((root / word).is_file() for word in told)
    models = {word for word in words if "_tiny_" in word}
    assert models
    assert models <= set(builtin.names())
