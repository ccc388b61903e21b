//! Parts of pieces, whose they are, and how long.

use serde_json::Value;

use super::*;

fn keep(results: &Results, data: Data, principal: Option<&str>) -> String {
    let piece =
        Piece { principal: principal.map(Arc::from), mime: "text/plain".to_owned(), data, limit: 1000 };
    results.keep(piece, Instant::now()).unwrap()
}

fn read(results: &Results, uri: &str) -> Value {
    let text = results.read(uri, None).unwrap().unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["contents"][0].clone()
}

#[test]
fn a_text_is_read_part_by_part() {
    let results = Results::default();
    let text: String = (0..300).map(|n| format!("line {n} é\n")).collect();
    let uri = keep(&results, Data::Text(text.clone()), None);
    assert!(Results::is_ours(&uri));
    let (mut all, mut next) = (String::new(), uri.clone());
    loop {
        let part = read(&results, &next);
        assert!(part["text"].as_str().unwrap().len() <= 1000);
        all.push_str(part["text"].as_str().unwrap());
        assert_eq!(part["_meta"]["switchboard/range"]["total"], text.len());
        match part["_meta"]["switchboard/range"]["next"].as_str() {
            Some(uri) => next = uri.to_owned(),
            None => break,
        }
    }
    assert_eq!(all, text);
    assert_eq!(read(&results, &format!("{uri}?offset=7&length=1"))["text"], "é");
    assert_eq!(read(&results, &format!("{uri}?lines=2-3"))["text"], "line 1 é\nline 2 é\n");
    assert_eq!(read(&results, &format!("{uri}?lines=300"))["text"], "line 299 é\n");
    assert_eq!(read(&results, &format!("{uri}?lines=400-500"))["text"], "");
    let found = read(&results, &format!("{uri}?search=LINE%20299"));
    let place = text.find("line 299").unwrap();
    assert_eq!(found["text"], format!("line 300, offset {place}: line 299 é\n1 line"));
    assert!(
        read(&results, &format!("{uri}?search=line"))["text"]
            .as_str()
            .unwrap()
            .ends_with("the first 50 are shown")
    );
    for query in ["offset=x", "other=1", "lines=1-x", "search="] {
        assert!(results.read(&format!("{uri}?{query}"), None).unwrap().is_err(), "{query}");
    }
}

#[test]
fn bytes_are_read_part_by_part() {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let results = Results::default();
    let data: Vec<u8> = (0..2500u32).map(|n| n as u8).collect();
    let uri = keep(&results, Data::Blob(engine.encode(&data)), None);
    let (mut all, mut next) = (Vec::new(), uri);
    loop {
        let part = read(&results, &next);
        all.extend(engine.decode(part["blob"].as_str().unwrap()).unwrap());
        match part["_meta"]["switchboard/range"]["next"].as_str() {
            Some(uri) => next = uri.to_owned(),
            None => break,
        }
    }
    assert_eq!(all, data);
}

#[test]
fn a_piece_belongs_to_its_client_and_has_its_time() {
    let results = Results::default();
    let uri = keep(&results, Data::Text("secret".to_owned()), Some("laptop"));
    assert!(results.read(&uri, None).is_none());
    assert!(results.read(&uri, Some("phone")).is_none());
    assert!(results.read(&uri, Some("laptop")).is_some());
    assert!(results.read_at(&uri, Some("laptop"), Instant::now() + MAX_AGE).is_none());
    assert!(results.read("switchboard://result/00", None).is_none());
}

#[test]
fn what_is_kept_is_bounded() {
    let results = Results::default();
    let uris: Vec<String> = (0..20).map(|_| keep(&results, Data::Text("x".repeat(8 << 20)), None)).collect();
    let there = uris.iter().filter(|uri| results.read(uri, None).is_some()).count();
    assert_eq!(there, 8);
    assert!(results.read(&uris[19], None).is_some());
    let piece =
        Piece { principal: None, mime: String::new(), data: Data::Text("x".repeat(MAX_PIECE + 1)), limit: 1 };
    assert_eq!(results.keep(piece, Instant::now()), None);
}
