"""Runs the command `landfall`."""

import json
import os
import subprocess
import time
from pathlib import Path

# Long enough for a few thousand rows on a slow machine.
SETTLED_SECS_MAX = 120


def landfall(*arguments: str, may_say_no: bool = False) -> list[dict]:
    """Runs the command with --json and returns its output, line by line. `may_say_no` accepts exit code 1."""
    program = Path(os.environ["BIN"]) / "landfall"
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode not in ([0, 1] if may_say_no else [0]):
        words = (done.stderr + done.stdout)[-2000:]
        raise RuntimeError(f"landfall {' '.join(arguments)} exited with {done.returncode}: {words}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_until_settled() -> None:
    """Waits until nothing is queued, running or waiting for a retry."""
    deadline = time.monotonic() + SETTLED_SECS_MAX
    while landfall("status")[0]["total"]["backlog"] > 0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"timed out after {SETTLED_SECS_MAX} s waiting for an empty backlog")
        time.sleep(0.1)
