//! The agent's place beside the metrics endpoint, for its tests: prints every sample, first the remembered ones.
//!
//! `metrics_host DIRECTORY LISTEN…`, where `LISTEN` is `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`.

use std::io::{self, Write};

use device_worker_ng::agent::{Event, Sample};
use device_worker_ng::io::metrics::{self, Config};
use device_worker_ng::settings::ListenAddress;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    simplelog::SimpleLogger::init(log::LevelFilter::Info, simplelog::Config::default())
        .map_err(io::Error::other)?;
    if arguments[0] == metrics::SUBCOMMAND {
        return metrics::receiver::run();
    }
    let listen = |text: &String| match text.strip_prefix("unix:") {
        Some(path) => Ok(ListenAddress::Unix(path.into())),
        None => text.parse().map(ListenAddress::Tcp).map_err(io::Error::other),
    };
    let listen = arguments[1..].iter().map(listen).collect::<io::Result<_>>()?;
    let config = Config { listen, directory: arguments[0].clone().into(), ttl: None };
    let (sender, events) = crossbeam_channel::bounded(16);
    for (sample, _) in metrics::start(config, sender)? {
        tell("remembered", &sample)?;
    }
    for event in events {
        let Event::Metrics(samples) = event else { continue };
        samples.iter().try_for_each(|sample| tell("posted", sample))?;
    }
    Ok(())
}

fn tell(how: &str, Sample { name, value }: &Sample) -> io::Result<()> {
    writeln!(io::stdout(), "{how} {name} {value:?}")
}
