"""sanitize: what becomes of each part, what is kept of it, and what stays as it was."""

from __future__ import annotations

import base64
import io

import documents
import japanese_corpus
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mails import EXE, TEXT, attachment, mixed
from message_generators import conforming
from pdf_documents import new
from signed_parts import signed_data
from verbs import NOW, RING, output, parts, quarantine, release, rules, sealed, site, verdict

from mailguard import journal
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.filename import named
from mailguard.formats import codes, disarmed
from mailguard.formats import families as formats
from mailguard.formats.detect import detect
from mailguard.message.content import Content
from mailguard.message.grammar import check
from mailguard.message.tree import parse
from mailguard.outcome import opening
from mailguard.parts.placeholder import is_placeholder
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load
from mailguard.sanitize.policy import parse as policy
from mailguard.settings import Settings

REPORT = "添付ファイル無害化のお知らせ.txt"
DOCM = attachment(documents.docm(), b"report.docm", b"application/vnd.ms-word.document.macroEnabled.12")
PAGE = b'Content-Type: text/html; charset=utf-8\n\n<html><body onload="x()"><p>Hello</p><script>x()</script></body></html>\n'
VCARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Yamada;Taro\r\nTEL:+81-3-1234-5678\r\nEND:VCARD\r\n"
SIGNATURE = b"Content-Type: application/pgp-signature; name=s.asc\n\n-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n"
NO_PDF = policy(
    '[[rule]]\ntype = ["application/vnd.*", "text/*", "message/*", "application/zip"]\naction = "disarm"\n', "test"
)


def run(raw, rules_=None, policy_=None, site_=None, **options):
    return sanitize(raw, rules_ or rules(), lambda: policy_ or load(None), site_ or site(), Sandbox, **options)


def out(raw, *arguments, **options):
    return output(run(raw, *arguments, **options))


def actions(result):
    return [(record["part"], record["action"]) for record in result.attachments]


def real_pdf(script=False):
    import pikepdf

    pdf = pikepdf.new()
    pdf.add_blank_page()
    if script:
        action = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
        pdf.Root.OpenAction = pdf.make_indirect(action)
    stream = io.BytesIO()
    pdf.save(stream)
    return stream.getvalue()


# What is delivered


def test_a_document_with_macros_is_delivered_without_them_and_its_original_is_kept():
    raw = mixed(TEXT, DOCM)
    result = run(raw)
    made = output(result)
    assert actions(result) == [("2", "disarmed")]
    assert detect(Content.of(documents.docm()), [], "").dangerous == ("macro",)
    kind, name, data = parts(made)[1]
    assert name == "report.docx"
    assert kind == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert detect(Content.of(data), [name], kind).dangerous == ()
    assert release(made) == raw
    assert check(parse(made)) == []
    assert "removed.macro" in {finding.code for finding in result.findings}


def test_a_pdf_loses_its_script():
    raw = mixed(TEXT, attachment(real_pdf(script=True)))
    result = run(raw)
    assert actions(result) == [("2", "disarmed")]
    assert b"JavaScript" not in parts(output(result))[1][2]
    assert release(output(result)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        mixed(TEXT),
        mixed(TEXT, attachment(real_pdf())),
        mixed(TEXT, attachment(b"just text\n", b"a.txt", b"text/plain")),
        mixed(TEXT, attachment(VCARD, b"a.vcf", b"text/vcard")),
        mixed(TEXT, attachment(VCARD, b"a.vcf", b"text/x-vcard")),
        b'Subject: x\nContent-Type: text/html\n\n<p>Hello, <b>you</b> <a href="https://a.example/">there</a></p>\n',
    ],
)
def test_what_is_harmless_leaves_byte_for_byte(raw):
    result = run(raw)
    assert not result.changed
    assert output(result) == raw


def test_a_program_is_held_and_can_be_released():
    raw = mixed(TEXT, EXE)
    result = run(raw)
    made = output(result)
    assert actions(result) == [("2", "held")]
    assert is_placeholder(parse(made).root.children[1])
    assert result.attachments[0]["reason"] == "unknown-type"
    assert release(made) == raw


def test_html_text_stays_in_its_place_without_its_script():
    raw = mixed(TEXT, PAGE, subtype=b"alternative")
    made = out(raw)
    found = parts(made)
    assert [kind for kind, _, _ in found] == ["text/plain", "text/html", "text/plain", "application/zip"]
    assert b"Hello" in found[1][2]
    assert b"script" not in found[1][2]
    assert b"onload" not in found[1][2]
    assert release(made) == raw


