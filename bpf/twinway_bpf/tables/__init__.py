"""The tables that programs read, and the writes that a change of state makes to them."""
