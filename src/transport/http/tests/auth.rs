//! What happens when a server wants to know who we are.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use http::header::AUTHORIZATION;

use crate::failure::{Code, Failure};
use crate::transport::test_support::*;
use crate::transport::{AuthProvider, BoxFuture, Challenge};

/// Tokens with numbers; a refused one is followed by the next.
#[derive(Debug, Default)]
struct Tokens {
    current: AtomicU32,
    refreshing: tokio::sync::Mutex<()>,
    refreshed: AtomicU32,
    challenges: Mutex<Vec<Challenge>>,
    needs_login: bool,
}

impl Tokens {
    fn header(&self) -> HeaderValue {
        format!("Bearer t{}", self.current.load(Ordering::SeqCst)).parse().unwrap()
    }
}

impl AuthProvider for Tokens {
    fn authorize<'a>(
        &'a self,
        _url: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(http::HeaderName, HeaderValue)>, Failure>> {
        Box::pin(async {
            if self.needs_login {
                return Err(Failure::new(Code::AuthNeedsLogin, "no credentials")
                    .remedy("Run `switchboard auth login s`"));
            }
            Ok(vec![(AUTHORIZATION, self.header())])
        })
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async {
            self.challenges.lock().unwrap().push(challenge.clone());
            let _one = self.refreshing.lock().await;
            if challenge.sent.as_ref() == Some(&self.header()) {
                // As if the authorization server were asked.
                tokio::task::yield_now().await;
                self.refreshed.fetch_add(1, Ordering::SeqCst);
                self.current.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
    }
}

fn guarded(good: &'static str) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| {
        if seen.header("authorization") == good {
            json(result(seen.message().1, "{}"))
        } else {
            with(reply(401, "text/plain", "no"), "www-authenticate", "Bearer resource_metadata=\"http://x/\"")
        }
    }
}

#[tokio::test]
async fn calls_at_once_share_one_refresh() {
    let server = Server::start(guarded("Bearer t1")).await;
    let tokens = Arc::new(Tokens::default());
    let mut setup = Setup::new(server.url()).header("Authorization", "Bearer configured");
    setup.auth = tokens.clone();
    let mut talk = setup.connect().await;
    for id in 1..=10 {
        talk.ask(id, "tools/call").await;
    }
    for _ in 1..=10 {
        let heard = talk.hear().await;
        assert!(heard.contains(r#""result":{}"#), "{heard}");
    }
    assert_eq!(tokens.refreshed.load(Ordering::SeqCst), 1);
    let challenges = tokens.challenges.lock().unwrap().clone();
    assert_eq!((challenges[0].status, challenges[0].url.as_str()), (401, server.url().as_str()));
    assert_eq!(challenges[0].www_authenticate, ["Bearer resource_metadata=\"http://x/\""]);
    talk.end().await;
}

#[tokio::test]
async fn a_second_refusal_is_the_end() {
    let server = Server::start(guarded("Bearer never")).await;
    let mut setup = Setup::new(server.url());
    setup.auth = Arc::new(Tokens::default());
    let mut talk = setup.connect().await;
    talk.ask(1, "tools/call").await;
    talk.hear_failure(&["1 failed, NotRun", "answered 401", "SB-AUTH-003"]).await;
    assert_eq!(server.seen().len(), 2);
    talk.end().await;
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Server::start(guarded("x")).await;
    let mut setup = Setup::new(server.url());
    setup.auth = Arc::new(Tokens { needs_login: true, ..Tokens::default() });
    let mut talk = setup.connect().await;
    talk.ask(1, "tools/call").await;
    talk.hear_failure(&["1 failed, NotRun", "switchboard auth login s", "SB-AUTH-001"]).await;
    assert!(server.seen().is_empty());
    talk.end().await;
}

#[tokio::test]
async fn a_configured_token_that_is_wrong() {
    let server = Server::start(guarded("Bearer right")).await;
    let mut talk = Setup::new(server.url()).header("Authorization", "Bearer wrong").connect().await;
    talk.ask(1, "initialize").await;
    let heard = talk.hear_failure(&["1 failed, NotRun", "`headers`", "SB-AUTH-003"]).await;
    assert!(!heard.contains("wrong"), "the token is not told");
    assert_eq!(server.seen().len(), 1, "nothing is tried again, and not another transport");
    talk.end().await;
}

#[tokio::test]
async fn a_forbidden_call_may_be_answered_all_the_same() {
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"not for you"}}"#;
    let server = Server::start(move |_| reply(403, "application/json", error)).await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(1, "tools/call").await;
    assert_eq!(talk.hear().await, format!("1: {error}"));
    talk.end().await;
}
