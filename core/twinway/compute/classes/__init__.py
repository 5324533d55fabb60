"""Address classes: which addresses the rules of policies cannot tell apart."""
