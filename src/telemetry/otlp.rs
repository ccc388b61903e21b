//! Sends traces and metrics to an OpenTelemetry collector, over OTLP/HTTP in its JSON form
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! In come finished spans through a bounded queue, and the registry, whose numbers are read every half minute; out go requests to
//! `ENDPOINT/v1/traces` and `ENDPOINT/v1/metrics`. A collector that is slow or away costs spans, which are counted, and never
//! a call. The official SDK would bring threads, a second HTTP stack or Protobuf; what it does for us is these two messages.

mod json;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{Collector, RemoteKind, RemoteLaunch};
use crate::failure::{Code, Failure};
use crate::registry::Registry;
use crate::telemetry::metrics;
use crate::trace::{Span, Tracer};
use crate::transport::{Endpoint, Undelivered};

/// How many spans go into one request.
const BATCH: usize = 256;
/// How long the first span of a batch waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How often numbers are sent.
const EVERY: Duration = Duration::from_secs(30);
/// How long the collector may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause before a batch is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task that sends. Dropping it ends it at once.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    ending: CancellationToken,
}

impl Exporter {
    /// Begins to send. Must be called inside a runtime.
    pub fn start(
        collector: Collector,
        tracer: Arc<Tracer>,
        spans: mpsc::Receiver<Span>,
        registry: Weak<Registry>,
    ) -> Self {
        let ending = CancellationToken::new();
        let sender = Sender {
            collector: Arc::new(collector),
            endpoints: None,
            tracer,
            resource: Arc::new(json::Resource::ours()),
            registry,
            held: Vec::new(),
            pause: Duration::ZERO,
            is_away: false,
        };
        Self { task: tokio::spawn(sender.run(spans, ending.clone())), ending }
    }

    /// Sends what is left, but waits no longer than this.
    pub async fn finish(mut self, patience: Duration) {
        self.ending.cancel();
        let _ = timeout(patience, &mut self.task).await;
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Sender {
    collector: Arc<Collector>,
    /// Where traces and metrics go, once anything was to be sent.
    endpoints: Option<Arc<[Endpoint; 2]>>,
    tracer: Arc<Tracer>,
    resource: Arc<json::Resource>,
    registry: Weak<Registry>,
    /// Spans of the next request, or of one that is sent again.
    held: Vec<Span>,
    /// How long to wait before the collector is tried again.
    pause: Duration,
    /// Whether the last request has failed.
    is_away: bool,
}

/// Which of the two messages.
#[derive(Clone, Copy, Debug)]
enum Signal {
    Traces,
    Metrics,
}

impl Sender {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>, ending: CancellationToken) {
        let mut metrics_at = Instant::now() + EVERY;
        let mut due = None;
        loop {
            let room = BATCH.saturating_sub(self.held.len());
            tokio::select! {
                biased;
                () = ending.cancelled() => break,
                () = sleep_until(due.unwrap_or(metrics_at)), if due.is_some() => {
                    self.send_spans().await;
                    due = (!self.held.is_empty()).then(|| Instant::now() + self.pause);
                }
                () = sleep_until(metrics_at) => {
                    self.send_metrics().await;
                    metrics_at = Instant::now() + EVERY;
                }
                received = spans.recv_many(&mut self.held, room), if room > 0 => {
                    if received == 0 {
                        break;
                    }
                    let is_full = self.held.len() >= BATCH;
                    due = match due {
                        Some(_) if is_full && !self.is_away => Some(Instant::now()),
                        Some(due) => Some(due),
                        None => Some(Instant::now() + if is_full { Duration::ZERO } else { DELAY }),
                    };
                }
            }
        }
        self.finish(spans).await;
    }

    /// Sends what is left, each of it once.
    async fn finish(&mut self, mut spans: mpsc::Receiver<Span>) {
        loop {
            while self.held.len() < BATCH
                && let Ok(span) = spans.try_recv()
            {
                self.held.push(span);
            }
            if self.held.is_empty() {
                break;
            }
            self.send_spans().await;
            if self.is_away {
                return;
            }
        }
        self.send_metrics().await;
    }

    async fn send_spans(&mut self) {
        let (spans, resource) = (std::mem::take(&mut self.held), Arc::clone(&self.resource));
        // Hundreds of spans are a millisecond's work, which calls need not wait for.
        let made = tokio::task::spawn_blocking(move || (json::traces(&resource, &spans), spans)).await;
        let Ok((body, spans)) = made else { return };
        match self.post(Signal::Traces, body).await {
            Ok(()) => {}
            // What it does not want now it will never want.
            Err(undelivered) if !undelivered.may_pass => self.tracer.drop_more(spans.len()),
            Err(_) => self.held = spans,
        }
    }

    async fn send_metrics(&mut self) {
        let Some(registry) = self.registry.upgrade() else { return };
        let began = registry.meters().began();
        let Some(numbers) = metrics::collect(&registry) else { return };
        drop(registry);
        let resource = Arc::clone(&self.resource);
        let made = tokio::task::spawn_blocking(move || json::metrics(&resource, &numbers, began)).await;
        if let Ok(body) = made {
            let _ = self.post(Signal::Metrics, body).await;
        }
    }

    async fn post(&mut self, signal: Signal, body: Vec<u8>) -> Result<(), Undelivered> {
        let result = async {
            let endpoints =
                self.endpoints().await.map_err(|failure| Undelivered { failure, may_pass: false })?;
            let [traces, metrics] = &*endpoints;
            let endpoint = match signal {
                Signal::Traces => traces,
                Signal::Metrics => metrics,
            };
            endpoint.deliver(Bytes::from(body), PATIENCE).await
        }
        .await;
        match &result {
            Ok(()) if self.is_away => {
                let dropped = self.tracer.dropped();
                tracing::info!(event = "telemetry.resumed", dropped, "the collector takes telemetry again");
                (self.is_away, self.pause) = (false, Duration::ZERO);
            }
            Ok(()) => {}
            Err(Undelivered { failure, .. }) => {
                if !self.is_away {
                    let code = failure.code.id();
                    tracing::warn!(event = "telemetry.failed", ?signal, code, cause = %failure.cause, "the collector took no telemetry");
                }
                self.is_away = true;
                self.pause = (self.pause * 2).clamp(DELAY, LONGEST_PAUSE);
            }
        }
        result
    }

    /// The system's certificates are read here, at the first time, and not at the start.
    async fn endpoints(&mut self) -> Result<Arc<[Endpoint; 2]>, Failure> {
        if let Some(endpoints) = &self.endpoints {
            return Ok(Arc::clone(endpoints));
        }
        let collector = Arc::clone(&self.collector);
        let made = tokio::task::spawn_blocking(move || {
            let endpoint = |path: &str| {
                Endpoint::new(&RemoteLaunch {
                    url: format!("{}{path}", collector.endpoint),
                    kind: RemoteKind::Http,
                    headers: collector.headers.clone(),
                    ca: None,
                })
            };
            Ok(Arc::new([endpoint("/v1/traces")?, endpoint("/v1/metrics")?]))
        });
        let endpoints = made.await.map_err(|error| Failure::new(Code::NetTls, error.to_string()))??;
        self.endpoints = Some(Arc::clone(&endpoints));
        Ok(endpoints)
    }
}
