"""Why the contract refuses a fill or a settlement: the enum of docs/reference/specification.md, with a sentence for each."""

from __future__ import annotations

from enum import IntEnum


class Refusal(IntEnum):
    """Numbers and names are those of ``ComputeMarket.Refusal``; they are also HTTP reason codes and exception names."""

    BadSignature = 1
    OverBudget = 2
    OrderLive = 3
    OrderClosed = 4
    OrderExpired = 5
    OpenerNotAllowed = 6
    TipWithoutOpener = 7
    BadAmounts = 8
    ClassNotAccepted = 9
    WrongOffer = 10
    OfferNotAlive = 11
    WrongArbiter = 12
    NotEnoughGpus = 13
    PriceOutOfBounds = 14
    BondTooSmall = 15
    MinSecondsTooSmall = 16
    TermLeaseNotByProvider = 17
    ClientBalanceTooLow = 18
    ProviderBalanceTooLow = 19
    TooSoon = 20
    NotLive = 32
    SecondsOutOfBounds = 33
    BadClientSignature = 34
    BadProviderSignature = 35
    NotClaimed = 36
    WindowOpen = 37

    @property
    def sentence(self) -> str:
        return SENTENCES[self]


CLIENT_FAULTS = frozenset({Refusal.BadSignature, Refusal.OverBudget, Refusal.ClientBalanceTooLow})
"""Refusals of a fill that only its client can bring about once the order was found good: by taking back money or authority."""

SENTENCES: dict[Refusal, str] = {
    Refusal.BadSignature: "the signature is not the client's",
    Refusal.OverBudget: "the delegate's budget does not cover the order",
    Refusal.OrderLive: "the order is being served already",
    Refusal.OrderClosed: "the order was served or cancelled and cannot be opened again",
    Refusal.OrderExpired: "the order's expiresAt has passed",
    Refusal.OpenerNotAllowed: "the order names another opener",
    Refusal.TipWithoutOpener: "a tip needs a named opener",
    Refusal.BadAmounts: "gpus and maxSeconds must be at least 1 and minSeconds at most maxSeconds",
    Refusal.ClassNotAccepted: "the offer's GPU class is not among the order's classes",
    Refusal.WrongOffer: "the order is pinned to another offer",
    Refusal.OfferNotAlive: "the offer does not exist or has expired",
    Refusal.WrongArbiter: "the order and the offer name different arbiters, or none, or the provider itself",
    Refusal.NotEnoughGpus: "the offer has fewer GPUs free than the order needs together",
    Refusal.PriceOutOfBounds: "the price is below the offer's ask or above the order's maxPrice",
    Refusal.BondTooSmall: "the offer's bond share is below the order's minBondBps",
    Refusal.MinSecondsTooSmall: "the order guarantees fewer seconds than the offer asks for",
    Refusal.TermLeaseNotByProvider: "a term lease is opened by the offer's provider only",
    Refusal.ClientBalanceTooLow: "the client's free balance does not cover the lock and the tip",
    Refusal.ProviderBalanceTooLow: "the provider's free balance does not cover the bond",
    Refusal.TooSoon: "the order was declined in this very second",
    Refusal.NotLive: "the lease is not live",
    Refusal.SecondsOutOfBounds: "usedSeconds is outside what the lease allows now",
    Refusal.BadClientSignature: "the receipt is not signed by the client's side",
    Refusal.BadProviderSignature: "the receipt is not signed by the provider",
    Refusal.NotClaimed: "the lease is not claimed",
    Refusal.WindowOpen: "the challenge window is still open",
}
