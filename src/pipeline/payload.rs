//! Calls and results with one part exchanged. Everything else keeps its bytes.

use bytes::Bytes;

use super::Outcome;
use super::arguments::Place;
use crate::bridge::result::{NotFinal, check_final};
use crate::bridge::tasks;
use crate::call::Call;
use crate::failure::{Code, Failure};
use crate::protocol::{Method, Revision, TaskMethod};
use crate::wire::json::{self, Kind};
use crate::wire::{Body, Span, Splice};

/// The key of `_meta` under which a result says that something about it is not as it should be.
const WARNING: &str = "switchboard/warning";

/// Where the arguments of a call of a tool or prompt stand in its line, if it has any.
///
/// # Errors
/// They stand there twice: the server may read those that nobody looks at here.
pub(super) fn arguments(call: &Call) -> Result<Option<Span>, Failure> {
    match super::arguments::find(call) {
        Place::At(span) => Ok(Some(span)),
        Place::Nowhere => Ok(None),
        Place::Twice => {
            let cause =
                format!("`{}` has its `arguments` twice, and only one of them could be checked", call.label);
            Err(Failure::new(Code::ArgumentsInvalid, cause)
                .not_run()
                .remedy("It did not run; send them once"))
        }
    }
}

/// Gives a call these arguments, as JSON text.
pub(super) fn set_arguments(call: &mut Call, arguments: &[u8]) {
    super::arguments::replace(call, &Bytes::copy_from_slice(arguments));
}

/// The last word on a call: its result, or that of the task that it has become.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWord<'a> {
    /// What the server has answered.
    answer: &'a [u8],
    /// Where in it the result stands.
    place: Span,
    /// The revision in which it is written.
    pub(super) revision: &'static Revision,
}

impl<'a> LastWord<'a> {
    /// That of an outcome; `None` if it has none: a request for input, a task that goes on, a failure.
    pub(super) fn of(outcome: &'a Outcome, method: Method) -> Option<Self> {
        let Outcome::Reply { line, body: Body::Result(span), revision } = outcome else { return None };
        let answer = span.of(line);
        if json::kind(answer) != Kind::Object {
            return None;
        }
        let whole = Span { start: 0, end: answer.len() };
        let place = match (method, revision.is_modern().then(|| check_final(answer))) {
            (Method::Task(TaskMethod::Result), _) => whole,
            // Whoever tells how a task fares may tell its end.
            (Method::Task(_), _) | (_, Some(Err(NotFinal::Task))) => end_of_task(answer)?,
            (_, None) if says(answer, "task") && !says(answer, "content") => end_of_task(answer)?,
            (_, None | Some(Ok(()))) => whole,
            (_, Some(Err(NotFinal::InputRequired | NotFinal::Unknown(_)))) => return None,
        };
        Some(Self { answer, place, revision })
    }

    /// The result itself.
    pub(super) fn result(&self) -> &'a [u8] {
        self.place.of(self.answer)
    }

    /// The same outcome with another result. It still says to which task it belongs.
    pub(super) fn replaced(&self, result: Bytes) -> Outcome {
        if self.place.len() < self.answer.len() {
            let mut splice = Splice::new(self.answer);
            splice.replace(self.place, result);
            return reply(splice.to_bytes(), self.revision);
        }
        let result = match tasks::related(self.answer) {
            Some(id) if tasks::related(&result).is_none() => tasks::relate(&result, &id),
            _ => result,
        };
        reply(result, self.revision)
    }
}

/// Where the result stands in what a server tells of a task that has one.
fn end_of_task(answer: &[u8]) -> Option<Span> {
    let told = json::get(answer, "task").filter(|span| json::kind(span.of(answer)) == Kind::Object);
    let task = told.unwrap_or(Span { start: 0, end: answer.len() });
    let result = json::get(task.of(answer), "result")?.shifted(task.start);
    (json::kind(result.of(answer)) == Kind::Object).then_some(result)
}

fn says(object: &[u8], name: &str) -> bool {
    json::get(object, name).is_some()
}

/// An outcome with this result.
pub(super) fn reply(result: Bytes, revision: &'static Revision) -> Outcome {
    let whole = Span { start: 0, end: result.len() };
    Outcome::Reply { line: result, body: Body::Result(whole), revision }
}

