"""The scheduler of Compute Bourse: a pure engine and the service that posts its plans."""
