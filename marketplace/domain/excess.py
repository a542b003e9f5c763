"""What is said to who wants more than its share of a gateway. Part of the tree in ``domain.errors``."""

from __future__ import annotations

from marketplace.domain.errors import DomainError


class OverQuota(DomainError):
    """The account has no room for more at this gateway. Have more at stake in the market, or wait until what nothing refers to is deleted."""

    def __init__(self, account: str, needed: int, left: int) -> None:
        super().__init__(f"{account} has room for {left} bytes here, {needed} are needed")
        self.account, self.needed, self.left = account, needed, left
        self.rule = f"must be at most {left} bytes: have more at stake in the market, or wait"


class TooManyRequests(DomainError):
    """More requests than one sender may make in this time. Wait, and ask again."""

    retryable = True

    def __init__(self, rule: str, wait_seconds: int) -> None:
        super().__init__(f"{rule}: wait {wait_seconds} s")
        self.rule, self.wait_seconds = rule, wait_seconds
