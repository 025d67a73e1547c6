"""Short messages through an SMSEagle box, one of Apprise's providers, spoken by a strict double on loopback."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from service_doubles import ServiceDouble, say
from tocsin_backend.channels import Outgoing
from tocsin_backend.channels.sms import TEXT_MAX, Sms, shortened
from tocsin_backend.domain.contacts import BadAddress
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.notices import Message

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SEND = ("POST", "/jsonrpc/sms")


def outgoing(address: str, text: str = "Appel à l'aide : Lycée\nRépondez OUI 4821", org: str = "demo") -> Outgoing:
    return Outgoing("d-1", "a-1", "sms", address, "", 0, Message("Appel à l'aide : Lycée", text, {}), org)


@pytest.fixture
def box() -> Iterator[ServiceDouble]:
    made = ServiceDouble()
    yield made
    made.close()


def sms(box: ServiceDouble, **more: Any) -> Sms:
    return Sms(f"smseagle://t0ken@127.0.0.1:{box.port}/{{to}}", allowed=LOOPBACK, **more)


def test_a_short_message_goes_to_its_number_and_no_other(box: ServiceDouble) -> None:
    good = {"result": [{"message_id": 1, "status": "ok"}]}
    box.expected[SEND] = lambda handler, body: say(handler, 200, good)
    assert sms(box).send(outgoing("+33 6 12 34 56 78")) == Outcome(True)
    [(_, _, _, body)] = box.received
    assert body["method"] == "sms.send_sms"
    assert body["params"]["to"].lstrip("+") == "33612345678"
    assert body["params"]["message"].endswith("Appel à l'aide : Lycée\nRépondez OUI 4821")
    assert body["params"]["access_token"] == "t0ken"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, Outcome(False, permanent=True, error="HTTP 401")),
        (429, Outcome(False, error="HTTP 429")),
        (502, Outcome(False, error="HTTP 502")),
        (200, Outcome(False, error="HTTP 200")),  # SMSEagle refuses inside a 200: perhaps not for ever
    ],
)
def test_what_an_answer_means(box: ServiceDouble, status: int, outcome: Outcome) -> None:
    box.expected[SEND] = lambda handler, body: say(handler, status, {"result": {"status": "error"}})
    assert sms(box).send(outgoing("+33612345678")) == outcome


@pytest.mark.parametrize("number", ["0612345678", "+33", "+330612345678", "12", "x", "", "+33612345678/+33611111111"])
def test_a_number_that_is_none_is_not_sent(box: ServiceDouble, number: str) -> None:
    outcome = sms(box).send(outgoing(number))
    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert box.received == []


def test_without_a_provider_it_fails_at_once_and_visibly() -> None:
    assert Sms().send(outgoing("+33612345678")) == Outcome(
        False, permanent=True, error="no SMS provider is configured (TOCSIN_SMS_URL_FILE)"
    )


@pytest.mark.parametrize(
    "url",
    [
        "smseagle://t@127.0.0.1/", "smseagle://t@127.0.0.1/{to}/{to}", "json://127.0.0.1/{to}",
        "smseagles://t@x/{to}?verify=no", "smseagles://t@x/{to}?test=yes", "x", "",
    ],
)  # fmt: skip
def test_a_provider_s_url_that_is_refused(url: str) -> None:
    if url:
        with pytest.raises(BadAddress) as refused:
            Sms(url)
        assert "t@" not in str(refused.value)


def test_a_provider_inside_is_refused_unless_its_network_is_named(box: ServiceDouble) -> None:
    outcome = Sms(f"smseagle://t0ken@127.0.0.1:{box.port}/{{to}}").send(outgoing("+33612345678"))
    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert box.received == []


class Modems:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def gateway_of(self, org: str) -> str | None:
        return "gw-1" if org == "demo" else None

    def send(self, *what: str) -> Outcome:
        self.sent.append(what)
        return Outcome(True)

    def close(self) -> None:
        self.sent.append("closed")


def test_an_organisation_s_own_modem_goes_before_the_provider(box: ServiceDouble) -> None:
    modems = Modems()
    channel = sms(box, modems=modems)
    assert channel.send(outgoing("+33612345678", "texte")) == Outcome(True)
    assert modems.sent == [("demo", "gw-1", "d-1", "+33612345678", "texte")]
    assert box.received == []
    box.expected[SEND] = lambda handler, body: say(handler, 200, {"result": {"status": "ok"}})
    assert channel.send(outgoing("+33612345678", org="other")) == Outcome(True)
    assert (len(modems.sent), len(box.received)) == (1, 1)
    channel.close()
    assert modems.sent[-1] == "closed"


def test_a_long_text_is_cut_at_a_line() -> None:
    assert shortened("a\nb") == "a\nb"
    assert shortened("a" * 400 + "\n" + "b" * 100) == "a" * 400
    assert shortened("a" * 900) == "a" * TEXT_MAX
