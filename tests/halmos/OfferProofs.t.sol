// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Offer} from "../../contracts/interfaces/IComputeMarket.sol";
import {Listing, OfferWord, Offers, TermsWord} from "../../contracts/libraries/Offers.sol";
import {Test} from "../solidity/Test.sol";

/// @notice The offer's words, for every offer there is: nothing is lost, and each step changes its own bits only.
contract OfferProofs is Test {
    uint256 private constant FREE = uint256(type(uint16).max) << 184;
    uint256 private constant EXPIRES_AT = uint256(type(uint40).max) << 216;
    uint256 private constant PRICE = uint256(type(uint80).max) << 160;

    /// @notice P-20: an offer reads as it was listed.
    function check_anOfferReadsAsItWasListed(Offer calldata offer) external pure {
        Offer memory read = Offers.unpacked(Offers.packed(offer));

        assert(read.provider == offer.provider && read.arbiter == offer.arbiter && read.spec == offer.spec);
        assert(read.class == offer.class && read.gpus == offer.gpus && read.free == offer.free);
        assert(read.bondBps == offer.bondBps && read.minSeconds == offer.minSeconds);
        assert(read.expiresAt == offer.expiresAt && read.price == offer.price);
    }

    /// @notice I-3: taking GPUs that are free lowers the free ones by as many, and nothing else.
    function check_takenMovesFreeOnly(OfferWord word, uint16 count) external pure {
        vm.assume(count <= word.free());
        OfferWord next = word.taken(count);

        assert(next.free() == word.free() - count);
        assert((OfferWord.unwrap(next) ^ OfferWord.unwrap(word)) & ~FREE == 0);
    }

    /// @notice I-3: giving back what was taken makes the same word, and on the way the free ones never exceed all.
    function check_freedUndoesTaken(OfferWord word, uint16 count) external pure {
        vm.assume(count <= word.free() && word.free() <= word.gpus());
        OfferWord next = word.taken(count).freed(count);

        assert(OfferWord.unwrap(next) == OfferWord.unwrap(word));
        assert(word.taken(count).free() <= word.gpus());
    }

    /// @notice Two gangs on one offer come and go in any order.
    function check_gangsComeAndGoInAnyOrder(OfferWord word, uint16 one, uint16 other) external pure {
        vm.assume(uint256(one) + other <= word.free());
        OfferWord both = word.taken(one).taken(other);

        assert(OfferWord.unwrap(both.freed(one)) == OfferWord.unwrap(word.taken(other)));
        assert(OfferWord.unwrap(both.freed(other).freed(one)) == OfferWord.unwrap(word));
    }

    /// @notice Repricing moves the expiry and the price only: class, gang, bond and arbiter never change.
    function check_repricingMovesPriceAndExpiryOnly(OfferWord word, TermsWord terms, uint80 price, uint40 time)
        external
        pure
    {
        OfferWord next = word.withExpiresAt(time);
        TermsWord nextTerms = terms.withPrice(price);

        assert(next.expiresAt() == time && nextTerms.price() == price);
        assert((OfferWord.unwrap(next) ^ OfferWord.unwrap(word)) & ~EXPIRES_AT == 0);
        assert((TermsWord.unwrap(nextTerms) ^ TermsWord.unwrap(terms)) & ~PRICE == 0);
    }
}
