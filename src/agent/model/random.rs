//! Numbers that spread things in time. They guard nothing.

/// xorshift64, from the seed that the agent was given: the same seed, the same life.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1)) // 0 would stay 0
    }

    /// 0 to 1, without 1.
    pub fn next_fraction(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
