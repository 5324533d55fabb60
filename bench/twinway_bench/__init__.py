"""
The bench: figures instead of promises, each with the way it was obtained.

A shared machine varies by 15 % from run to run, so rates are compared in rounds (A B A B …), and the
bench reports the median of the rounds' ratios with an interval. Times are shown beside their targets
and never asserted. Losses are counted, and a count above zero makes the bench end with status 1.
"""
