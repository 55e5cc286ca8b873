// Owns when a flow is bulk enough to be moved by the kernel without its bytes passing through this process, and when
// it has become too chatty for that. Leaves to others: moving the bytes (Worker+Splice).

/// Thresholds of both ways between copying and splicing.
///
/// Splicing costs several system calls per step and saves two copies of every byte, so it pays from some ten kilobytes
/// a step on.
struct SplicePolicy: Equatable, Sendable {
    var isEnabled: Bool
    /// A flow is judged after so many bytes.
    var windowBytes: UInt32
    /// Copying: bytes per send, on average over the window, from which a flow is spliced.
    var bytesPerSendToSplice: UInt32
    /// Splicing: a flow is judged after so many steps.
    var windowSteps: UInt16
    /// Splicing: bytes per step, on average over the window, below which a flow is copied again.
    var bytesPerStepToCopy: UInt32
    /// A source that has so many bytes at once is worth another step, which saves the wait for its readiness.
    var bytesToStepAgain: UInt32

    static let standard = SplicePolicy(
        isEnabled: true,
        windowBytes: 1 << 20,
        bytesPerSendToSplice: 32 << 10,
        windowSteps: 16,
        bytesPerStepToCopy: 12 << 10,
        bytesToStepAgain: 64 << 10
    )
    static let never = SplicePolicy(
        isEnabled: false,
        windowBytes: .max,
        bytesPerSendToSplice: .max,
        windowSteps: .max,
        bytesPerStepToCopy: 0,
        bytesToStepAgain: .max
    )
}

/// How a flow's bytes come: in how many operations over the present window.
struct FlowMeter: Equatable {
    private var bytes: UInt32 = 0
    private var operations: UInt16 = 0

    /// Counts a send of a flow that is copied; `true` when the flow has proved to be bulk.
    @inline(__always)
    mutating func sent(_ count: Int, _ policy: SplicePolicy) -> Bool {
        add(count)
        guard bytes >= policy.windowBytes else { return false }
        let isBulk = bytes / UInt32(operations) >= policy.bytesPerSendToSplice
        self = FlowMeter()
        return isBulk
    }

    /// Counts a step of a flow that is spliced; `true` when the flow has turned chatty.
    @inline(__always)
    mutating func spliced(_ count: Int, _ policy: SplicePolicy) -> Bool {
        add(count)
        guard operations >= policy.windowSteps else { return false }
        let isChatty = bytes / UInt32(operations) < policy.bytesPerStepToCopy
        self = FlowMeter()
        return isChatty
    }

    @inline(__always)
    private mutating func add(_ count: Int) {
        let sum = bytes.addingReportingOverflow(UInt32(truncatingIfNeeded: count))
        bytes = sum.overflow ? .max : sum.partialValue
        // Both saturate: so many small operations are chatty whatever comes after.
        if operations < .max { operations &+= 1 }
    }
}
