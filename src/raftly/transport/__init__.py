"""How peers reach each other, and how messages look on the way."""
