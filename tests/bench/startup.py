"""Cold start of filters on mail with nothing to do, against the bare interpreter."""

from bench import processes

PLAIN = b"From: a@example.com\nTo: b@example.org\nSubject: hi\nDate: Tue, 24 Nov 2026 09:00:00 +0900\n\nHello\n"
ALTERNATIVE = (
    "From: =?UTF-8?B?5bGx55Sw?= <a@example.com>\nTo: b@example.org\nSubject: =?ISO-2022-JP?B?GyRCJDMkcxsoQg==?=\n"
    "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n--x\n"
    "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\nこんにちは。\n--x\n"
    "Content-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n<p>こんにちは。</p>\n--x--\n"
).encode()


def measure():
    with processes.folder() as folder:
        key = processes.key_file(folder)
        plain = processes.file(folder, "plain", PLAIN)
        alternative = processes.file(folder, "alternative", ALTERNATIVE)
        strip = [processes.MAILGUARD, "strip", "--log", "none"]
        quarantine = [processes.MAILGUARD, "quarantine", "--log", "none", "--key-file", key]
        base, click, by_click, *filters = processes.in_turns(
            15,
            lambda: processes.run(processes.interpreter("-I", "-S", "-c", "pass"), plain),
            lambda: processes.run(processes.interpreter("-I", "-c", "import click"), plain),
            lambda: processes.run([*strip, "--larger-than", "1"], plain),
            lambda: processes.run(strip, plain),
            lambda: processes.run(quarantine, plain),
            lambda: processes.run(strip, alternative),
            lambda: processes.run(quarantine, alternative),
        )
    yield "start: import click alone", click.cpu / base.cpu, None, "x bare interpreter"
    yield "start: strip, plain mail, through click", by_click.cpu / base.cpu, ("<=", 6.5), "x bare interpreter"
    yield "start: strip, plain mail, simple options", filters[0].cpu / base.cpu, ("<=", 1.5), "x bare interpreter"
    for name, cost in zip(
        ("quarantine, plain", "strip, alternative", "quarantine, alternative"), filters[1:], strict=True
    ):
        yield f"start: {name}", cost.cpu / base.cpu, None, "x bare interpreter"
