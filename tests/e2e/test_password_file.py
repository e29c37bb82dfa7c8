"""Passwords by recipient, with the shipped file, and other people's program to open the capsule."""

from __future__ import annotations

import email.policy
import shutil
import subprocess

import pytest
from mail_system import EXAMPLES
from messages import with_attachment

PASSWORDS = EXAMPLES / "passwords"
DERIVED = None


@pytest.mark.parametrize(
    ("recipient", "password"),
    [
        ("bob@example.com", "correct horse battery staple"),
        ("ayumi@example.com", "tiger-bamboo-77"),
        ("chie@example.com", DERIVED),
    ],
)
def test_7zip_opens_the_capsule_with_the_password_of_the_recipient(site, recipient, password):
    file = site.folder / "passwords"
    shutil.copy(PASSWORDS, file)
    file.chmod(0o600)
    shutil.chown(file, site.user)
    guarded = site.run(
        "quarantine", f"--recipient={recipient}", "--password-file", str(file), "--log=none", raw=with_attachment()
    )
    assert (guarded.returncode, guarded.stderr) == (0, b"")
    told = site.run("password", "--password-file", str(file), raw=guarded.stdout).stdout.decode().strip()
    assert told == password if password else len(told) > 20

    capsule = list(email.message_from_bytes(guarded.stdout, policy=email.policy.default).iter_attachments())[-1]
    folder = site.work / "capsule"
    folder.mkdir()
    (folder / "outer.zip").write_bytes(capsule.get_content())
    unzip(folder, "outer.zip", f"-p{told}")
    unzip(folder, "attachments.zip")
    assert (folder / "report.exe").read_bytes().startswith(b"MZThe attachment")


def unzip(folder, name, *options):
    subprocess.run(["7z", "x", "-y", *options, name], cwd=folder, check=True, capture_output=True, timeout=120)
