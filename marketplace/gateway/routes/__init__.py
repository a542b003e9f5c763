"""One file per noun of the HTTP surface. A route parses, calls one service, and renders its answer."""
