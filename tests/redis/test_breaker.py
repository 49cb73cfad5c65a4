from __future__ import annotations

from pgflow.redis.breaker import CROWD, OPEN, SUSPICIOUS, Breaker, breaker_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failure_keeps_everybody_away_until_one_has_looked_again() -> None:
    clock = Clock()
    breaker = Breaker("node", clock)
    assert breaker.passes()
    breaker.failed(OSError("refused"))
    clock.now += OPEN - 0.01
    assert not breaker.passes()
    clock.now += 0.02
    assert breaker.passes()
    assert not breaker.passes()  # one looks
    breaker.failed(OSError("refused"))
    assert not breaker.passes()
    clock.now += OPEN
    assert breaker.passes()
    breaker.answered()
    assert breaker.passes()
    assert breaker.passes()


def test_nobody_joins_a_request_that_has_no_answer_yet() -> None:
    clock = Clock()
    breaker = Breaker("node", clock)
    assert breaker.passes()
    clock.now += SUSPICIOUS / 2
    assert breaker.passes()
    clock.now += SUSPICIOUS
    assert not breaker.passes()
    breaker.answered()  # one of the two
    assert breaker.passes()


def test_a_steady_stream_of_answers_is_not_suspicious() -> None:
    clock = Clock()
    breaker = Breaker("node", clock)
    assert breaker.passes()
    for _ in range(100):
        clock.now += SUSPICIOUS / 2
        assert breaker.passes()
        breaker.answered()


def test_who_gives_up_tells_nothing_of_the_node() -> None:
    clock = Clock()
    breaker = Breaker("node", clock)
    assert breaker.passes()
    breaker.failed(OSError("refused"))
    clock.now += OPEN
    assert breaker.passes()
    breaker.gave_up()
    assert breaker.passes()  # the next one looks instead


def test_there_are_so_many_at_once_and_no_more() -> None:
    breaker = Breaker("node", Clock())
    assert [breaker.passes() for _ in range(CROWD + 1)] == [True] * CROWD + [False]


def test_a_node_has_one_breaker_in_a_process() -> None:
    assert breaker_of("redis://a:1/0") is breaker_of("redis://a:1/0")
    assert breaker_of("redis://a:1/0") is not breaker_of("redis://a:2/0")
