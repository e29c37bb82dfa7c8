"""The report of a job: one page in Japanese and English, complete in itself, without any script.

Everything on it that stood in a mail goes through `show()` and is escaped.
"""

from __future__ import annotations

import os
from collections import Counter
from html import escape

from mailguard.batch import chart
from mailguard.batch.tally import pair
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.batch.archive import ArchiveSummary
    from mailguard.batch.tally import Tally

_ROWS = 15
_FINDINGS = 25
_FAILURES = 200
_UNTOUCHED = frozenset({"kept", "none"})
_ACTIONS = {
    "quarantined": "隔離",
    "removed": "削除",
    "held": "全体を保留",
    "sanitized": "無害化",
    "disarmed": "無害化",
    "converted": "変換",
    "replaced": "置換",
    "copied": "複製",
    "released": "解放済み",
    "verified": "検証済み",
    "kept": "そのまま",
    "none": "変更なし",
}
_SEVERITIES = {"danger": "危険", "warning": "警告", "notice": "お知らせ", "info": "情報"}


def write(summaries: Sequence[tuple[str, ArchiveSummary]], tally: Tally, pipeline: str, when: str) -> str:
    """Return the page; summaries: (input, what became of it); when: the time of the report, as text."""
    with open(os.path.join(os.path.dirname(__file__), "report.css"), encoding="utf-8") as file:
        style = file.read()
    parts = (
        _top(summaries, pipeline, when),
        _tiles(summaries, tally),
        _verdicts(tally),
        f'<div class="two">{_senders(tally)}{_types(tally)}</div>',
        f'<div class="two" style="margin-top:1rem">{_findings(tally)}{_actions(tally)}</div>',
        _failed(summaries),
    )
    return (
        '<!doctype html><html lang="ja"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="robots" content="noindex,nofollow"><meta name="referrer" content="no-referrer">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>mailguard batch — {escape(when)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _both(japanese: str, english: str) -> str:
    return f'<span lang="ja">{japanese}</span> <span lang="en" class="en">{english}</span>'


def _heading(japanese: str, english: str) -> str:
    return f"<h2>{_both(japanese, english)}</h2>"


def _top(summaries: Sequence[tuple[str, ArchiveSummary]], pipeline: str, when: str) -> str:
    names = "、".join(f"<code>{escape(show(name))}</code>" for name, _ in summaries[:10])
    more = f" … (+{len(summaries) - 10})" if len(summaries) > 10 else ""
    return (
        f"<h1>{_both('保存メールの処理結果', 'Report on archives of mail')}</h1>"
        f'<p class="facts">{escape(when)} · {names}{more}<br><code>{escape(show(pipeline, 1000))}</code></p>'
    )


def _tile(number: str, japanese: str, english: str, *, alarm: bool = False) -> str:
    kind = "tile alarm" if alarm else "tile"
    return f'<div class="{kind}"><b>{number}</b><small>{_both(japanese, english)}</small></div>'


def _tiles(summaries: Sequence[tuple[str, ArchiveSummary]], tally: Tally) -> str:
    messages = sum(summary.messages for _, summary in summaries)
    changed = sum(summary.changed for _, summary in summaries)
    failed = sum(len(summary.failed) for _, summary in summaries)
    taken = sum(count for key, count in tally.types.items() if pair(key)[1] not in _UNTOUCHED)
    tiles = (
        _tile(f"{messages:,}", f"通 ({_size(tally.octets)})", "messages"),
        _tile(f"{changed:,}", "変更したメール", "changed"),
        _tile(f"{taken:,}", "処理した添付", "attachments acted on"),
        _tile(_percent(_verdict_sums(tally)[1], tally.messages), "認証されない差出人", "unauthenticated"),
        _tile(f"{failed:,}", "処理できなかったメール", "failed", alarm=failed > 0),
    )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _size(octets: int) -> str:
    value = float(octets)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _verdict_sums(tally: Tally) -> tuple[int, int]:
    sums: Counter[str] = Counter()
    for key, count in tally.days.items():
        sums[pair(key)[1]] += count
    return sums["authenticated"], sums["unauthenticated"]


def _verdicts(tally: Tally) -> str:
    """Draw the verdicts over time, from what each message says about its time."""
    days: dict[str, list[int]] = {}
    for key, count in tally.days.items():
        day, verdict = pair(key)
        days.setdefault(day, [0, 0])[verdict == "unauthenticated"] += count
    undated = sum(days.pop("", [0, 0]))
    passed, failed = _verdict_sums(tally)
    drawn = chart.timeline(
        chart.periods([(day, good, bad) for day, (good, bad) in days.items()]),
        f"authenticated {passed:,}, unauthenticated {failed:,}",
    )
    key = (
        f'<ul class="key"><li><i class="good"></i>{_both("認証済み", "authenticated")} {passed:,}</li>'
        f'<li><i class="bad"></i>{_both("認証されない", "unauthenticated")} {failed:,}</li>'
        + (f"<li>{_both('日付不明', 'without a date')} {undated:,}</li>" if undated else "")
        + "</ul>"
    )
    return f'<section class="card">{_heading("差出人の判定の推移", "Verdicts over time")}{drawn}{key}</section>'


def _table(rows: Sequence[tuple[str, str, int]], empty: tuple[str, str]) -> str:
    """Make a table of (label as HTML, class of the bar, count)."""
    if not rows:
        return f'<p class="soft">{_both(*empty)}</p>'
    highest = max((count for _, kind, count in rows if kind != "rest"), default=1)
    lines = (
        f'<tr><th scope="row">{label}</th><td class="bar">{chart.bar([(kind, min(count / highest, 1))])}</td>'
        f'<td class="n">{count:,}</td></tr>'
        for label, kind, count in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _others(names: int, count: int) -> list[tuple[str, str, int]]:
    return [(_both(f"ほか {names:,} 件", f"{names:,} others"), "rest", count)] if names > 0 else []


def _senders(tally: Tally) -> str:
    top = tally.senders.most_common(_ROWS)
    rows = [(escape(name) or _both("差出人なし", "no sender"), "bad", count) for name, count in top]
    rest = tally.senders.total() - sum(count for _, count in top)
    rows += _others(len(tally.senders) - len(top), rest) if rest else []
    heading = _heading("認証されない差出人", "Top unauthenticated senders")
    return f'<section class="card">{heading}{_table(rows, ("ありません", "none"))}</section>'


def _types(tally: Tally) -> str:
    """Show the types of attachments, each bar cut into what was acted on and what stayed."""
    sums: dict[str, Counter[str]] = {}
    for key, count in tally.types.items():
        kind, action = pair(key)
        sums.setdefault(kind, Counter())[action] += count
    top = sorted(sums.items(), key=lambda item: (-item[1].total(), item[0]))[:_ROWS]
    highest = max((actions.total() for _, actions in top), default=1)
    lines = []
    for kind, actions in top:
        stayed = sum(count for action, count in actions.items() if action in _UNTOUCHED)
        shares = [("bad", (actions.total() - stayed) / highest), ("good", stayed / highest)]
        words = " · ".join(f"{_action(action)} {count:,}" for action, count in actions.most_common(4))
        lines.append(
            f'<tr><th scope="row">{escape(kind)}<br><small class="soft">{words}</small></th>'
            f'<td class="bar">{chart.bar(shares)}</td><td class="n">{actions.total():,}</td></tr>'
        )
    table = f"<table>{''.join(lines)}</table>" if lines else f'<p class="soft">{_both("ありません", "none")}</p>'
    key = (
        f'<ul class="key"><li><i class="bad"></i>{_both("処理した", "acted on")}</li>'
        f'<li><i class="good"></i>{_both("そのまま", "kept")}</li></ul>'
    )
    heading = _heading("添付ファイルの種類と処理", "Attachment types and actions")
    return f'<section class="card">{heading}{table}{key if lines else ""}</section>'


def _action(action: str) -> str:
    japanese = _ACTIONS.get(action)
    return f"{japanese} {escape(action)}" if japanese else escape(action)


def _actions(tally: Tally) -> str:
    rows = [
        (_action(action), "rest" if action in _UNTOUCHED else "good", count)
        for action, count in tally.actions.most_common(_ROWS)
    ]
    heading = _heading("メールの処理", "Actions on messages")
    return f'<section class="card">{heading}{_table(rows, ("ありません", "none"))}</section>'


def _findings(tally: Tally) -> str:
    top = sorted(tally.findings.items(), key=lambda item: (-_weight(item[0]), -item[1], item[0]))[:_FINDINGS]
    rows = []
    for key, count in top:
        severity, code = pair(key)
        kind = severity if severity in _SEVERITIES else "info"
        chip = f'<span class="chip {kind}">{_SEVERITIES[kind]} {kind}</span>'
        rows.append((f"{chip}<code>{escape(code)}</code>", "bad" if kind == "danger" else "good", count))
    heading = _heading("見つかったもの", "Findings")
    return f'<section class="card">{heading}{_table(rows, ("ありません", "none"))}</section>'


def _weight(key: str) -> int:
    severity = pair(key)[0]
    return {"danger": 3, "warning": 2, "notice": 1}.get(severity, 0)


def _failed(summaries: Sequence[tuple[str, ArchiveSummary]]) -> str:
    failed = [(name, failure) for name, summary in summaries for failure in summary.failed]
    if not failed:
        return ""
    items = "".join(_failure(name, failure) for name, failure in failed[:_FAILURES])
    more = f"<p>… (+{len(failed) - _FAILURES:,})</p>" if len(failed) > _FAILURES else ""
    heading = _heading("処理できなかったメール", "Messages that failed")
    return f'<section class="card">{heading}<ol class="failed">{items}</ol>{more}</section>'


def _failure(name: str, failure: dict[str, Any]) -> str:
    state = _both("カプセルに保留", "held in a capsule") if failure["held"] else _both("元のまま", "left as it was")
    place = escape(f"{show(name)}, {failure['number']:,} ({show(failure['where'])})")
    return f'<li>{place}: {state}<br><small class="soft">{escape(show(failure["reason"], 500))}</small></li>'
