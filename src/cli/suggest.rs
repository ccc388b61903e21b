//! Names that somebody may have meant.

/// The Jaro-Winkler similarity from which on a name is worth proposing.
const ALIKE: f64 = 0.7;

/// Up to three of `known` that are like `name`, the most alike first.
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .filter(|(score, _)| *score > ALIKE)
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.dedup_by_key(|(_, known)| *known);
    scored.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
}

/// `; did you mean …?`, or nothing.
pub fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_comes_first() {
        let known = ["weather", "notes", "wether"];
        assert_eq!(near("weathr", known), ["weather", "wether"]);
        assert_eq!(near("notes", ["notes", "notes"]), ["notes"]);
        assert_eq!(did_you_mean(&near("NOTE", known)), "; did you mean `notes`?");
        assert_eq!(did_you_mean(&near("zzz", known)), "");
    }
}
