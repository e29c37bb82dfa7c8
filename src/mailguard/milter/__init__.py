"""The milter: a chain of filters inside Postfix or Sendmail, before a message is accepted.

`server` lives, `session` is a connection, `mail` a message that comes in, `pool` and `worker` the processes that
filter, `edit` says in the protocol what they changed, `protocol` is its bytes, `listener` and `metrics` are the ends to
outside.

Why the protocol is spoken here and not by a library:

- pymilter 1.0.5 (Sendmail's libmilter): a header field is written as UTF-8 text, so a value in Shift_JIS or raw
  ISO-8859-1 cannot be put back as it was; libmilter keeps SIGHUP and SIGTERM for itself (both end it), runs a thread
  for each connection in a process that must not fork, and keeps all in memory; and there is no wheel, so that the
  installation needs a compiler.
- python-libmilter 2.0.0: a replaced body is one packet of any size, which mail servers refuse over 64 KiB; a thread or
  a process for each connection; 184 mails a second of 200 KB.
- purepythonmilter 0.0.1 and kilter 0.6: no more than 198 and 93 mails a second, before any filtering, both without
  releases for years.

The protocol itself is small: a length, a letter, texts that end in NUL.  Here one process speaks it with all mail
servers, and never looks into a message; worker processes write the packets of the reply into the file of the mail.
"""
