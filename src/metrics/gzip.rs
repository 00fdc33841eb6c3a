//! One gzip member out of parts that were deflated apart.
//!
//! Each part ends on a byte boundary (full flush), so parts can be joined; the checksums are combined without reading the
//! data again. Members joined one after another would be simpler, but curl and Python read only the first.

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// A part of a body, deflated.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    deflated: Bytes,
    checksum: crc32fast::Hasher,
    length: u64,
}

/// Deflates a part, fast rather than small: a scrape crosses one network once.
pub(super) fn deflate(text: &[u8]) -> Segment {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(text);
    let mut compress = Compress::new(Compression::fast(), false);
    let mut deflated = Vec::with_capacity(text.len() / 6 + 64);
    loop {
        let read = usize::try_from(compress.total_in()).unwrap_or(text.len());
        // More room than it needs: a full flush is done when it leaves some of it unused.
        deflated.reserve(deflated.len().max(1024));
        let status = compress.compress_vec(&text[read..], &mut deflated, FlushCompress::Full);
        let read_all = compress.total_in() == text.len() as u64;
        let room_left = deflated.len() < deflated.capacity();
        match status {
            Ok(Status::Ok | Status::BufError) if !(read_all && room_left) => {}
            Ok(Status::Ok | Status::BufError | Status::StreamEnd) | Err(_) => break,
        }
    }
    deflated.shrink_to_fit();
    Segment { deflated: deflated.into(), checksum, length: text.len() as u64 }
}

/// Joins parts into one gzip member (RFC 1952).
pub(super) fn member(segments: &[&Segment]) -> Bytes {
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
    /// An empty last block: what ends a deflate stream (RFC 1951).
    const LAST_BLOCK: [u8; 2] = [3, 0];
    let size = segments.iter().map(|segment| segment.deflated.len()).sum::<usize>() + HEAD.len() + LAST_BLOCK.len() + 8;
    let mut member = Vec::with_capacity(size);
    let mut checksum = crc32fast::Hasher::new();
    let mut length = 0_u64;
    member.extend_from_slice(&HEAD);
    for segment in segments {
        member.extend_from_slice(&segment.deflated);
        checksum.combine(&segment.checksum);
        length += segment.length;
    }
    member.extend_from_slice(&LAST_BLOCK);
    member.extend_from_slice(&checksum.finalize().to_le_bytes());
    // The length is told modulo 2^32.
    member.extend_from_slice(&length.to_le_bytes()[..4]);
    member.into()
}

#[cfg(test)]
mod tests {
    use super::{deflate, member};
    use std::io::Read;

    #[test]
    fn parts_of_any_size_inflate_to_what_went_in() {
        let noise =
            |n: usize| -> Vec<u8> { (0..n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect() };
        for parts in [vec![], vec![0], vec![1], vec![0, 5, 0], vec![1023, 1024, 1025], vec![300_000, 7, 2_000_000]] {
            let parts: Vec<Vec<u8>> = parts.into_iter().map(noise).collect();
            let segments: Vec<_> = parts.iter().map(|part| deflate(part)).collect();
            let joined = member(&segments.iter().collect::<Vec<_>>());
            let mut inflated = Vec::new();
            flate2::read::GzDecoder::new(&joined[..]).read_to_end(&mut inflated).unwrap();
            assert!(inflated == parts.concat(), "parts of {:?} bytes", parts.iter().map(Vec::len).collect::<Vec<_>>());
        }
    }
}
