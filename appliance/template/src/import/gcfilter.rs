//! GIFT-Cloud filters: one JSON object with the attributes that must be equal and the rectangles that are blanked
//! (github.com/gift-surg/GiftCloudUploader, PixelDataAnonymiserFilterJsonWriter.java, `.gcfilter` 1.0).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Problem,
    rule::{Area, Attribute, How, Parsed, Rule, Test},
};

/// What FileType says.
const TYPE: &str = "GIFT-Cloud Anonymisation Filter";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter<'a> {
    file_type: String,
    minimum_version: String,
    #[serde(borrow)]
    required_tags: Vec<&'a RawValue>,
    #[serde(borrow)]
    redacted_shapes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RequiredTag {
    dicom_group: u16,
    dicom_element: u16,
    #[serde(rename = "ValueType")]
    _value_type: String,
    value: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Shape {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Reads one.
pub(super) fn read(text: &str) -> Result<Parsed, Problem> {
    let wrong = |line: usize, error: &serde_json::Error| {
        Problem::at((line + error.line().max(1)) - 1, format!("not a GIFT-Cloud filter: {error}"))
    };
    let filter: Filter<'_> = serde_json::from_str(text).map_err(|e| wrong(1, &e))?;
    if filter.file_type != TYPE {
        return Err(Problem::at(1, format!("FileType is not \"{TYPE}\"")));
    }
    // As GIFT-Cloud itself compares: 1.0 is the version that is known.
    if !matches!(filter.minimum_version.as_str(), "1" | "1.0") {
        return Err(Problem::at(1, "MinimumVersion is greater than 1.0"));
    }
    // A part of the text knows where in it it begins.
    let line_of = |part: &RawValue| {
        let offset = (part.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
        text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count() + 1
    };
    let mut rule = Rule { line: 1, ..Rule::default() };
    for part in filter.required_tags {
        let line = line_of(part);
        let tag: RequiredTag = serde_json::from_str(part.get()).map_err(|e| wrong(line, &e))?;
        let value = match tag.value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(Problem::at(line, "Value is neither a text nor a number")),
        };
        rule.tests.push(Test {
            line,
            attribute: Attribute::of(&format!("{:04x},{:04x}", tag.dicom_group, tag.dicom_element)),
            how: How::Equals { case: true },
            values: vec![value],
        });
    }
    for part in filter.redacted_shapes {
        let line = line_of(part);
        let shape: Shape = serde_json::from_str(part.get()).map_err(|e| wrong(line, &e))?;
        let Shape { x, y, width, height } = shape;
        if ![x, y, width, height].iter().all(|v| v.is_finite() && v.abs() <= 1e6) || width <= 0.0 || height <= 0.0 {
            return Err(Problem::at(line, "not a rectangle"));
        }
        // Drawn by hand, in fractions of a pixel: outwards. What is left of the image is no column counted from the right.
        let (x0, y0) = (x.floor().max(0.0), y.floor().max(0.0));
        let xywh = [x0, y0, (x + width).ceil() - x0, (y + height).ceil() - y0].map(|v| v as i64);
        rule.blank.push(Area { line, xywh });
    }
    Ok((vec![rule], Vec::new()))
}
