//! Redacts Part 10 objects by hand: `redact IN OUT X,Y,W,H [X,Y,W,H …]`; IN is an object or a folder of them. For trying codecs
//! against real objects, and for `cargo xtask bench redact`; it makes up a template that matches the object, so it proves nothing
//! about policy.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{
    DataSet, Element, Limits, OutputMeta, Source, Sources, output_transfer_syntax, read_part10, write,
};
use gift_redact::{Decision, Method, NeverBurntIn, PixelLayout, Redacting, Templates, apply, decide};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 128 << 10;

/// An object as a file.
struct Object(File, u64);

impl Source for Object {
    fn len(&self) -> u64 {
        self.1
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

fn text(ds: &DataSet, tag: dicom_core::Tag) -> String {
    let bytes = ds.get(tag).and_then(|e| e.value.bytes()).unwrap_or_default();
    String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_owned()
}

fn redact(input: &Path, output: &Path, rects: &[String]) -> anyhow::Result<()> {
    let file = File::open(input)?;
    let length = file.metadata()?.len();
    let object = Object(file, length);
    let (meta, parsed) = read_part10(&object, &Limits::default())?;
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
    let plan = match decide(&ds, &meta.transfer_syntax_uid, &templates, &NeverBurntIn::default()) {
        Decision::Redact(plan) => plan,
        Decision::Hold(hold) => bail!("held: {}", hold.as_str()),
        Decision::Clear(_) => bail!("nothing to do"),
    };
    let mut scratch = Vec::new();
    let native = match plan.method() {
        Method::Native => Some(Redacting::new(&plan, &mut ds, &body)?),
        _ => {
            drop(apply(&plan, &mut ds, &body, &mut scratch)?);
            None
        }
    };
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(&ds, &meta.transfer_syntax_uid),
        sop_class_uid: text(&ds, tags::SOP_CLASS_UID),
        sop_instance_uid: text(&ds, tags::SOP_INSTANCE_UID),
    };
    let scratch: &dyn Source = native.as_ref().map_or(&scratch, |native| native);
    let mut out = BufWriter::with_capacity(WRITE_BYTES, File::create(output)?);
    write(&ds, &meta, Sources { input: &body, scratch }, &mut out)?;
    out.flush()?;
    native.map(Redacting::clearance).transpose()?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, rects @ ..] = &args[..] else { bail!("redact IN OUT X,Y,W,H …") };
    let (input, output) = (Path::new(input), Path::new(output));
    if !input.is_dir() {
        return redact(input, output, rects);
    }
    fs::create_dir_all(output)?;
    for entry in fs::read_dir(input)? {
        let entry = entry?;
        redact(&entry.path(), &output.join(entry.file_name()), rects)
            .with_context(|| entry.path().display().to_string())?;
    }
    Ok(())
}
