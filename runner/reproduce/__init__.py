"""A published document and a run -> its tables again, every number with a verdict.

A number is compared in two ways: absolutely only on like hardware; otherwise by the shape of its
table: its ratio to the table's reference, there and here. Nothing is left blank: what has no
number here has the reason.
"""

from runner.reproduce.cells import PROTOCOLS, Box, boxes, expand
from runner.reproduce.making import MARGIN, reproduce
from runner.reproduce.model import Again, Found, Outcome, Ranks, Reproduction, Worth

__all__ = [
    "MARGIN",
    "PROTOCOLS",
    "Again",
    "Box",
    "Found",
    "Outcome",
    "Ranks",
    "Reproduction",
    "Worth",
    "boxes",
    "expand",
    "reproduce",
]
