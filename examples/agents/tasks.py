"""What the agents may look things up in. It is an ordinary task: what makes it a tool is that a node names it."""

from __future__ import annotations

from pgflow import App

app = App()

ALMANAC = {
    "the kettle": [
        "Kettles of iron hung over open fires for centuries.",
        "The first electric kettles took a quarter of an hour to boil.",
        "A kettle that switches itself off came on the market in 1955.",
    ],
    "the bicycle": [
        "Karl Drais rode a machine with two wheels in 1817.",
        "It had no pedals; those came in the 1860s.",
        "The chain drives the rear wheel of nearly every bicycle since 1885.",
    ],
}


@app.task(name="agents.look_up")
def look_up(topic: str) -> list[str]:
    """What the almanac says about a topic, as a list of sentences; none if it says nothing."""
    return ALMANAC.get(topic.strip().lower(), [])
