"""A chain whose time is driven by hand, with a market, companies and vaults on it; whatever happens on it is explained in one ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from marketplace.chain import arbiter_verbs, company_verbs, verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.blueprint import Blueprint
from marketplace.chain.companies import sign_for_company
from marketplace.chain.constants import PRESETS, Preset
from marketplace.chain.contracts import contract_abi
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_KEYS, start_anvil
from marketplace.chain.finance import finance_terms
from marketplace.chain.logs import decode_logs
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key, receipt_id
from marketplace.chain.token import TokenContract, make_local_coin
from marketplace.chain.transactions import Sender
from marketplace.chain.vaults import VaultContract, changed_by, creation, usual_terms
from marketplace.devnet import free_ports
from marketplace.domain.events import Event, FillRefused, LeaseOpened, SettlementRefused
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.vaults import VaultTerms
from scripts.bench.finance_ledger import Ledger
from scripts.bench.finance_rules import Explainer

BEGIN = 1_800_000_000
DAY = 86_400
DOLLAR = 10**6
PRICE, GPUS, BOND_BPS = PricePerGpuHour(2_345_679), GpuCount(3), Bps(2_000)
MONTH, GUARANTEED = Seconds(30 * DAY), Seconds(20 * DAY)
OPEX_BPS = Bps(3_000)
FAR = UnixTime(BEGIN + 90 * DAY)
SPEC, RESULT = Bytes32("0x" + "5e" * 32), Bytes32("0x" + "4e" * 32)


@dataclass
class Rent:
    """A month that somebody rents, and the company or key that serves it."""

    name: str
    client: Key
    owner: Key
    """Owner and operator of the company: one key, so that the run stays short."""
    company: Address | None
    signed: SignedOrder
    offer: OfferId
    opened_at: UnixTime
    vault: VaultContract | None = None
    loan: int = 0

    @property
    def order(self) -> Order:
        return self.signed.order

    @property
    def total(self) -> TokenUnits:
        return lock_of(self.order, PRICE)


@dataclass
class Stage:
    """What all parties act on. Every verb waits until it is mined, and is explained."""

    chain: Chain
    book: AddressBook
    explainer: Explainer
    seed: int
    keys: dict[str, Key] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    vaults: dict[str, VaultContract] = field(default_factory=dict)
    gas: dict[str, list[int]] = field(default_factory=dict)
    names_to_come: dict[OfferId, str] = field(default_factory=dict)
    """What the lease is called that somebody else is about to open on an offer."""
    _opened_by_others: dict[Bytes32, LeaseOpened] = field(default_factory=dict)
    _explained: int = 0

    @property
    def market(self) -> MarketContract:
        return MarketContract(self.chain, self.book.market, deployed_at_block=self.book.deployed_at_block)

    @property
    def arbiter(self) -> Address:
        assert self.book.backstop_arbiter, "deployed with finance"
        return self.book.backstop_arbiter

    @property
    def factory(self) -> Address:
        assert self.book.spv_factory, "deployed with finance"
        return self.book.spv_factory

    # -- time and parties ---------------------------------------------------------------------------------------------

    def go_to(self, time: int) -> None:
        """Move the clock on; every transaction after it takes a second."""
        if time > self.chain.head().timestamp:
            self.chain.rpc("evm_setNextBlockTimestamp", time)
            self.chain.rpc("evm_mine")

    def key(self, name: str) -> Key:
        """A party, by its name."""
        if name not in self.keys:
            key = self.keys[name] = Key(self.secret_of(name))
            make_local_coin(self.chain, key.address)
            self.explainer.names[key.address] = name
        return self.keys[name]

    def secret_of(self, name: str) -> bytes:
        """Of that party's key, which is worth nothing anywhere else."""
        return keccak(f"thirty days, seed {self.seed}, {name}".encode())

    def name_of(self, key: Key) -> str:
        return self.explainer.names[key.address]

    def send(self, key: Key, call: verbs.Call) -> Any:
        """Mine it, explain it, and return the receipt. Raises TransactionReverted, and ValueError where the market refused an item."""
        mined = self.senders.setdefault(key.address, Sender(self.chain, key)).send(call, again=True)
        receipt = self.chain.rpc("eth_getTransactionReceipt", mined.tx_hash)
        self.gas.setdefault(call.verb, []).append(mined.gas_used)
        self.catch_up(mined.block.number - 1)
        for event in self._explain(receipt["logs"]):
            self._require_taken(call, event)
        self._explained = max(self._explained, mined.block.number)
        return receipt

    def catch_up(self, upto: int | None = None) -> None:
        """Explain what others have sent, up to a block; without one, up to the one below the newest: anvil shows a block before its logs."""
        last = self.chain.head().number - 1 if upto is None else upto
        if last > self._explained:
            span = {"fromBlock": hex(self._explained + 1), "toBlock": hex(last)}
            self._explained = last
            list(self._explain(self.chain.rpc("eth_getLogs", span)))

    def _explain(self, logs: Any) -> Iterator[Event]:
        for log in logs:
            address, time = Address(log["address"].lower()), self.chain.block(int(log["blockNumber"], 16)).timestamp
            if address in self.explainer.vaults:
                self.explainer.vault(time, address, log)
            for event in decode_logs([log], self.book.market, lambda _, time=time: time):  # type: ignore[misc]
                if isinstance(event, LeaseOpened) and event.lease not in self.explainer.lease_names:
                    self._opened_by_others[event.lease] = event
                    self.explainer.lease_names[event.lease] = self.names_to_come.pop(event.offer)
                self.explainer.market(time, event)
                yield event

    def _require_taken(self, call: verbs.Call, event: Event) -> None:
        """Raises ValueError where the market refused an item."""
        reason = event.reason if isinstance(event, FillRefused | SettlementRefused) else None
        if reason is not None:
            raise ValueError(f"{call.verb}: {reason!r}")

    def give(self, name: str, amount: int) -> Key:
        """Make money for somebody."""
        key = self.key(name)
        receipt = self.send(key, verbs.mint(self.book.token, key.address, TokenUnits(amount)))
        time = self.chain.header(int(receipt["blockNumber"], 16)).ref.timestamp
        self.explainer.ledger.move(time, "mint", f"wallet/{name}", amount, "what everybody began with")
        return key

    def pay_in(self, key: Key, account: Address, amount: int) -> None:
        """Deposit in the market for an account."""
        self.send(key, verbs.approve(self.book.token, self.book.market, TokenUnits(amount)))
        self.send(key, verbs.deposit(self.book.market, account, TokenUnits(amount)))

    # -- the market ---------------------------------------------------------------------------------------------------

    def open_month(self, name: str, *, client: str, owner: str, is_company: bool = True) -> Rent:
        """A company with its bond and nothing else, and a month of it that its client opens."""
        holder, provider = self.found(name, owner=owner, operator=owner, is_company=is_company)
        self.send(
            holder,
            verbs.list_offer(
                provider if is_company else self.book.market, gpu_class=ClassNumber(1), gpus=GPUS, bond_bps=BOND_BPS, price=PRICE,
                min_seconds=Seconds(0), expires_at=FAR, arbiter=self.arbiter, spec=SPEC,
            ),
        )  # fmt: skip
        offer = max(self.explainer.offers)
        payer = self.payer(client)
        signed = payer.sign_order(self._order(payer.address, offer, self.arbiter), self.market.domain)
        self.explainer.lease_names[signed.id] = name
        self.send(payer, verbs.open_fills(self.book.market, [Fill(signed, offer, PRICE)]))
        company = provider if is_company else None
        return Rent(name, payer, holder, company, signed, offer, self.market.lease_of(signed.id).opened_at)

    def found(self, name: str, *, owner: str, operator: str, is_company: bool = True) -> tuple[Key, Address]:
        """A provider with its bond and nothing else: a company, or its owner itself."""
        holder = self.give(owner, self._sums[1])
        provider = self._company(name, holder, self.key(operator)) if is_company else holder.address
        self.pay_in(holder, provider, self._sums[1])
        return holder, provider

    def payer(self, client: str) -> Key:
        """A client with a month's money, and a stake, which is as much as the bond."""
        payer = self.give(client, sum(self._sums))
        self.pay_in(payer, payer.address, sum(self._sums))
        return payer

    def opened_by_others(self, name: str, *, client: str, owner: str, company: Address) -> Rent:
        """The month of that name, which an agent has opened."""
        self.catch_up()
        opened = next(
            event for lease, event in self._opened_by_others.items() if self.explainer.lease_names[lease] == name
        )
        signed = SignedOrder(opened.lease, opened.order, "0x")
        at = opened.ref.block.timestamp
        return Rent(name, self.key(client), self.key(owner), company, signed, opened.offer, at)

    @property
    def _sums(self) -> tuple[TokenUnits, TokenUnits]:
        """A month's whole price, and its bond."""
        total = lock_of(self._order(ZERO_ADDRESS, OfferId(0), ZERO_ADDRESS), PRICE)
        return total, bond_of(total, BOND_BPS, self.explainer.bond_floor)

    def _company(self, name: str, owner: Key, operator: Key) -> Address:
        salt = Bytes32("0x" + keccak(name.encode()).hex())
        call = contract_abi("SpvFactory").call("spvOf", owner.address, salt)
        (company,) = contract_abi("SpvFactory").answer("spvOf", self.chain.call(self.factory, call))
        self.explainer.names[Address(company)] = f"company of {name}"
        self.explainer.owners[Address(company)] = self.name_of(owner)
        self.send(owner, company_verbs.create_company(self.factory, owner.address, operator.address, salt))
        return Address(company)

    def _order(self, client: Address, offer: OfferId, arbiter: Address) -> Order:
        return Order(
            client=client, classes=1 << 1, offer=offer, gpus=GPUS, max_seconds=MONTH, min_seconds=GUARANTEED, max_price=PRICE,
            min_bond_bps=Bps(0), starts_at=UnixTime(0), expires_at=FAR, tip=TokenUnits(0), opener=ZERO_ADDRESS,
            acceptor=ZERO_ADDRESS, arbiter=arbiter, spec=SPEC, salt=len(self.explainer.lease_names),
        )  # fmt: skip

    def receipt(self, rent: Rent, seconds: int, *, last: bool = False) -> None:
        """The client signs so many seconds, all told; both where it is the last."""
        domain = self.market.domain
        said = Receipt(rent.signed.id, rent.offer, rent.opened_at, Seconds(seconds), RESULT, last)
        by_provider = "0x"
        if last:
            by_provider = (
                sign_for_company(rent.owner, said, domain) if rent.company else rent.owner.sign_receipt(said, domain)
            )
        item = Settlement(
            rent.order, said.used_seconds, RESULT, last, rent.client.sign_receipt(said, domain), by_provider
        )
        self.send(self.key("relayer"), verbs.settle(self.book.market, [item]))

    def signature_gas(self, rent: Rent, seconds: int) -> int:
        """What it takes to ask a company about a last receipt, beyond what every transaction and its bytes cost."""
        said = Receipt(rent.signed.id, rent.offer, rent.opened_at, Seconds(seconds), RESULT, last=True)
        blob = sign_for_company(rent.owner, said, self.market.domain)
        content = contract_abi("ProviderSpv").call("isValidSignature", receipt_id(said, self.market.domain), blob)
        asked = {"from": rent.owner.address, "to": rent.company, "data": "0x" + content.hex()}
        bytes_gas = sum(16 if byte else 4 for byte in content)
        return int(self.chain.rpc("eth_estimateGas", asked, "latest"), 16) - 21_000 - bytes_gas

    def rule(self, rent: Rent, seconds: int, *, provider_at_fault: bool) -> None:
        """The panel decides, through its arbiter."""
        call = verbs.rule(self.book.market, rent.order, Seconds(seconds), provider_at_fault=provider_at_fault)
        self.send(self.key("panel"), replace(call, to=self.arbiter))

    def backstop(self, rent: Rent) -> None:
        """Nobody ruled: anybody has what was guaranteed paid."""
        self.send(self.key("keeper"), arbiter_verbs.backstop(self.arbiter, rent.order))

    # -- vaults -------------------------------------------------------------------------------------------------------

    def terms(self, **changed: Any) -> VaultTerms:
        """The usual terms, but for what is named."""
        return changed_by(usual_terms(self.book.market, self.factory, self.arbiter, Seconds(60 * DAY)), changed)

    def vault(self, name: str, **changed: Any) -> VaultContract:
        """Make a vault."""
        receipt = self.send(self.key("deployer"), creation(self.terms(**changed)))
        address = Address(receipt["contractAddress"].lower())
        self.explainer.names[address] = name
        self.explainer.vaults.add(address)
        self.vaults[name] = VaultContract(self.chain, address)
        return self.vaults[name]

    def enter(self, vault: VaultContract, name: str, amount: int) -> Key:
        key = self.give(name, amount)
        self.send(key, verbs.approve(self.book.token, vault.address, TokenUnits(amount)))
        self.send(key, vault.deposit(TokenUnits(amount), key.address))
        return key

    def back(self, vault: VaultContract, rent: Rent, name: str, amount: int) -> None:
        """Put up a first loss, and have the company's owner choose it."""
        key = self.give(name, amount)
        self.send(key, verbs.approve(self.book.token, vault.address, TokenUnits(amount)))
        abi = contract_abi("AdvanceVault")
        self.send(key, verbs.Call(vault.address, abi.call("back", rent.order, amount), "vault back"))
        chosen = abi.call("choose", rent.signed.id, key.address)
        self.send(rent.owner, verbs.Call(vault.address, chosen, "vault choose"))

    def limit(self, vault: VaultContract, rent: Rent) -> int:
        assert rent.company, "a key draws nothing"
        return vault.limit_of(rent.order, rent.company, self.chain.head())[0]

    def draw(self, vault: VaultContract, rent: Rent, amount: int) -> None:
        """As the company's owner."""
        assert rent.company, "a key draws nothing"
        if rent.vault is None:
            self.send(rent.owner, company_verbs.allow(rent.company, vault.address))
        self.send(rent.owner, vault.draw(rent.order, rent.company, TokenUnits(amount)))
        rent.vault, rent.loan = vault, vault.loan_on(rent.signed.id, rent.opened_at, self.chain.head())

    def collect(self, rent: Rent) -> None:
        """The waterfall; and what becomes of a loan whose lease is over."""
        assert rent.vault, "something was drawn"
        self.send(self.key("keeper"), rent.vault.collect(rent.loan))

    def leave(self, vault: VaultContract, key: Key) -> int:
        """Ask out, with all shares; how many."""
        shares = vault.position(key.address, self.chain.head()).shares
        self.send(key, vault.request_redeem(shares, key.address))
        return shares

    # -- what is there ------------------------------------------------------------------------------------------------

    def said(self) -> dict[str, int]:
        """What the chain says of every account that the ledger can be held against."""
        token, names, head = TokenContract(self.chain, self.book.token), self.explainer.names, self.chain.head()
        found = {
            f"wallet/{name}": token.balance_of(address, head)
            for address, name in names.items()
            if name not in self.vaults
        }
        found |= {
            f"market/{names[account]}": free for account, free in self.market.balances_of(list(names), head).items()
        }
        for name, vault in self.vaults.items():
            found[f"vault/{name}"] = token.balance_of(vault.address, head)
            books = vault.books(head)
            found[f"vault/{name}/cash"] = books.cash
            for address, who in names.items():
                found[f"vault/{name}/credit of {who}"] = vault.position(address, head).credit
            for (address, number), loan in self.explainer.loans.items():
                if address == vault.address:
                    marks = vault.marks(number, head)
                    found[loan.reserve], found[loan.cover] = marks.loan.reserve, marks.loan.cover
        leases = sum(
            amount for account, amount in self.explainer.ledger.balances.items() if account.startswith("lease/")
        )
        held = token.balance_of(self.book.market, head)
        return found | {"market": held - leases}


