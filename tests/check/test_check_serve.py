"""The web and the SMTP server of a service: forms, pages, limits, and what nobody may get from them."""

from __future__ import annotations

import re
import smtplib
import ssl
import threading
from urllib.parse import quote

import pytest
from check_lab import Authority
from check_servers import Listening, Site
from check_service import ADDRESS, NOW, reply

from mailguard.check import form, token
from mailguard.check.page.document import style
from mailguard.check.server import place, sender
from mailguard.check.state import KEEP
from mailguard.errors import ConfigurationError, MailguardError


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_form_speaks_both_languages(site):
    assert 'lang="ja"' in site("GET", "/", HTTP_ACCEPT_LANGUAGE="ja,en;q=0.5").text
    assert 'lang="en"' in site("GET", "/").text
    assert "あなたのメールサーバーは安全ですか" in site("GET", "/?lang=ja").text
    assert 'lang="en"' in site("GET", "/?lang=%3Cscript%3E").text


def test_no_page_runs_anything_or_lets_others_show_it(site):
    for answer in (site("GET", "/"), site.start(), site("GET", "/missing")):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "form-action 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
        assert "<script" not in answer.text
        assert 'style="' not in answer.text


def test_an_address_in_the_form_gets_one_confirmation(site):
    answer = site.start(lang="ja")
    assert answer.status == 200
    assert "確認メールを送りました" in answer.text
    [(mail, envelope_sender, recipient)] = site.sent
    assert recipient == ADDRESS
    assert re.fullmatch(r"check\+[a-z2-7]{42}@checker\.example\.net", envelope_sender)
    assert b"Auto-Submitted: auto-generated" in mail


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("nonsense", 400),
        ("", 400),
        ("a@b.example\r\nBcc: victim@example.org", 400),
        ("joe@null.example.com", 400),
        ("joe@nowhere.example.com", 400),
        ("joe@down.example.com", 503),
        ("<script>alert(1)</script>@example.com", 400),
    ],
)
def test_what_cannot_be_checked_is_said_and_gets_no_mail(site, address, status):
    answer = site.start(address)
    assert (answer.status, site.sent) == (status, [])
    assert "script" not in answer.text


def test_private_servers_look_like_no_servers(tmp_path):
    site = Site(tmp_path, lab=False)
    private, absent = site.start("joe@private.example.com"), site.start("joe@null.example.com")
    assert (private.status, private.content) == (absent.status, absent.content)


def test_too_many_are_told_to_wait(site):
    assert site.start().status == 200
    answer = site.start("joe+again@example.com")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3600")
    assert len(site.sent) == 1


def test_a_client_has_a_limit_whatever_the_addresses(site):
    statuses = [site.start(f"user{number}@example.com").status for number in range(6)]
    assert statuses == [200] * 5 + [429]
    assert site.start("user9@example.com", REMOTE_ADDR="203.0.113.1").status == 200


def test_a_client_may_use_the_form_only_so_often_whatever_comes_of_it(site):
    statuses = [site.start("nonsense").status for _ in range(31)]
    assert statuses == [400] * 30 + [429]
    assert site.start("nonsense", REMOTE_ADDR="203.0.113.1").status == 400
    site.now += 3600
    assert site.start("nonsense").status == 400


def test_who_has_reached_a_limit_makes_nobody_ask_the_dns(site):
    site.start()
    site.bench.service.source = None
    assert site.start().status == 429


def test_nobody_learns_who_stopped_all_mail(site):
    first = site.start("ann@example.com")
    code = token.stop_code(site.bench.service.ring.active, ADDRESS)
    site("POST", f"/stop/{code}")
    assert site.start().content == first.content
    assert len(site.sent) == 1


