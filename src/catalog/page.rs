//! List results, ready to send: cut into pages, with cursors that are bound to what the pages hold.

use std::hash::Hasher;

use bytes::Bytes;

use crate::protocol::ListKind;
use crate::wire::json;

/// The most bytes of one page. Clients hang up at 10 MiB, and some never ask for a second page, so a page is as large
/// as it can safely be.
pub const MAX_PAGE: usize = 4 * 1024 * 1024;

/// The cursor is not one of this list: forged, cut, or from before the list changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to the current list; start again without one")]
pub struct BadCursor;

/// One merged list.
#[derive(Debug)]
pub struct List {
    kind: ListKind,
    pages: Vec<Bytes>,
    digest: u64,
}

impl List {
    /// The result of a list request, ready to send.
    ///
    /// # Errors
    /// [`BadCursor`] if the cursor is not one that this very list gave out.
    pub fn page(&self, cursor: Option<&str>) -> Result<Bytes, BadCursor> {
        let number = match cursor {
            None => 0,
            Some(cursor) => self.number(cursor).ok_or(BadCursor)?,
        };
        self.pages.get(number).cloned().ok_or(BadCursor)
    }

    /// Stands for the whole content.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The same list without the items that `hides` names, which is asked once for each in order; `None` if it names none.
    pub fn without(&self, mut hides: impl FnMut(&[u8]) -> bool) -> Option<List> {
        let mut rest = ListBuilder::new(self.kind, MAX_PAGE);
        let mut is_less = false;
        for page in &self.pages {
            let Some(items) = json::get(page, self.kind.key()) else { continue };
            let items = items.of(page);
            for item in json::elements(items) {
                if hides(item.of(items)) {
                    is_less = true;
                } else {
                    rest.push(|out| out.extend_from_slice(item.of(items)));
                }
            }
        }
        is_less.then(|| rest.finish().0)
    }

    /// Only the very spelling that we gave out is taken.
    fn number(&self, cursor: &str) -> Option<usize> {
        let number = cursor.rsplit_once('.')?.1.parse().ok()?;
        (number > 0 && cursor == self::cursor(self.kind, self.digest, number)).then_some(number)
    }
}

fn cursor(kind: ListKind, digest: u64, number: usize) -> String {
    format!("{}.{digest:016x}.{number}", kind.key())
}

/// Builds a list item by item.
#[derive(Debug)]
pub(super) struct ListBuilder {
    kind: ListKind,
    max_page: usize,
    pages: Vec<Vec<u8>>,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    page: usize,
    start: usize,
    end: usize,
}

/// Room for the end of a page and its cursor.
const TAIL: usize = 100;

impl ListBuilder {
    pub(super) fn new(kind: ListKind, max_page: usize) -> Self {
        let first = head(kind);
        Self { kind, max_page, pages: vec![first], places: Vec::new() }
    }

    /// Appends the item that `write` writes. One that alone is larger than a page gets a page of its own.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let head = head(self.kind);
        let Some(page) = self.pages.last_mut() else { return };
        let before = page.len();
        if before > head.len() {
            page.push(b',');
        }
        let mut start = page.len();
        write(page);
        if page.len() + TAIL > self.max_page && before > head.len() {
            let item = page.split_off(start);
            page.truncate(before);
            start = head.len();
            self.pages.push([head, item].concat());
        }
        let end = self.pages.last().map_or(0, Vec::len);
        self.places.push(Place { page: self.pages.len() - 1, start, end });
    }

    /// The list, and each item as a slice of its page, in order.
    pub(super) fn finish(self) -> (List, Vec<Bytes>) {
        // Its keys are fixed, so the same list has the same digest in every run of this program.
        let mut hasher = std::hash::DefaultHasher::new();
        self.pages.iter().for_each(|page| hasher.write(page));
        let digest = hasher.finish();
        let last = self.pages.len() - 1;
        let close = |(number, mut page): (usize, Vec<u8>)| {
            page.push(b']');
            if number < last {
                page.extend_from_slice(b",\"nextCursor\":\"");
                page.extend_from_slice(cursor(self.kind, digest, number + 1).as_bytes());
                page.push(b'"');
            }
            page.push(b'}');
            page.shrink_to_fit();
            Bytes::from(page)
        };
        let pages: Vec<Bytes> = self.pages.into_iter().enumerate().map(close).collect();
        let items = self.places.iter().map(|place| pages[place.page].slice(place.start..place.end)).collect();
        (List { kind: self.kind, pages, digest }, items)
    }
}

