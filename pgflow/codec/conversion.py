"""Values of annotations that are more than plain JSON, to JSON and back, by pydantic."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from pgflow.codec.annotations import name_of
from pgflow.codec.faults import Trail, check, path
from pgflow.errors import PayloadError, RegistrationError

# For whatever has no configuration of its own. Models have, and keep it.
_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Unfit(Exception):
    """A value is not of the annotated type; the text says what is wrong, without the value."""


class Converter:
    """Writes values of one annotation, and reads them back.

    pydantic sees a list of one: a list takes a configuration and hands it on to a dataclass, which by itself takes
    none. Reading goes through JSON text, because only there does base64 become bytes, and a strict model takes a date.

    Args:
        annotation: the type.
        where: what it annotates, for errors.

    Raises:
        RegistrationError: values of the type have no JSON form.
    """

    def __init__(self, annotation: Any, where: str) -> None:
        self.annotation = name_of(annotation)
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(list[annotation], config=_CONFIG)
        except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError) as error:
            raise RegistrationError(
                f"{where} is annotated {self.annotation}, which has no JSON form: {error.message.splitlines()[0]}",
                hint="annotate it with JSON types, dataclasses or pydantic models",
            ) from error
        self._write = self.adapter.serializer.to_python
        self._read = self.adapter.validator.validate_json
        self._coerce = self.adapter.validator.validate_python

    def write(self, value: Any, trail: Trail) -> Any:
        """The JSON form of a value, still as Python's own types and not yet checked for what cannot be stored.

        Raises:
            Unfit: the value is not of the type, nor of one that converts to it.
            PayloadError: something in it has no JSON form.
        """
        try:
            return self._write([value], mode="json", warnings="error")[0]
        except Exception:  # noqa: BLE001 - also what serializers of the user's own may raise; it is told apart below
            return self._write_unlike(value, trail)

    def read(self, value: Any) -> Any:
        """The value of a JSON form.

        Raises:
            Unfit: it does not fit the type.
        """
        try:
            return self._read(orjson.dumps([value]))[0]
        except ValidationError as error:
            raise Unfit(_told(error)) from None

    def _write_unlike(self, value: Any, trail: Trail) -> Any:
        try:
            (value,) = self._coerce([value])
        except ValidationError as error:
            raise Unfit(_told(error)) from None
        try:
            return self._write([value], mode="json", warnings=False)[0]
        except Exception as error:
            check(value, trail)
            raise PayloadError(f"it cannot be written as JSON: {error}", path=path(trail)) from error


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = []
    for problem in problems[:5]:
        place = _place(problem["loc"][1:])
        told.append(f"{place}: {problem['msg']}" if place else problem["msg"])
    if len(problems) > 5:
        told.append(f"and {len(problems) - 5} more")
    return "; ".join(told)


def _place(steps: tuple[str | int, ...]) -> str:
    trail: Trail = None
    for step in steps:
        trail = (trail, step)
    return path(trail).removeprefix("$").removeprefix(".")
