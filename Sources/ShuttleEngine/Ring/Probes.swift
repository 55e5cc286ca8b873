// Owns the names by which workers reach the probes for tracers. Leaves to others: what a probe is (CURing's probes.h), what is
// traced with them (docs/tracing.md).

import CURing

/// Places that a tracer can stop at. Each costs one instruction that does nothing, and what it takes to have its arguments at
/// hand: give it only what is there already.
enum Probe {
    @inline(__always)
    static func turn(completions: Int, nanoseconds: UInt64) {
        shuttle_probe_turn(UInt32(truncatingIfNeeded: completions), nanoseconds)
    }

    @inline(__always)
    static func sessionStart(slot: UInt32, descriptor: Int32) {
        shuttle_probe_session_start(slot, descriptor)
    }

    /// `result`: 0 for a connect that succeeded, else the negative errno.
    @inline(__always)
    static func connectEnd(slot: UInt32, result: Int32) {
        shuttle_probe_connect_end(slot, result)
    }

    /// `record`: its words, all of which are written.
    @inline(__always)
    static func sessionEnd(record: UnsafeRawPointer) {
        shuttle_probe_session_end(record)
    }

    @inline(__always)
    static func starved(slot: UInt32) {
        shuttle_probe_starved(slot)
    }

    @inline(__always)
    static func acceptPause(listener: Int) {
        shuttle_probe_accept_pause(UInt32(truncatingIfNeeded: listener))
    }

    @inline(__always)
    static func adopt(epoch: UInt64, nanoseconds: UInt64) {
        shuttle_probe_adopt(epoch, nanoseconds)
    }
}
