//! Rows into a file, whole or not at all: Parquet, Arrow, CSV or NDJSON, by the file's name.

use std::{
    fs::{self, File},
    io::{BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError, ipc, ipc::writer::IpcWriteOptions};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde_json::{Map, Value};

use super::cell;
use crate::error::Error;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC file.
    Arrow,
    /// Comma-separated values with a header.
    Csv,
    /// JSON objects, one a line.
    Ndjson,
}

/// Rows on their way into a file. The file appears under its name when it is finished.
pub(crate) struct RowFile {
    path: PathBuf,
    part: PathBuf,
    writer: Option<Writer>,
}

enum Writer {
    Parquet(Box<ArrowWriter<File>>),
    Arrow(Box<ipc::writer::FileWriter<BufWriter<File>>>),
    Csv(BufWriter<File>),
    Ndjson(BufWriter<File>),
}

impl FileFormat {
    /// The format a file's name asks for.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("arrow" | "feather" | "ipc") => Ok(Self::Arrow),
            Some("csv") => Ok(Self::Csv),
            Some("ndjson" | "jsonl") => Ok(Self::Ndjson),
            _ => Err(Error::Usage(format!(
                "the name `{}` says no format; end it in .parquet, .arrow, .csv or .ndjson",
                path.display()
            ))),
        }
    }
}

/// A file to be written, whose name says a format. For the command line.
pub(crate) fn named(text: &str) -> Result<PathBuf, Error> {
    let path = PathBuf::from(text);
    FileFormat::of(&path).map(|_| path)
}

/// Refuses a name under which no file can be written, before there is anything to write; leaves nothing behind.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    FileFormat::of(path)?;
    let failed = |source| Error::File { action: "write", path: path.to_owned(), source };
    if path.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    let part = unfinished(path);
    match File::create_new(&part) {
        Ok(_) => fs::remove_file(&part).map_err(failed),
        // Left by a process that was killed, or of one that still writes.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(failed(cause)),
    }
}

/// Where a file is until it is finished.
fn unfinished(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    PathBuf::from(part)
}

impl RowFile {
    /// Begins a file.
    pub(crate) fn create(path: &Path, schema: &SchemaRef) -> Result<Self, Error> {
        let format = FileFormat::of(path)?;
        let part = unfinished(path);
        let file = File::create(&part).map_err(|source| Error::File {
            action: "write",
            path: part.clone(),
            source,
        })?;
        let wrong = |why: String| Error::Rows { path: path.to_owned(), why };
        let writer = match format {
            FileFormat::Parquet => {
                let level = ZstdLevel::try_new(3).map_err(|cause| wrong(cause.to_string()))?;
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
                    .map_err(|cause| wrong(cause.to_string()))?;
                Writer::Parquet(Box::new(writer))
            }
            FileFormat::Arrow => {
                let writer = ipc::writer::FileWriter::try_new_with_options(
                    BufWriter::new(file),
                    schema,
                    IpcWriteOptions::default(),
                )
                .map_err(|cause| wrong(cause.to_string()))?;
                Writer::Arrow(Box::new(writer))
            }
            FileFormat::Csv => {
                let mut stream = BufWriter::new(file);
                let names = schema.fields().iter().map(|field| csv_text(field.name()));
                let header = names.collect::<Vec<_>>().join(",");
                writeln!(stream, "{header}").map_err(|cause| wrong(cause.to_string()))?;
                Writer::Csv(stream)
            }
            FileFormat::Ndjson => Writer::Ndjson(BufWriter::new(file)),
        };
        Ok(Self { path: path.to_owned(), part, writer: Some(writer) })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let written = match self.writer.as_mut() {
            Some(Writer::Parquet(writer)) => writer.write(batch).map_err(|cause| cause.to_string()),
            Some(Writer::Arrow(writer)) => writer.write(batch).map_err(|cause| cause.to_string()),
            Some(Writer::Csv(writer)) => csv(batch, writer).map_err(|cause| cause.to_string()),
            Some(Writer::Ndjson(writer)) => ndjson(batch, writer).map_err(|cause| cause.to_string()),
            None => Ok(()),
        };
        written.map_err(|why| Error::Rows { path: self.path.clone(), why })
    }

    /// Ends the file, makes it durable and gives it its name. Returns its bytes.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        let (path, part) = (self.path.clone(), self.part.clone());
        let wrong = |why: String| Error::Rows { path: path.clone(), why };
        let Some(writer) = self.writer.take() else { return Ok(0) };
        let file = match writer {
            Writer::Parquet(writer) => writer.into_inner().map_err(|cause| wrong(cause.to_string()))?,
            Writer::Arrow(writer) => {
                let inner = writer.into_inner().map_err(|cause: ArrowError| wrong(cause.to_string()))?;
                inner.into_inner().map_err(|cause| wrong(cause.to_string()))?
            }
            Writer::Csv(writer) | Writer::Ndjson(writer) => {
                writer.into_inner().map_err(|cause| wrong(cause.to_string()))?
            }
        };
        let end = || {
            file.sync_all()?;
            fs::rename(&part, &path)?;
            Ok(file.metadata()?.len())
        };
        end().map_err(|source| Error::File { action: "write", path: path.clone(), source })
    }
}

