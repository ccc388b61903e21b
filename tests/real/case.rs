//! One line of a table: a request to one server and how its outcome is compared.

use serde_json::{Value, json};

use crate::blur::{self, Blur};

/// A request and what counts of what comes back.
#[derive(Clone)]
pub(crate) struct Case {
    /// What a failure calls it.
    pub(crate) name: String,
    /// The method, in the server's own words.
    pub(crate) method: &'static str,
    /// The params, in the server's own names.
    pub(crate) params: Value,
    /// Methods of those messages of the server that belong to the outcome, if they come before the answer.
    pub(crate) watch: &'static [&'static str],
    /// Makes the outcome comparable.
    pub(crate) blur: Blur,
    /// Typed clients do not send it, or answer it themselves in words that hold the exposed name.
    pub(crate) raw_only: bool,
    /// Switchboard refuses this itself, so only *that* it is refused is compared.
    pub(crate) refused_here: bool,
}

/// A request with these params.
pub(crate) fn ask(name: &str, method: &'static str, params: Value) -> Case {
    let name = format!("{method}: {name}");
    Case { name, method, params, watch: &[], blur: blur::nothing, raw_only: false, refused_here: false }
}

/// A tool call; its name in failures is the tool's.
pub(crate) fn call(tool: &str, arguments: Value) -> Case {
    ask(tool, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

/// A prompt.
pub(crate) fn prompt(name: &str, arguments: Value) -> Case {
    ask(name, "prompts/get", json!({ "name": name, "arguments": arguments }))
}

/// A resource.
pub(crate) fn read(uri: &str) -> Case {
    ask(uri, "resources/read", json!({ "uri": uri }))
}

impl Case {
    /// Adds what makes this case different from others on the same method and name.
    pub(crate) fn with(mut self, detail: &str) -> Self {
        self.name = format!("{} ({detail})", self.name);
        self
    }

    /// Sets `_meta` of the params.
    pub(crate) fn meta(mut self, meta: Value) -> Self {
        self.params["_meta"] = meta;
        self
    }

    /// Counts these messages of the server as part of the outcome.
    pub(crate) fn watching(mut self, methods: &'static [&'static str]) -> Self {
        self.watch = methods;
        self
    }

    /// Makes the outcome comparable.
    pub(crate) fn blurred(mut self, blur: Blur) -> Self {
        self.blur = blur;
        self
    }

    /// Switchboard answers in the server's place, in its own words.
    pub(crate) fn refused_here(mut self) -> Self {
        self.refused_here = true;
        self
    }

    /// The outcome as it is compared.
    pub(crate) fn comparable(&self, mut outcome: Value) -> Value {
        if self.refused_here {
            let answer = &outcome["answer"];
            let refused = answer.get("error").is_some() || answer["result"]["isError"] == true;
            return json!({ "refused": refused });
        }
        (self.blur)(&mut outcome);
        outcome
    }
}
