// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Offer} from "../interfaces/IComputeMarket.sol";

/// @notice What a fill reads and writes of an offer, in one storage word. No function on it has an effect: storing the word that it returns is the
/// only one, and a visible line.
/// @dev From the lowest bit: provider 160, class 8, gpus 16, free 16, bondBps 16, expiresAt 40.
type OfferWord is uint256;

/// @notice What a fill only reads of an offer, in one storage word.
/// @dev From the lowest bit: arbiter 160, price 80, minSeconds 16.
type TermsWord is uint256;

/// @notice An offer as it is stored.
struct Listing {
    OfferWord offer;
    TermsWord terms;
    bytes32 spec;
}

using Offers for OfferWord global;
using OfferTerms for TermsWord global;

/// @title Offers
/// @notice Reads and makes offer words.
library Offers {
    uint256 private constant CLASS = 160;
    uint256 private constant GPUS = 168;
    uint256 private constant FREE = 184;
    uint256 private constant BOND_BPS = 200;
    uint256 private constant EXPIRES_AT = 216;

    function provider(OfferWord word) internal pure returns (address) {
        return address(uint160(OfferWord.unwrap(word)));
    }

    function class(OfferWord word) internal pure returns (uint8) {
        return uint8(OfferWord.unwrap(word) >> CLASS);
    }

    function gpus(OfferWord word) internal pure returns (uint16) {
        return uint16(OfferWord.unwrap(word) >> GPUS);
    }

    function free(OfferWord word) internal pure returns (uint16) {
        return uint16(OfferWord.unwrap(word) >> FREE);
    }

    function bondBps(OfferWord word) internal pure returns (uint16) {
        return uint16(OfferWord.unwrap(word) >> BOND_BPS);
    }

    function expiresAt(OfferWord word) internal pure returns (uint40) {
        return uint40(OfferWord.unwrap(word) >> EXPIRES_AT);
    }

    /// @notice A listing of the offer.
    function packed(Offer memory value) internal pure returns (Listing memory) {
        return Listing({
            offer: OfferWord.wrap(
                uint256(uint160(value.provider)) | uint256(value.class) << CLASS | uint256(value.gpus) << GPUS
                    | uint256(value.free) << FREE | uint256(value.bondBps) << BOND_BPS | uint256(value.expiresAt)
                    << EXPIRES_AT
            ),
            terms: OfferTerms.packed(value.arbiter, value.price, value.minSeconds),
            spec: value.spec
        });
    }

    /// @notice The offer that a listing stores.
    function unpacked(Listing memory listing) internal pure returns (Offer memory) {
        return Offer({
            provider: listing.offer.provider(),
            class: listing.offer.class(),
            gpus: listing.offer.gpus(),
            free: listing.offer.free(),
            bondBps: listing.offer.bondBps(),
            expiresAt: listing.offer.expiresAt(),
            arbiter: listing.terms.arbiter(),
            price: listing.terms.price(),
            minSeconds: listing.terms.minSeconds(),
            spec: listing.spec
        });
    }

    /// @notice With fewer free GPUs; the caller has seen that there are as many.
    function taken(OfferWord word, uint16 count) internal pure returns (OfferWord) {
        unchecked {
            return OfferWord.wrap(OfferWord.unwrap(word) - (uint256(count) << FREE));
        }
    }

    /// @notice With more free GPUs; only as many as were taken, so that they never exceed `gpus` (I-3).
    function freed(OfferWord word, uint16 count) internal pure returns (OfferWord) {
        unchecked {
            return OfferWord.wrap(OfferWord.unwrap(word) + (uint256(count) << FREE));
        }
    }

    function withExpiresAt(OfferWord word, uint40 time) internal pure returns (OfferWord) {
        uint256 rest = OfferWord.unwrap(word) & (1 << EXPIRES_AT) - 1;
        return OfferWord.wrap(rest | uint256(time) << EXPIRES_AT);
    }
}

/// @title Offer terms
/// @notice Reads and makes terms words.
library OfferTerms {
    uint256 private constant PRICE = 160;
    uint256 private constant MIN_SECONDS = 240;

    function arbiter(TermsWord word) internal pure returns (address) {
        return address(uint160(TermsWord.unwrap(word)));
    }

    function price(TermsWord word) internal pure returns (uint80) {
        return uint80(TermsWord.unwrap(word) >> PRICE);
    }

    function minSeconds(TermsWord word) internal pure returns (uint16) {
        return uint16(TermsWord.unwrap(word) >> MIN_SECONDS);
    }

    function packed(address who, uint80 pricePerGpuHour, uint16 least) internal pure returns (TermsWord) {
        return TermsWord.wrap(uint256(uint160(who)) | uint256(pricePerGpuHour) << PRICE | uint256(least) << MIN_SECONDS);
    }

    function withPrice(TermsWord word, uint80 pricePerGpuHour) internal pure returns (TermsWord) {
        return packed(arbiter(word), pricePerGpuHour, minSeconds(word));
    }
}
