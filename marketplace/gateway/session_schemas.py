"""The shapes of sessions, as ``schemas`` has the others'."""

from __future__ import annotations

from pydantic import Field

from marketplace.gateway.schemas import AddressText, Shape


class Challenge(Shape):
    message: str = Field(description="the EIP-4361 message to be signed, as it is (EIP-191)")
    domain: str
    nonce: str
    expiresAt: int = Field(description="when a session that it opens is over")
    expiresTime: str


class SignInRequest(Shape):
    message: str
    signature: str


class Session(Shape):
    token: str = Field(description="for `Authorization: Bearer`")
    account: AddressText
    expiresAt: int
    expiresTime: str


class SessionClosed(Shape):
    closed: bool
