//! Logins from end to end: the room between a scripted server, a scripted authorization server, and a test that plays
//! the transport and the browser.

mod keys;
mod probing;
mod world;

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::mpsc;

use super::record::ClientOrigin;
use super::{Attempt, LoginState, logout, status};
use crate::config::{
    AuthConfig, ClientCredentialsConfig, ClientProof, ConfiguredClient, OauthConfig, Secret,
};
use crate::failure::{Code, Failure};
use world::{World, browse, client};

fn oauth(change: impl FnOnce(&mut OauthConfig)) -> AuthConfig {
    let mut config = OauthConfig::default();
    change(&mut config);
    AuthConfig::Oauth(config)
}

fn any() -> AuthConfig {
    AuthConfig::default()
}

fn by_hand(id: &str, secret: Option<&str>) -> AuthConfig {
    oauth(|config| {
        config.client = Some(ConfiguredClient { id: id.into(), secret: secret.map(Secret::new) });
    })
}

fn own(scopes: &[&str]) -> AuthConfig {
    AuthConfig::ClientCredentials(ClientCredentialsConfig {
        client_id: "me".into(),
        proof: ClientProof::Secret(Secret::new("s3cret")),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        issuer: None,
    })
}

fn check_failed(result: Result<(), Failure>, expected: &str) {
    let failure = result.unwrap_err();
    assert!(failure.cause.contains(expected), "{failure}");
    assert_eq!(failure.server, Some("files".into()), "{failure}");
}

fn check_needs_login<T: std::fmt::Debug>(result: Result<T, Failure>) {
    let failure = result.unwrap_err();
    assert_eq!(failure.code, Code::AuthNeedsLogin, "{failure}");
    assert_eq!(failure.server, Some("files".into()));
    assert!(failure.remedy.unwrap().contains("switchboard auth login files"));
}

// === logging in ===

#[tokio::test]
async fn a_login_from_the_first_refusal_to_the_first_call() {
    let world = World::new().await;
    let provider = world.provider(any());
    assert!(
        provider.authorize(&world.url()).await.unwrap().is_empty(),
        "nothing happens before it is wanted"
    );
    assert!(world.paths().is_empty());
    check_needs_login(world.call(&*provider, "").await);
    assert_eq!(status(&world.config(any()), &world.store()).unwrap().state, LoginState::NeedsLogin);

    world.log_in(any()).await.unwrap();
    // The provider that is already there notices.
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    let registration = &world.registrations()[0];
    assert_eq!(registration["application_type"], "native");
    assert_eq!(registration["grant_types"], json!(["authorization_code", "refresh_token"]));
    let status = status(&world.config(any()), &world.store()).unwrap();
    assert_eq!((status.state, status.issuer.as_deref()), (LoginState::LoggedIn, Some(world.issuer())));
    assert!(status.renewable && status.expires_in.unwrap().as_secs() > 3500);
    // Another address is not told who we are.
    assert!(provider.authorize("http://127.0.0.1:1/team/mcp").await.unwrap().is_empty());
    assert!(provider.authorize(&world.url().replace("127.0.0.1", "localhost")).await.unwrap().is_empty());
}

#[tokio::test]
async fn scopes_come_from_the_refusal_else_from_the_metadata_else_from_nowhere() {
    let scope = async |config: AuthConfig, change: fn(&mut world::Rules)| {
        let world = World::new().await;
        world.rule(change);
        world.log_in(config).await.unwrap();
        world.record().login.unwrap().requested.join(" ")
    };
    assert_eq!(scope(any(), |_| {}).await, "");
    assert_eq!(scope(any(), |rules| rules.resource = json!({ "scopes_supported": ["a", "b"] })).await, "a b");
    let both = |rules: &mut world::Rules| {
        rules.scope = "c d";
        rules.resource = json!({ "scopes_supported": ["a", "b"] });
        rules.metadata = json!({ "scopes_supported": ["offline_access"] });
    };
    assert_eq!(scope(any(), both).await, "c d offline_access");
    assert_eq!(scope(oauth(|config| config.scopes = vec!["mine".into()]), both).await, "mine");
}

#[tokio::test]
async fn a_client_registered_by_hand_comes_first() {
    let world = World::new().await;
    world.register("hand", "s3cret");
    world.rule(|rules| rules.metadata = json!({ "client_id_metadata_document_supported": true }));
    let config = by_hand("hand", Some("s3cret"));
    world.log_in(config.clone()).await.unwrap();
    assert!(world.registrations().is_empty());
    assert_eq!(world.forms("authorization_code")[0]["basic"], "yes");
    assert_eq!(world.call(&*world.provider(config.clone()), "").await.unwrap(), 200);
    // The secret stays in the config; a renewal still has it.
    assert_eq!(world.record().login.unwrap().client.secret, None);
    world.expire().await;
    assert_eq!(world.call(&*world.provider(config), "").await.unwrap(), 200);
    // Another client has no part in this login.
    check_needs_login(world.call(&*world.provider(by_hand("other", None)), "").await);
    check_needs_login(world.call(&*world.provider(any()), "").await);
}

