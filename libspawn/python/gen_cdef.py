"""Turn the public header into cffi's cdef: drop preprocessor lines, keep the declarations."""

import sys


def main() -> None:
    with open(sys.argv[1]) as f:
        lines = [line for line in f if not line.startswith("#")]
    with open(sys.argv[2], "w") as f:
        f.write("".join(lines))


main()