def test_a_message_that_is_one_page_keeps_it():
    raw = b"Subject: x\n" + PAGE
    made = out(raw)
    assert [kind for kind, _, _ in parts(made)] == ["text/html", "text/plain", "application/zip"]
    assert release(made) == raw
    assert check(parse(made)) == []


def test_a_message_that_is_one_attachment_becomes_a_multipart():
    raw = b"Subject: x\n" + DOCM
    made = out(raw)
    assert [name for _, name, _ in parts(made)][:2] == ["report.docx", REPORT]
    assert release(made) == raw


def test_a_name_that_misleads_is_replaced():
    raw = mixed(TEXT, attachment(b"just text\n", b"note.txt.exe", b"text/plain"))
    result = run(raw)
    assert [name for _, name, _ in parts(output(result))][1].endswith(".txt")
    assert result.attachments[0]["removed"] == ["label"]


def test_crlf_stays_crlf():
    raw = mixed(TEXT, DOCM, PAGE).replace(b"\n", b"\r\n")
    made = out(raw)
    assert made.count(b"\n") == made.count(b"\r\n")
    assert release(made) == raw


def test_a_signature_that_does_not_fit_any_more_is_taken_out():
    raw = mixed(PAGE, SIGNATURE, subtype=b'signed; protocol="application/pgp-signature"')
    result = run(raw)
    made = output(result)
    assert {record["reason"] for record in result.attachments if record["action"] == "held"} == {"signature"}
    assert b"multipart/signed" not in made
    assert release(made) == raw


# Tidying that no user would notice

TABLE = new().replace(b"startxref", b"startxxxx")
TIDY = [
    attachment(TABLE, b"report.pdf", b"application/pdf"),
    attachment(new(), b"report.pdf", b"application/pdf"),
]
METADATA = policy('[[rule]]\ntype = ["application/pdf"]\naction = "disarm"\nremove = ["metadata"]\n', "test")


@pytest.mark.parametrize(("part", "policy_"), [(TIDY[0], load(None)), (TIDY[1], METADATA)])
@pytest.mark.parametrize("whole", [True, False])
def test_what_nobody_notices_makes_no_report_and_no_capsule(part, policy_, whole):
    raw = b"Subject: x\nFrom: a@a.example\n" + part if whole else mixed(TEXT, part)
    result = run(raw, None, policy_)
    made = output(result)
    (removed,) = result.attachments[0]["removed"]
    assert removed == ("metadata" if policy_ is METADATA else "cross-reference")
    assert [name for _, name, _ in parts(made)] == ([] if whole else [""]) + ["report.pdf"]
    assert result.quarantine_id is None
    assert not check(parse(made))
    assert not journal.held(result)
    assert output(run(made, None, policy_)) == made
    pdf = parts(made)[-1][2]
    assert pdf not in {TABLE, new()}
    assert detect(Content.of(pdf), ["report.pdf"], "application/pdf").type == "application/pdf"


def test_what_is_tidied_beside_something_dangerous_is_in_the_capsule_but_not_in_the_report():
    raw = mixed(TEXT, TIDY[0], EXE)
    made = out(raw)
    names = [name for _, name, _ in parts(made)]
    assert REPORT in names
    assert "report.pdf" not in parts(made)[names.index(REPORT)][2].decode()
    assert release(made) == raw


def test_a_signature_is_not_broken_to_tidy_up():
    raw = mixed(TIDY[0], SIGNATURE, subtype=b'signed; protocol="application/pgp-signature"')
    assert out(raw) == raw


def test_a_tidied_document_gets_no_new_name_in_silence():
    raw = mixed(TEXT, attachment(TABLE, b"report.dat", b"application/pdf"))
    assert REPORT in [name for _, name, _ in parts(out(raw))]


# Report and records


@pytest.mark.parametrize("lang", ["ja", "en", "both"])
def test_the_report_says_in_words_what_was_done(lang):
    made = out(mixed(TEXT, DOCM, EXE), None, None, site(lang=lang, contact="desk 1"))
    name = "sanitize-report.txt" if lang == "en" else "添付ファイル無害化のお知らせ.txt"
    text = next(data.decode() for _, part, data in parts(made) if part == name)
    assert ("Made harmless; macros were taken out." in text) == (lang != "ja")
    assert ("無害化しました。マクロを取り除きました。" in text) == (lang != "en")
    assert ("Held back.\n     Reason: It is a program.\n" in text) == (lang != "ja")
    assert ("隔離しました。\n     理由: 実行できるプログラムです。\n" in text) == (lang != "en")
    assert "report.docm" in text
    assert "setup.exe" in text
    assert "desk 1" in text


