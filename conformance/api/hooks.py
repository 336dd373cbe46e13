"""Hooks of schemathesis, for scripts/check-api."""

import schemathesis

# A wait is the call's purpose, and takes up to two minutes if nothing is stored under the id.
WAIT_SECS_MAX = 1

# What a JSON Schema cannot say of a parameter. A 400 with one of these details is right although the schema permits the value.
BEYOND_SCHEMA = (
    "after must be",  # an opaque value of the API itself
    "preview must be",  # the same
    "status must be",  # a range whose first status is not above its last
    "awaited",  # only ids of objects that OpenAI announces
    "can be fetched",  # the same
    "nothing to fetch",  # the same
    "send either",  # one of two fields
    "must name from",  # of this field, at least one item
    "is not the id of a dead letter",
)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Shortens valid waits. Values that the API must refuse stay as they are."""
    wait = str((case.query or {}).get("wait", ""))
    if wait.isascii() and wait.isdigit() and WAIT_SECS_MAX < int(wait) <= 120:
        case.query["wait"] = WAIT_SECS_MAX


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether it is a failure."""
    is_refusal = failure.title == "Schema-valid request rejected" and response.status_code == 400
    return not (is_refusal and any(reason in response.text for reason in BEYOND_SCHEMA))
