"""Functions: their arguments and results, to JSON and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING, Any, Optional, Unpack, get_args, get_origin

from pgflow.codec.annotations import is_plain
from pgflow.codec.binding import Binding
from pgflow.codec.faults import DEFAULT_PAYLOAD_LIMIT, check_numbers
from pgflow.codec.values import decode, encode
from pgflow.errors import ArgumentError, PayloadError, RegistrationError

if TYPE_CHECKING:
    from pgflow.codec.conversion import Converter

# What pydantic may have written for a number that is not finite.
_find_lost_number = re.compile(rb"null|NaN|Infinity").search


class Signature(Binding):
    """A function's parameters and result, and how they become JSON and come back. Built once per function.

    The JSON of a call is one object, by the names of the parameters. What was left to its default is left out, so that
    a changed default counts for tasks already enqueued. `*args` is an array under its name, `**kwargs` an object.

    Values of plain annotations (JSON's own types, containers and unions of them, none at all) are taken as they are,
    both ways: that an `int` gets an `int` is for a type checker to see, not for each call. All other annotations
    convert, and values that do not fit them are refused. Names that are imported only for type checkers count as no
    annotation at all. Models keep their own configuration, so their bytes are UTF-8 text unless it says base64; all
    other bytes are base64. In a union of types with the same JSON form, such as `str | bytes`, the first one wins.

    Args:
        function: the function.
        skip: how many leading parameters someone else provides, such as the context of a workflow.

    Raises:
        RegistrationError: an annotation names nothing, or there are too few parameters. An annotation that has no JSON
            form is told when it is first needed, or by `prepare`.

    Example:
        >>> def send_email(to: str, template: str = "welcome") -> None: ...
        >>> Signature(send_email).bind(("ann@example.com",), {})
        {'to': 'ann@example.com'}
    """

    def __init__(self, function: Callable[..., Any], *, skip: int = 0) -> None:
        super().__init__(function, skip=skip)
        self._annotations = {parameter.name: _annotation_of(parameter) for parameter in self.declared.parameters}
        self._typed = [name for name, annotation in self._annotations.items() if not is_plain(annotation)]
        self._result = self.declared.result
        self._result_is_plain = is_plain(self._result)

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, limit: int = DEFAULT_PAYLOAD_LIMIT
    ) -> bytes:
        """The JSON of a call with these arguments.

        Args:
            args: the positional arguments.
            kwargs: the keyword arguments.
            limit: how many bytes of JSON there may be.

        Raises:
            ArgumentError: they do not fit the function.
            PayloadError: something in them cannot be stored; the error has its path.
        """
        bound = self.bind(args, kwargs)
        if not self._typed:
            return encode(bound, limit=limit)
        written = dict(bound)
        for name, converter in self._converters.items():
            if name in bound:
                try:
                    written[name] = converter.write(bound[name], (None, name))
                except self._unfit as error:
                    raise self._wrong_type(name, converter, error) from None
        data = encode(written, limit=limit)
        if _find_lost_number(data):
            check_numbers(bound, written)
        return data

    def decode_arguments(self, input: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with: positional and keyword arguments.

        Args:
            input: the decoded JSON of a call. It may be handed back as the keyword arguments.

        Raises:
            ArgumentError: a name is missing or unknown, or a value does not fit its annotation.
        """
        self.check_names(input)
        if self._typed:
            input = self._read_typed(input)
        return self.spread(input)

    def _read_typed(self, values: dict[str, Any]) -> dict[str, Any]:
        read = dict(values)
        for name, converter in self._converters.items():
            if name in read:
                try:
                    read[name] = converter.read(read[name])
                except self._unfit as error:
                    raise self._wrong_type(name, converter, error) from None
        return read

    def encode_result(self, value: Any, *, limit: int = DEFAULT_PAYLOAD_LIMIT) -> bytes:
        """The JSON of a result.

        Raises:
            PayloadError: it is not what the function's annotation promises, or cannot be stored.
        """
        if self._result_is_plain:
            return encode(value, limit=limit)
        converter = self._result_converter
        try:
            written = converter.write(value, None)
        except self._unfit as error:
            raise PayloadError(
                f"the result of {self.label}() should be {converter.annotation}: {error}",
                hint="correct the function's annotation, or what it returns",
            ) from None
        data = encode(written, limit=limit)
        if _find_lost_number(data):
            check_numbers(value, written)
        return data

    def decode_result(self, value: Any) -> Any:
        """The result of a stored result's JSON value.

        Raises:
            ArgumentError: it does not fit the function's annotation, which may have changed since.
        """
        if self._result_is_plain:
            return value
        try:
            return self._result_converter.read(value)
        except self._unfit as error:
            raise ArgumentError(
                f"the stored result of {self.label}() is no {self._result_converter.annotation}: {error}",
                hint="the annotation may have changed since it was stored",
            ) from None

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the object that `decode_arguments` takes, for forms and for validation at the door.

        Raises:
            RegistrationError: an annotation has no JSON form.
        """
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticInvalidForJsonSchema

        adapters = {name: self._converter(name, annotation).adapter for name, annotation in self._annotations.items()}
        try:
            schemas, shared = TypeAdapter.json_schemas(
                [(name, "validation", adapter) for name, adapter in adapters.items()]
            )
        except PydanticInvalidForJsonSchema as error:
            raise RegistrationError(f"{self.label}() has no JSON Schema: {error.message}") from error
        properties = {name: schema["items"] for (name, _), schema in schemas.items()}
        for name, default in self.defaults.items():
            try:
                written = self._converter(name, self._annotations[name]).write(default, None)
                properties[name] = properties[name] | {"default": decode(encode(written))}
            except (self._unfit, PayloadError):
                continue  # a default such as a marker object concerns the function alone
        schema: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": [name for name in self._annotations if name in self.required],
            "additionalProperties": False,
        }
        return schema | ({"$defs": shared["$defs"]} if "$defs" in shared else {})

    def prepare(self) -> None:
        """Build all converters now: for a worker, so that its first tasks do not wait and a bad annotation shows early.

        Raises:
            RegistrationError: an annotation has no JSON form.
        """
        if self._typed:
            self._converters  # noqa: B018 - cached
        if not self._result_is_plain:
            self._result_converter  # noqa: B018 - cached

    @cached_property
    def _converters(self) -> dict[str, Converter]:
        return {name: self._converter(name, self._annotations[name]) for name in self._typed}

    @cached_property
    def _result_converter(self) -> Converter:
        from pgflow.codec.conversion import Converter

        return Converter(self._result, f"the result of {self.label}()")

    @cached_property
    def _unfit(self) -> type[Exception]:
        from pgflow.codec.conversion import Unfit

        return Unfit

    def _converter(self, name: str, annotation: Any) -> Converter:
        from pgflow.codec.conversion import Converter

        return Converter(annotation, f"parameter {name!r} of {self.label}()")

    def _wrong_type(self, name: str, converter: Converter, error: Exception) -> ArgumentError:
        return self.misfit(f"{name!r} is no {converter.annotation}: {error}")


def _annotation_of(parameter: Parameter) -> Any:
    """The type of what is stored under a parameter's name."""
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return list[parameter.annotation]  # type: ignore[name-defined]
    if parameter.kind is Parameter.VAR_KEYWORD:
        if get_origin(parameter.annotation) is Unpack:
            return get_args(parameter.annotation)[0]
        return dict[str, parameter.annotation]  # type: ignore[name-defined]
    if parameter.default is None and not is_plain(parameter.annotation):
        # `x: Model = None` is common, and None is what it says. An annotation need not know the operator |.
        return Optional[parameter.annotation]  # noqa: UP045
    return parameter.annotation
