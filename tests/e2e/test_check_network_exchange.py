"""The whole exchange of mails in the laboratory: form, confirmation, reply, result mail and page, for each verdict.

Everything that strangers choose (names, records, what servers say, what stands in a reply) is an attack on the page once.
"""

from __future__ import annotations

import email
import email.policy
import re
import time

import pytest
from arc_sets import seal
from check_network import PROGRAMS, laboratory
from check_service import kept
from exchange_network import (
    ALIAS,
    ATTACK,
    DANGER,
    DNS,
    HOSTILE,
    HOSTILE_ADDRESS,
    LISTENER,
    OFFICE_ADDRESS,
    SAFE,
    SERVICE_ADDRESS,
    SLOW,
    SYSTEM,
    UNKNOWN,
    WEB,
    ExchangeNetwork,
)
from mail_system import until

from mailguard.check import control

NEEDED = ("opendkim", "setpriv", "chromium", "swaks", "s-nail")
ROWS = """[...document.querySelectorAll('details.row')].map(row => [
    row.querySelector('h3').innerText, row.querySelector('.state').innerText, row.querySelector('.observed').innerText])"""
SHAPES = {"1100": (1100, False), "390": (390, False), "dark": (1100, True)}


@pytest.fixture(scope="module")
def network(runnable):
    with laboratory(PROGRAMS + NEEDED) as (folder, key):
        proofs = {name: control.token(name, key) for name in (SAFE, DANGER, HOSTILE, "small.test")}
        with ExchangeNetwork(folder, proofs, runnable) as made:
            yield made


@pytest.fixture(scope="module")
def browser(network):
    with network.browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def first(network, browser):
    """The confirmation, the reply and the result of the good domain, begun with the form."""
    registered(browser, SAFE, ALIAS, "ja")
    confirmation = network.mail_at(SAFE, 1)
    sent = network.reads_and_answers(SAFE, 1, "mx.good.test")
    return confirmation, sent, network.mail_at(SAFE, 2)


def registered(browser, domain, service, lang):
    browser.shape(1100)
    browser.open(f"{WEB[service]}?lang={lang}")
    browser.fill("#address", f"alice@{domain}")
    browser.submit()
    assert {"ja": "確認メールを送りました", "en": "A confirmation is on its way"}[lang] in browser.text
    assert browser.errors == []


def link(mail, lang, service=ALIAS):
    return re.search(rf"{WEB[service]}[0-9a-f]{{32}}\.{lang}\.html", mail.get_content())[0]


def opened(browser, address, name, shapes=SHAPES):
    """Open a result page in every shape, keep pictures of it, and return its rows: (state, observed) by question."""
    browser.open(address)
    assert browser.requests == [address]
    assert (browser.errors, browser.dialogs) == ([], [])
    for shape, (width, dark) in shapes.items():
        browser.shape(width, dark=dark)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        browser.screenshot(f"check-network-{name}-{shape}")
    assert browser.requests == [address]
    found = {}
    for question, state, observed in browser.evaluate(ROWS):
        found.setdefault(question, []).append((state, observed))
    return found


def verdict(browser):
    return browser.evaluate("document.querySelector('.verdict .word').innerText")


def test_the_confirmation_is_delivered_and_answered_as_people_do(first):
    confirmation, sent, result = first
    assert "(Postfix)" in confirmation["Received"]
    assert "from mx.checker.test (mx.checker.test [127.0.0.10])" in confirmation["Received"]
    assert sent["Subject"] == f"Re: {confirmation['Subject']}"
    assert sent["In-Reply-To"] == confirmation["Message-ID"]
    assert "> このメールに、そのまま返信してください。" in sent.get_content()
    assert result["In-Reply-To"] == sent["Message-ID"]
    assert (result["To"], result["Return-Path"]) == (f"alice@{SAFE}", "<>")
    assert (result["Auto-Submitted"], result["Subject"]) == ("auto-replied", f"診断結果「安全」: {SAFE}")


