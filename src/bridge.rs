//! Between the revisions of MCP: pure translations of raw JSON from what one side says into what the other understands.
//!
//! In comes the raw text of params, a result, an error or a definition, and the [`Revision`](crate::protocol::Revision)s
//! of both sides; out comes nothing at all when nothing has to change, else a new text in which only the members named
//! by the bridging rules differ: unknown members, their order and the text of numbers survive. What cannot be bridged is
//! refused with a sentence. This room never does I/O, keeps no state, waits for nothing and knows no server by name.
//!
//! Texts are taken as checked (see [`json::check`](crate::wire::json::check)); over others the functions
//! give a useless answer, but never panic.

mod cache;
pub mod capabilities;
pub mod content;
pub mod definition;
mod edit;
pub mod elicitation;
pub mod error;
pub mod input_required;
pub mod meta;
pub mod mirror;
pub mod question;
pub mod request;
pub mod result;
pub mod sampling;
pub mod tasks;

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::AskKind;
    use crate::protocol::revision::REVISIONS;
    use crate::protocol::{ListKind, Method};
    use bytes::Bytes;
    use proptest::prelude::*;

    const CAPABLE: &[u8] = br#"{"roots":{},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}"#;

    /// Everything that this room makes of one text.
    fn translations(text: &[u8]) -> Vec<Bytes> {
        let mut out = vec![
            meta::strip(text),
            meta::strip_in(text),
            result::as_ours(text, b"{}"),
            input_required::retry(text, Some(b"{}"), None),
            Some(input_required::relay(text, Some("s"), b"{}")),
            Some(capabilities::initialize_of(text, &REVISIONS[4])),
            tasks::with_id(text, "t"),
            Some(tasks::relate(text, "t")),
            Some(tasks::in_background(text)),
            Some(tasks::with_optional_support(text)),
        ];
        for (from, to) in REVISIONS.iter().flat_map(|from| REVISIONS.iter().map(move |to| (from, to))) {
            for method in [Method::ToolsCall, Method::PromptsGet, Method::ResourcesRead] {
                out.push(result::to_legacy(method, text, from, to).unwrap_or_default());
                out.push(result::to_modern(method, text, from, b"{}", None).unwrap_or_default());
                out.push(error::relay(method, text, from, to, CAPABLE));
                out.push(request::params(method, text, from, to));
            }
            for kind in [AskKind::Elicitation, AskKind::Sampling, AskKind::Roots] {
                out.push(question::params(kind, text, from, to, CAPABLE, "e").unwrap_or_default());
                out.push(question::answer(kind, text, to).unwrap_or_default());
            }
            out.push(definition::for_revision(ListKind::Tools, text, to, false));
            out.push(Some(capabilities::for_server(text, from, to, true)));
        }
        let _ = (
            meta::read(text),
            tasks::read(text),
            input_required::read(text),
            input_required::read_retry(text),
        );
        input_required::url_elicitations(text);
        out.into_iter().flatten().collect()
    }

    const PIECES: [&str; 24] = [
        r#"{"type":"resource_link","uri":"u","name":"n"}"#,
        r#"{"type":"audio","data":"AA","mimeType":"audio/wav"}"#,
        r#""content""#,
        r#""structuredContent""#,
        r#""messages""#,
        r#""_meta""#,
        r#""io.modelcontextprotocol/serverInfo""#,
        r#""requestedSchema""#,
        r#""properties""#,
        r#""oneOf""#,
        r#""enum""#,
        r#""enumNames""#,
        r#""const""#,
        r#""task""#,
        r#""taskId""#,
        r#""inputRequests""#,
        r#""code""#,
        r#"-32042"#,
        r#""type""#,
        "{",
        "}",
        ",",
        ":",
        "[",
    ];

    proptest! {
        // Each case is several hundred translations.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_text_makes_it_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES), 0..24)) {
            translations(format!("{{{}", pieces.concat()).as_bytes());
        }

        #[test]
        fn json_stays_json(
            members in prop::collection::vec((prop::sample::select(&PIECES[2..17]), testing::any_json(), 0usize..2), 0..6),
            outer in prop::sample::select(&PIECES[2..17]),
        ) {
            let inner: Vec<String> = members
                .iter()
                .map(|(key, value, piece)| match piece {
                    0 => format!("{key}:{value}"),
                    _ => format!("{key}:[{},{value}]", PIECES[0]),
                })
                .collect();
            let inner = format!("{{{}}}", inner.join(" , "));
            for text in [inner.clone(), format!("{{ {outer} : {inner} }}")] {
                for translated in translations(text.as_bytes()) {
                    testing::parse(&translated);
                }
            }
        }
    }
}
