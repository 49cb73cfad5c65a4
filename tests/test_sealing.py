from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.errors import ConfigError, SealBroken
from pgflow.sealing import Keyring, Sealed, key_id, new_key, read_key

OLD, NEW = new_key(), new_key()
TEXTS = st.text().filter(lambda text: text.isascii() or not any(0xD800 <= ord(c) <= 0xDFFF for c in text))


@given(text=TEXTS, schema=TEXTS, name=TEXTS)
def test_what_is_sealed_opens_to_what_it_was(text: str, schema: str, name: str) -> None:
    ring = Keyring([NEW])
    sealed = ring.seal(text, schema, name)
    assert ring.open(sealed, schema, name) == text
    assert sealed.key_id == ring.newest
    assert len(text) < 6 or text.encode() not in sealed.data


@given(text=TEXTS, name=TEXTS, other=TEXTS)
def test_a_seal_opens_only_where_it_belongs(text: str, name: str, other: str) -> None:
    ring = Keyring([NEW])
    sealed = ring.seal(text, "pgflow", name)
    with pytest.raises(SealBroken, match="broken"):
        ring.open(sealed, "elsewhere", name)
    if other != name:
        with pytest.raises(SealBroken, match="broken"):
            ring.open(sealed, "pgflow", other)


@given(text=TEXTS, at=st.integers(min_value=0), flip=st.integers(1, 255))
def test_no_byte_of_a_seal_can_be_changed(text: str, at: int, flip: int) -> None:
    ring = Keyring([NEW])
    data, key = ring.seal(text, "pgflow", "TOKEN")
    changed = bytearray(data)
    changed[at % len(data)] ^= flip
    with pytest.raises(SealBroken):
        ring.open(Sealed(bytes(changed), key), "pgflow", "TOKEN")


@given(st.integers(0, 28))
def test_a_seal_that_was_cut_is_broken(length: int) -> None:
    ring = Keyring([NEW])
    data, key = ring.seal("hunter22", "pgflow", "TOKEN")
    with pytest.raises(SealBroken):
        ring.open(Sealed(data[:length], key), "pgflow", "TOKEN")


def test_the_same_text_is_never_sealed_the_same_way_twice() -> None:
    ring = Keyring([NEW])
    assert len({ring.seal("hunter22", "pgflow", "TOKEN").data for _ in range(100)}) == 100


def test_the_first_key_seals_and_all_open() -> None:
    sealed = Keyring([OLD]).seal("hunter22", "pgflow", "TOKEN")
    both = Keyring([NEW, OLD])
    assert both.open(sealed, "pgflow", "TOKEN") == "hunter22"
    assert both.seal("hunter22", "pgflow", "TOKEN").key_id == key_id(read_key(NEW)) == both.newest


def test_a_key_that_is_not_at_hand_is_named_and_what_to_do() -> None:
    sealed = Keyring([OLD]).seal("hunter22", "pgflow", "TOKEN")
    with pytest.raises(SealBroken, match=f"TOKEN is sealed with the key {sealed.key_id}.*\n.*PGFLOW_SECRET_KEYS"):
        Keyring([NEW]).open(sealed, "pgflow", "TOKEN")


def test_another_key_under_the_same_id_opens_nothing() -> None:
    sealed = Keyring([OLD]).seal("hunter22", "pgflow", "TOKEN")
    ring = Keyring([NEW])
    assert ring.newest is not None
    with pytest.raises(SealBroken, match="broken"):
        ring.open(Sealed(sealed.data, ring.newest), "pgflow", "TOKEN")


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(ConfigError, match="pgflow secret key"):
        Keyring([]).seal("hunter22", "pgflow", "TOKEN")


@pytest.mark.parametrize(
    "bad",
    ["", "short", new_key()[:-5], new_key() + "AAAA", "é" * 44, "!" * 44],
    ids=["empty", "short", "cut off", "too long", "letters", "marks"],
)
def test_what_is_no_key_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ConfigError, match="key 2 for secrets is not 32 bytes") as caught:
        Keyring([NEW, bad])
    assert not bad or bad not in str(caught.value)


def test_a_key_may_be_in_either_alphabet_of_base64() -> None:
    raw = bytes(range(224, 256))
    plain, urlsafe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert plain != urlsafe
    assert read_key(plain) == read_key(f" {urlsafe}\n") == raw