def test_a_good_domain_is_safe_and_the_reply_shows_how_it_sends(browser, first):
    rows = opened(browser, link(first[2], "ja"), "safe")
    assert verdict(browser) == "安全"
    text = browser.text
    assert "直すべき点は見つかりませんでした。「注意」の項目は参考です。" in text
    assert "mx.good.test [127.0.0.4]\n暗号化 TLS 1.3\nこの診断サービス" in text
    assert f"alice@{SAFE}" not in text
    good = {
        "送ったサーバーは SPF で認められていますか": f"合格: {SAFE}",
        "サーバーの名前 (HELO) にも SPF がありますか": "mx.good.test: pass",
        "差出人と認証したドメインは一致していますか (DMARC)": f"{SAFE} で DMARC に合格しました",
        "送信サーバーの逆引きは正しいですか": "127.0.0.4 の名前は mx.good.test で、同じアドレスに戻ります",
        "送信サーバーは正しい名前を名乗りますか (HELO)": "mx.good.test は 127.0.0.4 に解決できます",
        "メールを暗号化して送りますか": "TLS 1.3 (TLS_AES_256_GCM_SHA384)",
        "行の長さと文字は規格どおりですか": "規格どおりです",
    }
    assert {question: rows[question] for question in good} == {
        question: [("合格", observed)] for question, observed in good.items()
    }
    assert set(rows["メールは署名されていますか (DKIM)"]) == {
        ("合格", f"mail._domainkey.{SAFE} の署名は有効です (rsa-sha256、2048 ビット)"),
        ("合格", f"spare._domainkey.{SAFE} の署名は有効です (rsa-sha256、3072 ビット)"),
    }
    assert rows["内部の情報がヘッダーから漏れていませんか"] == [("注意", "漏れています: User-Agent")]
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert "転送の記録 (ARC) は正しいですか ARC はありません" in browser.text
    assert "User-Agent: s-nail" in browser.text


def test_the_same_page_in_english(browser, first):
    rows = opened(browser, link(first[2], "en"), "safe-en")
    assert verdict(browser) == "Safe"
    assert rows["Is the sending server permitted by SPF?"] == [("good", f"pass for {SAFE}")]
    assert not re.search("[\u3040-\u30ff\u4e00-\u9fff]", browser.text.replace("日本語", ""))


def test_a_second_run_by_direct_delivery_shows_what_changed(network, browser, first):
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900))  # the same address has to wait
    words = network.command("start", "--direct", "--now", later, f"alice@{SAFE}")
    started = network.run(words, cwd="/", capture_output=True, text=True)
    assert (started.returncode, started.stderr) == (0, "")
    said = started.stdout.splitlines()
    assert said[:2] == ["! mx.good.test [fd00::4]", "S: 220 mx.good.test ESMTP"]
    assert [line for line in said if line.startswith(("C: STARTTLS", "C: MAIL", "C: RCPT", "C: ("))] == [
        "C: STARTTLS",
        f"C: MAIL FROM:<check+TOKEN@{ALIAS}>",
        f"C: RCPT TO:<alice@{SAFE}>",
        "C: (the message)",
    ]
    network.mail_at(SAFE, 3)
    network.postconf("good", "smtp_tls_security_level=none")
    try:
        network.reads_and_answers(SAFE, 3, "mx.good.test")
        result = network.mail_at(SAFE, 4)
    finally:
        network.postconf("good", "smtp_tls_security_level=may")
    rows = opened(browser, link(result, "ja"), "changed")
    assert verdict(browser) == "メールシステム要改善"
    assert rows["メールを暗号化して送りますか"] == [("不合格", "暗号化されずに届きました")]
    changes = browser.evaluate("[...document.querySelectorAll('.changes li')].map(each => each.innerText)")
    assert [" ".join(each.split()) for each in changes] == ["メールを暗号化して送りますか 合格 → 不合格"]


