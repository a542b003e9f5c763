"""HTTP in front of the market: parse, call a service, render. Stateless; every error is an RFC 9457 problem."""
