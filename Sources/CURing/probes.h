// Places that a tracer can stop at: USDT probes of the provider `shuttle`. Each is a `nop` and a note in the binary that says
// where it is and which registers hold its arguments; docs/tracing.md tells what they mean. Without Debian's
// systemtap-sdt-dev there are none, and nothing else changes.
//
// Which ring it is need not be said: its thread is called so.
//
// Swift cannot import macros, hence the functions. They must be inlined: a call would cost more than the probe.
#pragma once
#include <stdint.h>

#if __has_include(<sys/sdt.h>)
// In a register or as a constant, where they are anyway. Given the choice of memory as well, as by default, clang writes each
// argument onto the stack for its probe.
#define STAP_SDT_ARG_CONSTRAINT nr
#include <sys/sdt.h>
#define SHUTTLE_PROBE(macro, ...) macro(shuttle, __VA_ARGS__)
#else
#define SHUTTLE_PROBE(macro, ...) ((void)0)
#endif

#define SHUTTLE_INLINE static inline __attribute__((always_inline)) void

// A turn of a ring's loop: how many completions it handled, and nanoseconds since the turn before.
SHUTTLE_INLINE shuttle_probe_turn(uint32_t completions, uint64_t nanoseconds)
{
    SHUTTLE_PROBE(DTRACE_PROBE2, turn, completions, nanoseconds);
}

// A client was accepted.
SHUTTLE_INLINE shuttle_probe_session_start(uint32_t slot, int32_t descriptor)
{
    SHUTTLE_PROBE(DTRACE_PROBE2, session_start, slot, descriptor);
}

// A connect has come to an end: 0, or the errno that it failed with, negative.
SHUTTLE_INLINE shuttle_probe_connect_end(uint32_t slot, int32_t result)
{
    SHUTTLE_PROBE(DTRACE_PROBE2, connect_end, slot, result);
}

// A session is over; `record` points to its record, 64-bit words in the order of SessionRecord.Word.
SHUTTLE_INLINE shuttle_probe_session_end(const void *record)
{
    SHUTTLE_PROBE(DTRACE_PROBE1, session_end, record);
}

// A receive found no buffer.
SHUTTLE_INLINE shuttle_probe_starved(uint32_t slot)
{
    SHUTTLE_PROBE(DTRACE_PROBE1, starved, slot);
}

// A listener, by its place on the ring, takes nobody for a while, for want of descriptors or of places for sessions.
SHUTTLE_INLINE shuttle_probe_accept_pause(uint32_t listener)
{
    SHUTTLE_PROBE(DTRACE_PROBE1, accept_pause, listener);
}

// A configuration was taken up: its number, and the nanoseconds that it took.
SHUTTLE_INLINE shuttle_probe_adopt(uint64_t epoch, uint64_t nanoseconds)
{
    SHUTTLE_PROBE(DTRACE_PROBE2, adopt, epoch, nanoseconds);
}