impl Drop for RowFile {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Writes rows as lines of values: a null is nothing, text that is empty or holds a mark is quoted (RFC 4180),
/// what is nested is JSON.
fn csv(batch: &RecordBatch, stream: &mut impl Write) -> std::io::Result<()> {
    let schema = batch.schema();
    for row in 0..batch.num_rows() {
        for (position, (field, column)) in schema.fields().iter().zip(batch.columns()).enumerate() {
            if position != 0 {
                stream.write_all(b",")?;
            }
            match cell::json(field, column, row) {
                Value::Null => {}
                Value::String(text) => stream.write_all(csv_text(&text).as_bytes())?,
                other => stream.write_all(csv_text(&other.to_string()).as_bytes())?,
            }
        }
        stream.write_all(b"\n")?;
    }
    Ok(())
}

fn csv_text(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains([',', '"', '\n', '\r']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// Writes rows as JSON objects, one a line.
pub(crate) fn ndjson(batch: &RecordBatch, stream: &mut (impl Write + ?Sized)) -> std::io::Result<()> {
    let schema = batch.schema();
    for row in 0..batch.num_rows() {
        let members: Map<String, Value> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| (field.name().clone(), cell::json(field, column, row)))
            .collect();
        serde_json::to_writer(&mut *stream, &members)?;
        stream.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("name", Arc::new(StringArray::from(vec!["a,\"b", ""]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        ];
        RecordBatch::try_from_iter(columns).expect("equal lengths")
    }

    #[test]
    fn rows_come_back_from_every_format() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let batch = batch();
        for name in ["rows.parquet", "rows.arrow", "rows.csv", "rows.ndjson"] {
            let path = directory.path().join(name);
            let mut file = RowFile::create(&path, &batch.schema()).expect("creates");
            file.write(&batch).expect("writes");
            assert!(!path.exists(), "{name} appears only when it is whole");
            let bytes = file.finish().expect("finishes");
            assert_eq!(fs::metadata(&path).expect("exists").len(), bytes);
        }
        let open = |name: &str| File::open(directory.path().join(name)).expect("exists");
        let parquet = ParquetRecordBatchReaderBuilder::try_new(open("rows.parquet")).expect("parquet");
        let read: Vec<RecordBatch> =
            parquet.build().expect("reads").collect::<Result<_, _>>().expect("decodes");
        assert_eq!(read, std::slice::from_ref(&batch));
        let arrow = ipc::reader::FileReader::try_new(open("rows.arrow"), None).expect("arrow");
        assert_eq!(arrow.collect::<Result<Vec<_>, _>>().expect("decodes"), [batch]);
        let text = |name: &str| fs::read_to_string(directory.path().join(name)).expect("exists");
        assert_eq!(
            text("rows.ndjson"),
            "{\"id\":1,\"name\":\"a,\\\"b\",\"at\":\"1970-01-01T00:00:00.000000Z\"}\n\
             {\"id\":null,\"name\":\"\",\"at\":\"1970-01-01T00:00:00.000001Z\"}\n"
        );
        assert_eq!(
            text("rows.csv"),
            "id,name,at\n1,\"a,\"\"b\",1970-01-01T00:00:00.000000Z\n,\"\",1970-01-01T00:00:00.000001Z\n"
        );
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("rows.parquet");
        let mut file = RowFile::create(&path, &batch().schema()).expect("creates");
        file.write(&batch()).expect("writes");
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).expect("lists").count(), 0);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_refused_before_and_a_check_leaves_nothing() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("a.csv")).expect("makes");
        for wrong in ["none/rows.csv", "a.csv"] {
            assert!(matches!(check(&path(wrong)), Err(Error::File { .. })), "{wrong}");
        }
        assert!(matches!(check(&path("rows.xlsx")), Err(Error::Usage(_))));
        check(&path("rows.csv")).expect("can be written");
        assert_eq!(fs::read_dir(directory.path()).expect("lists").count(), 1);
    }

    #[test]
    fn a_name_without_a_format_is_refused() {
        assert!(matches!(FileFormat::of(Path::new("rows")), Err(Error::Usage(_))));
        assert!(matches!(FileFormat::of(Path::new("rows.xlsx")), Err(Error::Usage(_))));
    }
}
