//! Exposing a listed URI and routing it leads back to its server, whatever templates stand around.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use switchboard::catalog::{Catalog, NoRules, Offering, Options, Source};
use switchboard::names::ServerName;
use switchboard::wire::json;

fn item(key: &str, value: &str) -> Bytes {
    let mut text = format!("{{\"name\":\"n\",\"{key}\":").into_bytes();
    json::push_string(&mut text, value);
    text.push(b'}');
    text.into()
}

fuzz_target!(|lists: [(Vec<String>, Vec<String>); 2]| {
    let names = [ServerName::from("a"), ServerName::from("b")];
    let offerings = lists.clone().map(|(uris, templates)| Offering {
        initialize: Bytes::from_static(b"{\"capabilities\":{\"resources\":{}}}"),
        resources: uris.iter().map(|uri| item("uri", uri)).collect(),
        templates: templates.iter().map(|uri| item("uriTemplate", uri)).collect(),
        ..Offering::default()
    });
    let sources = [0, 1].map(|index| Source {
        name: &names[index],
        prefix: names[index].as_str(),
        rules: &NoRules,
        offering: &offerings[index],
    });
    let catalog = Catalog::build(&sources, &[], Options::default());
    for (index, (uris, _)) in lists.iter().enumerate() {
        for uri in uris {
            let exposed = catalog.expose_uri(&names[index], uri).into_owned();
            let _ = catalog.route_uri(&exposed);
        }
    }
});