def test_a_domain_without_dmarc_needs_repair_in_the_dns(network, browser):
    """The form in English, the mails by a smarthost, and the reply to the service's own SMTP server."""
    registered(browser, DNS, LISTENER, "en")
    browser.screenshot("check-network-sent")
    confirmation = network.mail_at(DNS, 1)
    assert "from mx.checker.test" in confirmation["Received"]
    network.reads_and_answers(DNS, 1, "mx.good.test")
    result = network.mail_at(DNS, 2)
    text = result.get_content()
    assert result["Subject"] == f"Result “DNS needs repair”: {DNS}"
    first = "1. Too little is done against mail forged in your name (DMARC)\n     Found: There is no DMARC record\n"
    assert first in text
    rows = opened(browser, link(result, "en", LISTENER), "dns")
    assert verdict(browser) == "DNS needs repair"
    assert rows["Is mail sent encrypted?"] == [("good", "TLS 1.3 (TLS_AES_256_GCM_SHA384)")]
    assert rows["Does the domain say what to do with forged mail (DMARC)?"] == [("failure", "There is no DMARC record")]
    assert rows["Is mail signed (DKIM)?"] == [
        ("good", f"The signature of mail._domainkey.{DNS} is valid (rsa-sha256, 2048 bits)")
    ]
    assert "mx.good.test [127.0.0.4]\nencrypted, TLS 1.3\nThis check" in browser.text
    lines = browser.evaluate("[...document.querySelectorAll('.repairs pre')].map(each => each.innerText)")
    assert lines[0] == f'_dmarc.{DNS}. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@{DNS}"'
    assert not [line for line in lines if "TLSA" in line]


def test_a_domain_whose_server_sends_badly_needs_repair_there(network, browser):
    network.begins_by_hand(f"alice@{SYSTEM}")
    confirmation = network.mail_at(SYSTEM, 1)
    to = confirmation["From"].addresses[0].addr_spec
    fields = [f"From: alice@{SYSTEM}", f"To: <{to}>", "Subject: Re: check", "Date: Tue, 24 Nov 2026 10:00:00 +0900"]
    fields += [f"Message-ID: <1@{SYSTEM}>", f"In-Reply-To: {confirmation['Message-ID']}", "X-Mailer: Old 1.0"]
    fields += ["Received: from pc (pc [10.1.2.3]) by gate (Old) with SMTP id 1; Tue, 24 Nov 2026 10:00:00 +0900"]
    raw = "".join(f"{field}\r\n" for field in fields).encode() + b"\r\nyes\r\n"
    raw, _ = seal(raw, 1, domain=SAFE.encode())
    network.swaks(OFFICE_ADDRESS, raw, to, "--from", f"alice@{SYSTEM}", "--ehlo", "pc")
    rows = opened(browser, link(network.mail_at(SYSTEM, 2), "ja"), "system")
    assert verdict(browser) == "メールシステム要改善"
    expected = {
        "メールを暗号化して受け取れますか": ("不合格", "STARTTLS を案内していません (mx.office.test)"),
        "メールを暗号化して送りますか": ("不合格", "暗号化されずに届きました"),
        "メールは署名されていますか (DKIM)": ("不合格", "DKIM の署名がありません"),
        "送信サーバーの逆引きは正しいですか": ("不合格", f"{OFFICE_ADDRESS} に逆引きの名前がありません"),
        "送信サーバーは正しい名前を名乗りますか (HELO)": ("注意", "完全な名前ではありません: localhost"),
        "送ったサーバーは SPF で認められていますか": ("合格", f"合格: {SYSTEM}"),
        "差出人と認証したドメインは一致していますか (DMARC)": ("合格", f"{SYSTEM} で DMARC に合格しました"),
        "転送の記録 (ARC) は正しいですか": ("合格", f"正しく連なっています ({SAFE})"),
        "内部の情報がヘッダーから漏れていませんか": ("注意", "漏れています: X-Mailer, Received"),
    }
    assert {question: rows.get(question) for question in expected} == {
        question: [row] for question, row in expected.items()
    }
    lines = browser.evaluate("[...document.querySelectorAll('.repairs pre')].map(each => each.innerText)")
    assert f"12.0.0.127.in-addr.arpa. IN PTR mx.{SYSTEM}." in lines  # a name that exists
    assert f"postconf -e smtp_helo_name=mx.{SYSTEM} && postfix reload" in lines


