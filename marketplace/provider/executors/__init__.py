"""Where jobs run: the interface (base) and one module for each kind of sandbox."""
