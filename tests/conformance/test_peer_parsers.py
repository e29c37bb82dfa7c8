"""Against other people's parsers: what a trick hides from a filter is found by none of them after `sanitize`.

The peers are the standard library (both policies), reformime, Perl's MIME::Parser, ripmime, munpack, and from npm
mailparser and postal-mime, in $MAILGUARD_PARSERS or in .parsers of the repository.
"""

from __future__ import annotations

import base64
import email
import email.policy
import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import documents
import pytest
from mime_tricks import tricks
from paths import ROOT
from verbs import RING, output, rules, site

from mailguard.message.grammar import check
from mailguard.message.tree import parse
from mailguard.outcome import opening
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load

FOLDER = Path(os.environ.get("MAILGUARD_PARSERS") or ROOT / ".parsers")
# A program to everybody, in octets and in text.  It counts as found where a line begins with it: in the middle of one
# it is none.
MARKERS = {
    "octets": b"MZ\x90\0" + b"".join((b"MAILGUARD-", b"HIDDEN-", b"TEST-FILE!")) + bytes(range(64)),
    "text": documents.scanner_test(),
}

NODE = """
const { simpleParser } = require('mailparser');
const PostalMime = require('postal-mime').default || require('postal-mime');
const read = data => typeof data === 'string' ? Buffer.from(data) : Buffer.from(data);
const mailparser = async raw => {
  const mail = await simpleParser(raw);
  return [mail.text, mail.html, mail.textAsHtml, ...mail.attachments.map(one => one.content)];
};
const postal = async raw => {
  const mail = await PostalMime.parse(raw);
  return [mail.text, mail.html, ...mail.attachments.map(one => one.content)];
};
let input = '';
process.stdin.on('data', data => (input += data));
process.stdin.on('end', async () => {
  const answers = [];
  for (const each of JSON.parse(input)) {
    const raw = Buffer.from(each, 'base64');
    const found = [];
    for (const parser of [mailparser, postal]) {
      let contents = [];
      try { contents = await parser(raw); } catch (error) { contents = []; }
      found.push(contents.filter(one => one).map(one => read(one).toString('base64')));
    }
    answers.push(found);
  }
  console.log(JSON.stringify(answers));
});
"""

PERL = """
use MIME::Parser;
for my $name (@ARGV) {
  my $parser = MIME::Parser->new;
  $parser->output_to_core(1);
  $parser->extract_uuencode(1);
  $parser->ignore_errors(1);
  my $top = eval { $parser->parse_open($name) } or next;
  my @waiting = ($top);
  open(my $out, '>', "$name.perl");
  binmode $out;
  while (my $part = shift @waiting) {
    push @waiting, $part->parts;
    my $body = $part->bodyhandle or next;
    print $out "\n", $body->as_string;
  }
}
"""


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@functools.cache
def originals(kind):
    return {trick.id: trick.raw for trick in tricks(MARKERS[kind])} | in_texts(MARKERS[kind])


def in_texts(marker):
    """Conforming messages with a text in which only some programs look for a part."""
    file = b"Content-Type: application/octet-stream; name=a.exe\nContent-Transfer-Encoding: base64\n\n"
    file += base64.encodebytes(marker)
    top = b"From: a@example.com\nTo: b@example.com\nSubject: invoice\n"
    mixed = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x1\n\n--x1\n"
    returned = b"\n--- Below this line is a copy.\n\nMIME-Version: 1.0\n"
    texts = {
        "after-words": top + b"\nHello.\n\n" + file,
        "after-a-field": top + b"\nHello:\n b\nx\n" + file,
        "with-parts": top + returned + b"Content-Type: multipart/mixed; boundary=y1\n\n--y1\n" + file + b"--y1--\n",
        "in-a-part": top + mixed + b"Content-Type: text/plain\n\nHello.\n" + file + b"--x1--\n",
        "in-a-file": top + mixed + b"Content-Type: text/plain; name=a.txt\n\nHello.\n" + file + b"--x1--\n",
    }
    return {f"in-text/{name}": raw.replace(b"\n", b"\r\n") for name, raw in texts.items()}


@functools.cache
def results(kind):
    """The tricks after `sanitize` with the default policy."""
    return {name: made(raw) for name, raw in originals(kind).items()}


def made(raw):
    return sanitize(raw, rules(), lambda: load(None), site(), Sandbox)


def sanitized(kind):
    return {name: output(result) for name, result in results(kind).items()}


def write(folder, messages):
    paths = {}
    for number, (name, raw) in enumerate(messages.items()):
        paths[name] = folder / f"{number}.eml"
        paths[name].write_bytes(raw)
    return paths


