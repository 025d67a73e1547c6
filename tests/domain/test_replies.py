"""Links, codes, and what people write back."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin_backend.domain import replies
from tocsin_backend.domain.replies import (
    EN_ROUTE,
    NEEDS_HELP,
    NO,
    ON_SITE,
    STOP,
    TAKE,
    UNCLEAR,
    Patience,
    Replies,
    Reply,
)

DISPATCH = "5f0c7a62-0000-4000-8000-000000000001"
OURS = Replies.of(b"0123456789abcdef" * 4)


def test_a_token_leads_back_to_its_dispatch_and_to_no_other() -> None:
    token = OURS.token(DISPATCH)
    assert len(token) == 43
    assert OURS.dispatch_of(token) == DISPATCH
    assert Replies.of(b"another secret, quite as long").dispatch_of(token) is None


@given(st.uuids(), st.integers(0, 255), st.integers(1, 255))
def test_a_token_with_one_byte_changed_is_nobody_s(dispatch: object, at: int, by: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(OURS.token(str(dispatch)) + "="))
    raw[at % len(raw)] ^= by
    assert OURS.dispatch_of(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")) is None


@pytest.mark.parametrize("token", ["", "x", "é", "=" * 43, "A" * 43, "A" * 44, "\x00", OURS.token(DISPATCH) + "="])
def test_what_is_no_token(token: str) -> None:
    assert OURS.dispatch_of(token) is None


def test_a_token_has_one_spelling() -> None:
    """The last character carries two spare bits: four spellings would be four links."""
    token = OURS.token(DISPATCH)
    others = [token[:-1] + each for each in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    assert [each for each in others if OURS.dispatch_of(each)] == [token]


@given(st.uuids())
def test_a_code_is_six_digits_without_a_leading_zero(dispatch: object) -> None:
    code = OURS.code(str(dispatch))
    assert 100_000 <= int(code) <= 999_999
    assert OURS.matching(code, ["00000000-0000-4000-8000-000000000000", str(dispatch)]) is not None


def test_the_code_s_key_is_not_the_link_s() -> None:
    assert OURS.link_key != OURS.code_key
    assert OURS.matching("000000", [DISPATCH]) is None
    assert OURS.matching(OURS.code(DISPATCH), []) is None


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("OUI 482113", Reply(TAKE, "482113")),
        ("  oui   482113 \n", Reply(TAKE, "482113")),
        ("Oui, 482113!", Reply(TAKE, "482113")),
        ("oui482113", Reply(TAKE, "482113")),
        ("482113", Reply(TAKE, "482113")),
        ("1 482113", Reply(TAKE, "482113")),
        ("ok 482113", Reply(TAKE, "482113")),
        ("Yes 482113", Reply(TAKE, "482113")),
        ("482113 482113", Reply(TAKE, "482113")),
        ("D'accord 482113", Reply(TAKE, "482113")),
        ("EN ROUTE 482113", Reply(EN_ROUTE, "482113")),
        ("J'arrive 482113", Reply(EN_ROUTE, "482113")),
        ("on my way 482113", Reply(EN_ROUTE, "482113")),
        ("Sur place 482113", Reply(ON_SITE, "482113")),
        ("482113 sur place", Reply(ON_SITE, "482113")),
        ("RENFORT 482113", Reply(NEEDS_HELP, "482113")),
        ("besoin d'aide 482113", Reply(NEEDS_HELP, "482113")),
        ("non 482113", Reply(NO, "482113")),
        ("je ne peux pas 482113", Reply(NO, "482113")),
        ("pas ok 482113", Reply(NO, "482113")),
        ("STOP", Reply(STOP, "")),
        ("stop 482113", Reply(STOP, "482113")),
        ("arrêt", Reply(STOP, "")),
        ("oui", Reply(UNCLEAR, "")),
        ("", Reply(UNCLEAR, "")),
        ("oui 48 21", Reply(UNCLEAR, "")),
        ("oui 4821131", Reply(UNCLEAR, "")),
        ("oui 482113 ou 482114", Reply(UNCLEAR, "")),
        ("c'est quoi 482113", Reply(UNCLEAR, "482113")),
        ("ОUI 482113", Reply(UNCLEAR, "482113")),  # a Cyrillic О
        ("٤٨٢١", Reply(UNCLEAR, "")),
    ],
)
def test_what_people_write_back(text: str, reply: Reply) -> None:
    assert replies.parse(text) == reply


@given(st.text())
def test_any_text_is_read_and_nothing_is_taken_without_a_code(text: str) -> None:
    reply = replies.parse(text)
    assert reply.code == "" or (len(reply.code) == 4 and reply.code.isascii() and reply.code.isdigit())
    assert reply.code or reply.what in (STOP, UNCLEAR)


@pytest.mark.parametrize(
    ("more", "worth"),
    [
        ({}, "open"),
        ({"answered": True}, "taken"),
        ({"current": False}, "stale"),
        ({"current": False, "answered": True}, "stale"),
        ({"closed": True, "current": False}, "late"),
        ({"used": "won", "answered": True}, "won"),
        ({"used": "won", "closed": True}, "won"),
        ({"now_ms": 1 + replies.LIFE_MS}, "expired"),
        ({"now_ms": 1 + replies.LIFE_MS, "used": "won"}, "expired"),
        ({"now_ms": replies.LIFE_MS}, "open"),
    ],
)
def test_what_a_link_is_worth(more: dict, worth: str) -> None:
    facts = {"created_ms": 0, "now_ms": 1, "used": "", "closed": False, "current": True, "answered": False}
    assert replies.standing(**facts | more) == worth


def test_five_wrong_codes_close_a_number_for_ten_minutes() -> None:
    patience: Patience | None = None
    for _ in range(replies.WRONG_MAX):
        assert not replies.is_closed(patience, 1_000)
        patience = replies.heard(patience, 1_000, wrong=True)
    assert replies.is_closed(patience, 1_000 + replies.WRONG_WITHIN_MS)
    assert not replies.is_closed(patience, 1_001 + replies.WRONG_WITHIN_MS)
    assert replies.heard(patience, 1_001 + replies.WRONG_WITHIN_MS, wrong=False) == Patience(601_001, 1, 0)
    for _ in range(replies.HEARD_MAX):
        patience = replies.heard(patience, 700_000, wrong=False)
    assert replies.is_closed(patience, 700_000)


def test_both_languages_say_the_same_things() -> None:
    assert set(replies.PHRASES["fr"]) == set(replies.PHRASES["en"])
    for table in replies.PHRASES.values():
        for text in table.values():
            assert len(text.format(place="Lycée de l'Emperi, Grille nord", code="482113", who="Anne")) <= 200
    assert replies.phrase("de", "late", place="x").startswith("L'appel de x")
