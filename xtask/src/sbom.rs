//! The image's bill of materials (CycloneDX 1.6, JSON): the crates of its programs, each by its own dependency tree, and the Debian
//! packages of its root and initrd, as mkosi lists them, with the licences that they declare. Says nothing that differs between two builds of the same sources.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    debian_licences,
    run::{cargo, output},
};

/// Writes `OUT/gift-edge_VERSION.cdx.json` from what the build left in `OUT`, and the Debian packages in `archive`.
/// `codecs` lists what the extension is of, if there is one.
pub(crate) fn write(
    root: &Path,
    out: &Path,
    archive: &Path,
    version: &str,
    programs: &[&str],
    codecs: Option<&Path>,
) -> Result<()> {
    let mut components = BTreeMap::new();
    crates(root, programs, &mut components)?;
    for manifest in [format!("gift-edge_{version}.manifest"), format!("initrd_{version}.manifest")] {
        packages(&out.join(manifest), archive, &mut components)?;
    }
    for line in codecs.map(fs::read_to_string).transpose()?.unwrap_or_default().lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, architecture] = fields.as_slice() else { bail!("not a package: {line:?}") };
        package(name, version, architecture, archive, &mut components)?;
    }
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": {
            "type": "firmware",
            "bom-ref": "gift-edge",
            "name": "gift-edge",
            "version": version,
            "properties": [{ "name": "gift:roothash", "value": root_hash(out, version)? }],
        } },
        "components": components.into_values().collect::<Vec<_>>(),
    });
    fs::write(out.join(format!("gift-edge_{version}.cdx.json")), serde_json::to_string_pretty(&bill)? + "\n")?;
    Ok(())
}

/// The hash of the verified root that the signed kernel image demands.
pub(crate) fn root_hash(out: &Path, version: &str) -> Result<String> {
    let kernel = fs::read(out.join(format!("gift-edge_{version}.efi")))?;
    let key = b"roothash=";
    let at = kernel.windows(key.len()).position(|window| window == key).context("no roothash in the kernel image")?
        + key.len();
    let hash = kernel.get(at..at + 64).context("the kernel image ends in its roothash")?;
    Ok(String::from_utf8(hash.to_vec())?)
}

fn crates(root: &Path, programs: &[&str], components: &mut BTreeMap<String, Value>) -> Result<()> {
    for program in programs {
        let tree = [
            "tree",
            "--locked",
            "-e",
            "normal",
            "--target",
            "x86_64-unknown-linux-gnu",
            "--prefix",
            "none",
            "--format",
            "{p}|{l}",
        ];
        for line in output(cargo(root).args(tree).args(["-p", program]))?.lines() {
            // `name v1.2.3 (/path or proc-macro)|MIT OR Apache-2.0 (*)`
            let Some((package, license)) = line.split_once('|') else { bail!("cargo tree said {line:?}") };
            let mut words = package.split_whitespace();
            let (Some(name), Some(version)) = (words.next(), words.next()) else { bail!("cargo tree said {line:?}") };
            let version = version.trim_start_matches('v');
            let license = license.trim_end_matches("(*)").trim().replace('/', " OR ");
            let purl = format!("pkg:cargo/{name}@{version}");
            let mut component =
                json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl });
            if !license.is_empty() {
                component["licenses"] = json!([{ "expression": license }]);
            }
            components.insert(purl, component);
        }
    }
    Ok(())
}

fn packages(manifest: &Path, archive: &Path, components: &mut BTreeMap<String, Value>) -> Result<()> {
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?)?;
    for listed in manifest["packages"].as_array().context("mkosi's manifest lists no packages")? {
        let text = |key: &str| listed[key].as_str().with_context(|| format!("a package without {key}"));
        package(text("name")?, text("version")?, text("architecture")?, archive, components)?;
    }
    Ok(())
}

fn package(
    name: &str,
    version: &str,
    architecture: &str,
    archive: &Path,
    components: &mut BTreeMap<String, Value>,
) -> Result<()> {
    let purl = format!(
        "pkg:deb/debian/{name}@{}?arch={architecture}&distro=trixie",
        version.replace('+', "%2B").replace(':', "%3A")
    );
    if components.contains_key(&purl) {
        return Ok(());
    }
    let mut component = json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl });
    // Debian's own short names, which are not all of SPDX: as names, not as an expression.
    let licences = debian_licences::of_package(archive, name, version, architecture)?;
    if !licences.is_empty() {
        let named: Vec<Value> = licences.iter().map(|name| json!({ "license": { "name": name } })).collect();
        component["licenses"] = json!(named);
    }
    components.insert(purl, component);
    Ok(())
}
