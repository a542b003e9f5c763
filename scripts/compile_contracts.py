"""Compile the contracts and write their ABI and bytecode where the package finds them."""

from marketplace.chain.compiler import compile_contracts, write_artifacts

if __name__ == "__main__":
    for path in write_artifacts(compile_contracts()):
        print(f"wrote {path.name}")
