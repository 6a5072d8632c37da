//! The decoder of a sequence of Arrow IPC messages.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    buffer::Buffer,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{self, MessageHeader, convert::fb_to_schema, reader},
};
use bytes::Bytes;

use super::{super::unwinding::caught, IpcLimits, check};
use crate::{Error, Result};

/// Decodes messages one by one, as Flight carries them: a schema first, then dictionaries and batches.
pub struct IpcDecoder {
    limits: IpcLimits,
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
    dictionary_messages: usize,
    deltas: usize,
    batches: usize,
}

impl IpcDecoder {
    /// A decoder that has seen nothing.
    pub fn new(limits: IpcLimits) -> Self {
        Self {
            limits,
            schema: None,
            dictionaries: HashMap::new(),
            dictionary_messages: 0,
            deltas: 0,
            batches: 0,
        }
    }

    /// The schema, once its message came.
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Takes one message: its flatbuffer (without length or continuation marker) and its body. Gives a batch
    /// for a record batch, nothing for a schema or a dictionary.
    ///
    /// # Errors
    /// The message is damaged, too large, or out of order. The decoder is of no use after an error.
    pub fn message(&mut self, header: &[u8], body: Bytes) -> Result<Option<RecordBatch>> {
        let message = check::message(header)?;
        match message.header_type() {
            MessageHeader::Schema => {
                let fields = message.header_as_schema().ok_or_else(|| lacks("schema"))?;
                self.take_schema(fields).map(|()| None)
            }
            MessageHeader::DictionaryBatch => {
                let dictionary = message.header_as_dictionary_batch().ok_or_else(|| lacks("dictionary"))?;
                self.take_dictionary(dictionary, message.version(), body).map(|()| None)
            }
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or_else(|| lacks("batch"))?;
                self.take_batch(batch, message.version(), body).map(Some)
            }
            MessageHeader::NONE => Ok(None),
            other => {
                let kind = other.variant_name().unwrap_or("unknown");
                Err(Error::Format(format!("arrow messages of kind `{kind}` are not read")))
            }
        }
    }

    /// Takes a schema that stands outside of a message, as in the footer of a file.
    ///
    /// # Errors
    /// There is one already, or it is damaged or too large.
    pub(in crate::intake) fn take_schema(&mut self, schema: ipc::Schema<'_>) -> Result<()> {
        if self.schema.is_some() {
            return Err(Error::Format("an arrow stream has one schema; a second one came".into()));
        }
        check::schema(schema, &self.limits)?;
        let schema = guarded(|| Ok(fb_to_schema(schema)))?;
        self.schema = Some(Arc::new(schema));
        Ok(())
    }

    fn take_dictionary(
        &mut self,
        dictionary: ipc::DictionaryBatch<'_>,
        version: ipc::MetadataVersion,
        body: Bytes,
    ) -> Result<()> {
        self.dictionary_messages += 1;
        self.deltas += usize::from(dictionary.isDelta());
        if self.dictionary_messages > self.limits.dictionaries {
            return Err(too_many("dictionaries of an arrow stream", self.limits.dictionaries));
        }
        if self.deltas > self.limits.deltas {
            return Err(too_many("delta dictionaries of an arrow stream", self.limits.deltas));
        }
        let batch = dictionary.data().ok_or_else(|| lacks("dictionary"))?;
        check::record_batch(batch, &body, &self.limits)?;
        let schema = self.known_schema()?;
        let dictionaries = &mut self.dictionaries;
        guarded(|| {
            reader::read_dictionary(&Buffer::from(body), dictionary, &schema, dictionaries, &version)
        })?;
        let held: usize = self.dictionaries.values().map(|values| values.get_array_memory_size()).sum();
        // Sizes in memory count what is padded and shared, hence the factor.
        if held > self.limits.bytes.saturating_mul(4) {
            return Err(too_many("bytes of the dictionaries of an arrow stream", self.limits.bytes));
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        batch: ipc::RecordBatch<'_>,
        version: ipc::MetadataVersion,
        body: Bytes,
    ) -> Result<RecordBatch> {
        self.batches += 1;
        if self.batches > self.limits.batches {
            return Err(too_many("batches of an arrow stream", self.limits.batches));
        }
        check::record_batch(batch, &body, &self.limits)?;
        let schema = self.known_schema()?;
        let dictionaries = &self.dictionaries;
        guarded(|| {
            reader::read_record_batch(&Buffer::from(body), batch, schema, dictionaries, None, &version)
        })
    }

    fn known_schema(&self) -> Result<Arc<Schema>> {
        self.schema.clone().ok_or_else(|| Error::Format("an arrow stream begins with its schema".into()))
    }
}

impl std::fmt::Debug for IpcDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IpcDecoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

fn lacks(what: &str) -> Error {
    Error::Format(format!("arrow data is damaged: a message without its {what}"))
}

fn too_many(what: &'static str, limit: usize) -> Error {
    Error::TooMuch { what, actual: limit as u64 + 1, limit: limit as u64 }
}

/// Runs Arrow's decoder, whose panics on hostile bytes become errors.
fn guarded<T>(decode: impl FnOnce() -> std::result::Result<T, ArrowError>) -> Result<T> {
    match caught(decode) {
        Some(Ok(decoded)) => Ok(decoded),
        Some(Err(cause)) => Err(Error::Format(format!("arrow data is damaged: {cause}"))),
        None => Err(Error::Format("arrow data is damaged: it cannot be decoded".into())),
    }
}
