// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626, IERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAdvanceVault, Survey} from "./interfaces/IAdvanceVault.sol";
import {Filling, Queue, Ticket} from "./libraries/Queue.sol";

/// @title Vault shares
/// @dev The half of a vault that depositors meet: shares for money at the price of now, and a queue to leave by. `_cash` counts what came by the vault's own
/// verbs (V-12); what left the queue and was not taken lies beside it. The token is called last, or first where only what arrived counts.
abstract contract VaultShares is IAdvanceVault, ERC4626, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Queue for Ticket;

    // Six virtual decimals: what a first depositor could gain by rounding costs it a million times that (V-12).
    uint256 private constant VIRTUAL_SHARES = 1e6;

    uint256 private immutable _window;
    uint256 private immutable _rulingWindow;
    uint16 private immutable _exitBps;

    uint256 internal _cash;
    uint256 private _pending;
    uint256 private _windowEndsAt;
    uint256 private _fillingCount;
    mapping(uint256 number => Filling) private _fillings;
    mapping(address controller => Ticket) private _tickets;
    mapping(address controller => mapping(address operator => bool)) private _isOperator;

    /// @param window shortest time between two fillings of the queue, in seconds
    /// @param rulingWindow how long beyond it a dispute can hold them up, in seconds
    /// @param exitBps the share of an exit that stays, in basis points
    constructor(uint256 window, uint256 rulingWindow, uint16 exitBps) {
        _window = window;
        _rulingWindow = rulingWindow;
        _exitBps = exitBps;
        _windowEndsAt = block.timestamp + window;
    }

    // --------------------------------------------------------------------------------------------------------------------------------------- entering

    /// @notice Shares for money, at the price of now; refused while a loan is impaired (V-10).
    /// @param assets token base units, taken of the caller
    /// @param receiver whose the shares are
    /// @return how many, rounded down
    function deposit(uint256 assets, address receiver)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256)
    {
        uint256 all = _priceToEnter();
        uint256 shares = Math.mulDiv(assets, totalSupply() + VIRTUAL_SHARES, all + 1);

        _enter(receiver, assets, shares);
        return shares;
    }

    /// @notice So many shares, at the price of now; refused while a loan is impaired (V-10).
    /// @param shares how many
    /// @param receiver whose they are
    /// @return token base units that they cost the caller, rounded up
    function mint(uint256 shares, address receiver) public override(ERC4626, IERC4626) nonReentrant returns (uint256) {
        uint256 all = _priceToEnter();
        uint256 assets = Math.mulDiv(shares, all + 1, totalSupply() + VIRTUAL_SHARES, Math.Rounding.Ceil);

        _enter(receiver, assets, shares);
        return assets;
    }

    function _priceToEnter() private view returns (uint256) {
        Survey memory survey = _survey();
        if (survey.isImpaired) revert Impaired();
        return survey.assets;
    }

    /// The token first, as it may call back: until it has, nothing has changed. Shares fit 128 bits, because the queue counts them so.
    function _enter(address receiver, uint256 assets, uint256 shares) private {
        uint256 most = type(uint128).max - totalSupply();
        if (shares > most) revert ERC4626ExceededMaxMint(receiver, shares, most);
        _take(assets);

        _cash += assets;
        _mint(receiver, shares);

        emit Deposit(msg.sender, receiver, assets, shares);
    }

    function _take(uint256 amount) internal {
        IERC20 token = IERC20(asset());
        uint256 held = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - held;
        if (arrived < amount) revert Shortfall(arrived, amount);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------------- leaving

    function requestRedeem(uint256 shares, address controller, address owner) external nonReentrant returns (uint256) {
        if (msg.sender != owner && !_isOperator[owner][msg.sender]) _spendAllowance(owner, msg.sender, shares);
        Ticket memory ticket = _presentOf(controller);

        // Safe: all shares fit 128 bits.
        ticket.pending += uint128(shares);
        _tickets[controller] = ticket;
        _pending += shares;
        _transfer(owner, address(this), shares);

        emit RedeemRequest(controller, owner, 0, msg.sender, shares);
        return 0;
    }

    function cancelRedeem(uint256 shares, address owner) external nonReentrant {
        _requireController(owner);
        Ticket memory ticket = _presentOf(owner);
        if (shares > ticket.pending) revert NotPending(shares, ticket.pending);

        ticket.pending -= uint128(shares);
        _tickets[owner] = ticket;
        _pending -= shares;
        _transfer(address(this), owner, shares);

        emit RedeemCancelled(owner, msg.sender, shares);
    }

    function process() external nonReentrant returns (uint256 shares, uint256 assets) {
        Survey memory survey = _survey();
        uint256 from = _windowEndsAt;
        // The later of the two: a queue that nobody filled for long is no way out past a dispute of now.
        if (survey.disputedSince != 0) from = Math.max(from, survey.disputedSince) + _rulingWindow;
        if (block.timestamp < from) revert WindowOpen(block.timestamp, from);

        uint256 pending = _pending;
        (shares, assets) = Queue.fill(pending, _cash, survey.assets + 1, totalSupply() + VIRTUAL_SHARES, _exitBps);
        _windowEndsAt = block.timestamp + _window;
        if (shares != 0) {
            _fillings[_fillingCount++] = Filling(uint128(pending), uint128(shares), assets.toUint128());
            _pending = pending - shares;
            _cash -= assets;
            _burn(address(this), shares);
        }

        emit Processed(shares, assets, pending - shares);
    }

    /// @notice Takes of what left the queue (V-13). The controller or its operator.
    /// @param assets token base units
    /// @param receiver who is paid
    /// @param controller whose request it was
    /// @return shares that had left for them, rounded up
    function withdraw(uint256 assets, address receiver, address controller)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256 shares)
    {
        Ticket memory ticket = _ticketOf(controller);
        if (assets > ticket.assets) revert ERC4626ExceededMaxWithdraw(controller, assets, ticket.assets);
        shares = assets == 0 ? 0 : Math.mulDiv(assets, ticket.shares, ticket.assets, Math.Rounding.Ceil);

        _leave(ticket, receiver, controller, assets, shares);
    }

    /// @notice Takes what so many of the shares left for (V-13). The controller or its operator.
    /// @param shares how many
    /// @param receiver who is paid
    /// @param controller whose request it was
    /// @return assets token base units, rounded down
    function redeem(uint256 shares, address receiver, address controller)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256 assets)
    {
        Ticket memory ticket = _ticketOf(controller);
        if (shares > ticket.shares) revert ERC4626ExceededMaxRedeem(controller, shares, ticket.shares);
        assets = shares == 0 ? 0 : Math.mulDiv(shares, ticket.assets, ticket.shares);

        _leave(ticket, receiver, controller, assets, shares);
    }

    function _leave(Ticket memory ticket, address receiver, address controller, uint256 assets, uint256 shares)
        private
    {
        _requireController(controller);

        ticket.shares -= uint128(shares);
        ticket.assets -= uint128(assets);
        _tickets[controller] = ticket;

        emit Withdraw(msg.sender, receiver, controller, assets, shares);
        IERC20(asset()).safeTransfer(receiver, assets);
    }

    function setOperator(address operator, bool approved) external returns (bool) {
        _isOperator[msg.sender][operator] = approved;

        emit OperatorSet(msg.sender, operator, approved);
        return true;
    }

    function _requireController(address controller) private view {
        if (msg.sender != controller && !_isOperator[controller][msg.sender]) {
            revert NotController(msg.sender, controller);
        }
    }

    function _ticketOf(address controller) private view returns (Ticket memory) {
        return _tickets[controller].walked(_fillings, _fillingCount);
    }

    /// What waits may only change in a ticket that has seen every filling: those before are not its own.
    function _presentOf(address controller) private view returns (Ticket memory ticket) {
        ticket = _ticketOf(controller);
        if (ticket.next != _fillingCount) revert Behind(controller);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------------ price

    function _survey() internal view virtual returns (Survey memory);

    function _decimalsOffset() internal pure override returns (uint8) {
        return 6;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------------ views

    function isOperator(address controller, address operator) external view returns (bool status) {
        return _isOperator[controller][operator];
    }

    function isImpaired() public view returns (bool) {
        return _survey().isImpaired;
    }

    function cash() external view returns (uint256) {
        return _cash;
    }

    function queue() external view returns (uint256, uint256, uint256) {
        return (_pending, _fillingCount, _windowEndsAt);
    }

    function share() external view returns (address) {
        return address(this);
    }

    /// @notice What everything is worth now (V-10).
    /// @return token base units
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256) {
        return _survey().assets;
    }

    /// @notice How many shares can be minted; none while a loan is impaired (V-10).
    /// @param receiver whose they would be
    /// @return shares
    function maxMint(address receiver) public view override(ERC4626, IERC4626) returns (uint256) {
        return isImpaired() ? 0 : type(uint128).max - totalSupply();
    }

    /// @notice How much can be deposited; nothing while a loan is impaired (V-10).
    /// @param receiver whose the shares would be
    /// @return token base units
    function maxDeposit(address receiver) public view override(ERC4626, IERC4626) returns (uint256) {
        Survey memory survey = _survey();
        if (survey.isImpaired) return 0;
        return Math.mulDiv(type(uint128).max - totalSupply(), survey.assets + 1, totalSupply() + VIRTUAL_SHARES);
    }

    /// @notice What left the queue and was not taken (V-13).
    /// @param controller whose request it was
    /// @return token base units
    function maxWithdraw(address controller) public view override(ERC4626, IERC4626) returns (uint256) {
        return _ticketOf(controller).assets;
    }

    /// @notice Shares that left the queue and whose assets were not taken (V-13).
    /// @param controller whose request it was
    /// @return shares
    function maxRedeem(address controller) public view override(ERC4626, IERC4626) returns (uint256) {
        return _ticketOf(controller).shares;
    }

    /// @notice Reverts: what an exit pays is known when it is filled (V-13).
    /// @param assets token base units
    /// @return nothing
    function previewWithdraw(uint256 assets) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert NoPreview();
    }

    /// @notice Reverts: what an exit pays is known when it is filled (V-13).
    /// @param shares how many
    /// @return nothing
    function previewRedeem(uint256 shares) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert NoPreview();
    }

    function pendingRedeemRequest(uint256 requestId, address controller) external view returns (uint256) {
        return requestId == 0 ? _ticketOf(controller).pending : 0;
    }

    function claimableRedeemRequest(uint256 requestId, address controller) external view returns (uint256) {
        return requestId == 0 ? _ticketOf(controller).shares : 0;
    }
}
