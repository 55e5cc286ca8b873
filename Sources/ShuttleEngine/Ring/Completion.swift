// Owns the form in which a ring reports what became of an operation.

/// The outcome of one operation, or one of several outcomes of a multishot one.
struct Completion {
    let tag: OperationTag
    /// A count or descriptor, or a negated errno.
    let result: Int32
    private let flags: UInt32

    // As in `struct io_uring_cqe`.
    private static let bufferFlag: UInt32 = 1 << 0
    private static let moreFlag: UInt32 = 1 << 1
    private static let bufferShift: UInt32 = 16

    /// `flags` as in `struct io_uring_cqe`.
    @inline(__always)
    init(tag: OperationTag, result: Int32, flags: UInt32) {
        self.tag = tag
        self.result = result
        self.flags = flags
    }

    init(tag: OperationTag, result: Int32, buffer: BufferID? = nil, hasMore: Bool = false) {
        var flags: UInt32 = hasMore ? Completion.moreFlag : 0
        if let buffer { flags |= Completion.bufferFlag | UInt32(buffer) << Completion.bufferShift }
        self.init(tag: tag, result: result, flags: flags)
    }

    /// Whether the operation stays armed and will complete again.
    @inline(__always)
    var hasMore: Bool { flags & Completion.moreFlag != 0 }

    /// The provided buffer that holds the received bytes; it belongs to the receiver of the completion.
    @inline(__always)
    var buffer: BufferID? {
        flags & Completion.bufferFlag != 0 ? BufferID(truncatingIfNeeded: flags >> Completion.bufferShift) : nil
    }
}