#[tokio::test]
async fn a_metadata_document_comes_second() {
    let world = World::new().await;
    let config =
        || oauth(|config| config.client_metadata_url = Some("https://me.example/client.json".into()));
    world.rule(|rules| rules.metadata = json!({ "client_id_metadata_document_supported": true }));
    world.log_in(config()).await.unwrap();
    assert!(world.registrations().is_empty());
    assert_eq!(world.record().login.unwrap().client.id, "https://me.example/client.json");
    world.expire().await;
    assert_eq!(world.call(&*world.provider(config()), "").await.unwrap(), 200);

    let world = World::new().await;
    world.log_in(config()).await.unwrap();
    assert_eq!(
        world.record().login.unwrap().client.origin,
        ClientOrigin::Registered,
        "it is not supported there"
    );
}

#[tokio::test]
async fn a_registered_client_is_kept_with_its_secret() {
    let world = World::new().await;
    let methods =
        json!({ "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"] });
    world.rule(|rules| rules.metadata = methods);
    world.log_in(any()).await.unwrap();
    let first = world.record().login.unwrap().client;
    assert!(first.secret.is_some());
    world.expire().await;
    // A new process that has never seen the authorization server's metadata.
    let before = world.paths().len();
    assert_eq!(world.call(&*world.provider(any()), "").await.unwrap(), 200);
    assert_eq!(world.paths()[before..], ["/token", "/team/mcp"]);
    let form = &world.forms("refresh_token")[0];
    assert!(form.contains_key("client_secret") && !form.contains_key("basic"));
    // The next login is by the same client, at the same redirect address.
    world.log_in(any()).await.unwrap();
    assert_eq!((world.record().login.unwrap().client, world.registrations().len()), (first, 1));
}

#[tokio::test]
async fn without_any_way_to_register_the_user_is_asked() {
    let world = World::new().await;
    world.rule(|rules| rules.metadata = json!({ "registration_endpoint": null }));
    let failure = world.log_in(any()).await.unwrap_err();
    assert!(failure.remedy.unwrap().contains("client_id"));
}

#[tokio::test]
async fn older_servers_are_their_own_authorization_server() {
    let world = World::new().await;
    world.rule(|rules| {
        rules.resource = json!(null);
        rules.names_metadata = false;
    });
    // There is nothing at the server's origin, so this one wants no login that we could do.
    check_failed(world.log_in(any()).await, "the authorization server's metadata is not at");
    let issuer = world.issuer().to_owned();
    world.log_in(oauth(|config| config.issuer = Some(issuer))).await.unwrap();
}

#[tokio::test]
async fn the_address_can_be_pasted_and_strangers_are_turned_away() {
    let world = World::new().await;
    let attempt = Attempt::begin(&world.config(any()), &world.store(), &[]).await.unwrap();
    let back = browse(attempt.url()).await;
    let (typist, mut pasted) = mpsc::channel(4);
    let mut turned_away = 0;
    let scene = async {
        let elsewhere = back.split('?').next().unwrap();
        for wrong in ["?code=x", "?code=x&state=guess", "?error=access_denied&state=", ""] {
            let answer = client().get(format!("{elsewhere}{wrong}")).send().await.unwrap();
            assert_eq!(answer.status(), 400);
        }
        let nothing = client().get(elsewhere.replace("callback", "other")).send().await.unwrap();
        assert_eq!(nothing.status(), 404);
        typist.send("hello".into()).await.unwrap();
        typist.send(format!(" {back} ")).await.unwrap();
    };
    let (finished, ()) = tokio::join!(attempt.finish(&mut pasted, || turned_away += 1), scene);
    finished.unwrap();
    assert_eq!(turned_away, 1);
    assert_eq!(world.call(&*world.provider(any()), "").await.unwrap(), 200);
}

