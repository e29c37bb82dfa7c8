"""The page's own words in Japanese and English; what belongs to one check stands in the catalogue."""

from __future__ import annotations

_WORDS = {
    "title": ("メールサーバー診断", "Mail server check"),
    "other": ("English", "日本語"),
    "made": ("{when} に診断", "Checked {when}"),
    "for": ("{address} の依頼", "for {address}"),
    "expires": ("このページは {when} に消えます。", "This page is deleted on {when}."),
    "first": ("まず直す点は「{names}」です。", "Begin with this: {names}."),
    "join": ("」と「", "; "),
    "join-questions": ("」「", " "),
    "unknown-note": (
        "未確認の {count} 項目は、悪いという意味ではありません。",
        "{count} points could not be checked; that does not mean that they are bad.",
    ),
    "done": (
        "調べたこと: メールサーバーのアドレス {servers} 件、接続 {connections} 回、{seconds} 秒",
        "What was done in {seconds} s: addresses of mail servers: {servers}, connections: {connections}",
    ),
    "done-trials": ("、送った試験メール {count} 通", ", test mails sent: {count}"),
    "done-reply": ("、返信メール 1 通", ", replies read: 1"),
    "tiles": ("分野ごとの結果", "Results by question"),
    "of": ("{count} 項目中 {good} 合格", "{good} of {count} good"),
    "untested": ("未実施", "not tested"),
    "repairs": ("直す順番", "What to repair first"),
    "repairs-none": ("直すべき点は見つかりませんでした。", "Nothing to repair was found."),
    "repairs-optional": (
        "直すべき点は見つかりませんでした。「注意」の項目は参考です。",
        "Nothing to repair was found. The warnings are for information.",
    ),
    "unconfirmed": ("確認できなかったのは「{names}」です。", "Not confirmed: {names}"),
    "minutes": ("約 {count} 分", "about {count} min"),
    "hours": ("約 {count} 時間", "about {count} h"),
    "dns": ("DNS の管理者ができます", "whoever manages the DNS can do it"),
    "mta": ("メールサーバーの管理者ができます", "whoever manages the mail server can do it"),
    "provider": ("メール事業者に依頼します", "ask the provider"),
    "critical": ("重大", "critical"),
    "high": ("重要", "high"),
    "medium": ("中", "medium"),
    "informational": ("参考", "for information"),
    "before": ("いまの DNS レコード (消すもの)", "DNS record now, which goes"),
    "record": ("新しい DNS レコード", "DNS record"),
    "file": ("ファイルの内容", "Content of the file"),
    "postfix": ("Postfix", "Postfix"),
    "exim": ("Exim", "Exim"),
    "opensmtpd": ("OpenSMTPD", "OpenSMTPD"),
    "changes": ("前回 ({when}) からの変化", "What changed since {when}"),
    "changes-none": ("変化はありません。", "Nothing changed."),
    "became": ("{before} → {now}", "{before} → {now}"),
    "path": ("メールの通り道", "The way of the mail"),
    "world": ("外部のメールサーバー", "Other mail servers"),
    "mx": ("受信サーバー", "Receiving server"),
    "sender": ("送信サーバー", "Sending server"),
    "us": ("この診断サービス", "This check"),
    "encrypted": ("暗号化 {tls}", "encrypted, {tls}"),
    "clear": ("暗号化なし", "not encrypted"),
    "no-hop": ("未確認", "not confirmed"),
    "more-servers": ("ほか {count} 台", "and {count} more"),
    "none": ("なし", "none"),
    "strip": ("mschecker と同じ 8 項目", "The eight points of mschecker"),
    "strip-note": (
        "mschecker.jp の診断結果と見比べられるように、同じ項目を同じ順で並べました。",
        "The same points in the same order as in a result of mschecker.jp, for comparison.",
    ),
    "receive-tls": ("SSL/TLS メール受信", "Mail is received with TLS"),
    "send-tls": ("SSL/TLS メール送信", "Mail is sent with TLS"),
    "authentication": ("送信元ドメイン認証 (SPF・DKIM)", "Sender authentication (SPF and DKIM)"),
    "dmarc": ("DMARC", "DMARC"),
    "ptr": ("送信元 DNS 逆引き", "Reverse DNS name of the sender"),
    "relay": ("メール不正中継", "Open relay"),
    "dnsbl": ("DNSBL 登録", "DNS block lists"),
    "dnssec": ("DNSSEC", "DNSSEC"),
    "rules": ("Google・Yahoo・Microsoft の送信者要件", "Sender rules of Google, Yahoo and Microsoft"),
    "rules-note": (
        (
            "「全員」はすべての送信者、「大量」は 1 日約 5,000 通以上の送信者に求められます。"
            "迷惑メール率とワンクリック登録解除は、外からは調べられません。"
        ),
        (
            "“All” is asked of every sender, “bulk” of those who send about 5,000 mails a day. "
            "Spam rates and one-click unsubscription cannot be seen from outside."
        ),
    ),
    "rule": ("要件", "Rule"),
    "result": ("結果", "Result"),
    "all": ("全員", "all"),
    "bulk": ("大量", "bulk"),
    "not-asked": ("—", "—"),
    "rule-one": ("SPF または DKIM に合格する", "SPF or DKIM passes"),
    "rule-both": ("SPF と DKIM の両方に合格する", "SPF and DKIM both pass"),
    "rule-dmarc": ("DMARC を公開し、From と一致する", "DMARC is published, and From is aligned"),
    "rule-ptr": ("逆引きと正引きが一致する", "Reverse and forward DNS names agree"),
    "rule-tls": ("TLS で送信する", "Mail is sent with TLS"),
    "good": ("望ましい状態", "What is good"),
    "why": ("なぜ重要か", "Why it matters"),
    "repair": ("直し方", "How to repair it"),
    "evidence": ("根拠", "Evidence"),
    "reference": ("基準: {standard}", "Standard: {standard}"),
    "unanswered": ("未確認 {count} 項目 (同じ理由)", "{count} unknown for the same reason"),
    "inapplicable": ("対象外 {count} 項目", "{count} not applicable"),
    "no-reply": (
        "メールを 1 通受け取らないと、わかりません。診断の確認メールに返信すると調べられます。",
        "Only a mail shows this: answer the confirmation mail of a check.",
    ),
    "nothing-here": (
        "この分野は、ドメインの管理者だと確認できたときだけ調べます。",
        "This is only tested once control of the domain is proved.",
    ),
    "private": (
        "このページの名前は推測できません。見せる相手だけに渡してください。メールの本文は保存していません。",
        "Nobody can guess the name of this page: give it only to whom it may concern. No mail body was kept.",
    ),
    "scope": (
        "外から見える範囲の診断です。問題が見つからないことは、安全の保証ではありません。",
        "This is what can be seen from outside; that nothing was found is no proof of safety.",
    ),
}


def word(name: str, lang: str, **values: object) -> str:
    """Return a text with its placeholders filled; lang: ja or en; values must be safe to show already."""
    return _WORDS[name][lang == "en"].format_map(values)
