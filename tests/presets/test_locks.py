"""One process at a time, and no lock that outlives its holder."""

from __future__ import annotations

import subprocess
import sys

from sparkxlmr.presets.locks import locked


def test_a_lock_outlives_no_crash(tmp_path):
    """A process that is killed while it holds the lock leaves it free."""
    code = "import os, sys\nfrom sparkxlmr.presets.locks import locked\n"
    code += "with locked(sys.argv[1]):\n    print('held', flush=True)\n    os.kill(os.getpid(), 9)\n"
    crashed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert crashed.stdout == b"held\n"
    assert crashed.returncode != 0
    with locked(tmp_path / "lock"):
        pass
