"""What Landfall tells the user's own systems: two targets, each with two secrets as during a rotation. Everything that
comes is put before OpenAI's client and the Standard Webhooks library, by each secret; and everything stored must come."""

import json
import os
import time
import urllib.request
from pathlib import Path

from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from landfall import landfall
from signatures import STANDARD, Captured, Receiver, other_secret
from strict import NAME
from tally import Judged, Tally

# A worker looks at its file every second.
KNOWN_SECS_MAX = 30
TOLD_SECS_MAX = 60
PAYLOADS = {"conformance-thin": "thin", "conformance-full": "full"}


class Told:
    def __init__(self, client: OpenAI, tally: Tally):
        self.client = client
        self.tally = tally
        self.receivers = {target: Receiver() for target in PAYLOADS}
        self.secrets = {target: [other_secret(), other_secret()] for target in PAYLOADS}

    def begin(self) -> None:
        """Names the targets to the worker, which reads its file anew."""
        config = Path(os.environ["LANDFALL_CONFIG"])
        tables = ['[notifications]\nallow = ["127.0.0.1"]\n']
        for target, receiver in self.receivers.items():
            secret_file = config.with_name(f"{target}.secret")
            secret_file.write_text(" ".join(self.secrets[target]))
            tables.append(
                f'[[targets]]\nname = "{target}"\nurl = "{receiver.url}/take"\n'
                f'secret_file = "{secret_file}"\npayload = "{PAYLOADS[target]}"\n'
            )
        # At once, so that no half of it is read.
        config.with_suffix(".new").write_text("".join(tables))
        config.with_suffix(".new").replace(config)
        wait_until(KNOWN_SECS_MAX, "the worker to know its targets", lambda: all(t in worker_metrics() for t in PAYLOADS))

    def judge(self) -> None:
        stored = {event["event_id"] for event in landfall("events", "--limit", "1000000") if event["state"] == "stored"}
        for target, receiver in self.receivers.items():
            told = {}

            def all_told() -> bool:
                for captured in list(receiver.captured):
                    told.setdefault(captured.event["data"]["event"]["id"], captured)
                return told.keys() >= stored

            with self.tally.judging("Landfall", f"what {target} is told"):
                wait_until(TOLD_SECS_MAX, f"{target} to be told of everything", all_told)
                if told.keys() != stored:
                    raise ValueError(f"told of what is not stored: {told.keys() - stored}")
            for captured in told.values():
                for secret in self.secrets[target]:
                    self.accept(captured, secret)
            if told:
                self.reject(next(iter(told.values())), self.secrets[target][0])

    def accept(self, captured: Captured, secret: str) -> None:
        what = f"the notification {captured.headers['webhook-id']}"
        with self.tally.judging(NAME, what):
            self.client.webhooks.verify_signature(captured.body, captured.headers, secret=secret)
            event = self.client.webhooks.unwrap(captured.body, captured.headers, secret=secret)
            if event.type != captured.event["type"]:
                raise ValueError(f"unwrapped as {event.type}")
            self.tally.count(NAME, Judged.TOLD)
        with self.tally.judging(STANDARD, what):
            if Webhook(secret).verify(captured.body, captured.headers) != captured.event:
                raise ValueError("it reads another body")
            self.tally.count(STANDARD, Judged.TOLD)

    def reject(self, good: Captured, secret: str) -> None:
        """A key that is not the target's, another body, another id."""
        for forged, key in [
            (good, other_secret()),
            (good._replace(body=good.body.replace(b"_", b"-", 1)), secret),
            (good._replace(headers={**good.headers, "webhook-id": "ntf_another"}), secret),
        ]:
            for judge, rejection, verify in [
                (NAME, InvalidWebhookSignatureError, self.client.webhooks.verify_signature),
                (STANDARD, WebhookVerificationError, None),
            ]:
                try:
                    if verify:
                        verify(forged.body, forged.headers, secret=key)
                    else:
                        Webhook(key).verify(forged.body, forged.headers)
                except rejection:
                    self.tally.count(judge, Judged.REJECTED)
                else:
                    self.tally.disagree(judge, "a forged notification", f"it accepts {forged}")


def worker_metrics() -> str:
    with urllib.request.urlopen(f"{os.environ['WORKER_ADMIN_URL']}/metrics") as answer:
        return answer.read().decode()


def wait_until(secs_max: float, what: str, is_so) -> None:
    deadline = time.monotonic() + secs_max
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {secs_max} s in vain for {what}")
        time.sleep(0.1)