def run_each(command, folder, messages):
    """Run a program that unpacks one message into a folder; return name: contents."""
    found = {}
    for name, path in write(folder, messages).items():
        target = folder / f"{path.stem}.d"
        target.mkdir()
        words = [word.format(message=path, folder=target) for word in command]
        with path.open("rb") as stdin:
            process = subprocess.run(words, stdin=stdin, capture_output=True, cwd=target, timeout=60, check=False)
        found[name] = [process.stdout, *(file.read_bytes() for file in target.rglob("*") if file.is_file())]
    return found


def stdlib(policy, messages):
    found = {}
    for name, raw in messages.items():
        contents = []
        for part in email.message_from_bytes(raw, policy=policy).walk():
            try:
                contents.append(part.get_payload(decode=True) or b"")
            except Exception:  # noqa: BLE001 (the default policy raises what it likes)
                continue
        found[name] = contents
    return found


def compat32(_folder, messages):
    return stdlib(email.policy.compat32, messages)


def default(_folder, messages):
    return stdlib(email.policy.default, messages)


def reformime(folder, messages):
    need("reformime")
    # Without -s Debian's crashes.
    script = """for section in $(reformime -i <"$1" | sed -n 's/^section: //p'); do
            reformime -s "$section" -e <"$1"; echo
        done"""
    return run_each(["sh", "-c", script, "sh", "{message}"], folder, messages)


def ripmime(folder, messages):
    need("ripmime")
    return run_each(["ripmime", "-i", "{message}", "-d", "{folder}", "--overwrite"], folder, messages)


def munpack(folder, messages):
    need("munpack")
    return run_each(["munpack", "-f", "-t", "-C", "{folder}", "{message}"], folder, messages)


def perl(folder, messages):
    need("perl")
    if subprocess.run(["perl", "-MMIME::Parser", "-e", "1"], capture_output=True, check=False, timeout=120).returncode:
        pytest.skip("Perl's MIME::Parser is not installed")
    paths = write(folder, messages)
    subprocess.run(["perl", "-e", PERL, *map(str, paths.values())], capture_output=True, timeout=300, check=False)
    return {
        name: [Path(f"{path}.perl").read_bytes()] if Path(f"{path}.perl").exists() else []
        for name, path in paths.items()
    }


def node(messages):
    need("node")
    if not (FOLDER / "node_modules" / "postal-mime").is_dir():
        pytest.skip(f"mailparser and postal-mime are not installed in {FOLDER.name}")
    text = json.dumps([base64.b64encode(raw).decode() for raw in messages.values()])
    process = subprocess.run(
        ["node", "-e", NODE], input=text, capture_output=True, text=True, cwd=FOLDER, timeout=300, check=True
    )
    return dict(zip(messages, json.loads(process.stdout), strict=True))


def mailparser(_folder, messages):
    return {name: [base64.b64decode(one) for one in found[0]] for name, found in node(messages).items()}


def postal_mime(_folder, messages):
    return {name: [base64.b64decode(one) for one in found[1]] for name, found in node(messages).items()}


PEERS = [compat32, default, reformime, perl, ripmime, munpack, mailparser, postal_mime]


def finds(found, kind):
    program = re.compile(rb"(?m)^" + re.escape(MARKERS[kind]))
    return sorted(name for name, contents in found.items() if any(map(program.search, contents)))


every_kind = pytest.mark.parametrize("kind", MARKERS)


@every_kind
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_finds_what_is_hidden_before_and_nothing_after(peer, kind, tmp_path):
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    assert len(finds(peer(tmp_path / "before", originals(kind)), kind)) >= 90
    assert finds(peer(tmp_path / "after", sanitized(kind)), kind) == []


def test_there_are_tricks_of_every_class():
    groups = {name.partition("/")[0] for name in originals("octets")}
    assert groups == {
        "header", "boundary", "delimiter", "encoding", "base64", "quoted-printable", "text", "container", "name", "in-text"
    }  # fmt: skip
    assert len(originals("octets")) >= 300


@every_kind
def test_every_result_has_one_reading_and_its_original(kind):
    for name, result in results(kind).items():
        raw = output(result)
        assert check(parse(raw)) == [], name
        assert MARKERS[kind] not in raw, name
        assert opening.open_one(raw, RING, None).opened.restore() == originals(kind)[name], name


@every_kind
def test_most_anomalous_messages_are_delivered_with_their_text(kind):
    held = [name for name, result in results(kind).items() if result.action == "held"]
    assert len(held) <= 12, held


@every_kind
def test_a_second_run_changes_nothing(kind):
    for name, raw in sanitized(kind).items():
        assert output(made(raw)) == raw, name
