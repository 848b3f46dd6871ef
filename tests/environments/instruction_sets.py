"""The tests that depend on the CPU, as on CPUs with fewer instruction sets than this one.

    python tests/environments/instruction_sets.py [avx2 avx512 vnni bfloat16 all]

Each level runs with ``cpu_features.c`` preloaded, which hides the rest from CPUID, and with a copy of
``/proc/cpuinfo`` without their flags. What each engine then reports is printed and checked first. Levels that
this machine cannot imitate are skipped, and printed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: the tests whose results depend on the CPU: engines, precisions, recorded logits, masks, int8
TESTS = (
    "tests/models/test_golden.py",
    "tests/models/test_masked_lm.py",
    "tests/runtime/test_devices.py",
    "tests/runtime/test_embedder.py",
    "tests/runtime/test_engines.py",
    "tests/runtime/test_int8.py",
    "tests/runtime/test_keras_engine.py",
    "tests/runtime/test_mask_filler.py",
    "tests/runtime/test_openvino_graph.py",
    "tests/runtime/test_precision_choice.py",
    "tests/runtime/test_predictor.py",
)
# What choices of precision and int8 depend on; the smallest set of instructions runs all of the above.
PRECISION_TESTS = (
    "tests/runtime/test_devices.py",
    "tests/runtime/test_engines.py",
    "tests/runtime/test_int8.py",
    "tests/runtime/test_openvino_graph.py",
    "tests/runtime/test_precision_choice.py",
)
_SPREAD = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")
_BF16, _FP16, _AMX = "avx512_bf16", "avx512_fp16", r"amx_\w+"


@dataclass(frozen=True)
class Level:
    """The CPU that a level imitates.

    Attributes:
        needs: the flag of ``/proc/cpuinfo`` that this machine must have.
        hidden: flags that are taken out, as a regular expression.
        one_dnn: what oneDNN calls the level.
    """

    needs: str
    hidden: str
    one_dnn: str


LEVELS = {
    "avx2": Level("avx2", rf"avx512\w*|avx_vnni|{_AMX}", "Intel AVX2"),
    "avx512": Level("avx512bw", rf"avx512_vnni|avx_vnni|{_BF16}|{_FP16}|{_AMX}", "AVX512DQ extensions"),
    "vnni": Level("avx512_vnni", rf"{_BF16}|{_FP16}|{_AMX}", "AVX-512 with Intel DL Boost"),
    "bfloat16": Level(_BF16, rf"{_FP16}|{_AMX}", "AVX-512 with Intel DL Boost and bfloat16 support"),
    # AMX, where there is one: nothing is hidden.
    "all": Level("amx_bf16", r"(?!)", ""),
}

# What the engines themselves report: oneDNN within OpenVINO and TensorFlow, OpenVINO, NumPy, this package.
REPORT = """
import json, sys
import numpy as np
if sys.argv[1] == "tensorflow":
    import tensorflow as tf
    tf.matmul(tf.ones((64, 64)), tf.ones((64, 64)))
else:
    import openvino as ov
    from openvino import opset13 as op
    from numpy._core._multiarray_umath import __cpu_features__ as numpy_features
    from sparkxlmr.runtime import devices
    x = op.parameter([-1, 64], np.float32)
    product = op.matmul(x, op.constant(np.ones((64, 64), np.float32)), False, False)
    ov.compile_model(ov.Model([product], [x]), "CPU")(np.ones((4, 64), np.float32))
    print(json.dumps({
        "openvino_bfloat16": "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        "numpy_avx512": bool(numpy_features["AVX512F"]),
        "bfloat16": devices.cpu_has_bfloat16(),
        "int8": devices.cpu_has_int8(),
    }))
"""


def flags() -> set[str]:
    """The flags of this machine's first CPU; none where Linux does not list them."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"^flags\s*:(.*)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return set(found[1].split()) if found else set()


def build_library(folder: Path) -> Path | None:
    """The library that hides instruction sets; None where nothing compiles it here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "cpu_features.so"
    source = Path(__file__).with_name("cpu_features.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def environment_of(name: str, folder: Path, library: Path | None) -> dict[str, str]:
    """The environment of processes that are to see the CPU of that level."""
    base = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    if name == "all" or library is None:
        return base
    cpuinfo = folder / f"cpuinfo-{name}"
    level = LEVELS[name]
    cpuinfo.write_text(re.sub(rf"\b(?:{level.hidden})\b", "", Path("/proc/cpuinfo").read_text()))
    return {**base, "CPU_LEVEL": name, "LD_PRELOAD": str(library), "SPARKXLMR_CPUINFO": str(cpuinfo)}


def check_level(name: str, python: Path | str, environment: dict[str, str]) -> None:
    """Print what the engines report; ends the program where one of them still sees more."""
    for engine in ("openvino", "tensorflow"):
        done = subprocess.run(
            [python, "-c", REPORT, engine],
            env={**environment, "ONEDNN_VERBOSE": "1"},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{name}: {engine} ended with {done.returncode}\n{done.stderr[-2000:]}")
        shown = re.findall(r"cpu,isa:(.*)", done.stdout + done.stderr)
        reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        print(f"   {engine}: oneDNN {shown}", *reports, flush=True)
        wrong = [isa for isa in shown if not isa.strip().endswith(LEVELS[name].one_dnn)]
        wrong += [report for report in reports if report != {**report, **expected_report(name)}]
        if wrong or not (shown or reports):
            sys.exit(f"{name}: {engine} reports {wrong or 'nothing'}, expected {LEVELS[name].one_dnn!r}")


def expected_report(name: str) -> dict[str, bool]:
    """What OpenVINO, NumPy and this package are to report on that level."""
    bfloat16 = name in ("bfloat16", "all")
    return {
        "openvino_bfloat16": bfloat16,
        "numpy_avx512": name != "avx2",
        "bfloat16": bfloat16,
        "int8": bfloat16 or name == "vnni",
    }


def can_hide(library: Path | None) -> bool:
    """Whether this machine lets CPUID fault."""
    if library is None:
        return False
    environment = {**os.environ, "CPU_LEVEL": "avx2", "LD_PRELOAD": str(library)}
    return subprocess.run(["/bin/true"], env=environment, check=False).returncode == 0


def main(python: Path | str = sys.executable, names: tuple[str, ...] = ()) -> None:
    """Run the tests on each level; ends the program with pytest's status where one fails."""
    here = flags()
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-cpu-") as name:
        folder = Path(name)
        library = build_library(folder)
        hides = can_hide(library)
        for level in names or tuple(LEVELS):
            missing = LEVELS[level].needs not in here
            if missing or (level != "all" and not hides):
                why = f"this CPU has no {LEVELS[level].needs}" if missing else "CPUID cannot be masked here"
                print(f"-- instruction set {level}: skipped, {why}", flush=True)
                continue
            print(f"-- instruction set {level}", flush=True)
            environment = environment_of(level, folder, library)
            check_level(level, python, environment)
            files = TESTS if level == "avx2" else PRECISION_TESTS
            tests = [python, "-m", "pytest", "-p", "no:cacheprovider", *_SPREAD, *files]
            status = subprocess.run(tests, env=environment, cwd=CHECKOUT, check=False).returncode
            if status:
                sys.exit(status)


if __name__ == "__main__":
    main(names=tuple(sys.argv[1:]))
