"""Making, locking, checking, proving and keeping images: the folders under images/."""
