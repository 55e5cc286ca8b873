// Owns one operation between its preparation and its last completion.

@testable import ShuttleEngine

/// What the worker asked of a ring. A class: connections and rings both hold on to it.
final class Operation {
    let kind: OperationKind
    let tag: OperationTag
    let ring: RingCore
    /// The socket, or the listener.
    let descriptor: Int32
    var connection: SimulatedConnection?
    var listener: SimulatedListener?

    /// Receive: bytes until it ends by itself; the first try may find no buffer even without data.
    var remaining = 0
    var expectsDelay = false
    /// Receive: when it last took bytes, and whether it was told of a reset that came with them; nil before that.
    var tookBytesAt: UInt64?
    var wasTold: Bool?
    /// Readiness: for what.
    var readiness = Readiness.readable
    /// Send: whether it waits until all is taken, and where the bytes lie until it completes.
    var waits = true
    var pieces: [(start: UnsafeRawPointer, count: Int)] = []
    var total = 0
    var done = 0
    /// Connect: where to, what will come of it and when.
    var port: UInt16 = 0
    var fate = ConnectFate.accept
    var readyAt: UInt64 = 0
    /// Close.
    var isReset = false
    /// Cancel.
    var target: OperationTag?

    init(_ kind: OperationKind, tag: OperationTag, ring: RingCore, descriptor: Int32) {
        self.kind = kind
        self.tag = tag
        self.ring = ring
        self.descriptor = descriptor
    }
}

/// What becomes of a connect.
enum ConnectFate: Equatable {
    case accept
    case fail(Int32)
    /// Nobody answers.
    case silence
}
