//! Arguments → settings → run; the only place with exit codes.

use device_worker_ng::io::metrics;

fn main() {
    if std::env::args().nth(1).as_deref() == Some(metrics::SUBCOMMAND)
        && let Err(error) = metrics::receiver::run()
    {
        log::error!("failed to receive metrics: {error}");
        std::process::exit(1);
    }
}
