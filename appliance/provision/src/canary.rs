//! The canary's part of the settings: how its synthetic patient is let in and where it goes. A hospital's settings need not know: where
//! `health.toml` asks for canaries, this adds to them, and the canary's own settings appear.
//!
//! No scanner can pass for it: the route asks for the source 127.0.0.1, which the kernel takes from no wire.

use gift_wire::{CANARY_PROJECT, status::CANARY_SCANNER};
use toml::{Table, Value};

/// What calls how: the file that the canary itself is built with.
const DEFINITION: &str = include_str!("../../../config/canary.toml");
/// The canary's own settings.
pub const SETTINGS: &str = include_str!("../../../config/samples/canary.toml");
/// Where it comes from.
const SOURCE: &str = "127.0.0.1";

/// Why nothing could be added. Quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanaryError {
    /// Settings that are no TOML, or of another form.
    #[error("{0}: not of the form that a canary can be added to")]
    Form(&'static str),
    /// No route whose profile and key the canary could take.
    #[error("deid.toml: no route to go by")]
    NoRoute,
}

/// True when these settings of gift-health ask for canaries.
#[must_use]
pub fn is_asked_for(health: &str) -> bool {
    health.parse::<Table>().is_ok_and(|health| health.contains_key("canary"))
}

/// The settings of gift-receiver with the canary as a scanner.
///
/// # Errors
/// [`CanaryError::Form`].
pub fn in_receiver(receiver: &str) -> Result<String, CanaryError> {
    let form = CanaryError::Form("receiver.toml");
    let (calling, called) = titles()?;
    let mut settings: Table = receiver.parse().map_err(|_| form)?;
    // Without titles, the box answers to any.
    if let Some(titles) = settings.get_mut("called-ae-titles") {
        let titles = titles.as_array_mut().ok_or(form)?;
        if !titles.is_empty() && !titles.contains(&called) {
            titles.push(called);
        }
    }
    let scanner = [
        ("ordinal", Value::from(i64::from(CANARY_SCANNER))),
        ("calling-ae", calling),
        ("address", Value::from(SOURCE)),
    ];
    put_first(&mut settings, "scanners", table(scanner), form)?;
    toml::to_string(&settings).map_err(|_| form)
}

/// The settings of gift-deid with a route for the canary, before all others: it goes by profile and key of the first of them.
///
/// # Errors
/// [`CanaryError`].
pub fn in_deid(deid: &str) -> Result<String, CanaryError> {
    let form = CanaryError::Form("deid.toml");
    let (calling, called) = titles()?;
    let mut settings: Table = deid.parse().map_err(|_| form)?;
    let first = settings.get("route").and_then(Value::as_array).and_then(|routes| routes.first()).cloned();
    let first = first.ok_or(CanaryError::NoRoute)?;
    let mut route = table([
        ("called-ae", called),
        ("calling-ae", calling),
        ("source", Value::from(SOURCE)),
        ("project", Value::from(CANARY_PROJECT)),
    ]);
    for name in ["profile", "key"] {
        if let Some(value) = first.get(name) {
            route.insert(name.to_owned(), value.clone());
        }
    }
    put_first(&mut settings, "route", route, form)?;
    toml::to_string(&settings).map_err(|_| form)
}

/// Calling and called AE title.
fn titles() -> Result<(Value, Value), CanaryError> {
    let form = CanaryError::Form("config/canary.toml");
    let mut definition: Table = DEFINITION.parse().map_err(|_| form)?;
    let mut title = |name| definition.remove(name).filter(Value::is_str).ok_or(form);
    Ok((title("calling-ae")?, title("called-ae")?))
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn put_first(settings: &mut Table, name: &str, entry: Table, form: CanaryError) -> Result<(), CanaryError> {
    let list = settings.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut().ok_or(form)?.insert(0, Value::Table(entry));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RECEIVER: &str = include_str!("../../../config/samples/receiver.toml");
    const DEID: &str = include_str!("../../../config/samples/deid.toml");

    /// `text` without the canary's entry in the list `name`, which must be the first.
    fn rest(text: &str, name: &str) -> Table {
        let mut table: Table = text.parse().unwrap();
        let list = table[name].as_array_mut().unwrap();
        assert_eq!(list[0]["calling-ae"].as_str(), Some("GIFT-CANARY"));
        list.remove(0);
        table
    }

    #[test]
    fn the_receiver_answers_to_the_canary_and_all_else_stays() {
        let mut after = rest(&in_receiver(RECEIVER).unwrap(), "scanners");
        assert_eq!(after["called-ae-titles"].as_array_mut().unwrap().pop().unwrap().as_str(), Some("GIFT-CANARY"));
        assert_eq!(after, RECEIVER.parse::<Table>().unwrap());
        let any = in_receiver("called-ae-titles = []").unwrap();
        assert_eq!(any.parse::<Table>().unwrap()["called-ae-titles"], Value::Array(Vec::new()), "any stays any");
        assert!(in_receiver("scanners = 5").is_err() && in_receiver("x").is_err());
    }

    #[test]
    fn the_route_comes_first_demands_the_loopback_and_has_profile_and_key_of_the_real_path() {
        let text = in_deid(DEID).unwrap();
        assert_eq!(rest(&text, "route"), DEID.parse::<Table>().unwrap());
        let route = text.parse::<Table>().unwrap()["route"][0].clone();
        assert_eq!(route["source"].as_str(), Some("127.0.0.1"));
        assert_eq!((route["project"].as_str(), route["profile"].as_str()), (Some("canary"), Some("gift-default-1")));
        assert_eq!(route.get("key"), None);
        let keyed = in_deid(
            &DEID.replace("profile = \"gift-default-1\"", "profile = \"p-2\"\nkey = \"other\"\nlinkage = \"uk\""),
        );
        let route = keyed.unwrap().parse::<Table>().unwrap()["route"][0].clone();
        assert_eq!((route["profile"].as_str(), route["key"].as_str()), (Some("p-2"), Some("other")));
        assert_eq!(route.get("linkage"), None, "no patient of a domain");
        assert_eq!(in_deid("x = 1"), Err(CanaryError::NoRoute));
    }

    #[test]
    fn it_is_there_only_where_health_asks_for_it() {
        let health = include_str!("../../../config/samples/health.toml");
        assert!(!is_asked_for(health) && is_asked_for(&health.replace("# [canary]", "[canary]")));
    }
}
