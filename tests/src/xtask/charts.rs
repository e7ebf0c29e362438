//! `cargo xtask charts`: the parts of the charts that are made from something else. The definition of `ThreatRelay` and
//! the schema of the relay chart's values come from `crds/`, alerts and dashboards from `monitoring/`, `values.yaml` and the README's table from the chart's schema.
//! A test fails when a file is not what is generated.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::chart::{CHARTS, folder, relay, values};

const OPEN: &str = "<!-- values, by `cargo xtask charts` -->\n";
const CLOSE: &str = "<!-- end of values -->";

/// What the definition gets when a chart installs it.
const METADATA: &str = r#"  labels:
    {{- include "operator.labels" . | nindent 4 }}
  {{- $keep := .Values.crds.keep | ternary (dict "helm.sh/resource-policy" "keep") (dict) }}
  {{- include "operator.annotations" (dict "root" . "own" (merge $keep .Values.crds.annotations)) | nindent 2 }}
"#;

/// Writes them.
pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    write(from_definition()?)?;
    write(from_monitoring()?)?;
    // The schemas are written now.
    write(from_schemas()?)?;
    Ok(ExitCode::SUCCESS)
}

fn write(files: Files) -> Result<(), Box<dyn Error>> {
    for (path, text) in files {
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// A generated file and its text.
type Files = Vec<(PathBuf, String)>;

fn from_definition() -> Result<Files, Box<dyn Error>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/threatrelays.threatrelay.dev.yaml");
    let text = fs::read_to_string(source)?;
    let schema = serde_json::to_string_pretty(&relay::schema(&serde_saphyr::from_str(&text)?)?)?;
    Ok(vec![
        (folder("threatrelay-operator").join("templates/crd.yaml"), definition(&text)?),
        (folder("threatrelay").join("values.schema.json"), format!("{schema}\n")),
    ])
}

/// Alerts and dashboards, which a chart can only carry inside its folder: the operator's has all, the relay's its own.
fn from_monitoring() -> Result<Files, Box<dyn Error>> {
    let mut files = Files::new();
    for (chart, kind) in CHARTS.into_iter().flat_map(|chart| [(chart, "alerts"), (chart, "dashboards")]) {
        let target = folder(chart).join("files").join(kind);
        fs::create_dir_all(&target)?;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring").join(kind))? {
            let path = entry?.path();
            let name = path.file_name().ok_or("a file without a name")?;
            if chart == "threatrelay-operator" || path.file_stem().is_some_and(|stem| stem == "relay") {
                files.push((target.join(name), fs::read_to_string(&path)?));
            }
        }
    }
    Ok(files)
}

fn from_schemas() -> Result<Files, Box<dyn Error>> {
    let mut files = Files::new();
    for chart in CHARTS {
        let values = values::of(chart)?;
        files.push((folder(chart).join("values.yaml"), values.yaml()?));
        let readme = folder(chart).join("README.md");
        let text = fs::read_to_string(&readme).map_err(|error| format!("{}: {error}", readme.display()))?;
        let (before, rest) = text.split_once(OPEN).ok_or("the README has no place for the values")?;
        let (_, after) = rest.split_once(CLOSE).ok_or("the README's values do not end")?;
        files.push((readme, format!("{before}{OPEN}\n{}\n{CLOSE}{after}", values.table())));
    }
    Ok(files)
}

/// The definition as a template.
fn definition(text: &str) -> Result<String, Box<dyn Error>> {
    let name = "  name: threatrelays.threatrelay.dev\n";
    let (_, yaml) = text.split_once('\n').ok_or("the definition has no first line")?;
    let (before, after) = yaml.split_once(name).ok_or("the definition has no name")?;
    let after = after.replace("{{", "{{ \"{{\" }}");
    Ok(format!(
        "{{{{- if .Values.crds.enabled }}}}\n# Made from crds/ by `cargo xtask charts`.\n{before}{name}{METADATA}{after}{{{{- end }}}}\n"
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn the_generated_parts_of_charts_are_what_is_generated() {
        for (path, text) in [from_definition().unwrap(), from_monitoring().unwrap(), from_schemas().unwrap()].concat()
        {
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "{} is out of date: run `cargo xtask charts`", path.display());
        }
    }
}
