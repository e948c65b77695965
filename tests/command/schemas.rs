//! The JSON Schemas of what commands answer with `--json`: made of the types that the answers are made of, kept in
//! `packaging/schema`, and true of real answers.

use std::{collections::BTreeMap, fs};

use serde_json::{Map, Value, json};

use crate::support::{Device, SLEEP, repository, workload};

const REPORT: &str = "src/agent/model/report.rs";
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Schemas of types, as far as they are needed, by their names.
#[derive(Default)]
struct Types {
    known: BTreeMap<String, Value>,
}

impl Types {
    /// The fields of a struct, with what their comments say.
    fn of_struct(&mut self, file: &str, name: &str) -> Value {
        let text = fs::read_to_string(repository(file)).unwrap();
        let heads = [format!("struct {name} {{\n"), format!("struct {name}<'a> {{\n")];
        let begin = heads.iter().find_map(|head| text.find(head).map(|at| at + head.len())).expect(name);
        let body = text[begin..].split("\n}").next().unwrap();
        let (mut fields, mut doc, mut is_skipped) = (Vec::new(), String::new(), false);
        for line in body.lines().map(str::trim) {
            if let Some(more) = line.strip_prefix("///") {
                doc = format!("{doc} {}", more.trim()).trim().to_owned();
            } else if line == "#[serde(skip)]" {
                is_skipped = true;
            } else if let Some((name, of)) = line.trim_end_matches(',').split_once(": ") {
                if std::mem::take(&mut is_skipped) {
                    doc.clear();
                    continue;
                }
                let mut schema = self.of_type(file, of);
                if !doc.is_empty() {
                    schema["description"] = std::mem::take(&mut doc).into();
                }
                fields.push((name.trim_start_matches("pub ").to_owned(), schema));
            }
        }
        object(fields)
    }

    fn of_type(&mut self, file: &str, of: &str) -> Value {
        let inner = |outer: &str| of.strip_prefix(outer)?.strip_suffix('>');
        if let Some(of) = inner("Option<") {
            return nullable(self.of_type(file, of));
        }
        if let Some(of) = inner("Vec<") {
            return json!({ "type": "array", "items": self.of_type(file, of) });
        }
        let first = of.trim_start_matches('&').trim_start_matches("'static ").trim_start_matches("'a ");
        match first {
            "String" | "str" | "Severity" | "Reason" => json!({ "type": "string" }),
            "bool" => json!({ "type": "boolean" }),
            "u32" | "u64" => json!({ "type": "integer", "minimum": 0 }),
            "i32" | "i64" => json!({ "type": "integer" }),
            "f64" => json!({ "type": "number" }),
            "(String, Option<f64>)" => json!({ "type": "array", "minItems": 2, "maxItems": 2 }),
            "WorkloadState" => {
                let text = fs::read_to_string(repository(REPORT)).unwrap();
                let words =
                    text.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
                let words: Vec<&str> = words.map(|(_, word)| word.trim_end_matches("\",")).collect();
                assert!(words.len() > 10, "where are the states?");
                json!({ "enum": words })
            }
            name => {
                let name = name.trim_end_matches("<'a>");
                if !self.known.contains_key(name) {
                    let schema = self.of_struct(file, name);
                    self.known.insert(name.to_owned(), schema);
                }
                json!({ "$ref": format!("#/$defs/{name}") })
            }
        }
    }

    /// One answer.
    fn answer(self, command: &str, content: &Value) -> Value {
        let mut fields = vec![
            ("schema_version".to_owned(), json!({ "const": 1 })),
            ("time".to_owned(), json!({ "type": "string", "format": "date-time" })),
        ];
        fields.extend(content["properties"].as_object().unwrap().clone());
        let mut schema = object(fields);
        schema["$schema"] = DRAFT.into();
        schema["title"] = format!("device-worker-ng {command} --json").into();
        if !self.known.is_empty() {
            schema["$defs"] = json!(self.known);
        }
        schema
    }
}

fn object(fields: Vec<(String, Value)>) -> Value {
    let required: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
    json!({ "type": "object", "required": required, "properties": Map::from_iter(fields.clone()) })
}