def test_every_code_that_a_module_uses_has_words():
    for table in (codes.REMOVED, codes.REFUSALS):
        assert all(japanese and english for japanese, english, _ in table.values())
    for _, (data, _) in documents.dangerous().items():
        result = run(mixed(TEXT, attachment(data, b"a.bin", b"application/octet-stream")), None, NO_PDF)
        for record in result.attachments:
            assert set(record.get("removed", ())) <= set(codes.REMOVED)
            assert record.get("reason") in {None, *codes.REFUSALS}


def test_a_result_says_what_is_delivered():
    record = run(mixed(TEXT, DOCM)).attachments[0]
    assert record["delivered"]["name"] == "report.docx"
    assert record["detected_type"].endswith("macroenabled.12")


def test_the_journal_has_what_was_changed_and_kept():
    changed = run(mixed(TEXT, DOCM))
    assert journal.held(changed)
    entry = journal.HeldMessage(journal.record("sanitize", b"", changed, Settings(Envelope(), NOW)))
    assert (entry.state, entry.names()) == ("held", ["report.docm"])
    assert not journal.held(run(mixed(TEXT, DOCM), discard_originals=True))
    assert not journal.held(run(mixed(TEXT)))


# Every kind of danger


@pytest.mark.parametrize("name", documents.dangerous())
def test_nothing_dangerous_is_delivered_and_everything_can_be_released(name):
    data = documents.dangerous()[name][0]
    raw = mixed(TEXT, attachment(data, b"a.bin", b"application/octet-stream"))
    result = run(raw, None, NO_PDF)
    made = output(result)
    assert result.changed
    assert release(made) == raw
    for kind, label, content in parts(made):
        if kind != "application/zip" or b"mailguard-capsule" not in content:
            assert detect(Content.of(content), [label] if label else [], kind).dangerous == (), kind


# What is kept, and what is not


def test_originals_are_discarded_on_request_and_nothing_is_added_but_the_report():
    raw = mixed(TEXT, DOCM)
    result = run(raw, discard_originals=True)
    assert [kind for kind, _, _ in parts(output(result))].count("application/zip") == 0
    assert result.quarantine_id is None


def test_what_is_held_is_kept_even_when_originals_are_discarded():
    raw = mixed(TEXT, DOCM, EXE)
    made = out(raw, discard_originals=True)
    back = release(made)
    assert documents.docm() not in [data for _, _, data in parts(back)]
    assert parts(raw)[2] == parts(back)[2]
    assert parts(back)[1][1] == "report.docx"


def test_without_a_key_a_change_is_a_configuration_error_unless_nothing_is_kept():
    raw = mixed(TEXT, DOCM)
    with pytest.raises(ConfigurationError):
        run(raw, None, None, site(ring=None))
    assert b"Mailguard-Seal" not in out(raw, None, None, site(ring=None), discard_originals=True)
    assert out(mixed(TEXT), None, None, site(ring=None)) == mixed(TEXT)


# Composition


def test_a_second_run_changes_nothing():
    made = out(mixed(TEXT, DOCM, EXE, PAGE))
    assert out(made) == made


def test_quarantine_after_sanitize_and_sanitize_after_quarantine_share_one_capsule():
    raw = mixed(TEXT, DOCM, EXE)
    first = quarantine(out(raw))
    assert release(first) == raw
    second = out(quarantine(raw, rules(types=["*executable*"])))
    assert release(second) == raw
    assert sum(kind == "application/zip" for kind, _, _ in parts(second)) == 1
    names = {file.name for file in opening.open_one(second, RING, None).opened.files}
    assert names == {"report.docm", "setup.exe"}


def test_a_notice_after_sanitize_does_not_say_that_the_text_is_unchanged():
    for raw, unchanged in ((mixed(TEXT, DOCM), True), (mixed(PAGE, DOCM), False)):
        made = quarantine(out(raw), rules(), site(lang="en"))
        notice = next(data.decode() for _, _, data in parts(made) if b"Quarantine id" in data)
        assert ("The text that arrived is unchanged." in notice) == unchanged
        assert ("Dangerous parts were taken out of its HTML text." in notice) != unchanged
        assert release(made) == raw