#[tokio::test]
async fn what_does_not_fit_ends_the_login() {
    let fails = async |change: fn(&mut world::Rules), expected: &str| {
        let world = World::new().await;
        world.rule(change);
        check_failed(world.log_in(any()).await, expected);
        assert_eq!(world.record().login, None);
        assert!(world.forms("authorization_code").is_empty(), "no code is handed over");
    };
    fails(|rules| rules.metadata = json!({ "issuer": "https://honest.example" }), "says that it is").await;
    fails(|rules| rules.metadata = json!({ "code_challenge_methods_supported": null }), "PKCE").await;
    fails(|rules| rules.metadata = json!({ "code_challenge_methods_supported": ["plain"] }), "PKCE").await;
    fails(|rules| rules.metadata = json!({ "token_endpoint": "https://10.0.0.1/token" }), "private network")
        .await;
    fails(|rules| rules.metadata = json!({ "authorization_endpoint": "ftp://login.example/x" }), "`ftp://`")
        .await;
    fails(|rules| rules.resource = json!({ "resource": "https://other.example/mcp" }), "not this server")
        .await;
    fails(|rules| rules.resource = json!({ "authorization_servers": [] }), "no authorization server").await;
    let inside = |rules: &mut world::Rules| {
        rules.resource = json!({ "authorization_servers": ["http://169.254.169.254/latest"] });
    };
    fails(inside, "private network").await;
    fails(|rules| rules.iss = Some("https://evil.example"), "does not come from").await;
    fails(|rules| rules.person = Some("access_denied"), "No, thanks").await;
}

#[tokio::test]
async fn a_token_answer_that_cannot_be_used_is_not_quoted() {
    for (status, answer, expected) in [
        (200, json!({ "access_token": "hunter2", "token_type": "DPoP" }), "not a bearer token"),
        (200, json!({ "access_token": "hunter2\n", "token_type": "bearer" }), "cannot stand in a header"),
        (200, json!({ "access_token": ["hunter2"], "token_type": "bearer" }), "no access token"),
        (200, json!("hunter2"), "no access token"),
        (400, json!({ "error": "invalid_grant" }), "`invalid_grant`"),
        (500, json!("hunter2"), "HTTP 500"),
    ] {
        let world = World::new().await;
        world.rule(|rules| rules.token_answer = Some((status, answer)));
        let failure = world.log_in(any()).await.unwrap_err();
        assert!(failure.cause.contains(expected) && !failure.to_string().contains("hunter2"), "{failure}");
    }
}

// === staying logged in ===

#[tokio::test]
async fn ten_calls_with_an_expired_token_are_one_renewal_and_ten_answers() {
    // faults.md K10, with a token that has ended by the clock, and with one that the server has forgotten.
    for by_clock in [true, false] {
        let world = World::new().await;
        world.log_in(any()).await.unwrap();
        let provider = world.provider(any());
        assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
        if by_clock {
            world.expire().await
        } else {
            world.forget_access()
        }
        let calls = join_all((0..10).map(|_| world.call(&*provider, ""))).await;
        assert!(calls.iter().all(|call| *call == Ok(200)), "{calls:?}");
        assert_eq!(world.forms("refresh_token").len(), 1);
    }
}

#[tokio::test]
async fn several_processes_renew_once() {
    for by_clock in [true, false] {
        let world = World::new().await;
        world.log_in(any()).await.unwrap();
        let providers: Vec<_> = (0..5).map(|_| world.provider(any())).collect();
        for provider in &providers {
            assert_eq!(world.call(&**provider, "").await.unwrap(), 200);
        }
        if by_clock {
            world.expire().await
        } else {
            world.forget_access()
        }
        let calls = providers.iter().flat_map(|provider| [provider, provider]);
        let calls = join_all(calls.map(|provider| world.call(&**provider, ""))).await;
        assert!(calls.iter().all(|call| *call == Ok(200)), "{calls:?}");
        assert_eq!(world.forms("refresh_token").len(), 1);
    }
}

