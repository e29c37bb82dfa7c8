"""A process that has everything loaded, and forks for each message: filters without the cost of a start.

A filter that finds `$MAILGUARD_DAEMON` hands over its standard descriptors and arguments; the server's worker is in
its place from then on.  No mail depends on the server: whenever it is absent, refuses or dies before it was told to
go, the filter does the work itself.

The protocol, on a stream socket of the local machine; both sides check the user at the other end:

1. The client sends items, each with a NUL behind it: `mailguard-1`; the fingerprint of its installation, or nothing;
   its start on the monotonic clock, or nothing; the number of arguments, and the arguments; the number of environment
   variables, and `NAME=VALUE` of each.  With the first byte it passes four descriptors: 0, 1, 2, working directory.
2. The worker answers `ready` (line end), or `refused REASON` and closes.  Until now it has touched nothing.
3. The client answers `go` (line end).  This is the moment: from here on only the worker reads and writes, and the
   client does nothing but wait; when the worker dies now, the client ends with 75.  Without `go` (the client gave up
   waiting, or died) the worker ends, again without having touched anything.
4. Each further octet from the client is the number of a signal that it got.  A closed connection is its death: the
   worker ends before it writes the message.
5. `done STATUS 0` (line end), and the worker closes.

A client that passes no descriptors sends the message behind its request and closes its direction.  It gets no `ready`,
and after `done STATUS LENGTH` (line end) the output, LENGTH octets, and then whatever belongs on stderr.
"""
