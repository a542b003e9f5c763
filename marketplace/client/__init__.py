"""The SDK: what a client of the market uses. Public names are listed in ``__all__``."""
