//! The quick walk through the inside of a string: nearly all of what we read.

/// The first offset at or after `at` of a quote, a backslash or a control character.
#[inline]
pub(super) fn skip_plain(text: &[u8], mut at: usize) -> Option<usize> {
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let ends = ends(block);
        if ends != 0 {
            return Some(at + ends.trailing_zeros() as usize);
        }
        at += 16;
    }
    let rest = text.get(at..)?;
    match text.last_chunk() {
        // What is left is looked at together with what stands before it, which does not count.
        Some(block) => {
            let ends = ends(block) >> (16 - rest.len());
            (ends != 0).then(|| at + ends.trailing_zeros() as usize)
        }
        None => rest.iter().position(is_end).map(|offset| at + offset),
    }
}

fn is_end(byte: &u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

/// Which bytes of a block end the walk: a bit each, the lowest for the first.
#[cfg(target_arch = "x86_64")]
#[inline]
fn ends(block: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: the load reads the sixteen bytes that the reference points to and asks for no alignment; what it and the others
    // need of the processor, SSE2, belongs to every x86-64.
    #[expect(unsafe_code, reason = "the compiler finds no way of its own to ask for these instructions")]
    let marks = unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast::<__m128i>());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control))
    };
    marks.cast_unsigned()
}

/// The same, for the compiler to do as well as it can.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn ends(block: &[u8; 16]) -> u32 {
    portable_ends(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable_ends(block: &[u8; 16]) -> u32 {
    block.iter().enumerate().fold(0, |marks, (place, byte)| marks | u32::from(is_end(byte)) << place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_stops_where_a_look_at_each_byte_would(
            mut text in prop::collection::vec(0x20u8.., 0..70),
            changes in prop::collection::vec((0usize..70, any::<u8>()), 0..4),
            at in 0usize..75,
        ) {
            text.iter_mut().filter(|byte| is_end(byte)).for_each(|byte| *byte = 0x7f);
            for (place, byte) in changes {
                if let Some(place) = text.get_mut(place) { *place = byte; }
            }
            let expected = text.get(at..).and_then(|rest| rest.iter().position(is_end)).map(|offset| at + offset);
            prop_assert_eq!(skip_plain(&text, at), expected);
        }

        #[test]
        fn both_ways_to_look_at_a_block_agree(block in prop::array::uniform16(prop_oneof![any::<u8>(), 0u8..0x60])) {
            prop_assert_eq!(ends(&block), portable_ends(&block));
        }
    }
}
