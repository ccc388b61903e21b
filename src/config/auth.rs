//! What the config says about logging in to a server, and how other programs say it.

use super::keys::AUTH;
use super::private_key::{Algorithm, PrivateKey};
use super::problem::Reporter;
use super::secret::Secret;
use super::tree::{Kind, Member, Node, Origin};
use crate::failure::Code;

/// How we prove to a remote server who we are, beyond the headers that the config sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthConfig {
    /// By OAuth, on behalf of a person, from the moment the server asks for it.
    Oauth(OauthConfig),
    /// By OAuth, on our own behalf: nobody logs in.
    ClientCredentials(ClientCredentialsConfig),
    /// By nothing but the configured headers.
    None,
}

/// What is known beforehand about logging in to a server. Nothing of it is needed where server and authorization
/// server tell everything themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OauthConfig {
    /// The client that was registered by hand with the authorization server.
    pub client: Option<ConfiguredClient>,
    /// The `https` address of a client metadata document, which serves as client id where that is supported.
    pub client_metadata_url: Option<String>,
    /// The scopes to ask for instead of those that the server names.
    pub scopes: Vec<String>,
    /// The port of the redirect address, where the authorization server insists on a certain one.
    pub redirect_port: Option<u16>,
    /// The one authorization server to log in with.
    pub issuer: Option<String>,
}

/// A client that was registered by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredClient {
    /// Its id.
    pub id: String,
    /// Its secret, if it has one.
    pub secret: Option<Secret>,
}

/// How we log in on our own behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentialsConfig {
    /// The client's id.
    pub client_id: String,
    /// How the client proves that it is the one of this id.
    pub proof: ClientProof,
    /// The scopes to ask for instead of those that the server names.
    pub scopes: Vec<String>,
    /// The one authorization server that may see the proof; without it, the one that the server names.
    pub issuer: Option<String>,
}

/// How a client proves itself to an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProof {
    /// By a secret that both know.
    Secret(Secret),
    /// By signing with a key of which the authorization server knows the public half (`private_key_jwt`, RFC 7523).
    Key(SigningKey),
}

/// The key of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The key itself.
    pub key: PrivateKey,
    /// Its name at the authorization server (`kid`), where that knows several of this client.
    pub id: Option<String>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self::Oauth(OauthConfig::default())
    }
}

// === from the tree ===

/// The values of `auth` in which references were expanded.
pub(super) struct Expanded {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) private_key: Option<String>,
    pub(super) key_id: Option<String>,
}

/// Turns a checked `auth` into what it means, or reports why it means nothing.
pub(super) fn decode(auth: &Node, expanded: Expanded, reporter: &mut Reporter) -> Option<AuthConfig> {
    let issuer = match auth.get("issuer") {
        Some(node) => Some(address(node, "auth.issuer", &["https://", "http://"], reporter)?),
        None => None,
    };
    match auth.get("type").and_then(Node::as_str) {
        Some("none") => Some(AuthConfig::None),
        Some("client_credentials") => client_credentials(auth, expanded, issuer, reporter),
        _ => oauth(auth, expanded, issuer, reporter),
    }
}

fn client_credentials(
    auth: &Node,
    expanded: Expanded,
    issuer: Option<String>,
    reporter: &mut Reporter,
) -> Option<AuthConfig> {
    let Expanded { client_id, client_secret, private_key, key_id } = expanded;
    let proof = match (client_secret, private_key) {
        (Some(_), Some(_)) => {
            let message = "`auth` has both a `client_secret` and a `private_key`";
            reporter
                .error(Code::ConfigConflict, &auth.origin, message)
                .hint("remove the one that the authorization server does not want");
            return None;
        }
        (Some(secret), None) => Some(ClientProof::Secret(Secret::new(secret))),
        (None, Some(text)) => {
            let key = private_key_of(auth, &text, reporter)?;
            Some(ClientProof::Key(SigningKey { key, id: key_id }))
        }
        (None, None) => None,
    };
    let (Some(client_id), Some(proof)) = (client_id, proof) else {
        let message =
            "`auth: { type: client_credentials }` needs `client_id`, and `client_secret` or `private_key`";
        reporter.error(Code::ConfigMissing, &auth.origin, message).hint("add what is missing");
        return None;
    };
    let scopes = scopes(auth);
    Some(AuthConfig::ClientCredentials(ClientCredentialsConfig { client_id, proof, scopes, issuer }))
}