#[tokio::test]
async fn a_renewal_is_kept_even_if_nobody_waits_for_it() {
    let world = World::new().await;
    world.log_in(any()).await.unwrap();
    world.expire().await;
    let provider = world.provider(any());
    let url = world.url();
    // The call is given up in the middle: the authorization server has already taken the old refresh token back.
    let given_up = tokio::time::timeout(std::time::Duration::ZERO, provider.authorize(&url)).await;
    assert!(given_up.is_err());
    let calls = join_all((0..3).map(|_| world.call(&*provider, ""))).await;
    assert!(calls.iter().all(|call| *call == Ok(200)), "{calls:?}");
    assert_eq!(world.forms("refresh_token").len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_stays_is_kept() {
    let world = World::new().await;
    world.rule(|rules| rules.rotates = false);
    world.log_in(any()).await.unwrap();
    let provider = world.provider(any());
    for _ in 0..3 {
        world.expire().await;
        assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    }
    assert_eq!(world.forms("refresh_token").len(), 3);
}

#[tokio::test]
async fn a_login_that_was_ended_elsewhere_needs_a_person() {
    let world = World::new().await;
    world.log_in(any()).await.unwrap();
    world.expire().await;
    world.forget_refresh();
    let provider = world.provider(any());
    check_needs_login(world.call(&*provider, "").await);
    let before = world.paths().len();
    check_needs_login(world.call(&*provider, "").await);
    assert_eq!(world.paths().len(), before, "nobody is bothered again");
    assert_eq!(status(&world.config(any()), &world.store()).unwrap().state, LoginState::NeedsLogin);
    world.log_in(any()).await.unwrap();
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    assert_eq!(world.registrations().len(), 1, "the client is still known");
}

#[tokio::test]
async fn trouble_at_the_authorization_server_ends_no_login() {
    let world = World::new().await;
    world.log_in(any()).await.unwrap();
    let provider = world.provider(any());
    world.expire().await;
    world.rule(|rules| rules.token_answer = Some((503, json!({}))));
    let calls = join_all((0..5).map(|_| world.call(&*provider, ""))).await;
    assert!(calls.iter().all(|call| call.as_ref().is_err_and(|failure| failure.code == Code::AuthFailed)));
    assert_eq!(world.forms("refresh_token").len(), 1, "who waited for it does not try again");
    world.rule(|rules| rules.token_answer = None);
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
}

#[tokio::test]
async fn a_server_that_is_never_content_does_not_make_us_ask_for_ever() {
    for config in [any(), own(&[])] {
        let world = World::new().await;
        world.register("me", "s3cret");
        if config == any() {
            world.log_in(any()).await.unwrap();
        }
        world.rule(|rules| rules.never_content = true);
        let provider = world.provider(config);
        let mut last = Ok(0);
        for _ in 0..10 {
            last = world.call(&*provider, "").await;
        }
        assert!(last.is_err(), "{last:?}");
        assert!(world.forms("refresh_token").len() + world.forms("client_credentials").len() <= 3);
    }
}

// === scopes, and who we are ourselves ===

#[tokio::test]
async fn more_permission_takes_one_more_login() {
    let world = World::new().await;
    world.rule(|rules| rules.scope = "read");
    world.log_in(any()).await.unwrap();
    let provider = world.provider(any());
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200);
    check_needs_login(world.call(&*provider, "write").await);
    assert_eq!(status(&world.config(any()), &world.store()).unwrap().state, LoginState::NeedsLogin);
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200, "what worked goes on working");
    world.log_in(any()).await.unwrap();
    assert_eq!(world.record().login.unwrap().requested, ["read", "write"]);
    assert_eq!(world.call(&*provider, "read write").await.unwrap(), 200);
    // Asking for what was asked for already cannot help.
    world.change_record(|record| record.login.as_mut().unwrap().requested.push("admin".into())).await;
    let refused = world.call(&*provider, "admin").await.unwrap_err();
    assert_eq!(refused.code, Code::AuthRefused);
    // Where the config names the scopes, the command names the further one, so that no shell takes it for more.
    let mine = || oauth(|config| config.scopes = vec!["read".into()]);
    world.log_in(mine()).await.unwrap();
    let refused = world.call(&*world.provider(mine()), "x';id;'").await.unwrap_err();
    let remedy = r"Run `switchboard auth login files --scope 'x'\'';id;'\'''`";
    assert_eq!(refused.remedy.as_deref(), Some(remedy));
    // A person can ask for more beforehand.
    world.log_in_for(any(), &["extra"]).await.unwrap();
    assert!(world.record().login.unwrap().requested.contains(&"extra".to_owned()));
}

#[tokio::test]
async fn on_our_own_behalf_nobody_logs_in() {
    let world = World::new().await;
    world.register("me", "s3cret");
    world.rule(|rules| rules.scope = "read");
    let provider = world.provider(own(&[]));
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200);
    assert_eq!(world.forms("client_credentials")[0]["scope"], "read");
    // There is no refresh token; the next one is asked for as the first one was, without discovery.
    world.expire().await;
    let before = world.paths().len();
    let calls = join_all((0..10).map(|_| world.call(&*provider, "read"))).await;
    assert!(calls.iter().all(|call| *call == Ok(200)), "{calls:?}");
    assert_eq!(world.forms("client_credentials").len(), 2);
    assert!(!world.paths()[before..].iter().any(|path| path.contains("well-known")));
    world.forget_access();
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200);
    // More permission is had without a person, too.
    assert_eq!(world.call(&*provider, "write").await.unwrap(), 200);
    assert_eq!(world.forms("client_credentials")[3]["scope"], "read write");
    let wrong = world.provider(AuthConfig::ClientCredentials(ClientCredentialsConfig {
        client_id: "me".into(),
        proof: ClientProof::Secret(Secret::new("wrong")),
        scopes: Vec::new(),
        issuer: None,
    }));
    world.expire().await;
    let failure = world.call(&*wrong, "").await.unwrap_err();
    assert!(failure.to_string().contains("auth.client_secret") && !failure.to_string().contains("wrong"));
}

