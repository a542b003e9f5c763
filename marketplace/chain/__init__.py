"""The only place that talks to the chain's nodes, and knows web3's parts: signing, the contracts' verbs and views, transactions, events, the local chain."""
