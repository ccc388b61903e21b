//! What lies below HTTP: TLS, proxies, Unix sockets.

use std::process::Stdio;
use std::sync::Arc;

use crate::failure::Code;
use crate::transport::test_support::*;

fn answer(seen: &Seen) -> Reply {
    json(result(seen.message().1, "{}"))
}

async fn check(setup: &Setup) {
    let mut talk = setup.connect().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.end().await;
}

#[tokio::test]
async fn private_authorities_and_http_2() {
    for protocol in ["h2", "http/1.1"] {
        let tls = TlsServer::start(protocol, answer).await;
        let mut setup = Setup::new(format!("https://localhost:{}/mcp", tls.address.port()));
        setup.launch.ca = Some(tls.ca.clone());
        check(&setup).await;
        let expected = if protocol == "h2" { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
        assert_eq!(tls.seen()[0].version, expected);
    }
}

#[tokio::test]
async fn a_stranger_is_not_trusted() {
    let tls = TlsServer::start("h2", answer).await;
    let other = TlsServer::start("h2", answer).await;
    let mut setup = Setup::new(format!("https://localhost:{}/mcp", tls.address.port()));
    setup.launch.ca = Some(other.ca.clone());
    let mut talk = setup.connect().await;
    talk.ask(2, "tools/call").await;
    talk.hear_failure(&["2 failed, NotRun", "certificate", "tls: { ca: FILE }", "SB-NET-003"]).await;
    talk.end().await;
    assert!(tls.seen().is_empty());
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_have() {
    let tls = TlsServer::start("h2", answer).await;
    let mut setup = Setup::new(format!("https://127.0.0.1:{}/mcp", tls.address.port()));
    setup.launch.ca = Some(tls.ca.clone());
    let mut talk = setup.connect().await;
    talk.ask(2, "tools/call").await;
    talk.hear_failure(&["2 failed, NotRun", "SB-NET-003"]).await;
    talk.end().await;
}

#[test]
fn what_cannot_be_used_is_told_before_anything_is_sent() {
    let check = |setup: Setup, expected: Code| {
        let failure = setup.transport().unwrap_err();
        assert_eq!(failure.code, expected, "{failure}");
    };
    check(Setup::new("http://"), Code::ConfigValue);
    check(Setup::new("http://x/").header("a b", "x"), Code::ConfigValue);
    check(Setup::new("http://x/").header("a", "x\r\ny: z"), Code::ConfigValue);
    let mut setup = Setup::new("https://x/");
    setup.launch.ca = Some("/nonexistent/ca.pem".into());
    check(setup, Code::NetTls);
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp server.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let seen: Arc<std::sync::Mutex<Vec<Seen>>> = Arc::default();
    let record = Arc::clone(&seen);
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::new(answer), Arc::clone(&record)));
        }
    });
    let socket = path.to_str().unwrap().replace('/', "%2F").replace(' ', "%20");
    check(&Setup::new(format!("http+unix://{socket}/mcp?x=1"))).await;
    assert_eq!(seen.lock().unwrap()[0].path, "/mcp?x=1");
    accepting.abort();
    let mut talk = Setup::new("http+unix://%2Fnonexistent%2Fx.sock/mcp").connect().await;
    talk.ask(2, "tools/call").await;
    talk.hear_failure(&["2 failed, NotRun", "the socket /nonexistent/x.sock does not exist", "SB-NET-002"])
        .await;
    talk.end().await;
}

/// Variables belong to a process, so the test runs itself in one of its own.
#[tokio::test]
async fn proxies_of_the_environment() {
    const URLS: &str = "SWITCHBOARD_TEST_URLS";
    if let Ok(urls) = std::env::var(URLS) {
        for url in urls.split(' ') {
            check(&Setup::new(url)).await;
        }
        return;
    }
    let proxy = Server::start(answer).await;
    let server = Server::start(answer).await;
    let port = server.address.port();
    let run = async |urls: String, no_proxy: &str| {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "transport::http::tests::network::proxies_of_the_environment"]);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"] {
            child.env_remove(name).env_remove(name.to_uppercase());
        }
        child
            .env(URLS, urls)
            .env("HTTP_PROXY", format!("http://{}", proxy.address))
            .env("NO_PROXY", no_proxy);
        let ended = child.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    };
    run("http://mcp.example/mcp".to_owned(), "other.example").await;
    assert_eq!(proxy.seen().last().unwrap().path, "http://mcp.example/mcp");
    let through_proxy = proxy.seen().len();
    // `0.0.0.0` leads to this machine too, but does not look so.
    run(format!("http://0.0.0.0:{port}/mcp"), "0.0.0.0").await;
    run(format!("http://127.0.0.1:{port}/mcp http://localhost:{port}/mcp"), "").await;
    assert_eq!((proxy.seen().len(), server.seen().len()), (through_proxy, 3));
}