fn head(kind: ListKind) -> Vec<u8> {
    format!("{{\"{}\":[", kind.key()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(items: &[String], max_page: usize) -> (List, Vec<Bytes>) {
        let mut builder = ListBuilder::new(ListKind::Templates, max_page);
        for item in items {
            builder.push(|out| out.extend_from_slice(item.as_bytes()));
        }
        builder.finish()
    }

    fn walk(list: &List) -> Vec<Bytes> {
        let mut pages = vec![list.page(None).unwrap()];
        while let Some(next) = json::get(&pages[pages.len() - 1], "nextCursor") {
            let cursor = json::string(next.of(&pages[pages.len() - 1])).unwrap().into_owned();
            pages.push(list.page(Some(&cursor)).unwrap());
        }
        pages
    }

    #[test]
    fn an_empty_list_is_one_page() {
        let (list, _) = build(&[], 1000);
        assert_eq!(list.page(None).unwrap(), &br#"{"resourceTemplates":[]}"#[..]);
    }

    #[test]
    fn only_cursors_of_this_very_list_count() {
        let items: Vec<String> = (0..100).map(|n| format!("\"item {n}\"")).collect();
        let (list, _) = build(&items, 400);
        let good = cursor(ListKind::Templates, list.digest, 1);
        assert!(list.page(Some(&good)).is_ok());
        for forged in [
            "",
            "1",
            "x.1",
            &good.to_uppercase(),
            &good.replace(".1", ".01"),
            &good.replace(".1", ".0"),
            &good.replace(".1", ".99999"),
            &cursor(ListKind::Tools, list.digest, 1),
            &format!("{good} "),
        ] {
            assert_eq!(list.page(Some(forged)), Err(BadCursor), "{forged:?}");
        }
        let (changed, _) = build(&items[1..], 400);
        assert_eq!(changed.page(Some(&good)), Err(BadCursor), "the list has changed");
        let (same, _) = build(&items, 400);
        assert!(same.page(Some(&good)).is_ok(), "a list that was built again is the same list");
    }

    #[test]
    fn a_part_of_a_list_has_cursors_of_its_own() {
        let items: Vec<String> = (0..10).map(|n| format!("\"item {n}\"")).collect();
        let (list, _) = build(&items, 400);
        assert!(list.without(|_| false).is_none(), "nothing is hidden");
        let part = list.without(|item| item.ends_with(b"3\"")).unwrap();
        let kept: Vec<String> = items.iter().filter(|item| !item.ends_with("3\"")).cloned().collect();
        let (expected, _) = build(&kept, MAX_PAGE);
        assert_eq!((part.page(None), part.digest()), (expected.page(None), expected.digest()));
        assert_ne!(part.digest(), list.digest());
        assert!(part.page(Some(&cursor(ListKind::Templates, list.digest, 1))).is_err());
        assert_eq!(list.without(|_| true).unwrap().page(None).unwrap(), &br#"{"resourceTemplates":[]}"#[..]);
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list(sizes in prop::collection::vec(0_usize..300, 0..60), max_page in 150_usize..1000) {
            let items: Vec<String> = sizes.iter().enumerate().map(|(n, size)| format!("\"{n}{}\"", "x".repeat(*size))).collect();
            let (list, slices) = build(&items, max_page);
            prop_assert_eq!(&slices, &items);
            let pages = walk(&list);
            let mut union = Vec::new();
            for page in &pages {
                prop_assert!(json::check(page).is_ok());
                let array = json::get(page, "resourceTemplates").unwrap().of(page);
                let here: Vec<String> = json::elements(array).map(|e| String::from_utf8(e.of(array).to_vec()).unwrap()).collect();
                prop_assert!(page.len() <= max_page || here.len() == 1);
                union.extend(here);
            }
            prop_assert_eq!(union, items);
        }
    }
}
