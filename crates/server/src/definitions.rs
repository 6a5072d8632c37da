//! Definition files as YAML.

use lineate_proto::v1::DefinitionFile;
use lineate_state::catalog::authored::Definitions;
use lineate_types::limits;

use crate::{Error, Result};

/// Reads files as one set of definitions of one project, in the order of the files.
///
/// # Errors
/// There is no file, one is no definition file, or they are of several projects.
pub(crate) fn read(files: &[DefinitionFile]) -> Result<Definitions> {
    let mut all: Option<Definitions> = None;
    for file in files {
        let definitions = parse(file)?;
        match &mut all {
            None => all = Some(definitions),
            Some(all) if all.project == definitions.project => {
                all.entities.extend(definitions.entities);
                all.views.extend(definitions.views);
                all.services.extend(definitions.services);
            }
            Some(all) => {
                return Err(Error::Invalid(format!(
                    "{}: it is of project `{}`, the files before it of `{}`; apply one project at a time",
                    file.name, definitions.project, all.project
                )));
            }
        }
    }
    all.ok_or_else(|| Error::Invalid("no file of definitions was given".into()))
}

fn parse(file: &DefinitionFile) -> Result<Definitions> {
    if file.yaml.len() > limits::DEFINITION_BYTES {
        return Err(Error::Invalid(format!(
            "{}: it has {} bytes; a file of definitions has at most {}",
            file.name,
            file.yaml.len(),
            limits::DEFINITION_BYTES
        )));
    }
    serde_saphyr::from_str(&file.yaml).map_err(|cause| Error::Invalid(format!("{}: {cause}", file.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, yaml: &str) -> DefinitionFile {
        DefinitionFile { name: name.into(), yaml: yaml.into() }
    }

    #[test]
    fn files_of_one_project_are_read_as_one() {
        let files = [
            file("a.yaml", "project: p\nentities:\n  - {name: e, keys: [{name: k, type: string}]}\n"),
            file(
                "b.yaml",
                "project: p\nservices:\n  - {name: s, features: [v.x, \"v.*\", {view: v, as: w, keys: {k: l}}]}\n",
            ),
        ];
        let all = read(&files).expect("valid");
        assert_eq!((all.entities.len(), all.services.len()), (1, 1));
        assert_eq!(all.services.first().map(|service| service.features.len()), Some(3));
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_place() {
        let cases = [
            (vec![], "no file"),
            (vec![file("a.yaml", "")], "a.yaml"),
            (vec![file("a.yaml", "project: p\nviws: []\n")], "viws"),
            (vec![file("a.yaml", "project: P\n")], "not a name"),
            (
                vec![file("a.yaml", "project: p\nservices:\n  - {name: s, features: [weather]}\n")],
                "weather.*",
            ),
            (
                vec![file("a.yaml", "project: p\n"), file("b.yaml", "project: q\n")],
                "b.yaml: it is of project `q`",
            ),
        ];
        for (files, expected) in cases {
            let error = read(&files).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        // Aliases that grow without bound are refused, not expanded.
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &(b'b'..b'k')
                .map(|c| {
                    let (name, before) = (c as char, (c - 1) as char);
                    format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
                })
                .collect::<String>();
        assert!(read(&[file("bomb.yaml", &bomb)]).is_err());
    }
}
