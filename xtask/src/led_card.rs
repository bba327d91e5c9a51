//! `cargo xtask led-card`: the technician's card, from `config/leds.toml` (how each state looks) and `config/led-card.toml` (what it means).

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{install, run::run};

const LEDS: [&str; 4] = ["power", "scanner", "uplink", "attention"];
const CARD: &str = "docs/led-card.html";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pattern {
    lit: Option<bool>,
    on_ms: Option<u32>,
    off_ms: Option<u32>,
}

fn table<T: for<'a> Deserialize<'a>>(root: &Path, file: &str) -> Result<T> {
    let path = root.join(file);
    toml::from_str(&fs::read_to_string(&path).with_context(|| file.to_owned())?).with_context(|| file.to_owned())
}

/// Writes the card as a page, and prints that page as a PDF by Chromium.
pub(crate) fn write(root: &Path) -> Result<()> {
    fs::write(root.join(CARD), page(root)?)?;
    install::card_packages()?;
    let pdf = root.join(CARD).with_extension("pdf");
    run(Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"])
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(root.join(CARD)))
}

/// Fails when the card in `docs/` is not what the two tables say.
pub(crate) fn check(root: &Path, broken: &mut Vec<String>) -> Result<()> {
    match page(root) {
        Ok(page) if fs::read_to_string(root.join(CARD)).is_ok_and(|card| card == page) => {}
        Ok(_) => broken
            .push(format!("{CARD} is not that of config/leds.toml and config/led-card.toml: cargo xtask led-card")),
        Err(error) => broken.push(format!("{error:#}")),
    }
    Ok(())
}

fn page(root: &Path) -> Result<String> {
    let text = fs::read_to_string(root.join("config/leds.toml"))?;
    let leds: BTreeMap<String, toml::Table> = toml::from_str(&text).context("config/leds.toml")?;
    let card: BTreeMap<String, BTreeMap<String, String>> = table(root, "config/led-card.toml")?;
    let patterns = leds.get("patterns").context("config/leds.toml: no [patterns]")?;
    let mut rows = String::new();
    for led in LEDS {
        let states = leds.get(led).with_context(|| format!("config/leds.toml: no [{led}]"))?;
        let says = card.get(led).with_context(|| format!("config/led-card.toml: no [{led}]"))?;
        let label = says.get("label").with_context(|| format!("config/led-card.toml: [{led}] has no label"))?;
        let mut lines: Vec<(String, &str)> =
            states.iter().map(|(state, pattern)| (state.clone(), pattern.as_str().unwrap_or_default())).collect();
        // In the order of the file, which is by weight.
        let position =
            |state: &str| text.find(&format!("[{led}]")).and_then(|at| text[at..].find(&format!("\n{state} =")));
        lines.sort_by_key(|(state, _)| position(state));
        if led == "attention" {
            let lapsed = leds.get("lapsed").and_then(|lapsed| lapsed.get(led)).and_then(toml::Value::as_str);
            lines.push(("lapsed".to_owned(), lapsed.context("config/leds.toml: [lapsed] has no attention")?));
        }
        if let Some(unknown) = says.keys().find(|key| *key != "label" && !lines.iter().any(|(state, _)| state == *key))
        {
            bail!("config/led-card.toml: [{led}] explains {unknown:?}, which leds.toml has not");
        }
        for (at, (state, pattern)) in lines.iter().enumerate() {
            let text =
                says.get(state).with_context(|| format!("config/led-card.toml: [{led}] does not explain {state:?}"))?;
            let light: Pattern =
                patterns.get(*pattern).with_context(|| format!("no pattern {pattern:?}"))?.clone().try_into()?;
            rows.push_str("<tr>");
            if at == 0 {
                _ = write!(rows, "<th rowspan=\"{}\">{label}</th>", lines.len());
            }
            let how = match (light.lit, pattern) {
                (Some(true), _) => "steady",
                (Some(false), _) => "dark",
                (None, name) => name,
            };
            _ = writeln!(rows, "<td class=\"light\">{}<br>{how}</td><td>{text}</td></tr>", drawing(&light));
        }
    }
    Ok(PAGE.replace("{rows}", &rows))
}

/// Three seconds of light, left to right.
fn drawing(light: &Pattern) -> String {
    const WIDTH_MS: u32 = 3_000;
    let (on, off) = match (light.lit, light.on_ms, light.off_ms) {
        (Some(true), ..) => (WIDTH_MS, 0),
        (_, Some(on), Some(off)) => (on, off),
        _ => (0, WIDTH_MS),
    };
    let mut drawn = String::from(
        "<svg viewBox=\"0 0 3000 260\" width=\"120\" height=\"11\"><rect width=\"3000\" height=\"260\" fill=\"#222\"/>",
    );
    let mut at = 0;
    while at < WIDTH_MS {
        if on > 0 {
            _ = write!(drawn, "<rect x=\"{at}\" width=\"{}\" height=\"260\" fill=\"#ffd75e\"/>", on.min(WIDTH_MS - at));
        }
        at += on + off;
    }
    drawn + "</svg>"
}

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>GIFT-Cloud Edge: what the lights say</title>
<style>
@page { size: A4; margin: 14mm }
body { font: 10.5pt sans-serif; max-width: 180mm }
h1 { font-size: 17pt; margin: 0 0 2mm }
table { border-collapse: collapse; width: 100% }
th, td { border: 0.3mm solid #888; padding: 1.3mm 2mm; text-align: left; vertical-align: middle }
th { font-size: 12pt; width: 22mm }
td.light { width: 36mm; text-align: center; font-size: 9pt }
</style>
<h1>GIFT-Cloud Edge: what the lights say</h1>
<p>Scanner network into the port marked <b>Scanner</b>, internet into <b>Uplink</b>, power. There is nothing to switch on and nothing to set.
The bars show three seconds of a light. <b>All lights dark for more than three minutes</b> while the plug is in: call support. Images are never lost while the box is off: the scanner keeps them and sends again.</p>
<table>
{rows}</table>
</html>
"#;
