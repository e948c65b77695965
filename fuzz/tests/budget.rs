//! Each harness with its seeds and a fixed number of inputs made of them: the same ones each time, so that a test that
//! fails fails again. `FUZZ_SEED=` makes others, `FUZZ_INPUTS=` so many times as many, `FUZZ_INPUT=` reads one file,
//! `FUZZ_CORPUS=1` takes what `make fuzz` kept for seeds, too.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use device_worker_ng_fuzz::{Target, budget, mutate::Mutator, random::Random};

/// Nothing that an input does may take this long, however busy the machine is.
const HANG: Duration = Duration::from_secs(60);

/// The memory that an input takes is counted for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn number(variable: &str, default: u64) -> u64 {
    let given = env::var(variable).ok();
    given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// With `FUZZ_CORPUS=1` also what `make fuzz` found worth keeping.
fn seeds(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let files = |directory: PathBuf| -> Vec<PathBuf> {
        fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let mut paths = files(here("seeds").join(target.name));
    assert!(!paths.is_empty(), "{} has no seeds", target.name);
    if env::var_os("FUZZ_CORPUS").is_some() {
        paths.extend(files(here("corpus").join(target.name)));
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn read(target: &Target, input: &[u8]) -> Result<(), PathBuf> {
    let result = panic::catch_unwind(AssertUnwindSafe(|| budget::run(target, input)));
    result.map_err(|_| keep(target, input))
}

/// Where an input is found again.
fn keep(target: &Target, input: &[u8]) -> PathBuf {
    let sum = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let directory = here("artifacts");
    let path = directory.join(format!("{}-{sum:016x}", target.name));
    fs::create_dir_all(&directory).and_then(|()| fs::write(&path, input)).unwrap();
    path
}

/// All that the target gets, on a thread of its own: one that never comes back is a failure, too.
fn run(name: &'static str) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let target = Target::named(name).unwrap();
    let (told, current) = mpsc::channel::<Vec<u8>>();
    let reader = thread::Builder::new().stack_size(8 << 20).name(name.to_owned());
    let reader = reader
        .spawn(move || {
            let again = |path: &Path| {
                let path = path.display();
                format!(
                    "to read it again: FUZZ_INPUT={path} cargo test --manifest-path fuzz/Cargo.toml {name}"
                )
            };
            if let Ok(path) = env::var("FUZZ_INPUT") {
                let input = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
                return assert!(read(target, &input).is_ok(), "{}", again(path.as_ref()));
            }
            let seeds = seeds(target);
            for (path, input) in &seeds {
                told.send(input.clone()).unwrap();
                assert!(read(target, input).is_ok(), "{}", again(path));
            }
            let mut random = Random::new(number("FUZZ_SEED", 1));
            let mutator = Mutator::default();
            let mut fresh: Vec<Vec<u8>> = seeds.into_iter().map(|seed| seed.1).collect();
            let count = target.inputs * number("FUZZ_INPUTS", 1);
            for _ in 0..count {
                let other = random.of(&fresh).clone();
                let mut input = random.of(&fresh).clone();
                mutator.change(&mut input, &other, &mut random);
                told.send(input.clone()).unwrap();
                if let Err(path) = read(target, &input) {
                    panic!("{}", again(&path));
                }
                // some go on changing
                if random.once_in(20) && fresh.len() < 500 {
                    fresh.push(input);
                }
            }
            println!("{name}: {count} inputs");
        })
        .unwrap();
    let mut input = Vec::new();
    loop {
        match current.recv_timeout(HANG) {
            Ok(next) => input = next,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) if env::var_os("FUZZ_INPUT").is_some() => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let path = keep(target, &input);
                panic!("{name} has read {} for {HANG:?}", path.display());
            }
        }
    }
    assert!(reader.join().is_ok(), "see above");
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn each_target_has_its_test() {
            let named: Vec<&str> = device_worker_ng_fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(named, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    certificates conmon cron expressions frames http kubeconfig kubernetes manifests podman posts quantities registries
    server settings state
}
