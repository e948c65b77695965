//! Arguments → settings → run; the only place with exit codes.

fn main() {}
