//! The cluster's objects, field by field: `object Kind/namespace/name .spec.replicas` to `2`.

use std::collections::BTreeMap;

use serde_json::Value;

/// The fields of every object of a `List`.
pub(super) fn fields(list: &Value) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for object in list["items"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (meta, kind) = (&object["metadata"], text(&object["kind"]));
        let name = format!("object {kind}/{}/{}", text(&meta["namespace"]), text(&meta["name"]));
        flatten(&format!("{name} "), object, &mut fields);
    }
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(&format!("{path}.{key}"), value, fields);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (at, value) in list.iter().enumerate() {
                flatten(&format!("{path}[{at}]"), value, fields);
            }
        }
        scalar => drop(fields.insert(path.to_owned(), scalar.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_path() {
        let list = serde_json::json!({"items": [{
            "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": {"x.y": "1\n2"}, "list": [1, {"z": []}],
        }]});
        let fields = fields(&list);
        assert_eq!(fields["object ConfigMap/b/a .data.x.y"], "\"1\\n2\"");
        assert_eq!(fields["object ConfigMap/b/a .list[1].z"], "[]");
        assert_eq!(fields.len(), 6);
    }
}