fn nullable(schema: Value) -> Value {
    match schema["type"].as_str() {
        Some(of) => {
            let of = json!([of, "null"]);
            let mut schema = schema;
            schema["type"] = of;
            schema
        }
        None => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// Fields in short: `?` may be null, `*` is a list.
fn fields(all: &[(&str, &str)]) -> Value {
    let of = |of: &str| match of.trim_end_matches(['?', '*']) {
        "text" => json!({ "type": "string" }),
        "whole" => json!({ "type": "integer", "minimum": 0 }),
        other => json!({ "type": other }),
    };
    let field = |(name, what): &(&str, &str)| {
        let schema =
            if what.contains('*') { json!({ "type": "array", "items": of(what) }) } else { of(what) };
        (name.to_string(), if what.contains('?') { nullable(schema) } else { schema })
    };
    object(all.iter().map(field).collect())
}

/// What a list of these is called.
fn list(name: &str, item: Value) -> Value {
    object(vec![(name.to_owned(), json!({ "type": "array", "items": item }))])
}

fn schemas() -> Vec<(&'static str, Value)> {
    let of = |command: &'static str, file: &str, name: &str| {
        let mut types = Types::default();
        let content = types.of_struct(file, name);
        (command, types.answer(command, &content))
    };
    let listed = |command: &'static str, file: &str, name: &str, list_name: &str| {
        let mut types = Types::default();
        let content = list(list_name, types.of_type(file, name));
        (command, types.answer(command, &content))
    };
    let plain = |command: &'static str, content: &Value| (command, Types::default().answer(command, content));
    let used = fields(&[
        ("name", "text"),
        ("memory", "whole?"),
        ("memory_limit", "whole?"),
        ("cpu_percent", "number?"),
        ("cpu_limit_percent", "number?"),
        ("processes", "whole?"),
        ("processes_limit", "whole?"),
    ]);
    let container = fields(&[
        ("name", "text"),
        ("image", "text?"),
        ("digest", "text?"),
        ("command", "text"),
        ("state", "text?"),
        ("started", "text?"),
        ("ended", "text?"),
        ("exit", "text?"),
        ("mounts", "text*"),
        ("limits", "text*"),
        ("requests", "text*"),
    ]);
    let mut types = Types::default();
    let mut described = types.of_struct(REPORT, "Workload");
    described["properties"]["addresses"] =
        nullable(json!({ "type": "array", "items": { "type": "string" } }));
    described["properties"]["containers"] = nullable(json!({ "type": "array", "items": container }));
    let mut top = plain("top", &list("workloads", used.clone()));
    // of one workload
    top.1["properties"]["containers"] = json!({ "type": "array", "items": used });
    top.1["required"] = json!(["schema_version", "time"]);
    let mut line = fields(&[("container", "text"), ("stream", "text"), ("line", "text")]);
    (line["$schema"], line["title"]) = (DRAFT.into(), "a line of device-worker-ng logs --json".into());
    let problem = fields(&[
        ("severity", "text"),
        ("file", "text?"),
        ("document", "whole?"),
        ("line", "whole?"),
        ("workload", "text?"),
        ("field", "text?"),
        ("text", "text"),
    ]);
    let mut all = vec![
        of("status", REPORT, "Report"),
        ("describe", types.answer("describe", &described)),
        of("explain", REPORT, "Workload"),
        of("history", "src/agent/view/history.rs", "HistoryOutput"),
        listed("metrics", REPORT, "Metric", "metrics"),
        of("eval", "src/io/command_socket.rs", "EvaluatedExpression"),
        listed("doctor", "src/doctor/findings.rs", "Finding", "findings"),
        top,
        ("logs", line),
        plain("check", &list("problems", problem)),
        plain("done", &fields(&[("code", "whole"), ("message", "text")])),
        plain("error", &fields(&[("code", "whole"), ("error", "text")])),
    ];
    all[9].1["title"] = "device-worker-ng --check --json".into();
    all[10].1["title"] = "what a command of device-worker-ng did, with --json".into();
    all[11].1["title"] = "why a command of device-worker-ng gives no answer, with --json".into();
    all
}

