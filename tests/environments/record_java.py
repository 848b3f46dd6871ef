"""Write tests/fixtures/java_regex.json.gz: what Java 17 matches with generated patterns.

    python tests/environments/record_java.py [path to the java of a JDK 17]

Left out are patterns whose groups Java leaves set by attempts that failed (in negative look-arounds,
possessive repeats and empty groups), and those that take Java too long.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "text"))

from java_patterns import TEXTS, generate, has_stale_groups  # noqa: E402

FIXTURE = FOLDER.parent / "fixtures" / "java_regex.json.gz"


def record(java: str, patterns: list[str]) -> list[list[list[list[int]]] | str | None]:
    """For each pattern its matches in each text, as begins and ends of all groups; None where Java refuses
    it, "slow" where it takes too long."""

    def encoded(text: str) -> str:
        return text.encode("utf-16-be", "surrogatepass").hex()

    asked = ["T" + ",".join(map(encoded, TEXTS)), *(f"P{encoded(pattern)}" for pattern in patterns)]
    command = [java, str(FOLDER / "JavaMatches.java")]
    done = subprocess.run(command, input="\n".join(asked), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Write the fixture."""
    java = sys.argv[1] if len(sys.argv) > 1 else "java"
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    version = shown.stderr.split('"')[1]
    if not version.startswith("17."):
        sys.exit(f"{java} is version {version}; the fixture is Java 17's")
    patterns = [pattern for pattern in generate(seed=13, n=1000) if not has_stale_groups(pattern)]
    matches = record(java, patterns)
    kept = [(p, found) for p, found in zip(patterns, matches, strict=True) if found != "slow"]
    content = {
        "java": version,
        "texts": TEXTS,
        "patterns": [pattern for pattern, _ in kept],
        "matches": [found for _, found in kept],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    FIXTURE.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


if __name__ == "__main__":
    main()
