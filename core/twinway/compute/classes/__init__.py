"""Address classes: addresses that the rules of policies cannot tell apart."""
