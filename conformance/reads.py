"""Reads everything that fake-openai serves with the official Python client: objects, lists, file contents, errors."""

import hashlib
import json
import math

import openai
from openai import BaseModel
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from fake import Entry, Fake
from strict import NAME, StrictOpenAI, unknown_fields, validate
from tally import Judged, Tally

# More than Landfall includes, so that every part of a response is checked.
INCLUDE = [
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
]

# By the field `object`. Checkpoints and events can only be listed.
RETRIEVE = {
    "response": lambda client, entry: client.responses.with_raw_response.retrieve(entry.id, include=INCLUDE),
    "batch": lambda client, entry: client.batches.with_raw_response.retrieve(entry.id),
    "file": lambda client, entry: client.files.with_raw_response.retrieve(entry.id),
    "container": lambda client, entry: client.containers.with_raw_response.retrieve(entry.id),
    "container.file": lambda client, entry: client.containers.files.with_raw_response.retrieve(entry.id, container_id=entry.parent),
    "fine_tuning.job": lambda client, entry: client.fine_tuning.jobs.with_raw_response.retrieve(entry.id),
    "model": lambda client, entry: client.models.with_raw_response.retrieve(entry.id),
    "eval": lambda client, entry: client.evals.with_raw_response.retrieve(entry.id),
    "agent.session": lambda client, entry: client.beta.agents.sessions.with_raw_response.retrieve(entry.id),
    "agent.session.turn": lambda client, entry: client.beta.agents.sessions.turns.with_raw_response.retrieve(entry.id, session_id=entry.parent),
    "agent.session.artifact": lambda client, entry: client.beta.agents.sessions.artifacts.with_raw_response.retrieve(entry.id, session_id=entry.parent),
    "safety.alert": lambda client, entry: client.safety.alerts.with_raw_response.retrieve(entry.id),
    "eval.run": lambda client, entry: client.evals.runs.with_raw_response.retrieve(entry.id, eval_id=entry.parent),
}

# Kind, kind of the parent, list function, page size.
LISTS = [
    ("batch", None, lambda client, _, limit: client.batches.list(limit=limit), 2),
    ("file", None, lambda client, _, limit: client.files.list(limit=limit), 5),
    ("container", None, lambda client, _, limit: client.containers.list(limit=limit), 1),
    ("container.file", "container", lambda client, container, limit: client.containers.files.list(container, limit=limit), 1),
    ("fine_tuning.job", None, lambda client, _, limit: client.fine_tuning.jobs.list(limit=limit), 1),
    ("fine_tuning.job.event", "fine_tuning.job", lambda client, job, limit: client.fine_tuning.jobs.list_events(job, limit=limit), 7),
    ("fine_tuning.job.checkpoint", "fine_tuning.job", lambda client, job, limit: client.fine_tuning.jobs.checkpoints.list(job, limit=limit), 1),
    ("eval", None, lambda client, _, limit: client.evals.list(limit=limit), 1),
    ("eval.run", "eval", lambda client, eval_id, limit: client.evals.runs.list(eval_id, limit=limit), 1),
    ("agent.session", None, lambda client, _, limit: client.beta.agents.sessions.list(limit=limit), 2),
    ("agent.session.turn", "agent.session", lambda client, session, limit: client.beta.agents.sessions.turns.list(session, limit=limit), 1),
    ("agent.session.artifact", "agent.session", lambda client, session, limit: client.beta.agents.sessions.artifacts.list(session, limit=limit), 1),
    # The client does not paginate models.
    ("model", None, lambda client, _, limit: client.models.list(), math.inf),
]

# The body type of a successful line, by the batch's endpoint.
BODIES = {
    "/v1/responses": Response,
    "/v1/chat/completions": ChatCompletion,
    "/v1/embeddings": CreateEmbeddingResponse,
}

# Name, fault, number of times, expected statuses, minimum wait in ms.
MODEL = "gpt-5.6-sol"
RETRIED = [
    ("429 with retry-after-ms", {"rate_limited_ms": {"retry_after_ms": 120}}, 1, [429, 200], 120),
    ("429 with retry-after", {"rate_limited": {"retry_after_secs": 1}}, 1, [429, 200], 1000),
    ("429 without a hint", {"rate_limited": {}}, 1, [429, 200], 0),
    ("500", {"status": 500}, 1, [500, 200], 0),
    ("500 twice", {"status": 500}, 2, [500, 500, 200], 0),
    ("409", {"status": 409}, 1, [409, 200], 0),
    ("400 with x-should-retry", {"should_retry": {"status": 400, "should_retry": True}}, 1, [400, 200], 0),
]

