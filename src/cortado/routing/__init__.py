"""Controllers to definitions: what is mapped where, with every mapping error found at once."""
