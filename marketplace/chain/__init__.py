"""The only place that knows web3: signing, the contracts' verbs and views, transactions, events, the local chain."""