def test_a_domain_about_which_the_dns_says_nothing_is_unconfirmed(network, browser):
    network.begins_by_hand(f"alice@{UNKNOWN}")
    network.mail_at(UNKNOWN, 1)
    network.reads_and_answers(UNKNOWN, 1, "mx.good.test")
    rows = opened(browser, link(network.mail_at(UNKNOWN, 2), "ja"), "unconfirmed")
    assert verdict(browser) == "未確認"
    unknown = {question: row[0] for question, (row, *_) in rows.items() if row[0] == "未確認"}
    assert set(unknown) == {
        "送ったサーバーは SPF で認められていますか",
        "メールは署名されていますか (DKIM)",
        "差出人と認証したドメインは一致していますか (DMARC)",
        "送ってよいサーバーを宣言していますか (SPF)",
        "なりすましメールの扱いを宣言していますか (DMARC)",
        "MTA-STS を宣言していますか",
    } & set(rows)
    assert len(unknown) >= 5
    assert not [question for question, found in rows.items() if "不合格" in dict(found)]
    assert "確認できなかったのは「送ったサーバーは SPF で認められていますか」" in browser.text


def test_an_address_whose_servers_cannot_be_found_now_gets_no_mail(network):
    started = network.run(network.command("start", "alice@bogus.test"), cwd="/", capture_output=True, text=True)
    assert (started.returncode, started.stdout) == (1, "")
    assert started.stderr == "mailguard: alice@bogus.test: the DNS does not answer now\n"


def test_a_bad_domain_is_dangerous(network, browser):
    network.begins_by_hand(f"alice@{DANGER}")
    network.mail_at(DANGER, 1)
    network.reads_and_answers(DANGER, 1, "mx.bad.test")
    result = network.mail_at(DANGER, 2)
    assert result["Subject"] == f"診断結果「危険」: {DANGER}"
    rows = opened(browser, link(result, "ja"), "danger")
    assert verdict(browser) == "危険"
    assert ("不合格", "誰でも送れると宣言しています: +all") in rows["送ってよいサーバーを宣言していますか (SPF)"]
    assert [state for state, _ in rows["他人のメールを中継しませんか (不正中継)"]] == ["不合格"]
    assert rows["サーバーのアドレスはブラックリストに載っていませんか"][0] == (
        "不合格",
        "ブラックリストに載っています: bl.test (mx.bad.test, 127.0.0.5)",
    )
    assert rows["メールは署名されていますか (DKIM)"] == [
        ("注意", f"old._domainkey.{DANGER} の署名は有効ですが、鍵が短めです (1024 ビット)")
    ]
    first = browser.evaluate("[...document.querySelectorAll('.repairs h3')].map(each => each.innerText)")
    assert len(first) == 5
    labels = (
        "[...document.querySelectorAll('.repairs dd')].map(each => [each.previousSibling.innerText, each.innerText])"
    )
    kinds = [kind for kind, line in browser.evaluate(labels) if "v=spf1" in line]
    assert [kind.endswith("(消すもの)") for kind in kinds] == [True, False]  # two such records would make both void


