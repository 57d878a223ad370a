"""Columns of text padded with blanks, as Go's text/tabwriter pads them for podman and docker."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PODMAN: "Final" = (12, 2)  # a column is at least 12 wide, two blanks lie between columns
DOCKER: "Final" = (10, 3)


def align(text: str, *, style: tuple[int, int] = PODMAN) -> str:
    """Align the tab-separated cells of lines.

    A cell ends with a tab; what follows the last tab of a line belongs to no column. A column goes on as long as
    consecutive lines have a cell in it (text/tabwriter).
    """
    lines = text.split("\n")
    rows = [line.split("\t") for line in lines]
    if not any(len(r) > 1 for r in rows):
        return text
    widths = _widths(rows, style)
    return "\n".join("".join(cell.ljust(w) for cell, w in zip(r[:-1], ws, strict=True)) + r[-1]
                     for r, ws in zip(rows, widths, strict=True))


def _widths(rows: list[list[str]], style: tuple[int, int]) -> list[list[int]]:
    """The width of every terminated cell."""
    minimum, padding = style
    widths = [[0] * (len(r) - 1) for r in rows]
    column = 0
    while any(len(w) > column for w in widths):
        start = 0
        while start < len(rows):
            if len(widths[start]) <= column:
                start += 1
                continue
            end = start
            while end < len(rows) and len(widths[end]) > column:
                end += 1
            longest = max(display_width(rows[i][column]) for i in range(start, end))
            # a column of nothing but empty cells keeps the minimal width
            width = max(longest + padding, minimum)
            for i in range(start, end):
                widths[i][column] = width - (display_width(rows[i][column]) - len(rows[i][column]))
            start = end
        column += 1
    return widths


def display_width(text: str) -> int:
    """Characters, as tabwriter counts them (it knows nothing of wide ones)."""
    return len(text)


def table(heads: "list[str]", rows: "list[list[str]]", *, style: tuple[int, int] = PODMAN, heading: bool = True) -> str:
    """A whole table; every line ends with a newline, the last column is not padded."""
    lines = ["\t".join(h) for h in ([heads] if heading else [])] + ["\t".join(r) for r in rows]
    return align("".join(f"{line}\n" for line in lines), style=style)
