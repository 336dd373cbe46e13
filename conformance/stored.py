"""Compares the stored results with the objects that the official Python client reads: texts, states, counts, every line of
every batch, and the bytes of files."""

import hashlib
import json

from fake import Entry, Fake
from landfall import landfall
from reads import Reads, same
from signatures import thin_event
from strict import NAME, StrictOpenAI
from tally import Judged, Tally

# Landfall's field, and the corresponding value of the client.
FIELDS = {
    "response": {
        "status": lambda found: found.status,
        "model": lambda found: found.model,
        "output_text": lambda found: found.output_text,
        "usage": lambda found: found.usage and found.usage.to_dict(mode="json"),
        "metadata": lambda found: found.metadata,
    },
    "batch": {
        "status": lambda found: found.status,
        "endpoint": lambda found: found.endpoint,
        "model": lambda found: found.model,
        "requests_total": lambda found: found.request_counts.total,
        "requests_completed": lambda found: found.request_counts.completed,
        "requests_failed": lambda found: found.request_counts.failed,
        "output_file_id": lambda found: found.output_file_id or None,
        "error_file_id": lambda found: found.error_file_id or None,
    },
    "fine_tuning.job": {
        "status": lambda found: found.status,
        "base_model": lambda found: found.model,
        "fine_tuned_model": lambda found: found.fine_tuned_model,
        "trained_tokens": lambda found: found.trained_tokens,
        "result_files": lambda found: found.result_files,
    },
    "eval.run": {
        "status": lambda found: found.status,
        "eval_id": lambda found: found.eval_id,
        "total": lambda found: found.result_counts.total,
        "passed": lambda found: found.result_counts.passed,
        "failed": lambda found: found.result_counts.failed,
        "errored": lambda found: found.result_counts.errored,
    },
    "agent.session": {
        "status": lambda found: found.status,
        "agent_id": lambda found: found.agent.id,
        "model": lambda found: found.agent.model,
        "environment_type": lambda found: found.environment.type,
        "error": lambda found: found.error,
        "required_actions": lambda found: [action.to_dict(mode="json") for action in found.required_actions],
        "usage": lambda found: found.usage and found.usage.to_dict(mode="json"),
        "metadata": lambda found: found.metadata,
    },
    "safety.alert": {
        "response_id": lambda found: found.response_id,
        "request_id": lambda found: found.request_id,
        "model": lambda found: found.model,
        "error_type": lambda found: found.error_type,
        "reason": lambda found: found.reason,
        "detailed_explanation": lambda found: found.detailed_explanation,
        "request_paused": lambda found: found.request_paused,
    },
}


class Stored:
    def __init__(self, client: StrictOpenAI, fake: Fake, tally: Tally):
        self.reads = Reads(client, fake, tally)
        self.client = client
        self.fake = fake
        self.tally = tally

    def events(self) -> list[dict]:
        """One event for every object that can have one, of the type that matches its state."""
        events = []
        for entry in self.fake.entries(*FIELDS):
            with self.tally.judging(NAME, f"the state of {entry.id}"):
                events.append(thin_event(event_type(entry, self.reads.retrieve(entry)), entry.id))
        return events

    def judge(self) -> None:
        for entry in self.fake.entries(*FIELDS):
            with self.tally.judging(NAME, f"{entry.object} {entry.id} as stored"):
                found = self.reads.retrieve(entry)
                self.compare(entry, found)
                self.tally.count(NAME, Judged.STORED)
                if entry.object == "batch":
                    self.compare_lines(found)
                if entry.object == "fine_tuning.job":
                    self.compare_lists(found)
                for file_id in result_files(entry, found):
                    self.compare_file(file_id)

    def compare(self, entry: Entry, found) -> None:
        [row] = [row for row in landfall("show", entry.id) if row["kind"] != "event"]
        for name, read in FIELDS[entry.object].items():
            # Without text, output_text is null in Landfall and empty in the client.
            stored = row[name] or "" if name == "output_text" else row[name]
            same(stored, read(found), name)

    def compare_lines(self, batch) -> None:
        expected = {}
        for source, file_id in [("output", batch.output_file_id), ("error", batch.error_file_id)]:
            lines = self.client.files.content(file_id).iter_lines() if file_id else []
            for number, line in enumerate(lines, 1):
                expected[source, number] = line_as_stored(json.loads(line))
        rows = landfall("results", batch.id, may_say_no=True)
        found = {
            (row["source"], row["line"]): [row[name] for name in ["custom_id", "status_code", "request_id", "body", "error"]]
            for row in rows
        }
        same(found.keys(), expected.keys(), "lines")
        for line, fields in found.items():
            same(fields, expected[line], f"line {line}")
        self.tally.count(NAME, Judged.STORED_LINES, len(found))

    def compare_lists(self, job) -> None:
        """The checkpoints of a job that succeeded, and the events of one that failed, which the client reads page by page."""
        [row] = [row for row in landfall("show", job.id) if row["kind"] != "event"]
        jobs = self.client.fine_tuning.jobs
        checkpoints = jobs.checkpoints.list(job.id) if job.status == "succeeded" else []
        expected = {
            each.id: [each.step_number, each.fine_tuned_model_checkpoint, each.metrics.to_dict(mode="json")] for each in checkpoints
        }
        names = ["step_number", "fine_tuned_model_checkpoint", "metrics"]
        found = {each["checkpoint_id"]: [each[name] for name in names] for each in row["checkpoints"]}
        same(found, expected, "checkpoints")
        events = jobs.list_events(job.id) if job.status == "failed" else []
        expected = {each.id: [each.level, each.message, each.type] for each in events}
        found = {each["event_id"]: [each[name] for name in ["level", "message", "type"]] for each in row["events"]}
        same(found, expected, "events")
        self.tally.count(NAME, Judged.STORED, len(row["checkpoints"]) + len(row["events"]))

    def compare_file(self, file_id: str) -> None:
        [row] = [row for row in landfall("show", file_id) if row["kind"] == "file"]
        content = self.client.files.content(file_id).read()
        same((row["bytes"], row["sha256"]), (len(content), hashlib.sha256(content).hexdigest()), f"{file_id}")
        self.tally.count(NAME, Judged.STORED)


def event_type(entry: Entry, found) -> str:
    if entry.object == "agent.session":
        return f"agent.session.{'action_required' if found.status == 'requires_action' else found.status}"
    if entry.object == "safety.alert":
        return "safety.alert.created"
    status = found.status
    return f"{entry.object}.{'succeeded' if (entry.object, status) == ('eval.run', 'completed') else status}"


def result_files(entry: Entry, found) -> list[str]:
    if entry.object == "batch":
        return [file_id for file_id in [found.output_file_id, found.error_file_id] if file_id]
    return found.result_files if entry.object == "fine_tuning.job" else []


def line_as_stored(line: dict) -> list:
    """custom_id, status_code, request_id, body, error. The error of a rejected request is in its body."""
    answer = line["response"] or {"status_code": None, "request_id": None, "body": None}
    refused = answer["status_code"] is not None and answer["status_code"] >= 400
    error = line["error"] or (answer["body"]["error"] if refused else None)
    return [line["custom_id"], answer["status_code"], answer["request_id"], answer["body"], error]
