//! Whose answers are whose.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// However calls follow each other, nobody gets an answer that was for another one, or to another wish.
    #[test]
    fn never_across_identities(
        calls in prop::collection::vec((proptest::option::of(0u8..3), 0usize..2, any::<bool>(), 0u8..2, 0u8..2, 0u8..2), 1..60),
        at_once in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answers = runtime.block_on(async {
            let first = cache();
            let instances = [Arc::clone(&first), Arc::new(first.beside(Arc::default()))];
            // It says who called it for what; that it is this instance is said by whoever calls.
            let servers = [0, 1].map(|instance| Server::new(move |request, _| {
                let wish = String::from_utf8_lossy(&request.call.line).into_owned();
                let definition = String::from_utf8_lossy(&request.definition).into_owned();
                let said = json!([
                    request.call.caller.principal().as_deref(), instance, request.call.method.name(),
                    request.call.label.as_str(), wish, definition,
                ]);
                result(&json!({ "said": said }).to_string())
            }));
            let mut answers = Vec::new();
            let mut open = Vec::new();
            for (who, instance, is_tool, label, argument, definition) in calls {
                // A name that reads like another one's, with what follows it.
                let who = who.map(|who| ["", "a", "ab"][usize::from(who)]);
                let method = if is_tool { Method::ToolsCall } else { Method::PromptsGet };
                let label = ["b", "bc"][usize::from(label)];
                let params = format!(r#"{{"arguments":{argument}}}"#);
                let definition = Bytes::from(definition.to_string());
                let expected = json!([who, instance, method.name(), label, params, String::from_utf8_lossy(&definition)]);
                let request = Box::new(Request { definition, ..*wish(who, method, label, &params) });
                let running = spawn(&instances[instance], &servers[instance], request);
                if at_once {
                    open.push((expected, running));
                } else {
                    answers.push((expected, value(&running.await.unwrap())));
                }
            }
            for (expected, running) in open {
                answers.push((expected, value(&running.await.unwrap())));
            }
            answers
        });
        for (expected, answer) in answers {
            prop_assert_eq!(&answer["said"], &expected);
        }
    }
}
