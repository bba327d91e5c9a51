//! `cargo xtask check`: the architecture's rules, held from each package's own dependency tree, from the sources and from the
//! units in `appliance/dist/`. The rules themselves are data: `xtask/rules.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    led_card,
    run::{cargo, output},
};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Rules {
    direction: BTreeMap<String, BTreeSet<String>>,
    own_lints: BTreeSet<String>,
    must_not_link: Vec<MustNotLink>,
    must_not_say: Vec<MustNotSay>,
    process_main: ProcessMain,
    unit: Vec<Unit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MustNotLink {
    why: String,
    packages: Vec<String>,
    crates: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MustNotSay {
    why: String,
    packages: Vec<String>,
    texts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ProcessMain {
    packages: Vec<String>,
    max_lines: usize,
    says: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Unit {
    file: String,
    must: Vec<String>,
    must_not: Vec<String>,
}

/// A member of the workspace, as cargo sees it.
struct Member {
    name: String,
    directory: PathBuf,
    /// Names of normal dependencies.
    depends: BTreeSet<String>,
    /// Dependencies (any kind) that state a version of their own instead of the workspace's.
    is_binary: bool,
}

/// Checks the workspace at `root`; every broken rule is one line of the error.
pub(crate) fn check(root: &Path) -> Result<()> {
    let rules_path = root.join("xtask/rules.toml");
    let rules: Rules = toml::from_str(&fs::read_to_string(&rules_path).context("xtask/rules.toml")?)?;
    let members = members(root)?;
    let mut broken = Vec::new();
    direction(&rules, &members, &mut broken);
    links(&rules, root, &members, &mut broken)?;
    sources(&rules, &members, &mut broken)?;
    manifests(&rules, &members, &mut broken)?;
    units(&rules, root, &mut broken)?;
    evidence(root, &mut broken)?;
    led_card::check(root, &mut broken)?;
    if broken.is_empty() {
        println!("check: {} packages keep the rules of xtask/rules.toml", members.len());
        return Ok(());
    }
    bail!("{} broken rule(s):\n  {}", broken.len(), broken.join("\n  "))
}

fn members(root: &Path) -> Result<Vec<Member>> {
    let text = output(cargo(root).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages
        .iter()
        .map(|package| {
            let depends = package["dependencies"].as_array().into_iter().flatten();
            let normal = depends.filter(|d| d["kind"].is_null()).filter_map(|d| d["name"].as_str());
            let targets = package["targets"].as_array().into_iter().flatten();
            let kinds = targets.flat_map(|t| t["kind"].as_array().into_iter().flatten()).filter_map(|k| k.as_str());
            let manifest = package["manifest_path"].as_str().context("package without manifest")?;
            Ok(Member {
                name: package["name"].as_str().context("package without name")?.to_owned(),
                directory: Path::new(manifest).parent().context("manifest without directory")?.to_owned(),
                depends: normal.map(str::to_owned).collect(),
                is_binary: !kinds.collect::<BTreeSet<_>>().contains("lib"),
            })
        })
        .collect()
}

/// Our crates depend on each other only as `[direction]` says, and a binary never imports a binary.
fn direction(rules: &Rules, members: &[Member], broken: &mut Vec<String>) {
    let ours: BTreeMap<&str, &Member> = members.iter().map(|m| (m.name.as_str(), m)).collect();
    let none = BTreeSet::new();
    for member in members {
        let allowed = rules.direction.get(&member.name).unwrap_or(&none);
        for dependency in member.depends.iter().filter_map(|d| ours.get(d.as_str())) {
            if dependency.is_binary {
                broken.push(format!("{} imports the binary {}", member.name, dependency.name));
            } else if !allowed.contains(&dependency.name) {
                broken.push(format!("direction: {} must not depend on {}", member.name, dependency.name));
            }
        }
    }
}

/// What each package links, by its own tree: workspace-wide metadata would unify features and raise false alarms.
fn links(rules: &Rules, root: &Path, members: &[Member], broken: &mut Vec<String>) -> Result<()> {
    let mut trees: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for rule in &rules.must_not_link {
        for package in &rule.packages {
            if !members.iter().any(|m| &m.name == package) {
                broken.push(format!("rules.toml names {package}, which is no package"));
                continue;
            }
            if !trees.contains_key(package.as_str()) {
                let text = output(cargo(root).args([
                    "tree",
                    "--offline",
                    "--prefix",
                    "none",
                    "-f",
                    "{p}",
                    "-e",
                    "normal",
                    "-p",
                    package,
                ]))?;
                let names = text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect();
                trees.insert(package, names);
            }
            let linked = trees.get(package.as_str()).into_iter().flatten();
            for name in linked.filter(|name| rule.crates.iter().any(|pattern| matches(pattern, name))) {
                broken.push(format!("{package} links {name}: {}", rule.why));
            }
        }
    }
    Ok(())
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

/// Rules on source text: headers, forbidden paths in product code, what a process's main says.
fn sources(rules: &Rules, members: &[Member], broken: &mut Vec<String>) -> Result<()> {
    for member in members {
        for path in rust_files(&member.directory)? {
            let text = fs::read_to_string(&path)?;
            let shown = path.strip_prefix(&member.directory).unwrap_or(&path).display().to_string();
            let in_tests = shown.starts_with("tests") || shown.ends_with("tests.rs") || shown.contains("/tests/");
            if !in_tests && !text.starts_with("//!") {
                broken.push(format!("{}/{shown} does not open with //!", member.name));
            }
            if in_tests || !shown.starts_with("src") {
                continue;
            }
            let product = product_code(&text);
            for rule in rules.must_not_say.iter().filter(|r| r.packages.contains(&member.name)) {
                for (number, line) in product.lines().enumerate() {
                    for said in rule.texts.iter().filter(|t| line.contains(t.as_str())) {
                        broken.push(format!("{}/{shown}:{} says {said}: {}", member.name, number + 1, rule.why));
                    }
                }
            }
        }
        if rules.process_main.packages.contains(&member.name) {
            let text = fs::read_to_string(member.directory.join("src/main.rs"))?;
            let lines = text.lines().count();
            if lines > rules.process_main.max_lines {
                broken.push(format!(
                    "{}: main.rs has {lines} lines, {} allowed",
                    member.name, rules.process_main.max_lines
                ));
            }
            let header: String =
                text.lines().take_while(|l| l.starts_with("//!")).collect::<Vec<_>>().join("\n").to_lowercase();
            for words in rules.process_main.says.iter().filter(|w| !header.contains(w.as_str())) {
                broken.push(format!("{}: the header of main.rs does not say what it {words}", member.name));
            }
        }
    }
    Ok(())
}

/// The text up to the tests at the foot of the file, with comment lines emptied.
fn product_code(text: &str) -> String {
    let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code = product.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    code.collect::<Vec<_>>().join("\n")
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && name != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Versions stand only in the workspace table; every package takes the workspace's lints.
fn manifests(rules: &Rules, members: &[Member], broken: &mut Vec<String>) -> Result<()> {
    for member in members {
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(member.directory.join("Cargo.toml"))?)?;
        let inherits = |table: &toml::Value| table.get("workspace").and_then(toml::Value::as_bool) == Some(true);
        if !rules.own_lints.contains(&member.name) && !manifest.get("lints").is_some_and(inherits) {
            broken.push(format!("{} does not take the workspace's lints", member.name));
        }
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in manifest.get(section).and_then(|s| s.as_table()).into_iter().flatten() {
                if !inherits(value) {
                    broken.push(format!("{}: {name} does not take its version from the workspace table", member.name));
                }
            }
        }
    }
    Ok(())
}

/// Each row of the impact assessment names tests, and they exist.
fn evidence(root: &Path, broken: &mut Vec<String>) -> Result<()> {
    const TABLE: &str = "docs/dpia.md";
    let text = fs::read_to_string(root.join(TABLE)).context(TABLE)?;
    let rows =
        text.lines().filter(|line| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(char::is_numeric)));
    for row in rows {
        let (number, cell) = (row.split('|').nth(1).unwrap_or("").trim(), row.rsplit('|').nth(1).unwrap_or(""));
        let mut named =
            cell.split(';').map(|pair| pair.trim().split('`').skip(1).step_by(2).collect::<Vec<_>>()).peekable();
        if named.peek().is_none_or(Vec::is_empty) {
            broken.push(format!("{TABLE}: row {number} names no test"));
        }
        for pair in named {
            let exists = matches!(pair[..], [file, test] if fs::read_to_string(root.join(file))
                .is_ok_and(|source| source.contains(&format!("fn {test}("))));
            if !exists {
                broken.push(format!("{TABLE}: row {number}: there is no test {}", pair.join(", ")));
            }
        }
    }
    Ok(())
}

/// The units keep the design's table.
fn units(rules: &Rules, root: &Path, broken: &mut Vec<String>) -> Result<()> {
    let directory = root.join("appliance/dist/usr/lib/systemd/system");
    for unit in &rules.unit {
        let Ok(text) = fs::read_to_string(directory.join(&unit.file)) else {
            broken.push(format!("appliance/dist has no unit {}", unit.file));
            continue;
        };
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|l| !l.starts_with('#') && !l.starts_with(';')).collect();
        for must in unit.must.iter().filter(|must| !lines.contains(&must.as_str())) {
            broken.push(format!("{} does not say {must}", unit.file));
        }
        for (not, line) in unit.must_not.iter().flat_map(|n| lines.iter().map(move |l| (n, l))) {
            if line.contains(not.as_str()) {
                broken.push(format!("{} says {line}", unit.file));
            }
        }
    }
    Ok(())
}
