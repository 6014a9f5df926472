"""What became of the exercises: each check writes its verdict into one file, which
`python -m tinyvae exercises` reads.

The file is `~/.tinyvae/exercises.json`, or what TINYVAE_PROGRESS names; where that is empty nothing
is recorded. A file that cannot be written is no reason for a check to fail.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

KEPT = 20  # errors of one exercise


def path() -> Path | None:
    """Return where the progress is recorded, or None where it shall not be."""
    chosen = os.environ.get("TINYVAE_PROGRESS")
    if chosen is None:
        return Path.home() / ".tinyvae" / "exercises.json"
    return Path(chosen) if chosen else None


def read(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return check → {"solved": bool, "errors": [words, …]}; empty where nothing is recorded.

    Raises ValueError where the file holds something else.
    """
    if file is None or not file.exists():
        return {}
    try:
        recorded = json.loads(file.read_text(encoding="utf-8"))
        well_made = all(
            isinstance(one["solved"], bool) and isinstance(one["errors"], list)
            for one in recorded.values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        well_made = False
    if not well_made:
        raise ValueError(f"{file} is no record of exercises; move it away to begin a new one")
    return recorded


def record(check: str, solved: bool, words: str = "") -> None:
    """Add a verdict on an answer to a check, "kl.kl"; what was solved once stays solved."""
    file = path()
    if file is None:
        return
    try:
        recorded = read(file)
        one = recorded.setdefault(check, {"solved": False, "errors": []})
        one["solved"] = one["solved"] or solved
        if words and words not in one["errors"]:
            one["errors"] = [*one["errors"], words][-KEPT:]
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}.new")
        draft.write_text(json.dumps(recorded, indent=1, ensure_ascii=False), encoding="utf-8")
        draft.replace(file)
    except (OSError, ValueError):
        pass