def hostile_reply(confirmation):
    """A reply in which everything that its sender can choose is an attack."""
    quoted = ATTACK.format("from").replace('"', r"\"")
    own = "v=1; a=rsa-sha256; c=relaxed/relaxed"
    fields = [
        f'From: "{quoted}" <alice@{HOSTILE}>',
        f"To: <{confirmation['From'].addresses[0].addr_spec}>",
        f"Subject: Re: {ATTACK.format('subject')}",
        f"In-Reply-To: {confirmation['Message-ID']}",
        "Date: Tue, 24 Nov 2026 10:00:00 +0900",
        f"Message-ID: <{ATTACK.format('id')}@x>",
        f"User-Agent: {ATTACK.format('agent')}",
        f"X-Mailer: {ATTACK.format('mailer')}",
        f"X-Originating-IP: [10.0.0.1] {ATTACK.format('origin')}",
        f"Received: from {ATTACK.format('received')} ([10.1.2.3]) by inside ([10.9.8.7]) with ESMTP id 1; today",
        f"Authentication-Results: {ALIAS}; dkim=pass header.d={ATTACK.format('results')}; spf=pass",
        f"DKIM-Signature: {own}; d={HOSTILE}; s=<script>alert(11)</script>; h=from; bh=AAAA; b=AAAA",
        f"DKIM-Signature: {own}; d={HOSTILE}; s=x; i=<img/src=//evil.test/onerror=alert(12)>@{HOSTILE}; h=from; b=A; bh=A",
        "DKIM-Signature: v=1; a=<script>alert(13)</script>; d=<script>alert(14)</script>; s=x; h=from; bh=AAAA; b=AAAA",
        "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=<script>alert(15)</script>; s=x; b=AAAA",
        "ARC-Message-Signature: i=1; a=rsa-sha256; d=<script>alert(16)</script>; s=x; h=from; bh=AAAA; b=AAAA",
        f"ARC-Authentication-Results: i=1; {ATTACK.format('arc')}",
    ]
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + ATTACK.format("body").encode() + b"\r\n"


def given(network, number):
    """The mail with this number (from 0) that the hostile server was given."""
    until(lambda: len(list(network.given.iterdir())) > number, network.logs)
    return email.message_from_bytes((network.given / str(number)).read_bytes(), policy=email.policy.default)


@pytest.mark.parametrize("service", [ALIAS, LISTENER])
def test_what_strangers_say_runs_nothing_and_asks_nobody(network, browser, service):
    """Each word of the mail server, each record, the names in the reverse zone, and each field of the reply."""
    before = len(list(network.given.iterdir()))
    if service == LISTENER:
        registered(browser, HOSTILE, LISTENER, "ja")
    else:
        network.begins_by_hand(f"alice@{HOSTILE}")
    confirmation = given(network, before)
    to = confirmation["From"].addresses[0].addr_spec
    words = [
        "--tls",
        "--local-interface",
        HOSTILE_ADDRESS,
        "--ehlo",
        ATTACK.format("helo"),
        "--from",
        f"alice@{HOSTILE}",
    ]
    network.swaks(SERVICE_ADDRESS[service], hostile_reply(confirmation), to, *words)
    result = given(network, before + 1)
    assert result["Subject"] == f"診断結果「危険」: {HOSTILE}"
    for lang, shapes in (("ja", SHAPES), ("en", {})):
        opened(browser, link(result, lang, service), f"hostile-{service}", shapes)
        browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert browser.evaluate("[...document.scripts].map(each => each.type)") == ["application/json"]
        assert browser.evaluate("document.querySelectorAll('img, iframe, object, link, form, base').length") == 0
        assert browser.evaluate("[...document.querySelectorAll('svg *')].every(each => each.tagName == 'path')")
        found = browser.evaluate("[...document.querySelectorAll('a[href]')].map(each => each.href)")
        assert not [
            address for address in found if not address.startswith((WEB[service], "https://www.rfc-editor.org/"))
        ]
        assert browser.evaluate("[...document.querySelectorAll('*')].every(each => !each.onerror && !each.onload)")
        text = browser.text
        for number in (2, 4, 5, 6, 7, 8):  # MX, SPF, DMARC, TLS-RPT, MTA-STS, BIMI
            assert f"alert({number})" in text, number
        for word in (
            "greeting",
            "ehlo",
            "auth",
            "mail",
            "rcpt",
            "starttls",
            "certificate",
            "agent",
            "mailer",
            "origin",
        ):
            assert f'alert("{word}")' in text, word
        assert "alert(11)" in text  # the signature
        assert 'alert("subject")' not in text  # what is no finding is not shown
        assert 'alert("body")' not in text
        policy = browser.evaluate("document.querySelector('meta[http-equiv]').content")
        assert re.fullmatch("default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'", policy)
        said = browser.headers[link(result, lang, service)]
        assert said["content-security-policy"] == f"{policy}; frame-ancestors 'none'"
        assert (browser.requests, browser.errors, browser.dialogs) == ([link(result, lang, service)], [], [])
    state = network.state[service]
    assert kept(next(iter(sorted(state.glob("tokens/*.json")))))


