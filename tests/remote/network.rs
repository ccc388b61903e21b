//! What lies between: TLS with an authority of one's own, proxies, sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::board::Setup;
use crate::mock::Mock;

const ECHO: &str = "tools: { echo: '{{input}}' }\n";

fn host(url: &str) -> String {
    url.split("//").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

/// Carries bytes both ways until one side ends. The threads live as long as the test.
fn carry(near: (impl Read + Send + 'static, impl Write + Send + 'static), server: TcpStream) {
    let (mut input, mut output) = near;
    let mut there = server.try_clone().unwrap();
    let mut back = server;
    thread::spawn(move || {
        let _ = io::copy(&mut input, &mut there);
        let _ = there.shutdown(Shutdown::Write);
    });
    thread::spawn(move || io::copy(&mut back, &mut output));
}

/// Carries what comes to a Unix socket to the server at this address.
pub(crate) fn carry_socket(socket: &Path, url: &str) {
    let (listener, host) = (UnixListener::bind(socket).unwrap(), host(url));
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let near: UnixStream = near;
            carry((near.try_clone().unwrap(), near), TcpStream::connect(&host).unwrap());
        }
    });
}

/// A proxy in front of everything: it leads to one server, whatever is asked for. Gives its address and the first lines
/// of what it was asked.
fn proxy(url: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (asked, host) = (Arc::new(Mutex::new(Vec::new())), host(url));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let mut input = BufReader::new(near.try_clone().unwrap());
            let mut line = String::new();
            input.read_line(&mut line).unwrap();
            noted.lock().unwrap().push(line.trim().to_owned());
            let whole = io::Cursor::new(line.into_bytes()).chain(input);
            carry((whole, near), TcpStream::connect(&host).unwrap());
        }
    });
    (address, asked)
}

#[test]
fn a_proxy_of_the_environment_is_used_but_for_this_machine() {
    let mock = Mock::http(ECHO);
    let (proxy, asked) = proxy(&mock.url);
    let mut board = Setup::new()
        .entry("far", r#"{ url: "http://far.test/mcp" }"#)
        .entry("near", &format!("{{ url: {:?} }}", mock.url))
        .env("HTTP_PROXY", &proxy)
        .env("http_proxy", &proxy)
        .env("NO_PROXY", "")
        .env("no_proxy", "")
        .start();
    board.initialize("2025-11-25");
    assert_eq!(board.tool("near__echo", r#"{"input":"1"}"#).text(), "1");
    assert!(asked.lock().unwrap().iter().all(|line| line.contains("http://far.test/")), "{asked:?}");
    board.until("tools/list", "", |list| list.raw.contains("far__echo"));
    assert_eq!(board.tool("far__echo", r#"{"input":"2"}"#).text(), "2");
    board.close();
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|line| line.starts_with("POST http://far.test/mcp")), "{asked:?}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_the_config_names_it() {
    let mock = Mock::http(ECHO);
    let (port, authority, _folder) = tls_before(host(&mock.url)).await;
    let url = format!("https://localhost:{port}/mcp");
    let authority = authority.display().to_string();
    let entry = format!("{{ url: {url:?}, tls: {{ ca: {authority:?} }} }}");
    let setup = Setup::new().entry("known", &entry).entry("unknown", &format!("{{ url: {url:?} }}"));
    tokio::task::spawn_blocking(move || {
        let mut board = setup.start();
        board.initialize("2025-11-25");
        board.until("tools/list", "", |list| list.raw.contains("known__echo"));
        assert_eq!(board.tool("known__echo", r#"{"input":"x"}"#).text(), "x");
        let status = r#"{"name":"switchboard__status","arguments":{}}"#;
        board.until("tools/call", status, |status| {
            status.text().contains("SB-NET-003") && status.text().contains("tls: { ca: FILE }")
        });
        board.close();
    })
    .await
    .unwrap();
}

/// Speaks TLS as `localhost` and carries what it hears to `host`. Gives its port and the certificate to trust.
async fn tls_before(host: String) -> (u16, std::path::PathBuf, tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, host) = (acceptor.clone(), host.clone());
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(host).await.unwrap();
                if let Ok(mut near) = acceptor.accept(near).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut server).await;
                }
            });
        }
    });
    (port, authority, folder)
}