fn private_key_of(auth: &Node, text: &str, reporter: &mut Reporter) -> Option<PrivateKey> {
    let named = auth.get("algorithm").and_then(Node::as_str).and_then(Algorithm::named);
    match PrivateKey::from_pem(text, named.unwrap_or_default()) {
        Ok(key) => Some(key),
        Err(failure) => {
            let origin = auth.get("private_key").map_or(&auth.origin, |node| &node.origin);
            reporter.error(failure.code, origin, failure.cause).hint(failure.remedy.unwrap_or_default());
            None
        }
    }
}

fn oauth(
    auth: &Node,
    expanded: Expanded,
    issuer: Option<String>,
    reporter: &mut Reporter,
) -> Option<AuthConfig> {
    if let Some(key) = auth.get("private_key") {
        let message = "`auth.private_key` is only used where Switchboard logs in by itself";
        reporter.error(Code::ConfigConflict, &key.origin, message).hint("add `type: client_credentials`");
        return None;
    }
    let client = match (expanded.client_id, expanded.client_secret) {
        (Some(id), secret) => Some(ConfiguredClient { id, secret: secret.map(Secret::new) }),
        (None, Some(_)) => {
            let message = "`auth` has a `client_secret`, but no `client_id` that it belongs to";
            reporter.error(Code::ConfigMissing, &auth.origin, message).hint("add `client_id: …`");
            return None;
        }
        (None, None) => None,
    };
    let client_metadata_url = match auth.get("client_metadata_url") {
        Some(node) => Some(address(node, "auth.client_metadata_url", &["https://"], reporter)?),
        None => None,
    };
    let redirect_port = auth.get("redirect_port").and_then(Node::as_whole);
    let redirect_port = redirect_port.and_then(|port| u16::try_from(port).ok());
    let scopes = scopes(auth);
    Some(AuthConfig::Oauth(OauthConfig { client, client_metadata_url, scopes, redirect_port, issuer }))
}

/// Scopes hold no spaces, so one text may hold several.
fn scopes(auth: &Node) -> Vec<String> {
    let texts = auth.get("scopes").map(Node::elements).unwrap_or_default();
    let words = texts.iter().filter_map(Node::as_str).flat_map(str::split_whitespace);
    words.map(str::to_owned).collect()
}

fn address(node: &Node, key: &str, schemes: &[&str], reporter: &mut Reporter) -> Option<String> {
    let text = node.as_str()?;
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    if rest.is_some_and(|rest| !rest.is_empty()) && !text.contains([' ', '#']) {
        return Some(text.to_owned());
    }
    let expected = schemes.join("` or `");
    reporter.error(
        Code::ConfigValue,
        &node.origin,
        format!("`{key}` must be an address that begins with `{expected}`"),
    );
    None
}

// === the words of other programs ===

/// Puts what other programs say about logging in into our words, before the entry is checked: `auth: "oauth"`,
/// `auth: "<a bearer token>"`, and the useful part of an `oauth` mapping. Where our own `auth` stands too, it alone
/// counts.
pub(super) fn translate(mut entry: Node) -> Node {
    if let Some(auth) = entry.get("auth").cloned()
        && let Some(word) = auth.as_str()
    {
        match AUTH.find("type").and_then(|key| key.word(word)) {
            Some(kind) => {
                let mut ours = Node::empty_map(auth.origin.clone());
                ours.set("type", Node::string(kind, auth.origin));
                entry.set("auth", ours);
            }
            None => {
                entry.take("auth");
                if entry.get("auth_token").is_none() {
                    entry.set("auth_token", auth);
                }
            }
        }
    }
    if entry.get("auth").is_none()
        && let Some(oauth) = entry.get("oauth").cloned()
        && let Some(ours) = from_oauth(&oauth)
    {
        entry.set("auth", ours);
    }
    entry
}

/// Of an `oauth` mapping of another program what we have a word for; `oauth: false` means no OAuth.
fn from_oauth(oauth: &Node) -> Option<Node> {
    let mut ours = Node::empty_map(oauth.origin.clone());
    match &oauth.kind {
        Kind::Bool(false) => ours.set("type", Node::string("none", oauth.origin.clone())),
        Kind::Map(members) => {
            for Member { key, value, .. } in members {
                let known = AUTH.find(key).filter(|known| known.name != "type");
                if let Some(known) = known.filter(|_| value.kind != Kind::Null) {
                    ours.set(known.name, value.clone());
                }
            }
        }
        _ => {}
    }
    let said = !ours.members().is_empty() && ours.origin != Origin::BuiltIn;
    said.then_some(ours)
}
