//! Walks through a tree and the schema together.

use std::collections::BTreeSet;

use ferry_bundle_format::yaml::Problems;
use ferry_bundle_format::yaml::tree::{Node, Value};
use serde_json::Value as Schema;

use super::super::types::text::shown;
use super::{leaf, nearest, secret};

/// What a check has left.
pub(crate) struct Checked {
    /// The paths of what was taken out, such as `hosts[2].roles[0]`.
    pub(crate) gone: Vec<String>,
    /// Lines that may hold a secret in plain text.
    pub(crate) secret: BTreeSet<u64>,
}

impl Checked {
    /// Whether every host that stands in the file is there, with all its roles.
    pub(crate) fn has_all_hosts(&self) -> bool {
        let of_a_host = |path: &String| {
            let rest = path.strip_prefix("hosts");
            rest.is_some_and(|rest| match rest.split_once('.') {
                Some((_, key)) => key.starts_with("roles") || matches!(key, "name" | "address"),
                None => true,
            })
        };
        !self.gone.iter().any(of_a_host)
    }

    /// Whether anything at or below `path` is missing.
    pub(crate) fn lacks(&self, path: &str) -> bool {
        self.gone
            .iter()
            .any(|gone| gone.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    }
}

/// Says everything in `node` that is not as `schema` wants it, and takes it out. `text` is the file's.
pub(crate) fn check(node: &mut Node, schema: &Schema, text: &str, problems: &mut Problems) -> Checked {
    let mut walk =
        Walk { schema, text, problems, gone: Vec::new(), secret: BTreeSet::new(), words: secret::lines(text) };
    // A file that lacks a key that is needed has a problem that says so.
    let _ = walk.node(node, schema, "", false);
    Checked { gone: walk.gone, secret: walk.secret }
}

struct Walk<'a> {
    schema: &'a Schema,
    text: &'a str,
    problems: &'a mut Problems,
    gone: Vec<String>,
    secret: BTreeSet<u64>,
    /// Lines in which a word stands that goes with secrets.
    words: BTreeSet<u64>,
}

