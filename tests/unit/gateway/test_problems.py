"""Problems: every domain error has a status, none of a client's doing is a 5xx, and whatever was sent can be quoted."""

from __future__ import annotations

import json

import pytest

from marketplace.domain import chain_errors
from marketplace.domain import errors as e
from marketplace.domain.errors import OverQuota, TooManyRequests
from marketplace.domain.fills import refused
from marketplace.domain.images import ImageTrouble
from marketplace.domain.refusals import Refusal
from marketplace.gateway.problems import LONGEST_TEXT, Problem, problem_of

EXAMPLES: tuple[e.MarketplaceError, ...] = (
    e.InvalidField("order.gpus", "must be an integer"),
    e.InvalidTransition("serving", "0x1", "seen", "closed"),
    e.InsufficientBalance("0x1", 2, 1),
    e.NotFound("order", "0x1"),
    e.MissingBlob("order.spec", "ab"),
    e.HashMismatch("the blob", "ab", "cd"),
    e.ImageUnusable(ImageTrouble.REFUSED, "layer 1 leads outside"),
    e.Unauthorized("Bourse-Time is missing"),
    e.Forbidden("only the client may"),
    e.IdempotencyMismatch("key"),
    OverQuota("0x1", 2, 1),
    TooManyRequests("more than 2 a second", 3),
)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.reason)
def test_a_wrong_request_is_a_4xx_with_its_rule(error: e.MarketplaceError) -> None:
    """The status says whose fault it is, ``reason`` which error, ``rule`` what would be right."""
    problem = problem_of(error)

    assert 400 <= problem.status < 500
    assert problem.reason == error.reason
    assert problem.rule
    assert problem.document().keys() - {"retryAfter"} == {
        "type",
        "title",
        "status",
        "detail",
        "reason",
        "field",
        "rule",
    }


def test_all_domain_errors_are_covered() -> None:
    """A new domain error without a row in the table would come out as a 500."""
    kinds = set(e.DomainError.__subclasses__())

    assert kinds <= {type(error) for error in EXAMPLES} | {e.Refused}


@pytest.mark.parametrize("refusal", Refusal)
def test_refusals_keep_the_contracts_names(refusal: Refusal) -> None:
    """The reason code on the wire is the enum's name in the contract."""
    problem = problem_of(refused(refusal, "numbers"))

    assert problem.reason == refusal.name
    assert 400 <= problem.status < 500
    assert refusal.sentence in problem.rule
    assert "numbers" in problem.rule


@pytest.mark.parametrize(
    "error", [chain_errors.ChainUnavailable("http://node:8545 is down"), e.StoreUnavailable("board (secret)")]
)
def test_an_outage_is_a_503_that_tells_no_addresses(error: e.MarketplaceError) -> None:
    """Try again; what exactly is down is for the log."""
    problem = problem_of(error)
    response = problem.response()

    assert problem.status == 503
    assert response.headers["retry-after"]
    assert "8545" not in problem.detail
    assert "secret" not in problem.detail


def test_whatever_was_sent_can_be_quoted() -> None:
    """Lone surrogates, control characters and a megabyte of anything."""
    for text in ("\ud800", "\0\r\n", "x" * 1_000_000, "\u202e"):
        content = bytes(problem_of(e.InvalidField(text, text)).response().body)

        assert content.isascii()
        assert len(json.loads(content)["detail"]) <= LONGEST_TEXT + 1


def test_titles_are_words() -> None:
    """For people who read problems."""
    assert Problem(402, "ClientBalanceTooLow", "").title == "Client balance too low"
