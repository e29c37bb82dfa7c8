"""Charts as inline SVG: shapes that stretch with the page; what is to be read stands beside them as text."""

from __future__ import annotations

from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FEWEST = 12  # places on the time axis, so that a single bar is no wall
_HEIGHT = 100.0


def bar(shares: Sequence[tuple[str, float]]) -> str:
    """Draw one horizontal bar of (class, share of the whole width) after each other."""
    pieces, left = [], 0.0
    for name, share in shares:
        width = round(share * 100, 2)
        pieces.append(f'<rect class="{name}" x="{left:g}" width="{width:g}" height="10"/>')
        left = round(left + width, 2)
    return f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(pieces)}</svg>'


def timeline(bars: Sequence[tuple[str, int, int]], label: str) -> str:
    """Draw stacked bars (label, good, bad) over time; label: what a screen reader says."""
    highest = max((good + bad for _, good, bad in bars), default=0) or 1
    places = max(len(bars), _FEWEST)
    pieces = []
    for number, (name, good, bad) in enumerate(bars):
        low = _HEIGHT * bad / highest
        high = _HEIGHT * good / highest
        x = f'x="{number + 0.1:g}" width="0.8"'
        pieces.append(
            f"<g><title>{escape(name)}: {good:,} + {bad:,}</title>"
            f'<rect class="bad" {x} y="{_HEIGHT - low:.2f}" height="{low:.2f}"/>'
            f'<rect class="good" {x} y="{_HEIGHT - low - high:.2f}" height="{high:.2f}"/></g>'
        )
    shown = dict.fromkeys((0, len(bars) // 2, len(bars) - 1)) if bars else {}
    scale = "".join(f"<span>{escape(bars[number][0])}</span>" for number in shown)
    width = 100 * len(bars) / places
    return (
        f'<figure class="time"><div class="scale"><span>{highest:,}</span></div>'
        f'<svg viewBox="0 0 {places} {_HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'{"".join(pieces)}</svg><div class="scale" style="width:{width:.2f}%">{scale}</div></figure>'
    )


def periods(days: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Sum (day as 2026-01-31, good, bad) by day, month or year, whichever gives at most 62, with the empty ones."""
    if not days:
        return []
    first, last = min(days)[0], max(days)[0]
    for length, between in ((10, _days), (7, _months), (4, _years)):
        names = between(first, last)
        if len(names) <= 62 or length == 4:
            sums = {name: [0, 0] for name in names}
            for day, good, bad in days:
                sums[day[:length]][0] += good
                sums[day[:length]][1] += bad
            return [(name, good, bad) for name, (good, bad) in sums.items()]
    return []


def _days(first: str, last: str) -> list[str]:
    from datetime import date, timedelta

    start, end = date.fromisoformat(first), date.fromisoformat(last)
    count = min((end - start).days, 100)
    return [(start + timedelta(days=number)).isoformat() for number in range(count + 1)]


def _months(first: str, last: str) -> list[str]:
    start, end = (int(day[:4]) * 12 + int(day[5:7]) - 1 for day in (first, last))
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(start, end + 1)]


def _years(first: str, last: str) -> list[str]:
    return [f"{year:04d}" for year in range(int(first[:4]), int(last[:4]) + 1)]
