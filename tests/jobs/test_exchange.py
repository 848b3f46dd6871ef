"""The exchange of a result for an earlier one, stopped at every step, and what the next run makes of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from sparkxlmr.errors import OutputError
from sparkxlmr.jobs.exchange import Placed, check_output, recover, replacing
from sparkxlmr.jobs.preflight import recover_claimed
from sparkxlmr.jobs.stores import LocalStore


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of the process runs after it."""


class DyingStore(LocalStore):
    """A file system that the process is killed at: the operation of a number, counted over those that change
    something, is the first that does not happen."""

    def __init__(self, n_left: int) -> None:
        self.n_left = n_left

    def _live(self) -> None:
        self.n_left -= 1
        if self.n_left < 0:
            raise KilledError

    def rename(self, source: str, target: str) -> None:
        self._live()
        super().rename(source, target)

    def delete(self, path: str) -> None:
        self._live()
        super().delete(path)

    def exists(self, path: str) -> bool:
        if self.n_left < 0:
            raise KilledError
        return super().exists(path)


def result(folder: Path, content: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "part-0").write_text(content)
    (folder / "_SUCCESS").touch()


def run(store: LocalStore, out: Path, content: str, *, overwrite: bool = True) -> Placed:
    placed = Placed()
    with replacing(store, str(out), overwrite, placed) as unfinished:
        result(Path(unfinished), content)
    return placed


def content(folder: Path) -> dict[str, str]:
    """What is in a folder, hidden names too, with the content of each result."""
    return {path.name: (path / "part-0").read_text() for path in folder.iterdir() if path.is_dir()}


@pytest.mark.parametrize("n_left", range(5))
@pytest.mark.parametrize("existing", [True, False])
def test_recover_leaves_one_whole_result_wherever_the_process_was_killed(tmp_path, n_left, existing):
    out = tmp_path / "out"
    if existing:
        result(out, "old")
    store = DyingStore(n_left)
    killed = False
    try:
        run(store, out, "new")
    except KilledError:
        killed = True
    assert killed == (n_left < (4 if existing else 3))
    lines = recover_claimed(LocalStore(), str(out))
    found = content(tmp_path)
    if not existing and n_left == 0:
        assert found == {}
    else:
        assert set(found) == {"out"}
        assert found["out"] == ("old" if existing and n_left == 0 else "new")
    assert recover(LocalStore(), str(out)) == []
    if killed and existing and n_left == 1:  # between the two renames
        assert lines == [
            f"A run was killed while its complete result replaced {out}: the new result is there now."
        ]


def test_recover_restores_the_earlier_result_where_the_new_one_is_not_whole(tmp_path):
    result(tmp_path / ".out.0123abcd.replaced", "old")
    (tmp_path / ".out.0123abcd.unfinished").mkdir()
    assert "earlier result" in recover(LocalStore(), str(tmp_path / "out"))[0]
    assert content(tmp_path) == {"out": "old"}


def test_recover_keeps_everything_where_something_else_was_put_since(tmp_path):
    for name in (".out.0123abcd.replaced", ".out.0123abcd.unfinished", "out"):
        result(tmp_path / name, name)
    assert "remove them if not needed" in recover(LocalStore(), str(tmp_path / "out"))[0]
    assert len(content(tmp_path)) == 3


def test_recover_touches_no_other_output(tmp_path):
    for name in (".outer.0123abcd.replaced", ".out.x.replaced", ".out.0123abcd.replaced.bak"):
        result(tmp_path / name, name)
    assert recover(LocalStore(), str(tmp_path / "out")) == []
    assert len(content(tmp_path)) == 3


@pytest.mark.parametrize("name", ["out", "out 10:00.csv", "a[1].csv"])
def test_replacing_leaves_the_result_only(tmp_path, name):
    out = tmp_path / name
    assert run(LocalStore(), out, "one").done
    assert run(LocalStore(), out, "two").done
    assert content(tmp_path) == {name: "two"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_replacing_refuses_a_second_process_at_once(tmp_path):
    out = tmp_path / "out"
    with replacing(LocalStore(), str(out), True, Placed()) as unfinished:
        result(Path(unfinished), "first")
        with pytest.raises(OutputError, match="Another process is writing"):
            run(LocalStore(), out, "second")
    assert content(tmp_path) == {"out": "first"}


def test_replacing_refuses_a_result_that_appeared_since(tmp_path):
    result(tmp_path / "out", "other")
    with pytest.raises(OutputError, match="exists already"):
        run(LocalStore(), tmp_path / "out", "mine", overwrite=False)
    assert content(tmp_path) == {"out": "other"}


class UnlockedStore(LocalStore):
    """A file system without locks, as Hadoop's."""

    exclusive = False
    claim = lambda self, path: pytest.MonkeyPatch.context()  # noqa: E731


def test_replacing_without_locks_keeps_both_results(tmp_path):
    out = tmp_path / "out"

    def write_while_another_finishes() -> None:
        with replacing(UnlockedStore(), str(out), False, Placed()) as unfinished:
            result(Path(unfinished), "mine")
            result(out, "other")

    with pytest.raises(OutputError, match=r"written by another process.*\.unfinished: rename that folder"):
        write_while_another_finishes()
    assert sorted(content(tmp_path).values()) == ["mine", "other"]
    # It may be the folder of a running process: only its owner removes it.
    assert recover(UnlockedStore(), str(out)) == []


@pytest.mark.parametrize("recent", [".out.0123abcd.unfinished", ".out.0123abcd.unfinished/_SUCCESS"])
def test_recover_without_locks_leaves_recent_exchange_alone(tmp_path, recent):
    old, new = (tmp_path / f".out.0123abcd.{kind}" for kind in ("replaced", "unfinished"))
    result(old, "old")
    result(new, "new")
    for path in (new / "_SUCCESS", new, old):
        os.utime(path, (0, 0))
    os.utime(tmp_path / recent)
    before = content(tmp_path)
    (line,) = recover(UnlockedStore(), str(tmp_path / "out"))
    assert "is 15 minutes old" in line
    assert content(tmp_path) == before
    os.utime(tmp_path / recent, (0, 0))
    assert "the new result is there now" in recover(UnlockedStore(), str(tmp_path / "out"))[0]
    assert content(tmp_path) == {"out": "new"}


def test_a_failed_block_leaves_the_earlier_result(tmp_path):
    result(tmp_path / "out", "old")
    with pytest.raises(ZeroDivisionError), replacing(LocalStore(), str(tmp_path / "out"), True, Placed()):
        raise ZeroDivisionError
    assert content(tmp_path) == {"out": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_check_output_refuses_a_folder_of_other_things(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match="other things"):
        check_output(LocalStore(), str(tmp_path), True)


def _die_between_the_renames(out: str) -> None:
    store = LocalStore()
    real = store.rename

    def rename(source: str, target: str) -> None:
        if source.endswith(".unfinished"):
            signal.raise_signal(signal.SIGKILL)
        real(source, target)

    store.rename = rename  # type: ignore[method-assign]
    run(store, Path(out), "new")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the signal is POSIX's")
def test_a_process_killed_between_the_renames_frees_its_lock(tmp_path):
    out = tmp_path / "out"
    result(out, "old")
    child = multiprocessing.get_context("spawn").Process(target=_die_between_the_renames, args=(str(out),))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not out.exists()
    assert recover_claimed(LocalStore(), str(out))
    assert content(tmp_path) == {"out": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