def test_a_sealed_verdict_stays():
    made = out(sealed(mixed(TEXT, DOCM)))
    assert b"a=yes" in made


# Structure


def test_an_anomalous_message_is_built_anew_with_its_text_and_the_original_comes_back():
    raw = mixed(TEXT, EXE).replace(b"boundary=xx", b'boundary=xx; boundary="yy"')
    result = run(raw)
    made = output(result)
    assert result.action == "sanitized"
    assert check(parse(made)) == []
    assert b"Hello." in parts(made)[0][2]
    assert b"Subject: hello" in made
    assert release(made) == raw


IN_TEXT = b"Content-Type: %b\nContent-Transfer-Encoding: base64\n\n%b\n"


def test_a_program_that_stands_in_a_text_as_a_part_is_taken_out():
    text = b"\nHello.\n\n" + IN_TEXT % (b"application/octet-stream", base64.encodebytes(documents.EXE[:280]))
    for raw in (b"From: a@a.example\nSubject: x\n" + text, mixed(text), mixed(text, DOCM)):
        assert check(parse(raw)) == []
        result = run(raw)
        assert "removed.hidden-content" in {finding.code for finding in result.findings}
        assert b"| Content-Transfer-Encoding: base64" in parts(output(result))[0][2]
        assert release(output(result)) == raw
        assert out(output(result)) == output(result)
        after = out(quarantine(raw))
        assert release(after) == raw
        assert len(parts(after)) >= 3


def test_a_forwarded_message_with_such_a_text_is_held():
    text = b"\nHello.\n\n" + IN_TEXT % (b"application/octet-stream", base64.encodebytes(documents.EXE[:280]))
    raw = mixed(TEXT, b"Content-Type: message/rfc822\n\nSubject: inner\n" + text)
    result = run(raw)
    assert [record.get("reason") for record in result.attachments] == ["ambiguous"]
    assert release(output(result)) == raw


def test_a_returned_message_without_files_stays():
    inner = b"\nReturned:\n\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nHello =41=42\n"
    text = IN_TEXT % (b"text/plain", base64.encodebytes("こんにちは。".encode() * 9))
    for raw in (b"Subject: x\n" + inner, mixed(inner), mixed(b"\nReturned:\n\n" + text)):
        assert not run(raw).changed


@pytest.mark.parametrize("kind", [b'message/partial; id="a@b"; number=1', b"message/external-body; access-type=URL"])
def test_what_is_elsewhere_is_held_whole(kind):
    raw = mixed(TEXT, b"Content-Type: " + kind + b"\n\nSubject: x\n\nhello\n")
    result = run(raw)
    assert result.action == "held"
    assert release(output(result)) == raw


def test_many_parts_are_held_whole():
    raw = mixed(TEXT, *[b"\nx\n"] * 10_100)
    result = run(raw)
    assert result.action == "held"
    assert release(output(result)) == raw


# Policy at work


def test_encrypted_files_stay_when_a_known_sender_sends_them_and_the_policy_allows_it():
    raw = sealed(mixed(TEXT, attachment(documents.zip_aes(), b"a.zip", b"application/zip")), verdict())
    allowed = policy('encrypted = "keep-known"\n', "test")
    known = rules(known=lambda address: address == "a@a.example")
    assert not run(raw, known, allowed).changed
    assert run(raw, rules(), allowed).changed
    assert run(raw, known).changed
    assert run(raw.partition(b"From:")[1] + raw.partition(b"From:")[2], known, allowed).changed


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('[[rule]]\nextension = ["docm"]\naction = "remove"\n', "removed"),
        ('[[rule]]\ntype = ["*macroenabled*"]\naction = "quarantine"\n', "held"),
        ('[[rule]]\naction = "keep"\n', "kept"),
        ('[[rule]]\ntype = ["text/plain"]\naction = "keep"\n', "held"),
        ('[[rule]]\naction = "command"\ncommand = ["printf", "done"]\n', "converted"),
        ('[[rule]]\naction = "command"\ncommand = ["false"]\n', "held"),
        ('[[rule]]\naction = "command"\ncommand = ["sh", "-c", "exit 3"]\nstatuses = { 3 = "keep" }\n', "kept"),
        ('[[rule]]\naction = "command"\ncommand = ["no-such-program"]\n', "held"),
        ('[[rule]]\naction = "command"\ncommand = ["false"]\notherwise = ["disarm"]\n', "disarmed"),
    ],
)
def test_the_action_of_the_rule_is_taken(text, action):
    assert actions(run(mixed(TEXT, DOCM), None, policy(text, "test"))) == [("2", action)]


