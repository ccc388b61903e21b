//! All numbers as one text, for a Prometheus that asks for it.
//!
//! In comes the registry; out goes a text. What is counted in other rooms is read there, at the moment somebody asks; only calls are
//! counted for the sake of numbers ([`crate::meter`]).

mod families;
mod gather;
mod process;
#[cfg(test)]
mod tests;
mod text;

pub use families::FAMILIES;
pub use text::{Family, Kind};

#[cfg(test)]
pub(crate) use text::Point;
pub(crate) use text::{Collected, Data, Number};

use crate::registry::Registry;

/// What the text is, for the header `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All numbers, as Prometheus reads them; `None` if the config says that nothing is counted (`telemetry.metrics`).
pub fn render(registry: &Registry) -> Option<String> {
    collect(registry).map(|all| text::write(&all))
}

/// The same before it is written in any form.
pub(crate) fn collect(registry: &Registry) -> Option<Vec<Collected>> {
    registry.meters().is_on().then(|| gather::gather(registry))
}