@pytest.mark.parametrize("number", ["INT", "TERM"])
def test_a_scan_that_is_interrupted_ends_at_once_and_leaves_nothing(network, number):
    page = network.folder / "result.html"
    words = [network.program, "check", "scan", SLOW, *network.lab(), "--html", page]
    assert network.interrupted(number, words) == (3, b"", b"mailguard: interrupted\n")
    assert not page.exists()


def test_a_reply_that_is_interrupted_counts_when_it_comes_again(network):
    started = network.run(network.command("start", f"alice@{SLOW}"), cwd="/", capture_output=True)
    confirmation = email.message_from_bytes(started.stdout, policy=email.policy.default)
    to = confirmation["From"].addresses[0].addr_spec
    raw = f"From: alice@{SLOW}\nTo: {to}\nSubject: Re: check\nMessage-ID: <1@{SLOW}>\n\n".encode()
    words = network.command("reply", "--sender", f"alice@{SLOW}", "--recipient", to, "--client-address", "127.0.0.4")
    pages = set(network.state[ALIAS].glob("pages/*"))
    ends = {"TERM": b"mailguard: stopped by signal 15\n", "INT": b"mailguard: interrupted\n"}
    for number, said in ends.items():
        attempt = f"From alice@{SLOW}  {time.ctime()}\n".encode() + raw  # as local(8) of Postfix writes it
        assert network.interrupted(number, words, attempt) == (75, b"", said)
        assert set(network.state[ALIAS].glob("pages/*")) == pages
        assert all(kept(file) for file in network.state[ALIAS].glob("tokens/*"))
    again = network.run([*words, "--timeout", "1"], cwd="/", input=raw, capture_output=True)
    assert (again.returncode, again.stderr) == (0, b"")
    result = email.message_from_bytes(again.stdout, policy=email.policy.default)
    assert result["To"] == f"alice@{SLOW}"
    assert len(set(network.state[ALIAS].glob("pages/*")) - pages) == 2
    assert {file.name for file in network.state[ALIAS].iterdir()} == {"tokens", "stopped", "pages", "swept"}


def test_a_service_that_is_stopped_does_not_end_its_diagnosis_first(network):
    """The reply was not taken, so the mail server that brought it tries again."""
    words = network.command("start", f"alice@{SLOW}", service=LISTENER)
    started = network.run(words, cwd="/", capture_output=True)
    confirmation = email.message_from_bytes(started.stdout, policy=email.policy.default)
    to = confirmation["From"].addresses[0].addr_spec
    raw = f"From: alice@{SLOW}\r\nTo: {to}\r\nSubject: Re: check\r\n\r\n".encode()
    address = SERVICE_ADDRESS[LISTENER]
    before = network.connections()
    words = network.command("serve", "--listen", f"{address}:8026", "--smtp", f"{address}:2525", service=LISTENER)
    with network.started(words) as process:
        assert b"serving" in process.stderr.readline()
        brought = network.bring(f"{address}:2525", raw, to, f"alice@{SLOW}")
        network.until_connected(before)
        network.signal("TERM")
        _, error = process.communicate(timeout=15)
        said = brought.communicate(timeout=15)[0]
    assert (process.returncode, error) == (0, b"")
    assert said.rstrip().endswith(b"-> .\n*** Remote host closed connection unexpectedly.")
    assert brought.returncode != 0
