//! The keys of `auth`: who we are to a server.

use super::{PATTERNS, PORT};
use crate::config::shape::{Key, Shape, Table, Word};

pub(in crate::config) static AUTH: Table = Table {
    groups: &[&[
        Key::new(
            "type",
            Shape::Word(&[
                Word::or("oauth", &["oauth2", "OAUTH"]),
                Word::or("client_credentials", &["client-credentials"]),
                Word::new("none"),
            ]),
            "`oauth`: a person logs in with `switchboard auth login`; `client_credentials`: Switchboard logs in by itself; \
             `none`: only `headers` count.",
        )
        .default("\"oauth\""),
        Key::new("client_id", Shape::Template, "The id of a client that was registered by hand.")
            .aliases(&["clientId", "CLIENT_ID"]),
        Key::new("client_secret", Shape::Secret, "The secret of that client.")
            .aliases(&["clientSecret", "CLIENT_SECRET"]),
        Key::new(
            "private_key",
            Shape::Secret,
            "Instead of a secret, the key (PEM, PKCS#8) that proves who the client is, for `type: client_credentials`.",
        )
        .aliases(&["privateKey"]),
        Key::new(
            "algorithm",
            Shape::Word(&[Word::or("ES256", &["es256"]), Word::or("RS256", &["rs256"])]),
            "How that key signs: `ES256` with a P-256 key, `RS256` with an RSA key.",
        )
        .default("\"ES256\""),
        Key::new("key_id", Shape::Template, "The name of that key (`kid`), where the authorization server knows several.")
            .aliases(&["keyId", "kid"]),
        Key::new("scopes", PATTERNS, "The scopes to ask for instead of those that the server names.")
            .aliases(&["scope"]),
        Key::new(
            "client_metadata_url",
            Shape::Text,
            "The address of a client metadata document, where authorization servers support that.",
        )
        .aliases(&["clientMetadataUrl"]),
        Key::new("redirect_port", PORT, "The port of the redirect address; without it, any free one.")
            .aliases(&["redirectPort", "callbackPort"]),
        Key::new("issuer", Shape::Text, "The one authorization server that may be used."),
    ]],
};
