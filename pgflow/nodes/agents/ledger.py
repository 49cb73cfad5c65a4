"""What agents have spent: prices, and the check before each call of a model.

What is spent is recorded with each answer, in the same commit; so the ledger is the history itself
(`sql/views/agent_usage.sql`), and knows of every call that was answered. What an agent is about to spend nobody knows:
the check is whether anything is left, and agents that ask at the same moment may all be let through once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pgflow.engine.agents import Spent
from pgflow.errors import Fatal
from pgflow.nodes.agents.config import AgentConfig, Budget, Prices

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Used:
    """What one call of a model used.

    Args:
        model: as the config names it.
        input_tokens: sent.
        output_tokens: answered.
        cached_tokens: of those sent, what the provider had already.
        cost: in US dollars; None: nobody knows the price.
    """

    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None


class BudgetSpent(Fatal):
    """Nothing is left of what may be spent."""


def check(what: str, budget: Budget | None, spent: Spent) -> None:
    """That something is left.

    Args:
        what: whose budget, for a person.
        budget: what may be spent.
        spent: what is.

    Raises:
        BudgetSpent: nothing is.
    """
    if budget is None:
        return
    over = []
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        over.append(f"{spent.tokens:,} of {budget.tokens:,} tokens")
    if budget.cost is not None and spent.cost >= budget.cost:
        over.append(f"{dollars(spent.cost)} of {dollars(budget.cost)}")
    if budget.requests is not None and spent.requests >= budget.requests:
        over.append(f"{spent.requests:,} of {budget.requests:,} model calls")
    if over:
        raise BudgetSpent(
            f"the budget of {what} is spent: {', '.join(over)}; it has used {spent.tokens:,} tokens in "
            f"{spent.requests:,} model calls ({dollars(spent.cost)}), and no model was called any more"
        )


def dollars(amount: float) -> str:
    """An amount for a person: calls cost parts of a cent."""
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.6f}".rstrip("0")


def priced(config: AgentConfig, model: str) -> None:
    """That the cost of a model's calls will be known, if there is a budget in dollars.

    Raises:
        Fatal: it will not.
    """
    limited = [one for one in (config.budget, config.run_budget) if one is not None and one.cost is not None]
    if limited and cost(model, config.prices.get(model), 0, 0, 0) is None:
        raise Fatal(f"there is a budget in dollars, and the price of {model} is not known: give it in `prices`")


def cost(model: str, prices: Prices | None, input: int, output: int, cached: int) -> float | None:
    """What so many tokens cost, in US dollars; None: nobody knows.

    Args:
        model: as the config names it.
        prices: the operator's or author's; the known ones if None.
        input: tokens sent.
        output: tokens answered.
        cached: of those sent, what the provider had already.
    """
    if prices is not None:
        of_cached = prices.input if prices.cached is None else prices.cached
        total = (input - cached) * Decimal(str(prices.input)) + cached * Decimal(str(of_cached))
        return float((total + output * Decimal(str(prices.output))) / MILLION)
    from genai_prices import Usage, calc_price

    provider, _, name = model.partition(":")
    usage = Usage(input_tokens=input, output_tokens=output, cache_read_tokens=cached)
    try:
        return float(calc_price(usage, name, provider_id=_PROVIDERS.get(provider, provider)).total_price)
    except (LookupError, ValueError):
        return None


_PROVIDERS = {"openai-chat": "openai", "openai-responses": "openai", "google-cloud": "google"}


def told(spent: Spent) -> dict[str, Any]:
    """What was spent, as a node's output has it."""
    return {
        "requests": spent.requests, "input_tokens": spent.input_tokens, "output_tokens": spent.output_tokens,
        "cost": spent.cost,
    }  # fmt: skip
