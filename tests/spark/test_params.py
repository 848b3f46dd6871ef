"""One declaration makes Param, setter and getter."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from pyspark import cloudpickle
from pyspark.ml import Transformer
from pyspark.ml.param import Param

from sparkxlmr.errors import SettingError
from sparkxlmr.spark.params import Settings, param


class Oven(Settings, Transformer):
    """A stage with a setting of every kind."""

    name = param("What it is called.", str)
    mode = param("How it heats.", str, "upper", choices=("upper", "lower"))
    heat = param("Degrees.", int, 180, minimum=20, maximum=300)
    salt = param("A share.", float, 0.5)
    fan = param("Whether air moves.", bool, False)
    trays = param("What is on.", list, ["one"])
    even = param("An even number.", int, 2, check=lambda v: None if v % 2 == 0 else "an even number")

    def setName(self, value: str) -> Oven:
        """A hand-written setter wins."""
        return self._put("name", value.upper())

    def _transform(self, df):
        return df


class SmallOven(Oven):
    heat = Oven.heat.but(default=100, maximum=150)


def test_declared():
    oven = Oven()
    assert isinstance(Oven.heat, Param)
    assert oven.heat.parent == oven.uid
    assert [p.name for p in oven.params] == sorted(["name", "mode", "heat", "salt", "fan", "trays", "even"])
    assert "Degrees. (default: 180)" in oven.explainParams()
    assert "Degrees." in Oven.setHeat.__doc__
    assert Oven.getHeat.__qualname__ == "Oven.getHeat"


def test_set_and_get():
    oven = Oven().setHeat(200).setName("big").setTrays("a", "b").setFan(np.bool_(True)).setMode(" LOWER ")
    assert (oven.getHeat(), oven.getName(), oven.getTrays(), oven.getFan()) == (200, "BIG", ["a", "b"], True)
    assert oven.getMode() == "lower"
    assert oven.getOrDefault(oven.heat) == 200
    assert Oven().getName() is None
    assert Oven().setTrays(["a"]).getTrays() == Oven().setTrays("a").getTrays() == ["a"]
    assert Oven().setTrays(("a", "b")).getTrays() == ["a", "b"]
    assert Oven().setHeat(np.int64(30)).getHeat() == 30
    assert type(Oven().setHeat(30.0).getHeat()) is int
    assert Oven().setSalt(1).getSalt() == 1.0


def test_keywords():
    oven = Oven(heat=90, name="x", salt=None)
    assert (oven.getHeat(), oven.getName(), oven.isSet(oven.salt)) == (90, "X", False)
    with pytest.raises(SettingError, match=r"Oven has no setting 'colour'.*heat"):
        Oven(colour="red")


@pytest.mark.parametrize(
    ("setter", "value", "expected"),
    [
        ("setHeat", 301, "Oven: heat is 301. Expected a whole number from 20 to 300. .*setHeat"),
        ("setHeat", 20.5, "whole number"),
        ("setHeat", True, "whole number"),
        ("setHeat", "hot", "heat is 'hot'"),
        ("setMode", "grill", "mode is 'grill'. Expected one of 'upper', 'lower'"),
        ("setMode", 1, "one of"),
        ("setSalt", float("nan"), "a number"),
        ("setFan", 1, "True or False"),
        ("setTrays", [1], "a list of strings"),
        ("setEven", 3, "an even number"),
        ("setHeat", None, r"clear\(stage.heat\)"),
    ],
)
def test_refused_on_the_driver(setter, value, expected):
    with pytest.raises(SettingError, match=expected):
        getattr(Oven(), setter)(value)


def test_refused_whichever_way_it_comes():
    oven = Oven()
    for way in (lambda: oven.set(oven.heat, 0), lambda: oven.copy({oven.heat: 0}), lambda: oven._set(heat=0)):
        with pytest.raises(SettingError, match="Oven: heat is 0"):
            way()
    with pytest.raises(ValueError, match="does not belong"):
        oven.set(Oven().heat, 30)


def test_copies_are_their_own():
    oven = Oven(trays=["a"])
    other = oven.copy({oven.heat: 50})
    assert (other.getHeat(), oven.getHeat(), other.uid) == (50, 180, oven.uid)
    oven.getTrays().append("b")
    assert oven.getTrays() == ["a"]
    assert Oven().getTrays() is not Oven().getTrays()
    assert copy.copy(oven).getTrays() == ["a"]
    assert pickle.loads(cloudpickle.dumps(oven)).getTrays() == ["a"]


def test_subclass_with_another_default():
    small = SmallOven()
    assert (small.getHeat(), Oven().getHeat(), small.getSalt()) == (100, 180, 0.5)
    with pytest.raises(SettingError, match="SmallOven: heat is 200"):
        small.setHeat(200)


def test_required():
    with pytest.raises(SettingError, match=r"Oven: name is not set.*setName"):
        Oven().required("name")


def test_new_uid():
    oven = Oven(heat=90)
    oven._resetUid("Oven_of_before")
    assert (oven.heat.parent, oven.getHeat(), oven.getSalt()) == ("Oven_of_before", 90, 0.5)
