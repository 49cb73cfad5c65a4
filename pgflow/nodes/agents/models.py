"""Asking a model, by pydantic-ai, and what its refusals mean for whoever asks."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic_ai import exceptions
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.providers import Provider, infer_provider_class

from pgflow.errors import Fatal, RetryLater
from pgflow.nodes.agents.transport import client, why_refused
from pgflow.outbound.client import Outbound

QUOTED = 500
"""Characters of what a provider says that an error shows."""
_CHAT = ("openai", "openai-chat")
_GUARDED = (*_CHAT, "openai-responses", "anthropic")
"""Providers whose client can be handed the guarded one, so that they may be called at any URL."""
NO_KEY = "none"


class ModelFailed(RetryLater):
    """A model did not answer, but may when it is asked again."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a model is, and how to be let in: with secrets in clear.

    Args:
        model: provider and model, as in `openai:gpt-5-mini`.
        base_url: where; the provider's own unless given.
        api_key: the key; what the environment has for the provider unless given.
    """

    model: str
    base_url: str | None
    api_key: str | None

    @property
    def where(self) -> str:
        """For a person: never with what a URL may hide."""
        if self.base_url is None:
            return self.model.partition(":")[0]
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


async def ask(
    access: Access, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, settings: Mapping[str, Any],
    outbound: Outbound, *, timeout: float, stream: bool, key: str,
) -> ModelResponse:  # fmt: skip
    """Ask a model once.

    Args:
        access: which, and where.
        messages: the conversation.
        parameters: the tools it may call, and of what form the answer is.
        settings: more for the model.
        outbound: what calls are made with.
        timeout: seconds for all of it.
        stream: have the answer streamed.
        key: the same whenever this is asked again: servers that heed Idempotency-Key charge for it once.

    Raises:
        ModelFailed: it may answer when asked again.
        Fatal: it will not.
    """
    try:
        async with asyncio.timeout(timeout), client(outbound, timeout, {"idempotency-key": key}) as http:
            model = _made(access, http)
            given: Any = dict(settings)
            if not stream:
                return await model_request(
                    model, messages, model_settings=given, model_request_parameters=parameters, instrument=False
                )
            async with model_request_stream(
                model, messages, model_settings=given, model_request_parameters=parameters, instrument=False
            ) as streamed:
                async for _ in streamed:
                    pass
                return streamed.get()
    except TimeoutError:
        raise ModelFailed(f"{access.model} at {access.where} did not answer within {timeout:g} s") from None
    except exceptions.UserError as error:
        raise Fatal(_plain(error)) from None
    except (exceptions.ModelAPIError, exceptions.UnexpectedModelBehavior, httpx2.HTTPError) as error:
        raise judged(error, access) from None


def judged(error: Exception, access: Access) -> Exception:
    """What a failed call means: a ModelFailed when the same may succeed later, else a Fatal."""
    where = f"{access.model} at {access.where}"
    if (refused := why_refused(error)) is not None:
        return Fatal(f"{where} may not be called: {refused}")
    said = _said(error)
    match error:
        case exceptions.ModelAuthenticationError():
            return Fatal(
                f"{where} does not let us in{_status(error)}: is `api_key` right, and may it use this model?{said}"
            )
        case exceptions.ModelNotFoundError():
            return Fatal(f"there is no {where}{_status(error)}: look at `model` and `base_url`{said}")
        case exceptions.ModelQuotaExceededError():
            return Fatal(f"{where} asks for money: the account's credit is spent{_status(error)}{said}")
        case exceptions.ModelContextWindowExceededError():
            return Fatal(f"the conversation is too long for {where}{_status(error)}{said}")
        case exceptions.ModelRequestRejectedError():
            return Fatal(f"{where} refused the request{_status(error)}{said}")
        case exceptions.ContentFilterError():
            return Fatal(f"{where} gave no answer: its content filter stood in the way{said}")
        case exceptions.ModelRateLimitError():
            return ModelFailed(f"{where} is asked too often{_status(error)}{said}", after=error.retry_after)
        case exceptions.ModelAPIError():
            return ModelFailed(f"{where} did not answer{_status(error)}{said}", after=error.retry_after)
        case _:
            return ModelFailed(f"{where} did not answer properly{said}")


def _made(access: Access, http: httpx2.AsyncClient) -> Model:
    kind, colon, name = access.model.partition(":")
    if not colon or not name:
        raise Fatal(f"{access.model!r} names no model: write provider:model, as in openai:gpt-5-mini")
    try:
        if access.base_url is None:
            return infer_model(access.model, lambda provider: _provider(provider, access, http))
        if kind in _CHAT or kind == "openai-responses":
            return _compatible(kind, name, access, http)
        if kind in _GUARDED:
            return infer_model(access.model, lambda provider: _provider(provider, access, http))
    except ImportError as error:
        raise Fatal(f"the package for {kind} is not installed where this worker runs: {_plain(error)}") from None
    except ValueError:
        raise Fatal(f"there is no provider {kind!r}: write provider:model, as in openai:gpt-5-mini") from None
    raise Fatal(
        f"`base_url` is for {', '.join(_GUARDED)}; a server that is like OpenAI's is reached by openai-chat:{name}"
    )


def _compatible(kind: str, name: str, access: Access, http: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    assert access.base_url is not None
    provider = OpenAICompatibleProvider(
        urlsplit(access.base_url).hostname or "server", base_url=access.base_url, api_key=access.api_key or NO_KEY,
        http_client=http,
    )  # fmt: skip
    provider.client.max_retries = 0  # tries are counted and spaced by the step
    return (OpenAIChatModel if kind in _CHAT else OpenAIResponsesModel)(name, provider=provider)


def _provider(kind: str, access: Access, http: httpx2.AsyncClient) -> Provider[Any]:
    """The provider; one at another URL is never given the key that the environment has for its own."""
    made = infer_provider_class(kind)
    taken = inspect.signature(made.__init__).parameters
    options: dict[str, Any] = {}
    if access.api_key is not None or access.base_url is not None:
        options["api_key"] = access.api_key or NO_KEY
    if access.base_url is not None:
        options["base_url"] = access.base_url
    if kind in _GUARDED:
        options["http_client"] = http
    if lacking := [name for name in options if name not in taken]:
        raise Fatal(f"{kind} takes no {', '.join(f'`{name}`' for name in lacking)}")
    provider = made(**options)
    if hasattr(provider.client, "max_retries"):
        provider.client.max_retries = 0
    return provider


def _status(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return "" if status is None else f" (HTTP {status})"


def _said(error: Exception) -> str:
    """What the provider says, in its own words if it has any for people."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, Mapping):
        inner = body.get("error")
        body = inner if isinstance(inner, Mapping) else body
        body = body.get("message") or body.get("detail") or inner
    if not isinstance(body, str):
        body = None if isinstance(error, exceptions.ModelHTTPError) else _deepest(error)
    text = " ".join(body.split())[:QUOTED] if body else ""
    return f": {text}" if text else ""


def _deepest(error: BaseException) -> str:
    """The plainest words there are: of the error that is at the bottom."""
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen and str(cause):
        seen.add(id(cause))
        error = cause
    return str(error)


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:QUOTED]
