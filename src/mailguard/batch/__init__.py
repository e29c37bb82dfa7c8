"""The driver for archives: the messages of a file or folder through a pipeline, on all cores or on a cluster.

An archive is cut into chunks, ranges of octets that hold whole messages.  A task says where a chunk is and which
pipeline works on it; the message itself is read from the archive by the worker, which writes a part file beside the
output.  The parent puts the parts together in order.  So messages never travel between processes, and what is done is
known by the files that are there: a job that was killed at any moment goes on where it was.
"""
