"""Results of the checks: the counts for the final table, and every difference with the client's error message."""

import enum
import textwrap
from collections import Counter
from contextlib import contextmanager


class Judged(enum.Enum):
    """The rows of the table, in order."""

    OBJECTS = "objects read"
    LISTS = "lists read to their end"
    PAGES = "pages of them"
    FILES = "files streamed, byte-identical"
    BYTES = "bytes of them"
    LINES = "batch lines read"
    RETRIES = "faults overcome by retrying"
    REFUSALS = "errors understood"
    CREATED = "jobs created and seen to end"
    STORED = "objects as Landfall stored them"
    STORED_LINES = "batch lines as stored"
    ACCEPTED = "signatures accepted"
    REJECTED = "forgeries rejected"
    INGESTED = "signed by it, taken by ingest"
    INGEST_REFUSED = "forged with it, refused by ingest"
    NOTIFIED = "our notifications' signatures"


class Tally:
    """The results of the whole run."""

    def __init__(self, judges: dict[str, list[Judged]]):
        """`judges`: each client as `name version`, and the rows for which it must have at least one check."""
        self.judges = judges
        self.counts: Counter[tuple[Judged, str]] = Counter()
        self.disagreements: list[str] = []

    def count(self, judge: str, judged: Judged, number: int = 1) -> None:
        self.counts[judged, judge] += number

    def disagree(self, judge: str, what: str, words: object) -> None:
        self.disagreements.append(f"{judge} on {what}:\n{textwrap.indent(str(words), '    ')}")

    @contextmanager
    def judging(self, judge: str, what: str):
        """Records an exception of the client as a difference in `what`."""
        try:
            yield
        except Exception as error:  # Any exception of the client is a difference.
            words = [f"{type(link).__name__}: {link}" for link in [error, error.__cause__] if link]
            self.disagree(judge, what, "\n".join(words))

    def idle(self) -> list[str]:
        """Required checks that did not run."""
        return [
            f"{judge}: {judged.value}: none, but at least one is required"
            for judge, rows in self.judges.items()
            for judged in rows
            if not self.counts[judged, judge]
        ]

    def table(self) -> str:
        """A table with one column per client, headed by name and version."""
        heads = [judge.split(" ") for judge in self.judges]
        rows = [["", *(name for name, _ in heads)], ["", *(version for _, version in heads)]]
        for judged in Judged:
            numbers = [self.counts[judged, judge] for judge in self.judges]
            rows.append([judged.value, *(f"{number:,}" if number else "-" for number in numbers)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [[row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))] for row in rows]
        return "\n".join("  ".join(line) for line in lines)
