//! Redacts one Part 10 object by hand: `redact IN OUT X,Y,W,H [X,Y,W,H …]`. For trying codecs against real objects; it
//! makes up a template that matches the object, so it proves nothing about policy.

use anyhow::{Context, bail};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{
    DataSet, Element, Limits, OutputMeta, Sources, output_transfer_syntax, read_part10, write,
};
use gift_redact::{Decision, NeverBurntIn, PixelLayout, Templates, apply, decide};

fn text(ds: &DataSet, tag: dicom_core::Tag) -> String {
    let bytes = ds.get(tag).and_then(|e| e.value.bytes()).unwrap_or_default();
    String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_owned()
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, rects @ ..] = &args[..] else { bail!("redact IN OUT X,Y,W,H …") };
    let bytes = std::fs::read(input)?;
    let (meta, parsed) = read_part10(&bytes, &Limits::default())?;
    let (mut ds, body) = (parsed.data_set, parsed.body);
    ds.insert(Element::new(tags::MANUFACTURER, VR::LO, "example"));
    ds.insert(Element::new(tags::MANUFACTURER_MODEL_NAME, VR::LO, "example"));
    let layout = PixelLayout::of(&ds).context("image pixel module")?;
    let regions = rects.iter().map(|r| format!("[{r}]")).collect::<Vec<_>>().join(",");
    let template = format!(
        "version = 1\n[[template]]\nid = \"example\"\nsource = \"command line\"\nregions = [{regions}]\n[template.match]\n\
         manufacturer = \"example\"\nmodel = \"example\"\nrows = {}\ncolumns = {}\nsop-classes = [\"{}\"]\n\
         photometric-interpretations = [\"{}\"]\ntransfer-syntaxes = [\"{}\"]\n\
         [template.verified]\nby = \"example\"\non = \"today\"\nevidence = \"none\"\n",
        layout.rows,
        layout.columns,
        text(&ds, tags::SOP_CLASS_UID),
        layout.photometric.as_str(),
        meta.transfer_syntax_uid,
    );
    let templates = Templates::parse([("command line", template)])?;
    let mut scratch = Vec::new();
    match decide(&ds, &meta.transfer_syntax_uid, &templates, &NeverBurntIn::default()) {
        Decision::Redact(plan) => drop(apply(&plan, &mut ds, &body, &mut scratch)?),
        Decision::Hold(hold) => bail!("held: {}", hold.as_str()),
        Decision::Clear(_) => bail!("nothing to do"),
    }
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(&ds, &meta.transfer_syntax_uid),
        sop_class_uid: text(&ds, tags::SOP_CLASS_UID),
        sop_instance_uid: text(&ds, tags::SOP_INSTANCE_UID),
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(output)?);
    write(&ds, &meta, Sources { input: &body, scratch: &scratch }, &mut out)?;
    Ok(())
}