def test_stop_needs_a_click_and_not_only_a_visit(site):
    code = token.stop_code(site.bench.service.ring.active, ADDRESS)
    answer = site("GET", f"/stop/{code}")
    assert (answer.status, site.bench.service.state.is_stopped(site.bench.service.ring, ADDRESS)) == (200, False)
    assert 'method="post"' in answer.text
    assert site("POST", f"/stop/{code}", b"List-Unsubscribe=One-Click").status == 200
    assert site.bench.service.state.is_stopped(site.bench.service.ring, ADDRESS)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_invented_stop_code_does_nothing(site, method):
    assert site(method, f"/stop/{'a' * 39}").status == 404
    assert list((site.bench.folder / "state" / "stopped").iterdir()) == []


def test_other_sites_cannot_make_visitors_start_checks(site):
    assert site.start(HTTP_SEC_FETCH_SITE="cross-site").status == 403
    assert site.start(HTTP_SEC_FETCH_SITE="same-origin").status == 200


@pytest.mark.parametrize(
    "body", [b"x" * 3000, b"\xff\xfe=%", b"address", b"&" * 1000, b"address=" + b"%00" * 100, b"a=1&" * 100]
)
def test_any_form_is_answered(site, body):
    assert site("POST", "/start", body).status == 400
    assert site.sent == []


@pytest.mark.parametrize(
    "path",
    [
        "/../state/tokens",
        "/" + "a" * 32 + ".ja.html",
        "/" + "a" * 32 + ".fr.html",
        "/%2e%2e/key",
        "/stop/",
        "/start",
        "/pages",
        "//",
        "/\0",
        "/" + "A" * 32 + ".ja.html",
    ],
)
def test_nothing_else_is_there(site, path):
    assert site("GET", quote(path, safe="/%.")).status == 404


@pytest.mark.parametrize(("method", "path"), [("PUT", "/"), ("DELETE", "/start"), ("POST", "/"), ("OPTIONS", "/x")])
def test_other_methods_are_refused(site, method, path):
    assert site(method, path).status == 405


def test_a_mail_server_that_is_down_is_not_the_visitors_fault(site):
    site.broken = True
    assert site.start().status == 503
    assert site.lines == ["start: no mail server"]


def result(site):
    site.start()
    [(mail, _, _)] = site.sent
    given = re.search(rb"<([a-z2-7]{42})@", mail)[1].decode()
    from mailguard.check.reply import handle
    from mailguard.envelope import Envelope

    return handle(site.bench.service, reply(given), Envelope(sender=ADDRESS), NOW)


def test_result_pages_are_served_under_their_names_until_they_expire(site):
    result(site)
    for file in site.bench.pages.iterdir():
        site.now = file.stat().st_mtime
        answer = site("GET", f"/{file.name}")
        assert (answer.status, answer.content) == (200, file.read_bytes())
        assert answer.headers["Content-Security-Policy"] == style()[1] + "; frame-ancestors 'none'"
        site.now += KEEP + 1
        assert site("GET", f"/{file.name}").status == 404


