# SPDX-License-Identifier: Apache-2.0
"""Nothing of a transfer's names and contents is anywhere but at its two ends; and the search finds what is there."""

import functools
import random

import pytest

from harness.canary import BLOCK, MARK, Canary, Search, unmasked
from proofs import canary


@pytest.mark.slow
def test_no_name_and_no_content_is_anywhere_but_at_the_two_ends(binaries, tmp_path):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    make = functools.partial(canary.One, binaries)
    result = canary.prove(make, tmp_path / "world", list(canary.KINDS), seed)
    print(canary.report(result))
    assert list(result.problems()) == []


@pytest.mark.parametrize("shift", range(BLOCK))
def test_every_piece_of_32_bytes_is_found(shift):
    made = Canary("pieces")
    piece = made.content(1024)[100 + shift : 132 + shift]
    search = Search(it=made)
    search.whole("here", b"x" * 1000 + piece + b"y" * 1000)
    assert [finding.place for finding in search.findings("it")] == ["here"]


def test_a_piece_is_found_across_the_pieces_of_a_stream():
    made = Canary("stream")
    for cut in range(1, 32):
        search = Search(it=made)
        take = search.stream("here")
        for piece in (bytes(100), made.content(cut + MARK + BLOCK)[:cut], made.content(0), bytes(100)):
            take(piece)
        content = made.content(64)
        take(content[:cut])
        take(content[cut:])
        assert search.places("it") == {"here"}, cut


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\x12\xf3\x80\x01"])
def test_what_is_masked_in_a_frame_is_found(mask):
    made = Canary("masked")
    text = b"name=" + made.name().encode()
    masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(text))
    search = Search(it=made)
    search.stream("here", frames=True)(b"abc" + masked + b"def")
    assert search.places("it") == {"here"}
    assert unmasked(masked) == unmasked(text)


def test_nothing_is_found_where_nothing_is():
    search = Search(one=Canary("one"), other=Canary("other"))
    search.stream("here", frames=True)(Canary("third").content(1 << 20) + bytes(1 << 20))
    search.whole("there", Canary("other").content(100))
    assert search.findings("one") == [] and search.places("other") == {"there"}
    assert search.sizes == {"here": 2 << 20, "there": 100}
