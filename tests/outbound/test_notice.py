"""What is said about events, to programs and to people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.model import EventType, State
from pgflow.outbound import notice

TEXTS = st.text(max_size=3000)


def event(kind: str = "task.failed", **more: Any) -> dict[str, Any]:
    return {
        "id": 7, "type": kind, "at": "2026-05-01T09:00:12.345678+02:00", "run_id": 42, "task_id": 43, "name": "charge",
        "step": "charge#2", "run_name": "order", "attempt": 5, **more,
    }  # fmt: skip


FAILED = event(error={"type": "CardDeclined", "message": "no money", "module": "shop", "reason": "spent"})


def test_a_webhook_says_all_that_is_documented() -> None:
    assert json.loads(notice.payload(FAILED, "https://flows.example/")) == {
        "type": "task.failed",
        "timestamp": "2026-05-01T07:00:12.345678Z",
        "data": {
            "event_id": 7, "run_id": 42, "run_name": "order", "task_id": 43, "name": "charge", "step": "charge#2",
            "key": None, "state": "failed", "attempt": 5, "reason": "spent",
            "error": {"type": "CardDeclined", "message": "no money"}, "due_at": None, "actor": None, "approval": None,
            "link": "https://flows.example/runs/42",
        },
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(EventType))
def test_every_event_is_put_in_words_and_has_the_same_keys(kind: EventType) -> None:
    happened = event(kind, state="cancelled", reason="needs_attention")
    assert kind not in notice.headline(happened)
    assert notice.headline(happened).startswith("charge ")
    body = json.loads(notice.payload(happened))
    assert body["data"].keys() == json.loads(notice.payload(FAILED))["data"].keys()
    assert body["data"]["state"] in {*State, "cancelling", None}
    assert notice.payload(happened) == notice.payload(dict(happened))


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (FAILED, "charge failed (task 43 in order, run 42)"),
        (event(task_id=42), "charge failed (run 42)"),
        (event("task.retried"), "charge failed and will be tried again (task 43 in order, run 42)"),
        (event("workflow.finished", state="failed"), "charge failed (task 43 in order, run 42)"),
        (event("workflow.finished", state="completed"), "charge completed (task 43 in order, run 42)"),
        (event("workflow.parked", reason="needs_attention"), "charge needs attention (task 43 in order, run 42)"),
        (event("workflow.parked", reason="paused", run_name=None), "charge was paused (task 43 in run 42)"),
    ],
)
def test_the_headline_says_what_happened_and_where(happened: dict[str, Any], said: str) -> None:
    assert notice.headline(happened) == said


def test_a_letter_says_what_failed_why_and_how_to_look() -> None:
    subject, text = notice.letter(FAILED, "https://flows.example")
    assert subject == "[pgflow] charge failed (task 43 in order, run 42)"
    assert text == (
        "charge failed (task 43 in order, run 42)\n"
        "\n"
        "    CardDeclined: no money\n"
        "\n"
        "at 2026-05-01 07:00:12 UTC, attempt 5\n"
        "look: pgflow run show 42\n"
        "try again: pgflow task redrive 43\n"
        "https://flows.example/runs/42\n"
    )


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://canary.discord.com/api/webhooks/1/x", "discord"),
        ("https://x.webhook.office.com/webhookb2/1", "teams"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/1", "teams"),
        ("https://chat.example.com/hooks/x", "chat"),
        ("https://notdiscord.com/", "chat"),
        ("https://hooks.slack.com.example.com/", "chat"),
    ],
)
def test_chats_are_known_by_their_host(url: str, dialect: str) -> None:
    assert notice.dialect_of(url) == dialect


def test_each_chat_gets_its_own_form() -> None:
    text = (
        "charge failed (task 43 in order, run 42)\n```\nCardDeclined: no money\n```\n"
        "at 2026-05-01 07:00:12 UTC, attempt 5\nlook: pgflow run show 42\ntry again: pgflow task redrive 43"
    )
    assert json.loads(notice.chat(FAILED, "chat")) == {"text": text}
    assert json.loads(notice.chat(FAILED, "slack")) == {"text": text}
    assert json.loads(notice.chat(FAILED, "discord")) == {"content": text, "allowed_mentions": {"parse": []}}
    card = json.loads(notice.chat(FAILED, "teams", "https://flows.example"))
    (attachment,) = card["attachments"]
    assert (card["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    runs = [inline["text"] for block in attachment["content"]["body"] for inline in block["inlines"]]
    assert runs[:2] == ["charge failed (task 43 in order, run 42)", "CardDeclined: no money"]
    assert attachment["content"]["actions"][0]["url"] == "https://flows.example/runs/42"


@given(TEXTS, TEXTS, st.one_of(st.none(), TEXTS))
def test_what_an_error_says_can_neither_call_anybody_nor_break_out(kind: str, message: str, key: str | None) -> None:
    happened = event(error={"type": kind, "message": message}, key=key)
    slack = json.loads(notice.chat(happened, "slack"))["text"]
    assert not set(slack) & {"<", ">"}
    discord = json.loads(notice.chat(happened, "discord"))
    assert len(discord["content"]) <= 2000
    assert discord["allowed_mentions"] == {"parse": []}
    for text in (slack, discord["content"], json.loads(notice.chat(happened, "chat"))["text"]):
        assert text.count("```") in {0, 2}
        before, _, rest = text.partition("```")
        after = rest.rpartition("```")[2]
        for outside in (before, after):
            assert not any(f"@{word}" in outside for word in ("all", "channel", "here", "everyone"))
    notice.chat(happened, "teams")
    assert json.loads(notice.payload(happened))["data"]["error"] == {"type": kind, "message": message}


@pytest.mark.parametrize("call", ["@everyone", "<!channel>", "<users/all>", "``` @here ```"])
def test_the_usual_calls_to_everybody_are_harmless(call: str) -> None:
    happened = event(error={"type": "E", "message": call}, key=call)
    for dialect in ("chat", "slack"):
        text = json.loads(notice.chat(happened, dialect))["text"]
        assert text.count("```") == 2
        outside = text.split("```")[0] + text.split("```")[2]
        assert "@everyone" not in outside
        assert "@here" not in outside
        assert "<!" not in outside
