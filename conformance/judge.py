"""The sitting: OpenAI's own clients (Python, and Node where it is there) and the Standard Webhooks library judge the
look-alike, ingest and what Landfall stored. scripts/conformance starts all that and calls this.

Settings from the environment: those of OpenAI's client, INGEST_URL, WORKER_ADMIN_URL, BIN (folder of the programs),
LANDFALL_CONFIG (which is written anew), those of `landfall`, and NODE_PACKAGES (folder of node_modules) where Node is to judge. Exit code: 0 all agree, 1 not."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deviations import Deviations
from fake import Fake
from landfall import wait_until_settled
from reads import Reads
from signatures import STANDARD, Signatures
from stored import Stored
from strict import NAME, StrictOpenAI
from tally import Judged, Tally
from told import Told

# Enough for many chunks of a download and several transactions.
BIG_BATCH = ("batch_conformance", 3000)

BOTH_CLIENTS = [
    Judged.OBJECTS,
    Judged.LISTS,
    Judged.PAGES,
    Judged.FILES,
    Judged.BYTES,
    Judged.RETRIES,
    Judged.REFUSALS,
    Judged.ACCEPTED,
    Judged.REJECTED,
]


def main() -> int:
    tally = Tally({
        NAME: BOTH_CLIENTS + [Judged.LINES, Judged.STORED, Judged.STORED_LINES, Judged.TOLD],
        STANDARD: [Judged.ACCEPTED, Judged.REJECTED, Judged.INGESTED, Judged.INGEST_REFUSED, Judged.TOLD],
    })
    deviations, fake = Deviations(), Fake()
    client = StrictOpenAI(deviations)
    fake.add_batch(*BIG_BATCH)
    Reads(client, fake, tally).judge()
    signatures, stored, told = Signatures(client, fake, tally), Stored(client, fake, tally), Told(client, tally)
    signatures.judge()
    told.begin()
    signatures.put_before_ingest(stored.events())
    wait_until_settled()
    stored.judge()
    told.judge()
    if "NODE_PACKAGES" in os.environ:
        judge_by_node(signatures, tally)
    return verdict(tally, deviations)


def judge_by_node(signatures: Signatures, tally: Tally) -> None:
    """judge.mjs judges the same webhooks, byte for byte, and reads for itself."""
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
        tally.disagree("Node", "the sitting", f"judge.mjs ended with {done.returncode}; its words are above")
        return
    report = json.loads(done.stdout)
    tally.judges[report["judge"]] = BOTH_CLIENTS
    for name, number in report["counts"].items():
        tally.count(report["judge"], Judged[name], number)
    for what, words in report["disagreements"]:
        tally.disagree(report["judge"], what, words)


def verdict(tally: Tally, deviations: Deviations) -> int:
    faults = tally.disagreements + tally.idle() + deviations.unused()
    print(tally.table())
    print(f"\n{len(deviations.used)} known deviations were met (conformance/deviations.py)")
    for fault in faults:
        print(f"\n{fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
