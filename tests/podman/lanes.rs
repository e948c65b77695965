//! Slow orders don't hold up others.