/// A result that says so in its `_meta`.
pub(super) fn with_warning(result: &[u8], warning: &str) -> Bytes {
    let mut member = json::quote(WARNING);
    member.push(b':');
    json::push_string(&mut member, warning);
    let mut splice = Splice::new(result);
    let meta = json::get(result, "_meta").filter(|span| json::kind(span.of(result)) == Kind::Object);
    let (at, object) = match meta {
        Some(meta) => (meta.start + 1, meta.of(result)),
        None => {
            member = [&br#""_meta":{"#[..], &member, b"}"].concat();
            (1, result)
        }
    };
    if json::members(object).next().is_some() {
        member.push(b',');
    }
    splice.replace(Span { start: at, end: at }, member);
    splice.to_bytes()
}

/// Does something on another thread.
pub(super) async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|_| "it could not be looked at".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Surroundings, TokenPlace};
    use crate::pipeline::testing;

    fn call(line: &'static str, token: impl Fn(&[u8]) -> TokenPlace) -> Call {
        let text = line.as_bytes();
        let params = json::get(text, "params");
        let place = |path: &[&str]| json::get_path(text, path);
        Call {
            line: Bytes::from_static(text),
            params,
            target: place(&["params", "name"]).map(|span| (span, Bytes::from_static(b"\"own\""))),
            meta: place(&["params", "_meta"]),
            token: token(text),
            ..testing::call(&testing::Client::new(None), "own")
        }
    }

    fn text(call: &Call, span: Option<Span>) -> String {
        String::from_utf8_lossy(span.map_or(&b""[..], |span| span.of(&call.line))).into_owned()
    }

    #[test]
    fn places_follow_the_arguments() {
        let token = |line: &[u8]| {
            json::get_path(line, &["params", "_meta", "progressToken"])
                .map_or(TokenPlace::None, TokenPlace::Client)
        };
        for line in [
            r#"{"params":{"name":"n","arguments":{"a":1},"_meta":{"progressToken":7}},"id":1}"#,
            r#"{"params":{"_meta":{"progressToken":7},"arguments":{},"name":"n"}}"#,
            r#"{"params":{"_meta":{"progressToken":7},"name":"n"}}"#,
            r#"{"params":{"name":"n","_meta":{"progressToken":7}}}"#,
        ] {
            let mut changed = call(line, token);
            set_arguments(&mut changed, br#"{"b":[2,3]}"#);
            assert!(json::check(&changed.line).is_ok(), "{:?}", changed.line);
            assert_eq!(text(&changed, arguments(&changed).unwrap()), r#"{"b":[2,3]}"#);
            assert_eq!(text(&changed, changed.target.clone().map(|(span, _)| span)), "\"n\"");
            assert_eq!(text(&changed, changed.meta), r#"{"progressToken":7}"#);
            let TokenPlace::Client(span) = changed.token else { panic!("{line}") };
            assert_eq!(text(&changed, Some(span)), "7");
            assert!(json::check(text(&changed, changed.params).as_bytes()).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_place_for_our_token_stays_at_the_end() {
        let end = |line: &[u8]| {
            let params = json::get(line, "params").unwrap();
            TokenPlace::Own { at: params.end - 1, with: Surroundings::Meta }
        };
        for (line, expected) in [
            (r#"{"params":{"name":"n"}}"#, r#"{"arguments":{"b":2},"name":"n"}"#),
            (r#"{"params":{"name":"n","arguments":{}}}"#, r#"{"name":"n","arguments":{"b":2}}"#),
        ] {
            let mut changed = call(line, end);
            set_arguments(&mut changed, br#"{"b":2}"#);
            let TokenPlace::Own { at, .. } = changed.token else { panic!("{line}") };
            assert_eq!(at, changed.params.unwrap().end - 1);
            assert_eq!(text(&changed, changed.params), expected);
        }
    }

    #[test]
    fn the_last_word_is_found_also_in_a_task() {
        let (core, extension) = (Revision::newest_legacy(), Revision::newest_modern());
        let (get, result) = (Method::Task(TaskMethod::Get), Method::Task(TaskMethod::Result));
        let related = r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#;
        for (method, revision, answer, expected, replaced) in [
            (Method::ToolsCall, core, r#"{"content":[]}"#, Some(r#"{"content":[]}"#), r#"{"new":1}"#),
            (Method::ToolsCall, core, r#"{"task":{"taskId":"t"}}"#, None, ""),
            (
                Method::ToolsCall,
                core,
                related,
                Some(related),
                r#"{"new":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#,
            ),
            (
                result,
                core,
                related,
                Some(related),
                r#"{"new":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#,
            ),
            (get, core, r#"{"taskId":"t","status":"completed"}"#, None, ""),
            (
                get,
                extension,
                r#"{"resultType":"complete","result":{"a":1}}"#,
                Some(r#"{"a":1}"#),
                r#"{"resultType":"complete","result":{"new":1}}"#,
            ),
            (get, extension, r#"{"resultType":"complete","result":7}"#, None, ""),
            // One that has ended before the answer was written.
            (
                Method::ToolsCall,
                extension,
                r#"{"resultType":"task","result":{"a":1}}"#,
                Some(r#"{"a":1}"#),
                r#"{"resultType":"task","result":{"new":1}}"#,
            ),
            (
                Method::ToolsCall,
                core,
                r#"{"task":{"taskId":"t","result":{"a":1}}}"#,
                Some(r#"{"a":1}"#),
                r#"{"task":{"taskId":"t","result":{"new":1}}}"#,
            ),
            (Method::ToolsCall, extension, r#"{"resultType":"input_required","result":{}}"#, None, ""),
        ] {
            let line = Bytes::from_static(answer.as_bytes());
            let body = Body::Result(Span { start: 0, end: line.len() });
            let outcome = Outcome::Reply { line, body, revision };
            let word = LastWord::of(&outcome, method);
            let found = word.map(|word| String::from_utf8_lossy(word.result()).into_owned());
            assert_eq!(found.as_deref(), expected, "{answer}");
            let Some(Outcome::Reply { line, .. }) =
                word.map(|word| word.replaced(Bytes::from_static(br#"{"new":1}"#)))
            else {
                continue;
            };
            assert_eq!(line, replaced);
        }
    }

    #[test]
    fn a_warning_finds_its_place() {
        for (result, expected) in [
            ("{}", r#"{"_meta":{"switchboard/warning":"x"}}"#),
            (r#"{"a":1}"#, r#"{"_meta":{"switchboard/warning":"x"},"a":1}"#),
            (r#"{"a":1,"_meta":{}}"#, r#"{"a":1,"_meta":{"switchboard/warning":"x"}}"#),
            (r#"{"_meta":{"b":2}}"#, r#"{"_meta":{"switchboard/warning":"x","b":2}}"#),
        ] {
            assert_eq!(with_warning(result.as_bytes(), "x"), expected);
        }
    }
}
