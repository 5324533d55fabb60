"""Streams of bytes into lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twinway.sources.kubernetes.lines import lines


@given(st.lists(st.binary(max_size=8).filter(lambda each: b"\n" not in each)), st.data())
def test_a_stream_that_is_cut_anywhere_gives_its_whole_lines(texts, data):
    """However the stream is cut into chunks, and wherever it ends, each whole line comes once, in order."""
    stream = b"".join(text + b"\n" for text in texts)
    end = data.draw(st.integers(0, len(stream)))
    cuts = sorted(data.draw(st.lists(st.integers(0, end))))
    chunks = [stream[begin:stop] for begin, stop in zip([0, *cuts], [*cuts, end], strict=True)]
    whole = stream[:end].split(b"\n")[:-1]
    assert list(lines(chunks)) == [line for line in whole if line]
