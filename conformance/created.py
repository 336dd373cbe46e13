"""Creates a background response and a batch with the official Python client, and waits until they end: at fake-openai, and by
the webhook in what Landfall stored. Nothing else has told Landfall about them."""

import io
import json
import os
import time
from collections.abc import Callable

from fake import Fake
from landfall import landfall, wait_until_settled
from reads import same
from strict import NAME, StrictOpenAI
from tally import Judged, Tally

MODEL = "gpt-6-luna"
REQUESTS = 25
ENDED_SECS_MAX = 60


class Created:
    def __init__(self, client: StrictOpenAI, fake: Fake, tally: Tally):
        self.client = client
        self.fake = fake
        self.tally = tally

    def judge(self) -> None:
        self.fake.send_to(os.environ["INGEST_URL"])
        with self.tally.judging(NAME, "a response that it creates"):
            self.create_response()
        with self.tally.judging(NAME, "a batch that it creates"):
            self.create_batch()

    def create_response(self) -> None:
        created = self.client.responses.create(
            model=MODEL, input="Which kit is cheapest?", background=True, metadata={"team": "search"}
        )
        same(created.status, "queued", "status")
        ended = until("the response to end", lambda: self.ended(self.client.responses.retrieve(created.id)))
        same(ended.output_text, "fake-openai was asked: Which kit is cheapest?", "output_text")
        row = stored(created.id)
        same((row["status"], row["output_text"]), (ended.status, ended.output_text), "status and text as stored")
        same(row["metadata"], {"team": "search"}, "metadata")
        self.tally.count(NAME, Judged.CREATED)

    def create_batch(self) -> None:
        lines = [
            {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/responses", "body": {"model": MODEL, "input": f"question {number}"}}
            for number in range(REQUESTS)
        ]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        file = self.client.files.create(file=("requests.jsonl", io.BytesIO(content)), purpose="batch")
        same((file.bytes, file.filename, file.purpose), (len(content), "requests.jsonl", "batch"), "the file")
        same(self.client.files.content(file.id).read(), content, "the content")
        created = self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h", metadata={"team": "search"}
        )
        same(created.status, "validating", "status")
        ended = until("the batch to end", lambda: self.ended(self.client.batches.retrieve(created.id)))
        found = [json.loads(line)["custom_id"] for line in self.client.files.content(ended.output_file_id).iter_lines()]
        same(sorted(found), sorted(line["custom_id"] for line in lines), "custom ids")
        row = stored(created.id)
        same((row["status"], row["rows_stored"]), (ended.status, REQUESTS), "status and rows as stored")
        self.tally.count(NAME, Judged.CREATED)

    def ended(self, found):
        if found.status == "failed":
            raise ValueError(f"it failed: {found}")
        return found if found.status == "completed" else None


def stored(object_id: str) -> dict:
    """The row of an object, once its webhook was processed."""
    def rows():
        return [row for row in landfall("show", object_id, may_say_no=True) if row.get("kind") != "event"]

    until(f"the webhook about {object_id}", rows)
    wait_until_settled()
    [row] = rows()
    return row


def until(what: str, attempt: Callable):
    """The first result that is not empty."""
    deadline = time.monotonic() + ENDED_SECS_MAX
    while not (found := attempt()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"timed out after {ENDED_SECS_MAX} s waiting for {what}")
        time.sleep(0.1)
    return found
