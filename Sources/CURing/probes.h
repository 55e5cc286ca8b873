// Places that a tracer can stop at: USDT probes of the provider `shuttle`. Each is a `nop` and a note in the binary that says
// where it is and which registers hold its arguments; docs/tracing.md tells what they mean. Without Debian's
// systemtap-sdt-dev there are none, and nothing else changes.
//
// Swift cannot import macros, hence the functions. They must be inlined: a call would cost more than the probe.
#pragma once
#include <stdint.h>

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define SHUTTLE_PROBE(macro, ...) macro(shuttle, __VA_ARGS__)
#else
#define SHUTTLE_PROBE(macro, ...) ((void)0)
#endif

#define SHUTTLE_INLINE static inline __attribute__((always_inline)) void

// A turn of a ring's loop: how many completions it handled, and nanoseconds since the turn before.
SHUTTLE_INLINE shuttle_probe_turn(uint32_t ring, uint32_t completions, uint64_t nanoseconds)
{
    SHUTTLE_PROBE(DTRACE_PROBE3, turn, ring, completions, nanoseconds);
}

// A client was accepted.
SHUTTLE_INLINE shuttle_probe_session_start(uint32_t ring, uint32_t slot, int32_t descriptor)
{
    SHUTTLE_PROBE(DTRACE_PROBE3, session_start, ring, slot, descriptor);
}

// A connect has come to an end: 0, or the errno that it failed with, negative.
SHUTTLE_INLINE shuttle_probe_connect_end(uint32_t ring, uint32_t slot, int32_t result)
{
    SHUTTLE_PROBE(DTRACE_PROBE3, connect_end, ring, slot, result);
}

// A session is over; `record` points to its record, 64-bit words in the order of SessionRecord.Word.
SHUTTLE_INLINE shuttle_probe_session_end(uint32_t ring, uint32_t slot, const void *record)
{
    SHUTTLE_PROBE(DTRACE_PROBE3, session_end, ring, slot, record);
}

// A receive found no buffer.
SHUTTLE_INLINE shuttle_probe_starved(uint32_t ring, uint32_t slot)
{
    SHUTTLE_PROBE(DTRACE_PROBE2, starved, ring, slot);
}

// A listener, by its place on the ring, takes nobody for a while, for want of descriptors or of places for sessions.
SHUTTLE_INLINE shuttle_probe_accept_pause(uint32_t ring, uint32_t listener)
{
    SHUTTLE_PROBE(DTRACE_PROBE2, accept_pause, ring, listener);
}

// A configuration was taken up: its number, and the nanoseconds that it took.
SHUTTLE_INLINE shuttle_probe_adopt(uint32_t ring, uint64_t epoch, uint64_t nanoseconds)
{
    SHUTTLE_PROBE(DTRACE_PROBE3, adopt, ring, epoch, nanoseconds);
}
