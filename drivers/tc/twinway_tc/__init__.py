"""The packet path: Services and policy at the tc hooks of pod devices."""