impl<'a> Walk<'a> {
    /// Whether the node can be used, after what is wrong below it has been taken out.
    fn node(&mut self, node: &mut Node, schema: &'a Schema, path: &str, hidden: bool) -> bool {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            if let Some(rule) = leaf::rule(name) {
                return self.leaf(node, path, rule, hidden);
            }
            return self.node(node, &self.schema["$defs"][name], path, hidden || secret::is_type(name));
        }
        if let Some(either) = schema["anyOf"].as_array() {
            return match either.iter().find(|one| one["type"] != "null") {
                _ if node.value == Value::Null => true,
                Some(one) => self.node(node, one, path, hidden),
                None => true,
            };
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            return self.choice(node, choices, path, hidden);
        }
        let kinds = &schema["type"];
        let is = |kind: &str| kinds == kind || kinds.as_array().is_some_and(|all| all.iter().any(|one| one == kind));
        if node.value == Value::Null && is("null") {
            return true;
        }
        if is("object") {
            self.mapping(node, schema, path, hidden)
        } else if is("array") {
            self.list(node, &schema["items"], path, hidden)
        } else if is("integer") {
            self.integer(node, schema, path, hidden)
        } else if is("number") {
            if let Value::Integer(_) | Value::Float(_) = node.value {
                return true;
            }
            self.refuse(node, path, "is a number", None, hidden)
        } else if is("boolean") {
            if let Value::Bool(_) = node.value {
                return true;
            }
            self.refuse(node, path, "is `true` or `false`", None, hidden)
        } else if schema["format"] == "ip" {
            self.leaf(node, path, leaf::address, hidden)
        } else {
            self.leaf(node, path, |_| Ok(()), hidden)
        }
    }

    /// Says that what stands at `path` has the wrong kind. Always false.
    fn refuse(&mut self, node: &Node, path: &str, wants: &str, hint: Option<&str>, hidden: bool) -> bool {
        let found = match &node.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) if hidden => "a text".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(_) | Value::Float(_) => self.token(node),
            Value::Text(text) => shown(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        };
        if hidden {
            self.secret.insert(node.line);
        }
        self.problems.add(&node.place(), format!("`{}` {wants}, and here is {found}", key(path)), hint);
        false
    }

    /// A number as it is written.
    fn token(&self, node: &Node) -> String {
        let index = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = self.text.lines().nth(index(node.line)).unwrap_or_default();
        let rest: String = line.chars().skip(index(node.column)).take(60).collect();
        let end = rest.find([',', ']', '}', ' ', '#']).unwrap_or(rest.len());
        shown(rest[..end].trim()).trim_matches('"').to_owned()
    }

    fn leaf(&mut self, node: &Node, path: &str, rule: leaf::Rule, hidden: bool) -> bool {
        match &node.value {
            Value::Text(text) => {
                let Err(error) = rule(text) else { return true };
                // The types of secrets do not show what they refuse.
                self.problems.add(&node.place(), format!("`{}`: {error}", key(path)), error.hint.as_deref());
                if hidden {
                    self.secret.insert(node.line);
                }
                false
            }
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) if !hidden => {
                let token = self.token(node);
                let what = if matches!(node.value, Value::Bool(_)) { "true or false" } else { "a number" };
                let hint = format!("write {}: \"{token}\"", key(path));
                self.problems.add(&node.place(), format!("{token} is {what} to YAML"), Some(&hint));
                false
            }
            _ => self.refuse(node, path, "is a text", None, hidden),
        }
    }

    fn integer(&mut self, node: &Node, schema: &Schema, path: &str, hidden: bool) -> bool {
        let bound = |name: &str| schema[name].as_i64().map(i128::from);
        let (low, high) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(i128::from(u32::MAX)));
        let wants = format!("is a number, {low} to {high}");
        match &node.value {
            Value::Integer(number) if (low..=high).contains(number) => true,
            Value::Text(text) if text.parse::<i128>().is_ok_and(|number| (low..=high).contains(&number)) => {
                let hint = format!("without quotes: {text}");
                self.refuse(node, path, &wants, Some(&hint), hidden)
            }
            _ => self.refuse(node, path, &wants, None, hidden),
        }
    }

    fn list(&mut self, node: &mut Node, items: &'a Schema, path: &str, hidden: bool) -> bool {
        if !matches!(node.value, Value::List(_)) {
            let hint = match &node.value {
                Value::Text(text) if !hidden => format!("in brackets: [{}]", shown(text).trim_matches('"')),
                _ => "in brackets, or with `- ` before each".to_owned(),
            };
            self.refuse(node, path, "is a list", Some(&hint), hidden);
            let one =
                Node { line: node.line, column: node.column, value: std::mem::replace(&mut node.value, Value::Null) };
            // Read on as if the brackets stood there.
            node.value = Value::List(if one.value == Value::Null { Vec::new() } else { vec![one] });
        }
        let Value::List(list) = &mut node.value else { return false };
        let mut n = 0;
        list.retain_mut(|item| {
            let path = format!("{path}[{n}]");
            n += 1;
            let good = self.node(item, items, &path, hidden);
            if !good {
                self.gone.push(path);
            }
            good
        });
        true
    }

    fn mapping(&mut self, node: &mut Node, schema: &'a Schema, path: &str, hidden: bool) -> bool {
        let empty = schema["properties"].as_object().is_none_or(serde_json::Map::is_empty);
        if node.value == Value::Null && (empty || schema["required"].as_array().is_none()) {
            // A key with nothing after it: everything below has its default.
            node.value = Value::Map(Vec::new());
        }
        let Value::Map(list) = &mut node.value else {
            let keys: Vec<&str> = properties(schema).collect();
            let hint = if keys.is_empty() { "{}".to_owned() } else { format!("with the keys {}", keys.join(", ")) };
            return self.refuse(node, path, "is a mapping", Some(&hint), hidden);
        };
        let mut list = std::mem::take(list);
        let mut seen: Vec<(String, u64)> = Vec::new();
        list.retain_mut(|(name, value)| self.entry(name, value, &mut seen, schema, path, hidden));
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str);
        let mut whole = true;
        for needed in required {
            if !list.iter().any(|(name, _)| name.text() == Some(needed)) {
                whole = false;
                self.gone.push(if path.is_empty() { needed.to_owned() } else { format!("{path}.{needed}") });
                // One that was taken out has been said.
                if !seen.iter().any(|(name, _)| name == needed) {
                    let place = list.first().map_or_else(|| node.place(), |(name, _)| name.place());
                    let inside = if path.is_empty() { String::new() } else { format!(" in `{}`", key(path)) };
                    self.problems.add(&place, format!("the key `{needed}` is missing{inside}"), Some("add it"));
                }
            }
        }
        node.value = Value::Map(list);
        whole
    }

    /// Whether an entry of a mapping can be used.
    fn entry(
        &mut self,
        name: &mut Node,
        value: &mut Node,
        seen: &mut Vec<(String, u64)>,
        schema: &'a Schema,
        path: &str,
        hidden: bool,
    ) -> bool {
        let Some(text) = name.text().map(str::to_owned) else {
            let token = self.token(name);
            let hint = format!("write \"{token}\"");
            self.problems.add(&name.place(), "a key is a text", (!hidden).then_some(hint.as_str()));
            return false;
        };
        let mut known = text.clone();
        if properties(schema).next().is_some() && !properties(schema).any(|one| one == known) {
            let free = |one: &&str| !seen.iter().any(|(name, _)| name == one);
            let meant = nearest(&text, properties(schema).filter(free));
            let hint = meant.map_or_else(
                || format!("here belong {}", properties(schema).collect::<Vec<_>>().join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            let inside = if path.is_empty() { String::new() } else { format!(" in `{}`", key(path)) };
            // A key in a place of secrets may be one.
            let said = if hidden && meant.is_none() { "of that name".to_owned() } else { shown(&text) };
            self.problems.add(&name.place(), format!("there is no key {said}{inside}"), Some(&hint));
            if hidden || secret::is_word(&text) || self.words.contains(&name.line) {
                self.secret.extend(name.line..=value.line.max(name.line));
            }
            let Some(meant) = meant else { return false };
            // Read on as if it were spelt right.
            meant.clone_into(&mut known);
            name.value = Value::Text(known.clone());
        }
        if let Some((_, line)) = seen.iter().find(|(name, _)| *name == known) {
            let message = format!("the key {} is on line {line} already", shown(&known));
            self.problems.add(&name.place(), message, Some("remove one of the two"));
            if hidden || self.words.contains(&name.line) {
                self.secret.insert(name.line);
            }
            return false;
        }
        seen.push((known.clone(), name.line));
        let below = if path.is_empty() { known.clone() } else { format!("{path}.{known}") };
        let property = &schema["properties"][&known];
        let good = if property.is_null() {
            let key_is_good = leaf::rule_of_keys(key(path)).is_none_or(|rule| self.leaf(name, path, rule, hidden));
            let values = schema["patternProperties"].as_object().and_then(|all| all.values().next());
            self.node(value, values.unwrap_or(&schema["additionalProperties"]), &below, hidden) && key_is_good
        } else if value.value == Value::Null && !is_required(schema, &known) {
            // A key with nothing after it has its default.
            return false;
        } else {
            self.node(value, property, &below, hidden)
        };
        if !good {
            self.gone.push(below);
        }
        good
    }

    /// One of several words, or a mapping with one of several keys.
    fn choice(&mut self, node: &mut Node, choices: &'a [Schema], path: &str, hidden: bool) -> bool {
        let words: Vec<&str> = choices.iter().filter_map(|one| one["const"].as_str()).collect();
        if !words.is_empty() {
            return self.word(node, &words, path, hidden);
        }
        let keys: Vec<&str> = choices.iter().flat_map(properties).collect();
        let shapes: Vec<String> = keys.iter().map(|one| format!("{{{one}: …}}")).collect();
        let shapes = shapes.join(" or ");
        match &mut node.value {
            Value::Map(list) if list.len() == 1 => {
                let name = list[0].0.text().unwrap_or_default().to_owned();
                let right = if keys.contains(&name.as_str()) {
                    Some(name.as_str())
                } else {
                    nearest(&name, keys.iter().copied())
                };
                let Some(right) = right.map(str::to_owned) else {
                    self.secret.extend(node.line..=list[0].1.line.max(node.line));
                    let message = format!("`{}` has a key that does not belong there", key(path));
                    self.problems.add(&node.place(), message, Some(&format!("write {shapes}")));
                    return false;
                };
                let schema = choices.iter().find(|one| properties(one).any(|key| key == right));
                schema.is_some_and(|schema| self.node(node, schema, path, hidden))
            }
            Value::Map(list) => {
                let lines: Vec<u64> = list.iter().flat_map(|(name, value)| [name.line, value.line]).collect();
                self.secret.extend(lines);
                let message = format!("`{}` is exactly one of several", key(path));
                self.problems.add(&node.place(), message, Some(&format!("write {shapes}")));
                false
            }
            Value::Text(text) if keys.contains(&text.as_str()) => {
                let hint = format!("write {{{text}: …}}, such as {{{text}: {{}}}}");
                let message = format!("`{}`: {text} is the key of a mapping", key(path));
                self.problems.add(&node.place(), message, Some(&hint));
                false
            }
            _ => {
                self.secret.insert(node.line);
                let is_secret = keys.contains(&"prompt");
                let message = if is_secret {
                    format!("`{}`: a secret never stands in this file", key(path))
                } else {
                    format!("`{}` is a mapping with one key", key(path))
                };
                let hint = if is_secret {
                    "say where it comes from: {prompt: text}, {env: NAME} or {age: {file: FILE, name: NAME}}".to_owned()
                } else {
                    format!("write {shapes}")
                };
                self.problems.add(&node.place(), message, Some(&hint));
                false
            }
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str, hidden: bool) -> bool {
        let Value::Text(text) = &node.value else {
            return self.refuse(node, path, &format!("is one of {}", words.join(", ")), None, hidden);
        };
        if words.contains(&text.as_str()) {
            return true;
        }
        let hint = nearest(text, words.iter().copied())
            .map_or_else(|| format!("there is {}", words.join(", ")), |meant| format!("did you mean `{meant}`?"));
        let what = key(path).strip_suffix('s').unwrap_or(key(path));
        self.problems.add(&node.place(), format!("there is no {what} {}", shown(text)), Some(&hint));
        false
    }
}

/// The last key of a path, without the place in a list.
fn key(path: &str) -> &str {
    let path = path
        .split_once('[')
        .filter(|_| path.ends_with(']'))
        .map_or(path, |_| path.rsplit_once('[').map_or(path, |(before, _)| before));
    path.rsplit('.').next().filter(|key| !key.is_empty()).unwrap_or("the file")
}

fn properties(schema: &Schema) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

fn is_required(schema: &Schema, key: &str) -> bool {
    schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key))
}
