// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What the crowd needs of its token, whatever else that does.
interface ICrowdToken {
    function balanceOf(address account) external view returns (uint256);
    function nonces(address account) external view returns (uint256);
    function isBlocked(address account) external view returns (bool);
    function mint(address account, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
    function permit(address owner, address spender, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;
    function block_(address account, bool isBlocked_) external;
}

/// @notice A dollar with permits (EIP-2612) and authorizations to receive (EIP-3009); how it transfers is its models' own affair.
abstract contract CrowdToken {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant RECEIVE_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public immutable DOMAIN_SEPARATOR = keccak256(
        abi.encode(
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
            keccak256("Crowd dollar"),
            keccak256("1"),
            block.chainid,
            address(this)
        )
    );

    mapping(address account => uint256) public balanceOf;
    mapping(address account => uint256) public nonces;
    mapping(address account => bool) public isBlocked;
    mapping(address owner => mapping(address spender => uint256)) public allowance;
    mapping(address owner => mapping(bytes32 nonce => bool)) public isUsed;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function permit(address owner, address spender, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        require(block.timestamp <= deadline, "late");
        bytes32 terms = keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, amount, nonces[owner]++, deadline));
        require(_signer(terms, v, r, s) == owner, "not the owner's");
        allowance[owner][spender] = amount;
    }

    function receiveWithAuthorization(
        address owner,
        address to,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(msg.sender == to, "not the receiver");
        require(validAfter < block.timestamp && block.timestamp < validBefore, "not now");
        require(!isUsed[owner][nonce], "used");
        isUsed[owner][nonce] = true;
        bytes32 terms = keccak256(abi.encode(RECEIVE_TYPEHASH, owner, to, amount, validAfter, validBefore, nonce));
        require(_signer(terms, v, r, s) == owner, "not the owner's");
        _move(owner, to, amount);
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }

    function _spend(address owner, uint256 amount) internal {
        if (allowance[owner][msg.sender] != type(uint256).max) allowance[owner][msg.sender] -= amount;
    }

    function _signer(bytes32 terms, uint8 v, bytes32 r, bytes32 s) private view returns (address signer) {
        signer = ecrecover(keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR, terms)), v, r, s);
        require(signer != address(0), "nobody's");
    }
}

/// @notice A token as the standard has it.
contract NormalToken is CrowdToken {
    uint8 public constant decimals = 6;

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}

/// @notice A token whose transfers return nothing.
contract SilentToken is CrowdToken {
    uint8 public constant decimals = 18;

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _spend(from, amount);
        _move(from, to, amount);
    }
}

/// @notice A token that refuses to move anything to or from whom its issuer blocks.
contract BlacklistingToken is CrowdToken {
    uint8 public constant decimals = 2;

    function block_(address account, bool isBlocked_) external {
        isBlocked[account] = isBlocked_;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(!isBlocked[from] && !isBlocked[to], "blocked");
        super._move(from, to, amount);
    }
}

/// @notice A contract that is client, acceptor and provider, and says what it signed when asked (EIP-1271).
contract CrowdWallet {
    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    /// @notice Its own kind of signature: the owner's 65 bytes, and whatever follows.
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length < 65) return 0;
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        return signer == owner ? this.isValidSignature.selector : bytes4(0);
    }
}
