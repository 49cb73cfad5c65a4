from __future__ import annotations

import dataclasses
import random
from datetime import timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.backoff import NO_RETRY, RetryPolicy
from pgflow.errors import RegistrationError

policies = st.builds(
    lambda attempts, backoff, base, more, jitter: RetryPolicy(
        attempts, backoff=backoff, base=base, cap=base + more, jitter=jitter
    ),
    st.integers(1, 32_767),
    st.sampled_from(["fixed", "linear", "exponential"]),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.booleans(),
)
attempts = st.integers(1, 32_767) | st.sampled_from([10**9, 10**400])


@given(policies, attempts, st.floats(0, 1))
def test_a_delay_is_never_negative_and_never_over_the_cap(policy: RetryPolicy, attempt: int, drawn: float) -> None:
    assert 0 <= policy.delay(attempt, lambda: drawn) <= policy.cap


@given(policies, attempts, attempts)
def test_without_jitter_a_later_delay_is_no_shorter(policy: RetryPolicy, one: int, other: int) -> None:
    policy = dataclasses.replace(policy, jitter=False)
    assert policy.delay(min(one, other)) <= policy.delay(max(one, other))


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [("fixed", [2, 2, 2, 2, 2]), ("linear", [2, 4, 6, 8, 10]), ("exponential", [2, 4, 8, 10, 10])],
)
def test_delays_grow_as_the_backoff_says_up_to_the_cap(backoff: Any, delays: list[float]) -> None:
    policy = RetryPolicy(9, backoff=backoff, base=2, cap=10, jitter=False)
    assert [policy.delay(attempt) for attempt in range(1, 6)] == delays


def test_full_jitter_spreads_evenly_from_nothing_to_the_whole_delay() -> None:
    policy, draw = RetryPolicy(base=8, cap=8), random.Random(7).random
    delays = [policy.delay(1, draw) for _ in range(4_000)]
    assert fmean(delays) == pytest.approx(4, abs=0.2)
    eighths = [sum(i <= delay < i + 1 for delay in delays) for i in range(8)]
    assert sum(eighths) == 4_000
    assert min(eighths) > 400
    assert max(eighths) < 600


def test_jitter_draws_anew_each_time() -> None:
    delays = [RetryPolicy(base=100).delay(1) for _ in range(20)]
    assert len(set(delays)) > 15
    assert all(earlier != later for earlier, later in pairwise(delays))


def test_attempts_are_allowed_up_to_the_most() -> None:
    policy = RetryPolicy(3)
    assert [policy.allows(attempt) for attempt in (1, 2, 3, 4)] == [True, True, False, False]
    assert not NO_RETRY.allows(1)


def test_durations_may_be_text() -> None:
    policy = RetryPolicy(base="500ms", cap=timedelta(minutes=5))
    assert (policy.base, policy.cap) == (0.5, 300.0)


def test_a_policy_is_a_value() -> None:
    assert RetryPolicy(5, backoff="exponential", base=1, cap=300, jitter=True) == RetryPolicy()
    assert len({RetryPolicy(), RetryPolicy(base="1s"), RetryPolicy(3)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        RetryPolicy().base = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_attempts": 0}, "max_attempts"), ({"max_attempts": 32_768}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"), ({"max_attempts": 2.0}, "max_attempts"),
        ({"base": -1}, "base"), ({"base": "soon"}, "base"), ({"base": float("nan")}, "base"),
        ({"cap": "never"}, "cap"), ({"base": 10, "cap": 5}, "cap"),
        ({"backoff": "quadratic"}, "fixed, linear, exponential"), ({"backoff": []}, "fixed, linear, exponential"),
        ({"jitter": 1}, "jitter"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(RegistrationError, match=named):
        RetryPolicy(**wrong)


@given(policies)
def test_a_policy_comes_back_from_its_json(policy: RetryPolicy) -> None:
    assert RetryPolicy.from_json(orjson.loads(orjson.dumps(policy.to_json()))) == policy


def test_what_a_definition_leaves_out_has_its_default() -> None:
    assert RetryPolicy.from_json({"max_attempts": 3, "cap": "1h"}) == RetryPolicy(3, cap=3600)


def test_a_misspelt_field_is_refused_with_the_choices() -> None:
    with pytest.raises(RegistrationError, match=r"no field 'attempts'(.|\n)*max_attempts"):
        RetryPolicy.from_json({"attempts": 3})
    with pytest.raises(RegistrationError, match="an object is needed, not a list"):
        RetryPolicy.from_json([3])  # type: ignore[arg-type]
