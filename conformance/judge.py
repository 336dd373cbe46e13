"""Checks fake-openai, ingest, the stored results and the notifications with OpenAI's clients (Python, and Node if it is
installed) and the Standard Webhooks library. scripts/conformance starts everything and runs this script.

Environment: the settings of OpenAI's client and of `landfall`, INGEST_URL, WORKER_ADMIN_URL, BIN (folder of the programs),
LANDFALL_CONFIG (overwritten), and NODE_PACKAGES (folder of node_modules) to include Node. Exit code: 0 if everything
agrees, else 1."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from created import Created
from deviations import Deviations
from fake import Fake
from landfall import wait_until_settled
from reads import Reads
from signatures import STANDARD, Signatures
from stored import Stored
from strict import NAME, StrictOpenAI
from tally import Judged, Tally
from notifications import Notifications

# Large enough for many download chunks and several transactions.
BIG_BATCH = ("batch_conformance", 3000)

BOTH_CLIENTS = [
    Judged.OBJECTS,
    Judged.LISTS,
    Judged.PAGES,
    Judged.FILES,
    Judged.BYTES,
    Judged.RETRIES,
    Judged.REFUSALS,
    Judged.CREATED,
    Judged.ACCEPTED,
    Judged.REJECTED,
]


def main() -> int:
    tally = Tally({
        NAME: BOTH_CLIENTS + [Judged.LINES, Judged.STORED, Judged.STORED_LINES, Judged.NOTIFIED],
        STANDARD: [Judged.ACCEPTED, Judged.REJECTED, Judged.INGESTED, Judged.INGEST_REFUSED, Judged.NOTIFIED],
    })
    deviations, fake = Deviations(), Fake()
    client = StrictOpenAI(deviations)
    fake.add_batch(*BIG_BATCH)
    Reads(client, fake, tally).judge()
    signatures, stored = Signatures(client, fake, tally), Stored(client, fake, tally)
    notifications = Notifications(client, tally)
    signatures.judge()
    notifications.begin()
    # Every event that is stored must be notified, so the targets exist first.
    Created(client, fake, tally).judge()
    signatures.put_before_ingest(stored.events())
    wait_until_settled()
    stored.judge()
    notifications.judge()
    if "NODE_PACKAGES" in os.environ:
        judge_by_node(signatures, tally)
    return print_results(tally, deviations)


def judge_by_node(signatures: Signatures, tally: Tally) -> None:
    """Runs judge.mjs with the same webhooks, byte for byte; it reads the API on its own."""
    webhooks = {
        "genuine": [captured.as_json() for captured in signatures.genuine],
        "forged": [captured.as_json() for captured in signatures.forged],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(webhooks, file)
        file.flush()
        script = Path(__file__).with_name("judge.mjs")
        done = subprocess.run(["node", script, file.name], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        tally.disagree("Node", "the run", f"judge.mjs exited with {done.returncode}; see its output above")
        return
    report = json.loads(done.stdout)
    tally.judges[report["judge"]] = BOTH_CLIENTS
    for name, number in report["counts"].items():
        tally.count(report["judge"], Judged[name], number)
    for what, words in report["disagreements"]:
        tally.disagree(report["judge"], what, words)


def print_results(tally: Tally, deviations: Deviations) -> int:
    faults = tally.disagreements + tally.idle() + deviations.unused()
    print(tally.table())
    print(f"\n{len(deviations.used)} known deviations were used (conformance/deviations.py)")
    for fault in faults:
        print(f"\n{fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
