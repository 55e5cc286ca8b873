// Owns the faults that are put into the simulated kernel to see whether the simulation would notice a broken worker.

/// Each is a mistake that a worker or its ring could make; it happens once, at the first occasion.
enum Mutant: CaseIterable {
    /// A byte of a stream is lost on the way in.
    case dropByte
    /// The last byte of a send is lost though it is reported as sent.
    case loseTail
    /// Two completions of one stream are handled in the wrong order.
    case swapCompletions
    /// A completion of a slot's earlier user is applied to its present one.
    case duplicateToNewUser
    /// A send's completion never comes.
    case loseCompletion
    /// An end is reported that nobody sent.
    case falseEnd
    /// A reset is passed on as a clean end.
    case endInsteadOfReset
    /// A descriptor is not closed.
    case leakDescriptor
    /// A buffer never comes back.
    case leakBuffer
    /// A flow is done with its pipe though bytes are in it.
    case leaveBytesInPipe
    /// A pipe with bytes in it is not given back when its session closes.
    case keepPipe
    /// A splice that moves nothing is taken for the end of the stream.
    case falseEndOfSplice
    /// One readiness is used for two splices.
    case spliceTwice
    /// A session closes under a wait for readiness.
    case forgetReadiness

    /// Its occasion comes only while flows are spliced.
    var isOfSplicing: Bool {
        switch self {
        case .leaveBytesInPipe, .keepPipe, .falseEndOfSplice, .spliceTwice, .forgetReadiness: true
        default: false
        }
    }

    /// What the simulation may call it.
    var kinds: [ViolationKind] {
        switch self {
        case .dropByte, .swapCompletions: [.content]
        case .loseTail: [.content, .end, .stuck]
        case .duplicateToNewUser: [.content, .crossed]
        case .loseCompletion: [.stuck]
        case .falseEnd: [.end]
        case .endInsteadOfReset: [.end]
        case .leakDescriptor, .leakBuffer, .keepPipe: [.leak]
        case .leaveBytesInPipe: [.misuse, .leak]
        case .falseEndOfSplice: [.end]
        case .spliceTwice, .forgetReadiness: [.misuse]
        }
    }
}