# Name, fault, expected exception, error code.
REFUSED = [
    ("403 by policy", "policy_violation", openai.PermissionDeniedError, "misalignment_policy_violation"),
    ("500 that is not to be retried", {"should_retry": {"status": 500, "should_retry": False}}, openai.InternalServerError, None),
]


class Reads:
    """Reads fake-openai with the client."""

    def __init__(self, client: StrictOpenAI, fake: Fake, tally: Tally):
        self.client = client
        self.fake = fake
        self.tally = tally

    def judge(self) -> None:
        for entry in self.fake.entries(*RETRIEVE):
            with self.tally.judging(NAME, f"{entry.object} {entry.id}"):
                answer = RETRIEVE[entry.object](self.client, entry)
                self.check(answer.parse(), json.loads(answer.content))
                self.tally.count(NAME, Judged.OBJECTS)
        for kind, parent_kind, pages, limit in LISTS:
            for parent in self.fake.entries(parent_kind) if parent_kind else [None]:
                with self.tally.judging(NAME, f"the list of {kind} {parent.id if parent else ''}"):
                    self.read_list(kind, parent, pages, limit)
        for entry in self.fake.entries("file"):
            with self.tally.judging(NAME, f"the content of {entry.id}"):
                self.stream(entry.id)
        for entry in self.fake.entries("container.file"):
            with self.tally.judging(NAME, f"the content of {entry.id}"):
                content = self.client.containers.files.content.retrieve(entry.id, container_id=entry.parent).read()
                file = self.client.containers.files.retrieve(entry.id, container_id=entry.parent)
                same(len(content), file.bytes, "bytes")
                self.tally.count(NAME, Judged.FILES)
                self.tally.count(NAME, Judged.BYTES, len(content))
        for entry in self.fake.entries("agent.session.turn"):
            with self.tally.judging(NAME, f"the items of {entry.id}"):
                self.read_items(entry)
        for entry in self.fake.entries("agent.session.artifact"):
            with self.tally.judging(NAME, f"the content of {entry.id}"):
                content = self.client.beta.agents.sessions.artifacts.content(entry.id, session_id=entry.parent).read()
                found = self.retrieve(entry)
                same(len(content), found.size_bytes, "bytes")
                self.tally.count(NAME, Judged.FILES)
        for entry in self.fake.entries("batch"):
            with self.tally.judging(NAME, f"the lines of {entry.id}"):
                self.read_lines(self.retrieve(entry))
        self.judge_retries()
        self.judge_refusals()

    def retrieve(self, entry: Entry) -> BaseModel:
        return RETRIEVE[entry.object](self.client, entry).parse()

    def check(self, found: BaseModel, wire: object) -> None:
        """Checks that the client's types lose, change and add nothing."""
        unknown = unknown_fields(found, self.client.deviations)
        if unknown:
            raise ValueError(f"fields missing in its types: {', '.join(unknown)}")
        same(found.to_dict(mode="json"), wire, "the response and the parsed object")

    def read_list(self, kind: str, parent: Entry | None, list_objects, limit: float) -> None:
        expected = sorted(entry.id for entry in self.fake.entries(kind, parent=parent.id if parent else None))
        pages = list(list_objects(self.client, parent and parent.id, limit).iter_pages())
        found = [item for page in pages for item in page.data]
        same(sorted(item.id for item in found), expected, "ids")
        same(len(pages), max(1, math.ceil(len(expected) / limit)), "pages")
        unknown = unknown_fields(found, self.client.deviations)
        if unknown:
            raise ValueError(f"fields missing in its types: {', '.join(unknown)}")
        if kind not in RETRIEVE:
            self.tally.count(NAME, Judged.OBJECTS, len(found))
        self.tally.count(NAME, Judged.LISTS)
        self.tally.count(NAME, Judged.PAGES, len(pages))

    def read_items(self, turn: Entry) -> None:
        expected = sorted(entry.id for entry in self.fake.entries("agent.session.item", parent=turn.id))
        pages = list(self.client.beta.agents.sessions.turns.items.list(turn.id, session_id=turn.parent, limit=2).iter_pages())
        found = [item for page in pages for item in page.data]
        same(sorted(item.id for item in found), expected, "ids")
        unknown = unknown_fields(found, self.client.deviations)
        if unknown:
            raise ValueError(f"fields missing in its types: {', '.join(unknown)}")
        self.tally.count(NAME, Judged.OBJECTS, len(found))
        self.tally.count(NAME, Judged.LISTS)
        self.tally.count(NAME, Judged.PAGES, len(pages))

    def stream(self, file_id: str) -> None:
        streamed, length = hashlib.sha256(), 0
        with self.client.files.with_streaming_response.content(file_id) as answer:
            for chunk in answer.iter_bytes():
                streamed.update(chunk)
                length += len(chunk)
        same(streamed.hexdigest(), hashlib.sha256(self.fake.content(file_id)).hexdigest(), "SHA-256")
        same(length, self.client.files.retrieve(file_id).bytes, "bytes")
        self.tally.count(NAME, Judged.FILES)
        self.tally.count(NAME, Judged.BYTES, length)

    def read_lines(self, batch) -> None:
        for file_id in filter(None, [batch.output_file_id, batch.error_file_id]):
            for number, line in enumerate(self.client.files.content(file_id).iter_lines(), 1):
                with self.tally.judging(NAME, f"{file_id}, line {number}"):
                    self.read_line(json.loads(line), BODIES[batch.endpoint])

    def read_line(self, line: dict, body_type: type[BaseModel]) -> None:
        answer = line["response"]
        if answer and answer["status_code"] == 200:
            self.check(validate(body_type, answer["body"]), answer["body"])
        self.tally.count(NAME, Judged.LINES)

    def judge_retries(self) -> None:
        for name, fault, times, statuses, waited_ms_min in RETRIED:
            self.fake.clear()
            self.fake.inject(fault, MODEL, times)
            with self.tally.judging(NAME, name):
                same(self.client.models.retrieve(MODEL).id, MODEL, "the final model")
                requests = self.fake.requests()
                same([request["status"] for request in requests], statuses, "statuses")
                waited_ms = requests[-1]["received_ms"] - requests[0]["received_ms"]
                if waited_ms < waited_ms_min:
                    raise ValueError(f"it waited {waited_ms} ms instead of {waited_ms_min}")
                self.tally.count(NAME, Judged.RETRIES)
        self.fake.clear()

    def judge_refusals(self) -> None:
        client = self.client.with_options(max_retries=0)
        stranger = self.client.with_options(api_key="sk-wrong")
        for name, fault, error, code in REFUSED:
            self.refused(name, error, code, lambda: self.client.models.retrieve(MODEL), fault)
        self.refused("an unknown response", openai.NotFoundError, None, lambda: client.responses.retrieve("resp_none"))
        self.refused("an unknown file's content", openai.NotFoundError, None, lambda: client.files.content("file-none"))
        self.refused("an unknown safety alert", openai.NotFoundError, "safety_alert_not_found", lambda: client.safety.alerts.retrieve("alert_none"))
        scope = {"missing_scopes": "api.safety.alerts.read"}
        self.refused("a missing scope", openai.AuthenticationError, None, lambda: client.models.retrieve(MODEL), scope)
        self.refused("a wrong key", openai.AuthenticationError, "invalid_api_key", lambda: stranger.batches.list())
        self.refused("a limit too large", openai.BadRequestError, None, lambda: client.batches.list(limit=1000))
        quota = "insufficient_quota"
        self.refused("no quota", openai.RateLimitError, quota, lambda: client.models.retrieve(MODEL), quota)

    def refused(self, name: str, expected: type[openai.APIStatusError], code: str | None, call, fault: object = None) -> None:
        self.fake.clear()
        if fault:
            self.fake.inject(fault, MODEL, 1)
        with self.tally.judging(NAME, name):
            try:
                call()
            except expected as error:
                same(len(self.fake.requests()), 1, "requests")
                if code:
                    same(error.code, code, "code")
                if not (error.request_id or "").startswith("req_") or not isinstance(error.body, dict):
                    raise ValueError(f"not an error in OpenAI's format: {error.request_id} {error.body}") from error
                self.tally.count(NAME, Judged.REFUSALS)
            else:
                raise ValueError(f"it did not raise {expected.__name__}")
        self.fake.clear()


def same(found: object, expected: object, what: str) -> None:
    """Raises an error with the start of both values if they differ."""
    if found != expected:
        raise ValueError(f"{what} differ:\n{str(found)[:2000]}\n{str(expected)[:2000]}")
