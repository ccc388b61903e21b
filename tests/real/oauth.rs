//! Logins at a real authorization server (`oidc-provider` from npm), by the command that people type. The test is the
//! browser; a provider in this process is the Switchboard that goes on serving meanwhile.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use switchboard::auth::{AuthStore, install_tls_provider, provider_for};
use switchboard::config::{self, Environment};
use switchboard::failure::{Code, Failure};
use switchboard::transport::{AuthProvider, Challenge};
use tempfile::TempDir;

use crate::support::real;

#[tokio::test]
async fn a_login_its_renewals_and_its_end() {
    if real::skipped() {
        return;
    }
    let scene = Scene::new();
    let provider = scene.provider();

    let failure = scene.call(&*provider, "files:read").await.unwrap_err();
    assert_eq!(failure.code, Code::AuthNeedsLogin, "{failure}");
    assert!(failure.to_string().contains("Run `switchboard auth login files`"), "{failure}");
    assert_eq!(scene.status().1, 4);

    scene.log_in(Way::Browser).await;
    assert_eq!(scene.call(&*provider, "files:read").await, Ok(200));
    let (status, code) = scene.status();
    assert_eq!((code, &status["state"], &status["renewable"]), (0, &json!("logged-in"), &json!(true)));
    assert_eq!(status["issuer"], json!(scene.issuer));

    // The access token is gone where we do not see it; ten calls find out at once.
    scene.get("/forget-access").await;
    let calls = join_all((0..10).map(|_| scene.call(&*provider, "files:read"))).await;
    assert!(calls.iter().all(|call| *call == Ok(200)), "{calls:?}");
    assert_eq!(scene.get("/count").await["refresh_token"], 1);

    // By the clock it has ended, too: then nobody is even asked in vain. Two processes share the work.
    scene.let_the_token_end();
    let (one, other) = (scene.provider(), scene.provider());
    let calls = [&provider, &one, &other].into_iter().flat_map(|provider| [provider, provider]);
    let calls = join_all(calls.map(|provider| scene.call(&**provider, "files:read"))).await;
    assert!(calls.iter().all(|call| *call == Ok(200)), "{calls:?}");
    assert_eq!(scene.get("/count").await["refresh_token"], 2);

    // More permission takes another login, which asks for both.
    let failure = scene.call(&*provider, "files:write").await.unwrap_err();
    assert_eq!(failure.code, Code::AuthNeedsLogin, "{failure}");
    assert!(failure.cause.contains("files:write"), "{failure}");
    scene.log_in(Way::Pasted).await;
    for needs in ["files:write", "files:read"] {
        assert_eq!(scene.call(&*provider, needs).await, Ok(200), "{needs}");
    }

    // The login is ended at the other side.
    scene.get("/forget-login").await;
    let failure = scene.call(&*provider, "files:read").await.unwrap_err();
    assert_eq!(failure.code, Code::AuthNeedsLogin, "{failure}");
    assert_eq!(scene.status().1, 4);

    // And at ours: the tokens are worth nothing any more, and nothing is left of them.
    scene.log_in(Way::Browser).await;
    let headers = provider.authorize(&scene.url).await.unwrap();
    let bearer = headers[0].1.to_str().unwrap().to_owned();
    assert_eq!(scene.resource(Some(&bearer), "files:read").await.status(), 200);
    let logout = scene.switchboard(&["auth", "logout", "files"]).output().unwrap();
    assert!(logout.status.success(), "{logout:?}");
    assert_eq!(scene.resource(Some(&bearer), "files:read").await.status(), 401);
    assert!(scene.stored().is_none());
    assert_eq!(scene.call(&*provider, "files:read").await.unwrap_err().code, Code::AuthNeedsLogin);
}

/// How the terminal hears that the person has agreed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Browser,
    Pasted,
}

struct Scene {
    home: TempDir,
    server: Child,
    client: Client,
    url: String,
    issuer: String,
}

impl Scene {
    fn new() -> Self {
        let library = real::npm_file("oauth", "oidc-provider/lib/index.js");
        let mut server = Command::new(real::node())
            .arg(real::source_folder().join("oauth/server.mjs"))
            .arg(library)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        install_tls_provider();
        let client =
            Client::builder().redirect(Policy::none()).no_proxy().tls_certs_only([]).build().unwrap();
        let home = tempfile::tempdir().unwrap();
        let config = json!({ "servers": { "files": { "url": text("url") } } });
        fs::write(home.path().join("switchboard.json"), config.to_string()).unwrap();
        Self { home, server, client, url: text("url"), issuer: text("issuer") }
    }

    // === the command line ===

