//! Who we are to servers.

use super::*;

#[test]
fn how_to_log_in() {
    let loaded = load_in(
        r#"
servers:
  a: { url: "https://a.example/mcp" }
  b:
    url: https://b.example/mcp
    auth:
      client_id: "${ID}"
      client_secret: "${SECRET}"
      scopes: "files:read files:write"
      redirect_port: 8123
      issuer: https://login.example
  c: { url: "https://c.example/mcp", auth: { type: client_credentials, client_id: me, client_secret: "${SECRET}", scopes: [x] } }
  d: { url: "https://d.example/mcp", auth: { type: none } }
  e: { url: "https://e.example/mcp", auth: { client_metadata_url: "https://me.example/client.json" } }
"#,
        Syntax::Yaml,
        &[("ID", "registered"), ("SECRET", "hunter2")],
    );
    assert_eq!(lines(&loaded), [] as [String; 0]);
    let auth: Vec<&AuthConfig> = loaded.config.ready().map(|server| &server.auth).collect();
    let oauth = |change: fn(&mut OauthConfig)| {
        let mut config = OauthConfig::default();
        change(&mut config);
        AuthConfig::Oauth(config)
    };
    assert_eq!(*auth[0], AuthConfig::default());
    let client = ConfiguredClient { id: "registered".into(), secret: Some(Secret::new("hunter2")) };
    let AuthConfig::Oauth(second) = auth[1] else { panic!("{auth:?}") };
    assert_eq!(second.client, Some(client));
    assert_eq!(second.scopes, ["files:read", "files:write"]);
    assert_eq!((second.redirect_port, second.issuer.as_deref()), (Some(8123), Some("https://login.example")));
    let AuthConfig::ClientCredentials(third) = auth[2] else { panic!("{auth:?}") };
    assert_eq!(
        (third.client_id.as_str(), &third.proof),
        ("me", &ClientProof::Secret(Secret::new("hunter2")))
    );
    assert_eq!(*auth[3], AuthConfig::None);
    assert_eq!(*auth[4], oauth(|c| c.client_metadata_url = Some("https://me.example/client.json".into())));
    assert!(!format!("{auth:?}").contains("hunter2"));
    assert!(loaded.config.secrets().iter().any(|secret| secret.expose() == "hunter2"));
}

#[test]
fn a_key_instead_of_a_secret() {
    const RSA: &str = include_str!("../private_key/rsa-for-tests.pem");
    let loaded = load_in(
        r#"
servers:
  a: { url: "https://a.example/mcp", auth: { type: client_credentials, client_id: me, private_key: "${KEY}", algorithm: RS256, key_id: "${ID}" } }
  b: { url: "https://b.example/mcp", auth: { type: client_credentials, client_id: me, private_key: "${KEY}" } }
"#,
        Syntax::Yaml,
        &[("KEY", RSA), ("ID", "k1")],
    );
    let Some(AuthConfig::ClientCredentials(own)) = loaded.config.ready().map(|server| &server.auth).next()
    else {
        panic!("{:?}", lines(&loaded))
    };
    let ClientProof::Key(key) = &own.proof else { panic!("{own:?}") };
    assert_eq!((key.key.algorithm(), key.id.as_deref()), (Algorithm::Rs256, Some("k1")));
    assert!(loaded.config.secrets().iter().any(|secret| secret.expose() == RSA));
    assert_eq!((state(&loaded, "a"), state(&loaded, "b")), ("ready", "broken"));
    let said = loaded.problems.iter().map(|problem| problem.render(false)).collect::<String>();
    assert!(said.contains("is a key for RS256") && said.contains("write `algorithm: RS256`"), "{said}");
    assert!(!said.contains("MII"), "{said}");
}

#[test]
fn wrong_ways_to_log_in_are_told() {
    let loaded = yaml(
        r#"
servers:
  key: { url: "https://k.example/mcp", auth: { client_id: me, private_key: x } }
  both: { url: "https://l.example/mcp", auth: { type: client_credentials, client_id: me, client_secret: s, private_key: x } }
  word: { url: "https://m.example/mcp", auth: { type: client_credentials, client_id: me, private_key: x, algorithm: HS256 } }
  a: { url: "https://a.example/mcp", auth: { type: client_credentials, client_id: me } }
  b: { url: "https://b.example/mcp", auth: { client_secret: s } }
  c: { url: "https://c.example/mcp", auth: { client_metadata_url: "http://me.example/client.json" } }
  d: { command: x, auth: { type: oauth } }
  e: { url: "https://e.example/mcp", auth: { clientid: x } }
"#,
    );
    let said = lines(&loaded).join("\n");
    for expected in [
        "needs `client_id`, and `client_secret` or `private_key`",
        "no `client_id`",
        "begins with `https://`",
        "only used where Switchboard logs in by itself",
        "both a `client_secret` and a `private_key`",
        "must be `ES256` or `RS256`",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(said.contains("this one is a program") && said.contains("did you mean `client_id`?"), "{said}");
    assert_eq!((state(&loaded, "a"), state(&loaded, "d")), ("broken", "ready"));
}

#[test]
fn logging_in_as_other_programs_say_it() {
    let loaded = yaml(
        r#"
mcpServers:
  claude:   { type: http, url: "https://a.example/mcp", oauth: { clientId: me, callbackPort: 8080, other: 1 } }
  cursor:   { url: "https://b.example/mcp", auth: { CLIENT_ID: me, CLIENT_SECRET: s, scopes: [read] } }
  fastmcp:  { url: "https://c.example/mcp", auth: oauth }
  token:    { url: "https://d.example/mcp", auth: "abcdef" }
  opencode: { url: "https://e.example/mcp", oauth: false }
  gemini:   { httpUrl: "https://f.example/mcp", authProviderType: dynamic_discovery, oauth: { enabled: true, scopes: [read] } }
  codex:    { url: "https://g.example/mcp", scopes: [read], oauth_resource: x }
"#,
    );
    assert_eq!(lines(&loaded), [] as [String; 0]);
    let servers: Vec<&ServerConfig> = loaded.config.ready().collect();
    let oauth = |index: usize| match &servers[index].auth {
        AuthConfig::Oauth(config) => config,
        other => panic!("{other:?}"),
    };
    let id = |index: usize| oauth(index).client.as_ref().map(|client| client.id.as_str());
    assert_eq!((id(0), oauth(0).redirect_port), (Some("me"), Some(8080)));
    assert_eq!((id(1), oauth(1).scopes.len()), (Some("me"), 1));
    assert_eq!(*oauth(2), OauthConfig::default());
    let Launch::Remote(token) = &servers[3].launch else { panic!() };
    assert_eq!(token.headers[0].1.expose(), "Bearer abcdef");
    assert_eq!(servers[4].auth, AuthConfig::None);
    assert_eq!(oauth(5).scopes, ["read"]);
}