fn kept(command: &str) -> Value {
    let path = repository("packaging/schema").join(format!("{command}.schema.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
}

#[test]
fn the_schemas_in_the_package_are_those_of_the_types() {
    for (command, schema) in schemas() {
        let path = repository("packaging/schema").join(format!("{command}.schema.json"));
        if std::env::var_os("DWNG_WRITE_MANUALS").is_some() {
            fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
            continue;
        }
        assert!(kept(command) == schema, "{} isn't up to date: run `make manuals`", path.display());
    }
}

/// What of the value the schema doesn't say, or says otherwise.
fn faults(value: &Value, schema: &Value, whole: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/")) {
        return faults(value, &whole["$defs"][name], whole, at, found);
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        let fits = |way: &Value| {
            let mut found = Vec::new();
            faults(value, way, whole, at, &mut found);
            found.is_empty()
        };
        if !ways.iter().any(fits) {
            found.push(format!("{at}: {value} fits none of {ways:?}"));
        }
        return;
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |of: &Value| of == is || of == "number" && is == "integer";
    let is_right = match &schema["type"] {
        Value::Null => {
            schema["const"] == *value || schema["enum"].as_array().is_some_and(|it| it.contains(value))
        }
        Value::Array(several) => several.iter().any(fits),
        one => fits(one),
    };
    if !is_right {
        found.push(format!("{at}: {value} is not {schema}"));
    }
    for (index, item) in
        value.as_array().into_iter().flatten().enumerate().filter(|_| !schema["items"].is_null())
    {
        faults(item, &schema["items"], whole, &format!("{at}[{index}]"), found);
    }
    let Some(object) = value.as_object() else { return };
    for (key, value) in object {
        match schema["properties"].get(key) {
            Some(of) => faults(value, of, whole, &format!("{at}.{key}"), found),
            None => found.push(format!("{at}.{key}: the schema doesn't know it")),
        }
    }
    let missing = |key: &&Value| !object.contains_key(key.as_str().unwrap_or_default());
    let required = schema["required"].as_array().into_iter().flatten();
    found.extend(required.filter(missing).map(|key| format!("{at}: {key} is missing")));
}

#[test]
fn the_schemas_hold_for_what_commands_really_say() {
    let Some(device) = Device::with_gated("schemas", "gated") else { return };
    device.workload("crasher", "exit 7");
    let mut w = workload("probed", SLEEP);
    w["spec"]["pod"]["spec"]["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 30});
    w["spec"]["pod"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
    device.manifest("probed.json", &w.to_string());
    let mut nightly = workload("nightly", "exit 3");
    nightly["spec"]["cron"] = "0 0 1 1 *".into();
    device.manifest("nightly.json", &nightly.to_string());
    let validates = |command: &[&str], name: &str| {
        let output = device.run(&[command, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let text = if name == "logs" { text.lines().next().unwrap_or_default() } else { &text };
        let value: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{command:?}: {error}: {text}"));
        let (schema, mut found) = (kept(name), Vec::new());
        faults(&value, &schema, &schema, name, &mut found);
        assert!(found.is_empty(), "{command:?}: {found:#?}\n{value:#}");
        value
    };
    device.wait_for("all of it to be told", || {
        let all = |name: &str| device.run(&["describe", name, "--json"]).stdout;
        let told = |name: &str| serde_json::from_slice::<Value>(&all(name)).unwrap_or_default();
        let is_told =
            told("probed")["probes"][0]["healthy"] == true && told("crasher")["failures"][0].is_object();
        (is_told && told("nightly")["state"] == "scheduled").then_some(())
    });
    validates(&["run", "nightly"], "done");
    device.wait_for("a run", || {
        let said = device.run(&["explain", "nightly", "--json"]).stdout;
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        said["last_run"].is_object().then_some(())
    });
    assert_eq!(device.post("x", 1), 200);
    validates(&["status"], "status");
    for name in ["gated", "crasher", "probed", "nightly"] {
        validates(&["describe", name], "describe");
        validates(&["explain", name], "explain");
        validates(&["history", name], "history");
    }
    for command in ["metrics", "doctor", "top", "history"] {
        validates(&[command], command);
    }
    validates(&["top", "probed"], "top");
    let mut wrong = workload("wrong", SLEEP);
    wrong["spec"]["profiles"] = json!([{"name": "nowhere", "conditions": ["x"]}]);
    device.manifest("wrong.json", &wrong.to_string());
    device.manifest("unread.yaml", "kind: [");
    let checked = validates(&["--check"], "check");
    assert_eq!(checked["problems"].as_array().unwrap().len(), 2, "{checked}");
    validates(&["eval", "x > 2"], "eval");
    validates(&["stop", "probed"], "done");
    validates(&["logs", "nobody"], "error");
    validates(&["eval", "x >"], "error");
    device.workload("teller", &format!("echo hello; {SLEEP}"));
    device.wait_for("a line", || (device.run(&["logs", "teller"]).stdout == b"hello\n").then_some(()));
    validates(&["logs", "teller"], "logs");
}
