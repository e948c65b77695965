//! What is asked of the API server for devices: some at once, some that wait for that, and no more. A fleet that comes all
//! together must not end it, nor make a connection for each device, nor fill this server's memory.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::{sync::Semaphore, time::timeout};

/// At once.
const TURNS: usize = 32;
/// These and those that wait: each is a request that is held in memory. Who comes again later comes by chance.
const PLACES: usize = TURNS + 480;
/// How long the API server may take for what a device waits for.
const API_SERVER_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Turns {
    turns: Semaphore,
    places: Semaphore,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { turns: Semaphore::new(TURNS), places: Semaphore::new(PLACES) }
    }

    /// Does what a device waits for, when it has its turn; neither takes longer than a device waits.
    pub(crate) async fn take<T, E: From<anyhow::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let late =
            || anyhow!("the API server doesn't answer within {} seconds", API_SERVER_TIMEOUT.as_secs());
        let Ok(_place) = self.places.try_acquire() else {
            return Err(anyhow!("{PLACES} other requests wait for the API server").into());
        };
        let Ok(Ok(_turn)) = timeout(API_SERVER_TIMEOUT, self.turns.acquire()).await else {
            return Err(late().into());
        };
        timeout(API_SERVER_TIMEOUT, work).await.unwrap_or_else(|_| Err(late().into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_sent_away_at_once_and_none_is_when_they_are_done() {
        let turns = Turns::new();
        let mut all: Vec<_> = (0..PLACES).map(|_| Box::pin(turns.take(pending::<Result<()>>()))).collect();
        for one in &mut all {
            assert!(one.now_or_never().is_none(), "it waits");
        }
        let sent_away = turns.take(async { Ok::<_, anyhow::Error>(()) }).now_or_never().expect("at once");
        assert!(sent_away.unwrap_err().to_string().contains("wait for the API server"));
        drop(all);
        turns.take(async { Ok::<_, anyhow::Error>(()) }).now_or_never().expect("at once").unwrap();
    }
}
