// Owns how a backend that has come up gets its share back: when its ramp begins, how far it is, when it ends. Pure: the
// time comes with every call. Leaves to others: what a share means for the choice (EffectiveWeight), looking at backends
// and publishing (CompiledService.advanceSlowStarts, Engine).

/// How far one backend has come. The control thread's own.
///
/// A share never runs ahead of the time, but for the first step, which is there at once: who gets nothing at all warms up
/// to nothing.
struct SlowStart: Equatable {
    /// Steps of a ramp; and the share of a backend that does not ramp.
    static let steps = 20

    private enum Phase: Equatable {
        /// Nobody has looked at it yet.
        case unknown
        /// It gets nothing new: it is down, not ready, or has no weight.
        case out
        case ramping(since: UInt64)
        case settled
    }

    private var phase = Phase.unknown
    /// What counts of its weight, in parts of `steps`, at least one. Of a backend that is out it is what it will begin
    /// with: rings see that it is up before they have the table that knows of it.
    private(set) var share = SlowStart.steps
    /// When the share grows by itself.
    private(set) var nextStep: UInt64?

    /// What counts of its weight, in percent; 100 unless it ramps.
    var percent: Int {
        guard case .ramping = phase else { return 100 }
        return share * 100 / SlowStart.steps
    }

    /// Takes in whether the backend can get something new. One that is seen for the first time ramps only where
    /// `isServiceRunning`: a service that begins has nobody to take its clients meanwhile. The time of a ramp that is
    /// under way may change, and 0 ends it; `now` never goes back.
    mutating func update(isUsable: Bool, isServiceRunning: Bool, milliseconds: Int, at now: UInt64) {
        switch phase {
        case .unknown: phase = !isUsable ? .out : isServiceRunning ? .ramping(since: now) : .settled
        case .out: if isUsable { phase = .ramping(since: now) }
        case .ramping, .settled: if !isUsable { phase = .out }
        }
        share = SlowStart.steps
        nextStep = nil
        switch phase {
        case .unknown, .settled: break
        case .out: if milliseconds > 0 { share = 1 }
        case .ramping(let start): climb(since: start, UInt64(milliseconds), at: now)
        }
    }

    private mutating func climb(since start: UInt64, _ milliseconds: UInt64, at now: UInt64) {
        let steps = UInt64(SlowStart.steps)
        let elapsed = now - start
        guard elapsed < milliseconds else {
            phase = .settled
            return
        }
        share = max(1, Int(elapsed * steps / milliseconds))
        // Rounded up: a step that is looked at too early would have to be looked at again.
        nextStep = start + (UInt64(share + 1) * milliseconds + steps - 1) / steps
    }
}
