#!/bin/sh
# Sets everything up on a Debian machine (as root or with sudo) and shows the main job on a message it makes itself:
# hold a dangerous attachment back, look at it, and give the original back, byte for byte.
# Writes only below .venv in this folder (another place: VENV=/path) and a temporary folder.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

packages="ca-certificates libmagic1 python3 python3-venv"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

# shellcheck disable=SC2086 # a list of words
if ! dpkg-query -W $packages >/dev/null 2>&1; then
    say "Installing Debian packages: $packages"
    as_root apt-get -q update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $packages </dev/null
fi
if [ ! -x "$venv/bin/mailguard" ]; then
    say "Installing mailguard in $venv"
    python=/usr/bin/python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || python=python3
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check --quiet install '.[all]'
fi
mailguard() {
    "$venv/bin/mailguard" "$@"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MAILGUARD_KEY_FILE="$folder/key"

{
    cat <<'MAIL'
From: =?UTF-8?B?5bGx55Sw5aSq6YOO?= <yamada@partner.example>
To: you@example.com
Subject: Re: invoice
Date: Tue, 03 Nov 2026 10:00:00 +0900
Message-ID: <20261103@partner.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="sample"

--sample
Content-Type: text/plain; charset=UTF-8

Please see the attached invoice.
--sample
Content-Type: application/pdf; name="invoice.pdf.js"
Content-Disposition: attachment; filename="invoice.pdf.js"
Content-Transfer-Encoding: base64

MAIL
    printf 'var shell = new ActiveXObject("WScript.Shell"); shell.Run("calc.exe");\n' | base64
    printf -- '--sample--\n'
} >"$folder/message"

say '$ mailguard init'
mailguard init

say '$ mailguard quarantine < message > guarded'
mailguard quarantine --log none --journal "$folder/journal" <"$folder/message" >"$folder/guarded"

say 'What the recipient gets:'
"$venv/bin/python" -X utf8 - "$folder/guarded" <<'PYTHON'
import email.policy
import sys

with open(sys.argv[1], "rb") as file:
    message = email.message_from_binary_file(file, policy=email.policy.default)
for part in message.walk():
    if not part.is_multipart():
        print(f"--- {part.get_content_type()}, {part.get_filename() or 'body text'}")
        if part.get_content_type() == "text/plain":
            print(part.get_content())
PYTHON

say '$ mailguard inspect < guarded'
mailguard inspect <"$folder/guarded"

say '$ mailguard password < guarded 2> /dev/null'
mailguard password <"$folder/guarded" 2>/dev/null

say '$ mailguard list --journal journal'
mailguard list --journal "$folder/journal"

say '$ mailguard release < guarded > original; cmp message original'
mailguard release <"$folder/guarded" >"$folder/original"
cmp "$folder/message" "$folder/original"
echo "The original is back, byte for byte."
