"""Use-cases without HTTP, command line or environment. They know the domain, the chain and the stores."""