def test_a_missing_program_is_named():
    rule = policy('[[rule]]\naction = "command"\ncommand = ["no-such-program"]\n', "test")
    result = run(mixed(TEXT, DOCM), None, rule)
    assert any("no-such-program" in finding.what for finding in result.findings if "refused" in finding.code)


def test_encrypted_documents_and_sealed_archives_of_known_senders_stay_too():
    allowed = policy('encrypted = "keep-known"\n', "test")
    known = rules(known=lambda address: address == "a@a.example")
    for data in (
        documents.encrypted_office(),
        documents.seven_zip(encrypted=True),
        documents.rar_5(headers_encrypted=True),
    ):
        raw = sealed(mixed(TEXT, attachment(data, b"a.bin", b"application/octet-stream")), verdict())
        assert not run(raw, known, allowed).changed
        assert run(raw, rules(), allowed).attachments[0]["reason"] == "encrypted"
    # What the operator's own rule holds is held.
    strict = policy('encrypted = "keep-known"\n[[rule]]\naction = "quarantine"\n', "test")
    assert run(raw, known, strict).attachments[0]["reason"] == "policy"


def test_the_reason_is_that_of_the_first_step_and_the_missing_program_is_told_beside_it(monkeypatch):
    monkeypatch.setattr("mailguard.sanitize.command._PATH", "/nowhere")
    result = run(
        mixed(TEXT, attachment(b"\xd0\xcf\x11\xe0" + documents.doc()[4:2000], b"a.doc", b"application/msword")),
        None,
        policy('[[rule]]\naction = "disarm"\notherwise = ["pdf"]\n', "test"),
    )
    assert result.attachments[0]["reason"] != "program-missing"
    result = run(
        mixed(TEXT, attachment(documents.odt(), b"a.odt", b"application/octet-stream")),
        None,
        policy('[[rule]]\naction = "disarm"\notherwise = ["pdf"]\n', "test"),
    )
    assert result.attachments[0]["reason"] == "unknown-type"
    assert any(one.code == "refused.program-missing" and "soffice" in one.what for one in result.findings)


PGP_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\nVersion: 1\n\niD8DBQE9d+FfE0NzSJr53oIRAtvLAJ9Dq7N0j3WXKRCwPClW+S3m\n=G2/X\n-----END PGP SIGNATURE-----\n"


@pytest.mark.parametrize(
    ("data", "name", "action"),
    [
        (PGP_SIGNATURE, b"signature.ng", "kept"),
        (PGP_SIGNATURE.replace(b"SIGNATURE", b"PUBLIC KEY BLOCK"), b"key.asc", "kept"),
        (PGP_SIGNATURE, b"signature.exe", "disarmed"),
        (PGP_SIGNATURE + b"and more\n", b"signature.asc", "held"),
        (PGP_SIGNATURE.replace(b"iD8D", b"<scr>"), b"signature.asc", "held"),
        (PGP_SIGNATURE.replace(b"\n", b"\n" * 30_000), b"signature.asc", "held"),
    ],
)
def test_signatures_and_keys_stay_when_they_are_nothing_else(data, name, action):
    result = run(mixed(TEXT, attachment(data, name, b"application/pgp-signature")))
    assert [record["action"] for record in result.attachments] == [action]


def test_a_detached_smime_signature_stays():
    result = run(mixed(TEXT, attachment(signed_data(), b"smime.p7s", b"application/pkcs7-signature")))
    assert not result.changed
    for other in (signed_data() + b"x", b"0\x80" + bytes(20)):
        assert run(mixed(TEXT, attachment(other, b"smime.p7s", b"application/pkcs7-signature"))).changed


def test_a_scanner_holds_what_it_does_not_like():
    text = '[[scan]]\ncommand = ["grep", "-qv", "EVIL"]\n'
    good = attachment(b"fine\n", b"a.txt", b"text/plain")
    bad = attachment(b"EVIL\n", b"b.txt", b"text/plain")
    assert actions(run(mixed(TEXT, good, bad), None, policy(text, "test"))) == [("3", "held"), ("2", "kept")]


def test_a_missing_library_is_an_error_of_the_site(monkeypatch):
    office = next(family for family in formats.FAMILIES if family.name == "office")
    monkeypatch.setattr(office, "needs", ("no_such_library",))
    with pytest.raises(MailguardError, match="no_such_library"):
        run(mixed(TEXT, DOCM))