#[tokio::test]
async fn scopes_of_the_config_are_not_widened_by_the_server() {
    let world = World::new().await;
    world.register("me", "s3cret");
    let provider = world.provider(own(&["read"]));
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200);
    let refused = world.call(&*provider, "admin").await.unwrap_err();
    assert_eq!((refused.code, world.forms("client_credentials").len()), (Code::AuthRefused, 1));
}

// === other servers, other issuers ===

#[tokio::test]
async fn another_issuer_gets_nothing_of_the_first_one() {
    let (first, second) = (World::new().await, World::new().await);
    first.log_in(any()).await.unwrap();
    let client = first.record().login.unwrap().client.id;
    let elsewhere = second.issuer().to_owned();
    first.rule(|rules| rules.resource = json!({ "authorization_servers": [elsewhere] }));
    let attempt = Attempt::begin(&first.config(any()), &first.store(), &[]).await.unwrap();
    assert_eq!(second.registrations().len(), 1);
    assert!(attempt.url().starts_with(second.issuer()) && !attempt.url().contains(&client));

    // A client that was registered by hand is not shown to another authorization server at all.
    let world = World::new().await;
    world.register("hand", "");
    world.log_in(by_hand("hand", None)).await.unwrap();
    let elsewhere = second.issuer().to_owned();
    world.rule(|rules| rules.resource = json!({ "authorization_servers": [elsewhere] }));
    check_failed(world.log_in(by_hand("hand", None)).await, "the configured client belongs to");
    // Nor is a login used that was made at another one than the config now names.
    let moved = oauth(|config| config.issuer = Some("https://other.example".into()));
    check_needs_login(first.call(&*first.provider(moved), "").await);
}

#[tokio::test]
async fn what_the_config_says_itself_is_all_there_is() {
    let world = World::new().await;
    let mut config = world.config(any());
    if let crate::config::Launch::Remote(remote) = &mut config.launch {
        remote.headers.push(("authorization".into(), Secret::new("Bearer old")));
    }
    let provider = super::provider_for(&config, &world.store());
    let refused = world.call(&*provider, "").await.unwrap_err();
    assert_eq!(refused.code, Code::AuthRefused);
    assert!(refused.remedy.unwrap().contains("`Authorization` header"));
    let refused = world.call(&*world.provider(AuthConfig::None), "").await.unwrap_err();
    assert!(refused.remedy.unwrap().contains("type: none"));
    assert!(Attempt::begin(&config, &world.store(), &[]).await.is_err());
    assert!(!world.paths().iter().any(|path| path.contains("well-known")));
}

// === logging out ===

#[tokio::test]
async fn logging_out_gives_the_tokens_back() {
    let world = World::new().await;
    world.log_in(any()).await.unwrap();
    let provider = world.provider(any());
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    assert_eq!(logout(&world.config(any()), &world.store()).await.unwrap(), Some(Ok(())));
    let hints: Vec<String> = world.revoked().iter().map(|form| form["token_type_hint"].clone()).collect();
    assert_eq!(hints, ["refresh_token", "access_token"]);
    assert!(world.tokens().is_empty());
    assert!(!world.shelf().path().unwrap().exists());
    check_needs_login(world.call(&*provider, "").await);
    assert_eq!(logout(&world.config(any()), &world.store()).await.unwrap(), None);

    world.rule(|rules| rules.metadata = json!({ "revocation_endpoint": null }));
    world.log_in(any()).await.unwrap();
    assert!(matches!(logout(&world.config(any()), &world.store()).await, Ok(Some(Err(_)))));
    assert_eq!(world.record().login, None);
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let world = World::new().await;
    world.log_in(any()).await.unwrap();
    let provider = world.provider(any());
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    let headers = provider.authorize(&world.url()).await.unwrap();
    let status = status(&world.config(any()), &world.store()).unwrap();
    let attempt = Attempt::begin(&world.config(any()), &world.store(), &[]).await.unwrap();
    let printed = format!("{provider:?} {headers:?} {status:?} {:?} {:?}", world.record(), Arc::new(attempt));
    for token in world.tokens() {
        assert!(!printed.contains(&token), "{printed}");
    }
}
