"""Where OpenAI's API and OpenAI's own Python types disagree, each with its reason. An entry that nothing needs any more
fails the sitting, so that the list stays as short as the truth allows."""

# Null or not there, although the type wants it: by type and place.
ABSENT = {
    ("FineTuningJob", "error.code"): "a job without a fault has `error: {}` (OpenAI's guide to fine-tuning) or three nulls",
    ("FineTuningJob", "error.message"): "the same",
    ("RunRetrieveResponse", "error"): "null in OpenAI's example of a run that went well",
    ("RunListResponse", "error"): "the same",
}

# There, although the type does not have it: by type and name.
UNKNOWN = {
    ("Response", "store"): "in every response of OpenAI's reference; the type has it only for requests",
    ("FineTuningJob", "user_provided_suffix"): "in the job that OpenAI's guide to fine-tuning shows",
    ("FineTuningJob", "usage_metrics"): "the same",
    ("FineTuningJob", "shared_with_openai"): "the same",
}

# Types of events that can be subscribed to, for which the client has no class.
UNTYPED_EVENTS = {
    "video.completed": "the Videos API ended in September 2026; its events can still be chosen",
    "video.failed": "the same",
}


class Deviations:
    """Remembers which entries were needed."""

    def __init__(self):
        self.known = {"absent": ABSENT, "unknown": UNKNOWN, "untyped event": UNTYPED_EVENTS}
        self.used = set()

    def permit(self, kind: str, key) -> bool:
        if key not in self.known[kind]:
            return False
        self.used.add((kind, key))
        return True

    def unused(self) -> list[str]:
        entries = [(kind, key) for kind, entries in self.known.items() for key in entries]
        return [f"deviations.py: nothing needs {kind} {key} any more" for kind, key in entries if (kind, key) not in self.used]
