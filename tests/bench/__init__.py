"""
The bench: figures instead of promises, each with the way it was got.

    python -m tests.bench [NAME ...] [--pairs 5] [--seconds 3] [--out build/bench]

A shared machine is ±15 % from run to run, so rates are compared in rounds (A B A B …), and what is
told is the median of the rounds' ratios with an interval. Times are shown against what they should
hold, and never asserted; losses are counted, and a count above zero ends the bench with status 1.
"""
