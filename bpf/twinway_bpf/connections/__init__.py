"""Sockets and connections that exist already: who opened them, and what a change means for them."""
