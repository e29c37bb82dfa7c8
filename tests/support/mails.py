"""Messages with attachments, as small as can be."""

from __future__ import annotations

import base64

import documents

PDF = documents.pdf()


def attachment(data, name=b"report.pdf", kind=b"application/pdf"):
    return (
        b"Content-Type: " + kind + b'; name="' + name + b'"\nContent-Transfer-Encoding: base64\n'
        b'Content-Disposition: attachment; filename="' + name + b'"\n\n' + base64.encodebytes(data)
    )


def mixed(*entities, subtype=b"mixed", top=b""):
    head = top or b"From: a@a.example\nTo: b@b.example\nSubject: hello\nMIME-Version: 1.0\n"
    body = b"".join(b"--xx\n" + entity + b"\n" for entity in entities)
    return head + b"Content-Type: multipart/" + subtype + b"; boundary=xx\n\n" + body + b"--xx--\n"


TEXT = b"Content-Type: text/plain\n\nHello.\n"


EXE = attachment(b"MZ" + bytes(200), b"setup.exe", b"application/octet-stream")


WITH_PDF = mixed(TEXT, attachment(PDF))


WITH_EXE = mixed(TEXT, EXE)


WITH_BOTH = mixed(TEXT, attachment(PDF), EXE)
