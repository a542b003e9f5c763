"""The money: what each account can pay for, exactly as the contract will lock it."""
