//! Each kind of step, one after the other.
