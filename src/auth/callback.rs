//! The small web server on this machine to which the browser returns after a login.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response as Page, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::flow::{Flow, Response, Verdict};
use crate::failure::{Code, Failure};

const PATH: &str = "/callback";
/// A browser sends its request at once.
const HEAD: Duration = Duration::from_secs(5);
/// Connections at a time; a browser needs two.
const AT_ONCE: usize = 16;

/// The redirect address, open.
#[derive(Debug)]
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
}

impl Callback {
    /// Opens the redirect address at the port that is asked for, or at any free one. Only this machine can reach it.
    ///
    /// # Errors
    /// The port is in use.
    pub(super) async fn open(port: Option<u16>) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let cause =
                format!("the redirect address cannot be opened at port {}: {error}", port.unwrap_or(0));
            Failure::new(Code::AuthFailed, cause)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    /// The redirect address. A number, not `localhost`, which may also mean `::1`.
    pub(super) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits until the browser brings something that is about this login. Whatever else comes is turned away, so that
    /// nobody else on this machine can end the login.
    ///
    /// # Errors
    /// The login has failed.
    pub(super) async fn wait(self, flow: &Arc<Flow>) -> Result<String, Failure> {
        let (sender, mut verdicts) = tokio::sync::mpsc::channel(1);
        let mut connections = JoinSet::new();
        let code = loop {
            let stream = tokio::select! {
                Some(verdict) = verdicts.recv() => break verdict,
                accepted = self.listener.accept(), if connections.len() < AT_ONCE => match accepted {
                    Ok((stream, _)) => stream,
                    Err(_) => {
                        // Out of file descriptors, most likely: some may come back.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                Some(_) = connections.join_next() => continue,
            };
            let (flow, sender) = (Arc::clone(flow), sender.clone());
            connections.spawn(async move {
                let service = service_fn(|request| {
                    let (page, verdict) = answer(&flow, &request);
                    if let Some(verdict) = verdict {
                        // A second one comes too late to matter.
                        let _ = sender.try_send(verdict);
                    }
                    async { Ok::<_, Infallible>(page) }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        };
        // The page must still reach the browser.
        let rest = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
        code
    }
}

fn answer(flow: &Flow, request: &Request<Incoming>) -> (Page<Full<Bytes>>, Option<Result<String, Failure>>) {
    let uri = request.uri();
    if request.method() != Method::GET || uri.path() != PATH {
        return (page(StatusCode::NOT_FOUND, "Nothing here", "This address only waits for a login."), None);
    }
    match flow.judge(Response::of_query(uri.query().unwrap_or_default())) {
        Verdict::Foreign => {
            let text = "This page does not belong to the login that is waiting. Use the address that \
                        <code>switchboard auth login</code> printed last.";
            (page(StatusCode::BAD_REQUEST, "Another login", text), None)
        }
        Verdict::Code(code) => {
            let text = "You can close this page and go back to the terminal.";
            (page(StatusCode::OK, "Almost done", text), Some(Ok(code)))
        }
        Verdict::Failed(failure) => {
            let text = "The terminal says why. You can close this page.";
            (page(StatusCode::BAD_REQUEST, "The login failed", text), Some(Err(failure)))
        }
    }
}

/// A page of our own words alone: nothing from the request stands in it.
fn page(status: StatusCode, title: &str, text: &str) -> Page<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Switchboard: {title}</title><style>body{{font:1.1rem/1.6 \
         system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;color-scheme:light \
         dark}}</style><h1>{title}</h1><p>{text}</p></html>"
    );
    let mut page = Page::new(Full::new(Bytes::from(html)));
    *page.status_mut() = status;
    let headers = [
        (http::header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (http::header::CACHE_CONTROL, "no-store"),
        (http::header::REFERRER_POLICY, "no-referrer"),
        (http::header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    for (name, value) in headers {
        page.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    page
}
