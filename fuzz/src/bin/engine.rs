//! libFuzzer over the harness that `FUZZ_TARGET` names: `make fuzz` builds and calls it.

#![no_main]

use std::sync::LazyLock;

use device_worker_ng_fuzz::{TARGETS, Target, budget, mutate::Mutator, random::Random};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no target '{name}', but: {}", names.join(", "));
        std::process::exit(1)
    })
});
static MUTATOR: LazyLock<Mutator> = LazyLock::new(Mutator::default);

fuzz_target!(|input: &[u8]| budget::run(*TARGET, input));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    let mut random = Random::new(seed.into());
    // libFuzzer's own changes are led by what the code compares
    if random.once_in(3) {
        return fuzzer_mutate(data, size, most);
    }
    let mut input = data[..size].to_vec();
    let other = input.clone();
    MUTATOR.change(&mut input, &other, &mut random);
    let size = input.len().min(most);
    data[..size].copy_from_slice(&input[..size]);
    size
});