    fn switchboard(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(arguments).env("SWITCHBOARD_HOME", self.home.path()).env_remove("SWITCHBOARD_CONFIG");
        command.stdin(Stdio::null());
        command
    }

    async fn log_in(&self, way: Way) {
        let mut command = self.switchboard(&["auth", "login", "files", "--no-browser"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut page = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut page).unwrap();
        if page.is_empty() {
            panic!("no address: {:?}", child.wait_with_output());
        }
        let back = self.browse(page.trim()).await;
        match way {
            Way::Browser => {
                let shown = self.client.get(back).send().await.unwrap();
                assert_eq!(shown.status(), 200);
                assert!(shown.text().await.unwrap().contains("close this page"));
            }
            Way::Pasted => writeln!(child.stdin.as_mut().unwrap(), "{back}").unwrap(),
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("Logged in to `files`"), "{said}");
    }

    /// The status of the server, and the exit code. No token stands in it.
    fn status(&self) -> (Value, i32) {
        let output = self.switchboard(&["auth", "status", "files", "--json"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for token in ["access", "refresh"]
            .iter()
            .filter_map(|which| Some(self.stored()?["login"]["tokens"][which].as_str()?.to_owned()))
        {
            assert!(!text.contains(&token), "{text}");
        }
        let status: Value = serde_json::from_str(&text).unwrap();
        (status["servers"][0].clone(), output.status.code().unwrap())
    }

    // === the browser ===

    /// Follows the authorization server through its pages until it sends us back to the terminal. The person agrees to
    /// everything.
    async fn browse(&self, page: &str) -> String {
        let mut cookies: HashMap<String, String> = HashMap::new();
        let mut address = Url::parse(page).unwrap();
        for _ in 0..10 {
            let jar: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = self.client.get(address.clone()).header(COOKIE, jar.join("; "));
            let answer = request.send().await.unwrap();
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(next) = answer.headers().get(LOCATION) else {
                panic!("{address} leads nowhere: {:?}", answer.text().await);
            };
            address = address.join(next.to_str().unwrap()).unwrap();
            if address.path() == "/callback" {
                return address.into();
            }
        }
        panic!("too many pages, the last one {address}, {cookies:?}");
    }

    // === the Switchboard that serves ===

    fn provider(&self) -> Arc<dyn AuthProvider> {
        let environment: Environment =
            [("SWITCHBOARD_HOME", self.home.path().to_str().unwrap())].into_iter().collect();
        let locations = config::locate(None, &environment);
        let loaded = config::load(&locations, &environment);
        provider_for(loaded.config.ready().next().unwrap(), &AuthStore::new(&locations.state))
    }

    /// A request as the transport makes it: once more after a refusal, if the provider says so.
    async fn call(&self, provider: &dyn AuthProvider, needs: &str) -> Result<u16, Failure> {
        let mut again = false;
        loop {
            let headers = provider.authorize(&self.url).await?;
            let sent = headers.first().map(|(_, value)| value.clone());
            let bearer = sent.as_ref().map(|value| value.to_str().unwrap());
            let answer = self.resource(bearer, needs).await;
            let status = answer.status().as_u16();
            if again || !matches!(status, 401 | 403) {
                return Ok(status);
            }
            again = true;
            let told = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            let www_authenticate = told.map(|value| value.to_str().unwrap().to_owned()).collect();
            let url = self.url.clone();
            provider.challenged(&Challenge { url, status, www_authenticate, sent }).await?;
        }
    }

    async fn resource(&self, bearer: Option<&str>, needs: &str) -> reqwest::Response {
        let request = self.client.post(&self.url).header("x-needs", needs);
        let request = match bearer {
            Some(bearer) => request.header("authorization", bearer),
            None => request,
        };
        request.send().await.unwrap()
    }

    // === the hands of the test ===

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.url.replace("/mcp", path)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    fn store_file(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.home.path().join("state/auth")).ok()?;
        let mut files = files.map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "json"))
    }

    fn stored(&self) -> Option<Value> {
        Some(serde_json::from_slice(&fs::read(self.store_file()?).unwrap()).unwrap())
    }

    fn let_the_token_end(&self) {
        let mut stored = self.stored().unwrap();
        let tokens = &mut stored["login"]["tokens"];
        tokens["expires_at"] = tokens["obtained_at"].clone();
        fs::write(self.store_file().unwrap(), stored.to_string()).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It ends with its stdin; what does not is killed.
        drop(self.server.stdin.take());
        let mut rest = String::new();
        if self.server.stdout.take().unwrap().read_to_string(&mut rest).is_err() {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}
