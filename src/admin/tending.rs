//! Opens the doors for those who look after a Switchboard, and closes them at its end.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::desk::Desk;
use super::listen::Listener;
use crate::config::AdminConfig;

/// The doors of one Switchboard.
pub struct Tending(TaskTracker);

impl Tending {
    /// Opens what the config asks for until `shutdown`, behind everything that waits to run: nobody is kept waiting for it.
    /// `opened` is told where the interface listens. What cannot be opened is said in the log: clients are served all the same.
    pub fn begin(
        desk: &Arc<Desk>,
        config: AdminConfig,
        shutdown: &CancellationToken,
        opened: impl FnOnce(&str) + Send + 'static,
    ) -> Self {
        let tasks = TaskTracker::new();
        #[cfg(unix)]
        if let (true, Some(state)) = (config.status, desk.around.state.clone()) {
            tasks.spawn(super::local::serve(Arc::clone(desk), state, shutdown.clone()));
        }
        if config.listen.is_some() {
            let (desk, shutdown) = (Arc::clone(desk), shutdown.clone());
            tasks.spawn(async move {
                match Listener::bind(&config, &desk).await {
                    Ok(Some(listener)) => {
                        opened(listener.place());
                        listener.run(shutdown).await;
                    }
                    Ok(None) => {}
                    Err(failure) => tracing::error!(event = "admin.failed", %failure, "there is no administration interface"),
                }
            });
        }
        tasks.close();
        Self(tasks)
    }

    /// Waits until they are closed, some time after the shutdown: streams end, requests are answered for a moment.
    pub async fn ended(self) {
        self.0.wait().await;
    }
}
