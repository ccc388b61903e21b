//! Whole numbers as JSON Schema has them.

use serde_json::Value;

/// The largest number up to which a double holds every whole one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number that is not negative: `53` and `53.0` are the same one (JSON Schema 2020-12, "Validation", 6.1.1: `integer` is any
/// number without a fraction), and some languages write nothing but the latter.
pub fn whole(value: &Value) -> Option<u64> {
    let from_double =
        || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=EXACT).contains(number));
    value.as_u64().or_else(|| from_double().map(|number| number as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_is_what_has_no_fraction() {
        assert_eq!(whole(&json!(53)), Some(53));
        assert_eq!(whole(&json!(53.0)), Some(53));
        assert_eq!(whole(&json!(u64::MAX)), Some(u64::MAX));
        for other in [json!(-1), json!(0.5), json!(1e300), json!("1"), json!(null), json!(true)] {
            assert_eq!(whole(&other), None, "{other}");
        }
    }
}
