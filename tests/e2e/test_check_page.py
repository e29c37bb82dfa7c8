"""The result page in a real browser: it asks nobody, runs nothing, and fits every screen."""

from __future__ import annotations

import check_reports
import pytest

from mailguard.check.page.document import Sender, render

SHAPES = {"1100": (1100, False), "390": (390, False), "dark": (1100, True), "390-dark": (390, True)}


def opened(browser, tmp_path, report, lang="ja"):
    page = tmp_path / "page.html"
    exchange = Sender("a…@example.com", "mail.example.com [192.0.2.25]", "TLSv1.3", check_reports.NOW + 30 * 86400)
    before = check_reports.mixed(check_reports.NOW - 86400)
    page.write_text(render(report, lang, before, exchange=exchange, other="page.en.html"))
    browser.open(page.as_uri())
    return page.as_uri()


@pytest.mark.parametrize("make", ["mixed", "good", "bad", "hostile"])
def test_the_page_makes_no_request_and_no_complaint(browser, tmp_path, make):
    address = opened(browser, tmp_path, getattr(check_reports, make)())
    assert browser.requests == [address]
    assert browser.errors == []  # the policy allows its style


def test_hostile_values_run_nothing(browser, tmp_path):
    opened(browser, tmp_path, check_reports.hostile())
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.images.length") == 0
    assert "<script>alert(1)</script>" in browser.text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", ["mixed", "bad", "hostile"])
def test_the_page_fits_every_screen(browser, tmp_path, make, shape):
    width, dark = SHAPES[shape]
    opened(browser, tmp_path, getattr(check_reports, make)())
    browser.shape(width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(15, 19, 23)" if dark else "rgb(244, 245, 247)")
    assert browser.screenshot(f"check-page-{make}-{shape}").stat().st_size > 10_000


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_what_needs_repair_is_printed_where_it_is_folded_too(browser, tmp_path, lang):
    opened(browser, tmp_path, check_reports.mixed(), lang)
    browser.shape(1100)
    assert browser.printed(f"check-page-{lang}").startswith(b"%PDF-")
    browser._call("Emulation.setEmulatedMedia", media="print")
    more = "[...document.querySelectorAll('.row:not([open]):is(.failure, .warning) .more')]"
    heights = browser.evaluate(f"{more}.map(each => each.getBoundingClientRect().height)")
    assert heights
    assert all(heights)
    browser._call("Emulation.setEmulatedMedia", media="")
