"""The nouns of the market. Imports only the standard library; everything else may import it."""