@contextmanager
def thirty_days(seed: int) -> Iterator[Stage]:
    """An anvil with market and finance on it, at the first second; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="bourse-bench-") as name:
        anvil = start_anvil(free_ports(1)[0], Path(name), block_time=None, arguments=("--timestamp", str(BEGIN - DAY)))
        chain = Chain([anvil.rpc_url])
        try:
            chain.rpc("anvil_setBlockTimestampInterval", 1)
            yield _deployed(chain, seed)
        finally:
            chain.close()
            anvil.stop()


def _deployed(chain: Chain, seed: int) -> Stage:
    deployer, panel = ANVIL_KEYS[0], Key(keccak(f"thirty days, seed {seed}, panel".encode()))
    constants = PRESETS[Preset.L2].in_units(6)
    finance = finance_terms(chain.chain_id, panel.address, Preset.L2)
    blueprint = Blueprint(Bytes32("0x" + f"{seed:064x}"), constants, deployer.address, None, finance)
    book = carry_out(chain, deployer, plan_deployment(chain, deployer.address, blueprint))

    def shared_of(vault: Address, loan: int) -> int:
        return VaultContract(chain, vault).marks(loan, chain.head()).loan.shared

    explainer = Explainer(Ledger(), {}, constants.bond_floor, OPEX_BPS, shared_of)
    stage = Stage(chain, book, explainer, seed)
    explainer.names |= {stage.arbiter: "arbiter"}
    for party in ("deployer", "panel", "keeper", "relayer"):
        stage.key(party)
    return stage
