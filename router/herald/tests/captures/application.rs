//! What a case says that parsers find, and whether the facts say so.

use serde_json::{Value, json};

/// The parts of a list's elements under one key.
fn column(list: &Value, key: &str) -> Value {
    list.as_array().into_iter().flatten().map(|element| element[key].clone()).collect()
}

/// True if the facts say what one key of an `app` says.
pub(crate) fn agrees(facts: &Value, key: &str, expected: &Value) -> bool {
    let either = |name: &str| [&facts[format!("tls.{name}")], &facts[format!("quic.{name}")]];
    let requests = &facts["http.requests"];
    let questions = &facts["dns.questions"];
    let odd = |name: &str, oddity: &Value| facts[name].as_array().is_some_and(|list| list.contains(oddity));
    match key {
        "sni" if expected.is_null() => either("sni").into_iter().all(Value::is_null),
        "sni" | "alpn" | "second_sni" | "ech" | "dcid" => either(key).contains(&expected),
        "quic" => &facts["quic.version"] == expected,
        "requests" => {
            expected.as_array().unwrap().iter().enumerate().all(|(place, wanted)| {
                let request = &requests[place];
                let host_line = wanted.get("host_line").is_none_or(|line| request["host_lines"] == json!([line]));
                // Bodies are no facts: `body` is not compared.
                ["method", "path", "host"].iter().all(|part| request[part] == wanted[part]) && host_line
            }) && requests.as_array().map(Vec::len) == expected.as_array().map(Vec::len)
        }
        "ambiguous" if expected == "host" => {
            odd("http.oddities", &json!("host twice")) && requests[0]["host"].is_null()
        }
        "ambiguous" => odd("http.oddities", expected),
        "second_request_if" => expected == "te" && requests[1]["path"] == "/admin",
        "hosts" => &requests[0]["host_lines"] == expected,
        "client" | "server" => &facts[format!("ssh.{key}_banner")] == expected,
        "qname" => &questions[0]["name"] == expected && questions.as_array().unwrap().len() == 1,
        "qtype" => &questions[0]["type"] == expected,
        "answer" => &facts["dns.answers"][0]["data"] == expected,
        "qnames" => &column(questions, "name") == expected,
        "udp_size" => &facts["dns.udp_size"] == expected,
        "malformed" => odd("dns.oddities", &json!("pointer leads not backwards")) && questions.is_null(),
        "second" => odd("dns.oddities", &json!("name too long")) && expected == "malformed",
        other => panic!("nobody knows what {other:?} says"),
    }
}