def test_head_has_no_content(site):
    answer = site("HEAD", "/")
    assert (answer.status, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(form.form("en"))


def test_a_link_among_the_pages_leads_nowhere(site, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (site.bench.pages / f"{'b' * 32}.ja.html").symlink_to(tmp_path / "secret")
    assert site("GET", f"/{'b' * 32}.ja.html").status == 404


# SMTP


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return str(Authority(tmp_path_factory.mktemp("authority")).issue("checker.example.net").path)


def tls_states(listening):
    exchange = listening.site.bench.service.state.latest(ADDRESS)
    [outcome] = [each for each in exchange.report["outcomes"] if each["check"] == "tls.out"]
    return outcome["state"], outcome["reason"], exchange.sent_by["server"]


def test_a_reply_by_smtp_with_tls_leads_to_a_result(tmp_path, certificate):
    with Listening(tmp_path, certificate) as listening, listening.client() as client:
        begun = listening.begin()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=context)
        client.sendmail(ADDRESS, [begun.sender], reply(begun.token, received=b""))
    assert listening.lines == ["reply: done"]
    [(mail, envelope_sender, recipient)] = listening.site.sent
    assert (envelope_sender, recipient) == ("", ADDRESS)
    assert b"Auto-Submitted: auto-replied" in mail
    assert tls_states(listening) == ("good", "good", "mail.example.com [127.0.0.1]")


def test_a_reply_without_tls_is_a_failure_only_where_tls_was_offered(tmp_path, certificate):
    for offered, expected in ((certificate, ("failure", "none")), (None, ("unknown", "unrecorded"))):
        folder = tmp_path / expected[0]
        folder.mkdir()
        with Listening(folder, offered) as listening, listening.client() as client:
            begun = listening.begin()
            client.sendmail(ADDRESS, [begun.sender], reply(begun.token, received=b""))
        assert tls_states(listening)[:2] == expected


def test_mail_for_others_is_refused(tmp_path):
    with Listening(tmp_path) as listening, listening.client() as client:
        client.ehlo()
        client.mail("x@example.org")
        for address in ("victim@example.org", "other@checker.example.net", "check%example.org@checker.example.net"):
            assert client.rcpt(address)[0] in {550, 501, 553}
        assert client.rcpt("check+anything@checker.example.net")[0] == 250
        assert client.rcpt("check@checker.example.net")[0] == 452


def test_what_does_not_count_is_taken_and_passed_over(tmp_path):
    with Listening(tmp_path) as listening, listening.client() as client:
        client.sendmail("x@example.org", ["check@checker.example.net"], b"\xff\0\r\n\r\nhello")
    assert listening.lines == ["reply: no-token"]
    assert listening.site.sent == []


def test_a_failure_of_the_site_is_tried_again(tmp_path):
    with Listening(tmp_path) as listening, listening.client() as client:
        begun = listening.begin()
        listening.site.broken = True
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            client.sendmail(ADDRESS, [begun.sender], reply(begun.token))
        listening.site.broken = False
        client.sendmail(ADDRESS, [begun.sender], reply(begun.token))
    assert listening.lines[-1] == "reply: done"
    assert len(listening.site.sent) == len(listening.site.bench.scanned) == 1


def test_a_bounce_with_null_sender_is_kept(tmp_path):
    with Listening(tmp_path) as listening, listening.client() as client:
        begun = listening.begin()
        client.sendmail("", [begun.sender], reply(begun.token))
    assert listening.lines == ["reply: undeliverable"]


def test_two_replies_at_once_count_once(tmp_path):
    with Listening(tmp_path) as listening:
        begun = listening.begin()

        def answer(number):
            with listening.client() as client:
                client.sendmail(ADDRESS, [begun.sender], reply(begun.token, body=b"%d" % number))

        threads = [threading.Thread(target=answer, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert sorted(listening.lines) == ["reply: done", *["reply: not-first"] * 3]
    assert len(listening.site.sent) == 1


# Pieces


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:25", ("::1", 25)), ("h.example:1", ("h.example", 1))],
)
def test_places(text, expected):
    assert place(text) == expected


@pytest.mark.parametrize("text", ["", "80", "h", "h:0", "h:70000", "::1:25", "h:x"])
def test_other_texts_are_no_places(text):
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        place(text)


def test_mails_go_to_a_target(tmp_path):
    send = sender(f"mbox:{tmp_path}/box")
    send(b"Subject: x\n\nbody\n", "", ADDRESS)
    assert b"Subject: x" in (tmp_path / "box").read_bytes()
    with pytest.raises(MailguardError):
        sender("smtp://127.0.0.1:1?timeout=2")(b"Subject: x\n\n", "", ADDRESS)


def test_a_certificate_that_is_none_is_a_configuration_error(tmp_path):
    (tmp_path / "file").write_text("nothing")
    (tmp_path / "bench").mkdir()
    for path in (tmp_path / "file", tmp_path / "absent"):
        with pytest.raises(ConfigurationError):
            Listening(tmp_path / "bench", str(path))
