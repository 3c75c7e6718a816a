"""The default weights of estimates: networks, what else is asked, and an arbiter between them."""
