"""Names for containers that were given none: an adjective and someone who mattered to the field."""

import os

_ADJECTIVES = (
    "able amber apt bold brave brisk calm clear clever cosy crisp deft eager early easy fair fleet fond frank free fresh "
    "gentle glad grand happy hardy honest jolly keen kind lively loyal lucid lucky merry mild modest neat nimble noble "
    "patient plain polite prime proud quick quiet rapid ready robust sane sharp simple smart smooth snug solid sound "
    "stable steady still strong subtle sunny sure swift tidy true trusty upbeat vivid warm wise witty young zesty").split()
_PEOPLE = (
    "allen babbage backus berners borg brooks cerf church codd conway cook curry dijkstra engelbart euler floyd gauss "
    "godel goldberg granville gray hamilton hamming hoare hopper huffman iverson joy kahn karp kay kernighan kleene knuth "
    "lamarr lamport liskov lovelace mccarthy mcilroy meitner moore naur newell noether ousterhout pike perlis postel "
    "ritchie rivest shannon simon stallman stonebraker sussman tarjan thompson torvalds turing ullman wilkes wirth").split()


def random_name() -> str:
    """For example "brisk_hopper"."""
    a, b, c, d = os.urandom(4)
    return f"{_ADJECTIVES[(a << 8 | b) % len(_ADJECTIVES)]}_{_PEOPLE[(c << 8 | d) % len(_PEOPLE)]}"
