"""`twinway lab`: the lab's verbs, as other tools rely on them."""

from twinway_lab.cli import asking, doing, holding
from twinway_lab.cli.app import app

__all__ = ("app", "asking", "doing", "holding")
