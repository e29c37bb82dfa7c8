"""With whom our users write: which outgoing mail is their own, who is part of its conversation, and who is not."""
