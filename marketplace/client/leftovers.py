"""What a provider left of a job whose lease was over before its result was there: the client called it off, or it expired.

Nothing was settled by it and nothing is signed for it: it is the provider's word, and verified as such, by its signature and by hash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.receipts import ReceiptTold
from marketplace.chain.companies import provider_signs
from marketplace.chain.market import MarketContract
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.client.receipt_checks import ResultFolder, check_result
from marketplace.client.spending import Opening, servings_of
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import Address
from marketplace.domain.spec import read_spec
from marketplace.domain.units import Seconds
from marketplace.domain.work import read_work

_NOT_FOUND = 404


class Leftovers:
    """Fetches them, and writes them down as a result that nobody countersigned."""

    def __init__(self, market: MarketContract, api: GatewayApi, book: JobJournal, results: ResultFolder) -> None:
        self._market, self._api, self._book, self._results = market, api, book, results

    def collect(self, order: KeptOrder, provider_of: Callable[[int], Address | None], block: BlockRef) -> bool:
        """Whether there is a result now. Raises what does not verify, and a GatewayError."""
        servings = servings_of(self._book.moves(order.signed.id))
        provider = provider_of(servings[-1].offer) if servings else None
        if provider is None:
            return False
        signed = self._offered(order, servings[-1], provider)
        if signed is None:
            return False
        try:
            content = self._api.outputs(order.signed.id).content
        except GatewayProblem as exc:
            if exc.status == _NOT_FOUND:
                return False
            raise
        result = check_result(content, signed.receipt.result, read_spec(order.spec), read_work(order.work))
        self._results.fetch(result, order.signed.id)
        # What it cost is the chain's word, not the provider's: this receipt says no more than what the result is.
        receipt = replace(signed.receipt, used_seconds=Seconds(servings[-1].paid_seconds or 0))
        self._book.add_receipt(order.job, receipt, "", content, block.timestamp)
        return True

    def _offered(self, order: KeptOrder, serving: Opening, provider: Address) -> ReceiptTold | None:
        """The provider's last receipt of the last serving, signed by the offer's provider as the chain has it."""
        for signed in self._api.receipts(order.signed.id):
            receipt = signed.receipt
            is_of_it = (receipt.lease, receipt.opened_at, receipt.offer, receipt.last) == (
                order.signed.id, serving.opened_at, serving.offer, True,
            )  # fmt: skip
            if not is_of_it or signed.role != "provider":
                continue
            speaker = self._market.companies.speaker_of(provider)
            if provider_signs(signed.signature, receipt, provider, speaker, self._market.domain):
                return signed
        return None
