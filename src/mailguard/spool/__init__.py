"""A durable queue of messages on disk.

Folders, all 0700 and of one owner: `tmp` (being written), `queue` (to be delivered), `failed` (refused for good, with
the dialogue), `done` (the journal of deliveries), `targets` (circuit breakers).  An entry exists as soon as its name
stands in `queue`, and it stands there only complete and fsynced.  flock on its file decides who works on it.
"""