# Ordinary mail


def test_ordinary_japanese_mail_is_not_built_anew_and_its_text_stays():
    for mail in japanese_corpus.mails(600):
        result = run(mail.raw, None, NO_PDF)
        assert not [one.code for one in result.findings if one.code.startswith(("mime.", "header.", "limit."))]
        changed = [record for record in result.attachments if record["action"] != "kept"]
        assert not any(record.get("body") for record in changed)
        assert result.changed == bool(changed)
        assert result.changed or output(result) == mail.raw


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conforming())
def test_whatever_arrives_comes_back(made_up):
    raw = made_up.raw
    result = run(raw, None, NO_PDF)
    made = output(result)
    assert (made == raw) == (not result.changed)
    if result.changed:
        assert release(made) == raw
        assert check(parse(made)) == []
        assert out(made, None, NO_PDF) == made


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.pdf", "a.docx", "a.zip", "a.html", "a.eml", "a.rtf", "a.png", ""]))
def test_no_content_stops_the_ladder(data, name):
    entity = attachment(data, name.encode(), b"application/octet-stream") if name else base64.encodebytes(data)
    raw = mixed(TEXT, entity)
    result = run(raw, None, NO_PDF)
    assert not result.changed or release(output(result)) == raw


def test_options_go_deeper_until_there_is_no_depth_left():
    options = disarmed.Options(depth=1)
    inner = options.deeper()
    assert inner.quota is options.quota
    with pytest.raises(disarmed.Refused, match="over-limit"):
        inner.deeper()


@pytest.mark.parametrize(
    ("name", "extension", "wanted"),
    [
        ("a.docm", "docx", "a.docx"),
        ("a.DOCX", "docx", "a.DOCX"),
        ("a", "pdf", "a.pdf"),
        (".x", "pdf", ".x.pdf"),
        ("note.txt.exe", "txt", "note.txt"),
    ],
)
def test_a_name_gets_the_extension_of_its_type(name, extension, wanted):
    assert named(name, extension) == wanted


HEAD = b"From: a@a.example\nTo: b@b.example\nSubject: s\nMIME-Version: 1.0\n"
READABLE = {
    "an empty boundary": HEAD
    + b'Content-Type: multipart/mixed; boundary=""\n\n--\nContent-Type: text/plain\n\nHELLO\n----\n',
    "a lone CR between delimiters": HEAD
    + b"Content-Type: multipart/mixed; boundary=x\n\n--x\rContent-Type: text/plain\r\rHELLO\r--x--\r",
    "no boundary, in Japanese": HEAD
    + b"Content-Type: multipart/mixed\n\nContent-Type: text/plain; charset=shift_jis\n\n\x82\xb1 HELLO\n",
    "a lone CR between delimiters of parts": HEAD
    + b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/alternative; boundary=y\n\n"
    b"--y\rContent-Type: text/plain\r\rHELLO\r--y--\r\n--x--\n",
    "a lone CR everywhere": (HEAD + b"Content-Type: text/plain\n\nHELLO\n").replace(b"\n", b"\r"),
    "a lone CR everywhere, in parts": mixed(b"Content-Type: text/plain\n\nHELLO\n").replace(b"\n", b"\r"),
    "an attached message in quoted-printable": HEAD
    + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nSubject: =3D\n\nHELLO\n",
}


@pytest.mark.parametrize("name", READABLE)
def test_text_that_some_reader_shows_is_not_lost(name):
    raw = READABLE[name]
    delivered = output(sanitize(raw, rules(), lambda: policy("", "test"), site(), Sandbox))
    attached = name == "an attached message in quoted-printable"
    texts = [content for kind, name, content in parts(delivered) if kind == "text/plain" and not name]
    assert any(b"HELLO" in content for content in texts) or attached
    assert any(b"HELLO" in content for _, _, content in parts(delivered) if b"mailguard-capsule" not in content)
    assert release(delivered) == raw


@pytest.mark.parametrize("head", [b"", HEAD + b"Content-Type: multipart/mixed; boundary=xx\n\n"])
def test_a_program_behind_lone_line_ends_is_not_delivered(head):
    whole = mixed(TEXT, EXE)
    raw = head + whole[whole.index(b"--xx") if head else 0 :].replace(b"\n", b"\r")
    delivered = output(sanitize(raw, rules(), lambda: policy("", "test"), site(), Sandbox))
    assert not any(content.startswith(b"MZ") for _, _, content in parts(delivered))
    assert release(delivered) == raw
