"""Checks signatures in both directions: OpenAI's client and the Standard Webhooks library verify the webhooks of fake-openai
and `landfall send`, and ingest verifies webhooks signed by that library. Forgeries of every kind must fail."""

import base64
import json
import os
import secrets
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import openai.types.webhooks as event_types
from openai import BaseModel, InvalidWebhookSignatureError
from standardwebhooks import Webhook, WebhookVerificationError

from fake import Fake
from landfall import landfall
from strict import NAME, StrictOpenAI, unknown_fields, validate
from tally import Judged, Tally

STANDARD = f"standardwebhooks {version('standardwebhooks')}"
EVENTS = Path(__file__).parent.parent / "tests/fixtures/openai/events.json"

# Too old for every verifier: the tolerance is 300 seconds.
STALE_SECS = 330


class Captured(NamedTuple):
    """A received webhook."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict:
        return json.loads(self.body)

    def as_json(self) -> dict:
        return {"headers": self.headers, "body_base64": base64.b64encode(self.body).decode()}


class Receiver:
    """Records requests; responds with 200 at /take and 400 at /refuse."""

    def __init__(self):
        captured = self.captured = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                captured.append(Captured(headers, body))
                self.send_response(400 if self.path == "/refuse" else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self) -> list[Captured]:
        """All requests since the last call."""
        taken, self.captured[:] = list(self.captured), []
        return taken


class Signatures:
    def __init__(self, client: StrictOpenAI, fake: Fake, tally: Tally):
        self.client = client
        self.fake = fake
        self.tally = tally
        self.receiver = Receiver()
        self.secret = os.environ["OPENAI_WEBHOOK_SECRET"]
        self.types = [event["type"] for event in json.loads(EVENTS.read_text())]
        self.classes = {found.model_fields["type"].annotation.__args__[0]: found for found in event_classes()}
        self.genuine: list[Captured] = []
        self.forged: list[Captured] = []

    def judge(self) -> None:
        self.collect_genuine()
        self.collect_forged()
        for captured in self.genuine:
            what = f"{captured.event['type']} {captured.headers['webhook-id']}"
            with self.tally.judging(NAME, what):
                self.accept_by_client(captured)
                self.tally.count(NAME, Judged.ACCEPTED)
            with self.tally.judging(STANDARD, what):
                Webhook(self.secret).verify(captured.body, captured.headers)
                self.tally.count(STANDARD, Judged.ACCEPTED)
        for captured in self.forged:
            self.must_reject(NAME, captured, self.client.webhooks.unwrap, InvalidWebhookSignatureError)
            self.must_reject(STANDARD, captured, Webhook(self.secret).verify, WebhookVerificationError)

    def collect_genuine(self) -> None:
        """Collects every event type from both senders; from fake-openai some also with embedded objects."""
        url = f"{self.receiver.url}/take"
        for event_type in self.types:
            self.fake.send(url, event_type)
        for event_type in ["response.completed", "batch.completed", "fine_tuning.job.succeeded", "eval.run.succeeded"]:
            self.fake.send(url, event_type, embed=True)
        landfall("send", "--url", url, *self.types)
        self.genuine = self.receiver.taken()
        expected = 2 * len(self.types) + 4
        if len(self.genuine) != expected:
            self.tally.disagree("the receiver", "webhooks sent to it", f"{len(self.genuine)} received instead of {expected}")

    def collect_forged(self) -> None:
        """Collects forgeries: another key, time, body or id, and an invalid signature."""
        url = f"{self.receiver.url}/refuse"
        self.fake.send(url, "response.completed", secret=other_secret())
        landfall("send", "--url", url, "--forge", "response.completed")
        for offset_secs in [-STALE_SECS, STALE_SECS]:
            landfall("send", "--url", url, "--timestamp-offset-secs", str(offset_secs), "response.completed")
        forged = self.receiver.taken()
        good = self.genuine[0]
        forged.append(good._replace(body=good.body.replace(b"evt_", b"evt-", 1)))
        for name, value in [
            ("webhook-id", "wh_another"),
            ("webhook-timestamp", str(int(good.headers["webhook-timestamp"]) - 1)),
            ("webhook-signature", "v1," + base64.b64encode(bytes(32)).decode()),
        ]:
            forged.append(good._replace(headers={**good.headers, name: value}))
        self.forged = forged

    def accept_by_client(self, captured: Captured) -> None:
        """`unwrap` does not validate the event, so it is validated against its type."""
        event = self.client.webhooks.unwrap(captured.body, captured.headers)
        event_type = captured.event["type"]
        if event.type != event_type:
            raise ValueError(f"unwrapped as {event.type}")
        expected = self.classes.get(event_type)
        if expected is None:
            if not self.client.deviations.permit("untyped event", event_type):
                raise ValueError("the client has no type for this event")
            return
        unknown = unknown_fields(validate(expected, captured.event), self.client.deviations)
        if unknown and "object" not in captured.event["data"]:
            raise ValueError(f"fields its types do not have: {', '.join(unknown)}")

    def must_reject(self, judge: str, captured: Captured, verify, rejection: type[Exception]) -> None:
        try:
            verify(captured.body, captured.headers)
        except rejection:
            self.tally.count(judge, Judged.REJECTED)
        except Exception as error:
            self.tally.disagree(judge, "a forgery", f"{type(error).__name__}: {error}")
        else:
            self.tally.disagree(judge, "a forgery", f"it accepts {captured}")

    def put_before_ingest(self, events: list[dict]) -> None:
        """Sends webhooks signed by the Standard Webhooks library: these events, one of every type, and forgeries."""
        of_every_type = {captured.event["type"]: captured.event for captured in self.genuine}
        for event in events + list(of_every_type.values()):
            what = f"{event['type']} before ingest"
            with self.tally.judging(STANDARD, what):
                status = post(signed(self.secret, event))
                if status != 200:
                    raise ValueError(f"ingest answered {status}")
                self.tally.count(STANDARD, Judged.INGESTED)
        good = signed(self.secret, events[0])
        for what, forged in {
            "another key": signed(other_secret(), events[0]),
            "too old": signed(self.secret, events[0], offset_secs=-STALE_SECS),
            "too new": signed(self.secret, events[0], offset_secs=STALE_SECS),
            "another body": good._replace(body=good.body + b" "),
            "another id": good._replace(headers={**good.headers, "webhook-id": "wh_another"}),
        }.items():
            status = post(forged)
            if status == 400:
                self.tally.count(STANDARD, Judged.INGEST_REFUSED)
            else:
                self.tally.disagree(STANDARD, f"a forgery before ingest ({what})", f"ingest answered {status}")


def event_classes() -> list[type[BaseModel]]:
    """The client's event types, including those that `unwrap` does not know."""
    found = [value for name, value in vars(event_types).items() if name.endswith("WebhookEvent")]
    return [value for value in found if isinstance(value, type) and "type" in value.model_fields]


def other_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def signed(secret: str, event: dict, offset_secs: int = 0) -> Captured:
    body = json.dumps(event)
    webhook_id = f"wh_{secrets.token_hex(16)}"
    at = datetime.now(tz=timezone.utc) + timedelta(seconds=offset_secs)
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
    }
    return Captured(headers, body.encode())


def thin_event(event_type: str, object_id: str) -> dict:
    return {
        "id": f"evt_{secrets.token_hex(16)}",
        "object": "event",
        "created_at": int(time.time()),
        "type": event_type,
        "data": {"id": object_id},
    }


def post(webhook: Captured) -> int:
    request = urllib.request.Request(os.environ["INGEST_URL"], data=webhook.body, headers=webhook.headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code
