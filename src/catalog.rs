//! What all servers offer, merged into one list per kind under stable names.
//!
//! In come the raw answers of servers ([`Offering`]), in config order and with the owner's rules ([`Source`]); out
//! goes an immutable [`Catalog`]: list results ready to send, a table from exposed names and URIs to servers, notes
//! about definitions that had to be repaired or held back, and one merged text of instructions. A definition keeps
//! every byte that does not have to change. This room alone knows how names are made; it never talks to a server, never
//! awaits, and touches no file but those of its [`Store`].

mod arguments;
mod edit;
mod hygiene;
mod instructions;
mod merge;
pub mod naming;
mod offering;
mod page;
mod snapshot;
mod store;

mod table;
mod uri;

pub use arguments::ArgumentWish;
pub(crate) use hygiene::readable;
pub use hygiene::{MAX_DEFINITION, Note, Remark, Verdict, judge};
pub(crate) use instructions::merge as merge_instructions;
pub use merge::{NoRules, Options, Overrides, Rules, Source};
pub use offering::{Capabilities, Offering, Part};
pub use page::{BadCursor, List, MAX_PAGE};

pub use snapshot::{Catalog, Counts, Held};
pub use store::{Store, Stored};
pub use table::Target;
pub use uri::UriRoute;
