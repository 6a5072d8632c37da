//! The files of the checkout: those git tracks, and new ones it would not ignore.
//!
//! Binary files are listed but not read. Paths are relative to the root, with `/`, in order.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{Error, process};

/// A text file of the checkout.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Relative to the root, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The files of the checkout.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The text files, ordered by path.
    pub texts: Vec<TextFile>,
    /// Every file, text or not, ordered.
    pub paths: Vec<String>,
}

/// The root of the checkout that cargo was asked in; of the one this program was compiled from if nobody asks cargo.
///
/// They differ where checkouts share a target directory: cargo may then run a program that another one compiled.
pub fn root() -> PathBuf {
    let manifest_directory =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest_directory.parent().map_or_else(|| manifest_directory.clone(), Path::to_path_buf)
}

impl Tree {
    /// Reads the checkout at `root`.
    ///
    /// # Errors
    /// When git cannot list it, or a listed file cannot be read.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let listed = process::capture(
            root,
            "git",
            &["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        )?;
        let mut paths: Vec<String> =
            listed.split('\0').filter(|path| !path.is_empty()).map(Into::into).collect();
        // A file removed but not yet committed is still listed; a link may point outside.
        paths.retain(|path| root.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
        paths.sort();

        let mut texts = Vec::new();
        for path in &paths {
            let full = root.join(path);
            let bytes = fs::read(&full).map_err(|source| Error::File { path: full, source })?;
            if let Some(text) = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')) {
                texts.push(TextFile { path: path.clone(), text });
            }
        }
        Ok(Self { texts, paths })
    }

    /// A tree of these texts, for tests of the rules.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let texts: Vec<_> = files
            .iter()
            .map(|(path, text)| TextFile { path: (*path).into(), text: (*text).into() })
            .collect();
        let paths = texts.iter().map(|file| file.path.clone()).collect();
        Self { texts, paths }
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// The texts whose path ends so.
    pub fn ending(&self, suffix: &str) -> impl Iterator<Item = &TextFile> {
        self.texts.iter().filter(move |file| file.path.ends_with(suffix))
    }
}

impl TextFile {
    /// The lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The crate this file is a source of: `segment` for `crates/segment/src/run.rs`.
    pub fn source_of(&self) -> Option<&str> {
        let (crate_name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        (rest.starts_with("src/") && rest.ends_with(".rs")).then_some(crate_name)
    }
}
