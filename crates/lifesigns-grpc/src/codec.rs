//! Messages to bytes and back, as tonic asks for it.

use bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::message::{Asked, Told};

/// Buffers of this size in bytes: each watcher has two of them for as long as it is there.
const BUFFER: usize = 256;

#[derive(Clone, Copy, Debug)]
pub(crate) struct HealthCodec;

impl Codec for HealthCodec {
    type Encode = Told;
    type Decode = Asked;
    type Encoder = HealthCodec;
    type Decoder = HealthCodec;

    fn encoder(&mut self) -> HealthCodec {
        *self
    }

    fn decoder(&mut self) -> HealthCodec {
        *self
    }
}

impl Encoder for HealthCodec {
    type Item = Told;
    type Error = Status;

    fn encode(&mut self, told: Told, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        told.encode(out);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}

impl Decoder for HealthCodec {
    type Item = Asked;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Asked>, Status> {
        let bytes = bytes.copy_to_bytes(bytes.remaining());
        let asked = Asked::decode(&bytes).map_err(|malformed| Status::internal(malformed.to_string()))?;
        Ok(Some(asked))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}
