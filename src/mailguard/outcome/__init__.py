"""What every filter finds out first, and what it makes of a message: capsule, notice, seal, a message held whole."""
