"""The official Python client with strict validation: every response must match the client's types, except for the known
deviations, and must not have unknown fields."""

import re

import openai
import pydantic
from openai import APIResponseValidationError, BaseModel, OpenAI

from deviations import Deviations

NAME = f"openai-python {openai.__version__}"


class StrictOpenAI(OpenAI):
    """Configured from the environment."""

    def __init__(self, deviations: Deviations, **settings):
        self.deviations = deviations
        super().__init__(_strict_response_validation=True, **settings)

    def copy(self, **settings):
        return StrictOpenAI(self.deviations, **{"max_retries": self.max_retries, "api_key": self.api_key, **settings})

    with_options = copy

    def _process_response_data(self, *args, **kwargs):
        try:
            return super()._process_response_data(*args, **kwargs)
        except APIResponseValidationError as refusal:
            if not all_permitted(refusal.__cause__, self.deviations):
                raise
        self._strict_response_validation = False
        try:
            return super()._process_response_data(*args, **kwargs)
        finally:
            self._strict_response_validation = True


def all_permitted(refusal: BaseException | None, deviations: Deviations) -> bool:
    """Whether every validation error is a missing value in the list of deviations."""
    if not isinstance(refusal, pydantic.ValidationError):
        return False
    # `SyncCursorPage[FineTuningJob]` at `data.0.error.code` is `FineTuningJob` at `error.code`.
    page = re.fullmatch(r"\w+\[(\w+)\]", refusal.title)
    model, skipped = (page[1], 2) if page else (refusal.title, 0)
    permitted = []
    for fault in refusal.errors():
        place = ".".join(str(part) for part in fault["loc"][skipped:])
        absent = fault["input"] is None or fault["type"] == "missing"
        permitted.append(absent and deviations.permit("absent", (model, place)))
    return all(permitted)


def validate(model: type[BaseModel], value: object) -> BaseModel:
    """Strict validation of an object that is not a response."""
    return pydantic.TypeAdapter(model).validate_python(value)


def unknown_fields(value: object, deviations: Deviations) -> list[str]:
    """Fields that the client's types do not have."""
    if isinstance(value, (list, tuple)):
        return [field for item in value for field in unknown_fields(item, deviations)]
    if not isinstance(value, BaseModel):
        return []
    model = type(value).__name__
    # If the client renames a field, it may keep the value under both names.
    known = {field.alias for field in type(value).model_fields.values()}
    extra = [name for name in value.model_extra or {} if name not in known]
    unknown = [f"{model}.{name}" for name in extra if not deviations.permit("unknown", (model, name))]
    for name in type(value).model_fields:
        unknown += unknown_fields(getattr(value, name), deviations)
    return unknown
