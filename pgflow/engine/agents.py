"""What agents have spent: the statement."""

from __future__ import annotations

from typing import NamedTuple

from pgflow.db.call import Call


class Spent(NamedTuple):
    """What was spent, as recorded with each answer of a model.

    Args:
        requests: calls of models that were answered.
        input_tokens: sent.
        output_tokens: answered.
        cost: in US dollars, as far as prices are known.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    cost: float

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens


def spent(root_id: int, account: int) -> Call[tuple[Spent, Spent]]:
    """What a run's agents have spent: those of one account, and all.

    Args:
        root_id: the run.
        account: the task of the agent that the others work for.
    """
    params = {"root": root_id, "account": account}
    return Call("agent/spent", params, lambda rows: (Spent(*rows[0][:4]), Spent(*rows[0][4:])))
