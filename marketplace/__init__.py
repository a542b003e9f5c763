"""Compute Bourse: the market, its services, its provider agent and its SDK. Importing it does nothing."""
