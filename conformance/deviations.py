"""Known differences between OpenAI's API and the types of its Python client, each with its reason. An unused entry fails
the run, so that the list stays minimal."""

# Null or missing although the type requires it, by type and path.
ABSENT = {
    ("FineTuningJob", "error.code"): "a job without an error has `error: {}` (OpenAI's guide to fine-tuning) or three nulls",
    ("FineTuningJob", "error.message"): "the same",
    ("RunRetrieveResponse", "error"): "null in OpenAI's example of a successful run",
    ("RunListResponse", "error"): "the same",
}

# Present although the type does not have it, by type and name.
UNKNOWN = {
    ("Response", "store"): "in every response of OpenAI's reference; the type has it only for requests",
    ("FineTuningJob", "user_provided_suffix"): "in the job that OpenAI's guide to fine-tuning shows",
    ("FineTuningJob", "usage_metrics"): "the same",
    ("FineTuningJob", "shared_with_openai"): "the same",
}

# Event types that can be subscribed to, but have no class in the client.
UNTYPED_EVENTS = {
    "video.completed": "the Videos API ended in September 2026; its events can still be selected",
    "video.failed": "the same",
}


class Deviations:
    """Records which entries were used."""

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
        return [f"deviations.py: {kind} {key} is unused; remove it" for kind, key in entries if (kind, key) not in self.used]
