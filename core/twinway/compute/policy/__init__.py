"""Policies: from rules to the verdicts that the kernel looks up."""
