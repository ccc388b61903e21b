//! Where a call stands in its trace: `traceparent` of W3C Trace Context, <https://www.w3.org/TR/trace-context/>.

use std::fmt;

/// The id of a span; never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// A span among those of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    trace: u128,
    /// The span itself.
    pub span: SpanId,
    /// Whether its trace is recorded.
    pub is_sampled: bool,
}

impl SpanId {
    fn fresh() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Context {
    /// The first span of a trace of our own.
    pub fn fresh() -> Self {
        Self { trace: fastrand::u128(1..), span: SpanId::fresh(), is_sampled: true }
    }

    /// Another span of the same trace.
    pub fn child(self) -> Self {
        Self { span: SpanId::fresh(), ..self }
    }

    /// The trace's id, as 32 hexadecimal digits.
    pub fn trace(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Reads a `traceparent`. `None` for what the standard says to treat as if it were not there.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let mut parts = text.splitn(5, '-');
        let mut part = |length: usize| {
            let part = parts.next()?;
            (part.len() == length && part.bytes().all(|byte| is_hex(&byte))).then_some(part)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // Later versions may have more behind it, after a dash.
        if version == "ff" || version == "00" && bytes.len() != 55 {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span: SpanId(span), is_sampled: flags & 1 == 1 })
    }
}

/// As `traceparent` has it.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = Context::parse(text).expect("it is the standard's own example");
        assert_eq!(context.to_string(), text);
        assert_eq!(context.trace(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let child = context.child();
        assert!(child.trace() == context.trace() && child.span != context.span && child.is_sampled);
        let fresh = Context::fresh();
        assert_eq!(Context::parse(&fresh.to_string()), Some(fresh));
        assert!(!Context::parse(&text.replace("-01", "-00")).expect("not recorded").is_sampled);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        assert!(Context::parse(later).expect("a later version").is_sampled);
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }
}
