// Owns what the control thread asks one worker about its sessions, and the memory in which that is answered.
// Leaves to others: looking (Worker+Inspect), asking and naming what was found (Engine+Sessions).

import Synchronization

/// Which sessions are meant. Services and backends are compared as pointers, never followed: whoever asks keeps their
/// records from being freed meanwhile.
struct SessionMatch {
    /// In ascending order; nil for any.
    var services: UnsafeBufferPointer<UnsafeMutablePointer<ServiceRecord>>?
    var backends: UnsafeBufferPointer<UnsafeMutablePointer<BackendRecord>>?
    /// The lowest and the highest address, as the two halves of `SocketAddress.hostWords` make one number.
    var clients: ClosedRange<UInt128>?
    var ageMinMilliseconds: UInt64 = 0
    var idleMinMilliseconds: UInt64 = 0
    /// Both ways together.
    var bytesMin: UInt64 = 0

    /// Everything but the client, which has to be asked for.
    func matches(_ row: SessionRow) -> Bool {
        if row.ageMilliseconds < ageMinMilliseconds || row.idleMilliseconds < idleMinMilliseconds { return false }
        if row.sentBytes &+ row.receivedBytes < bytesMin { return false }
        if let services, !SessionMatch.contains(services, row.service) { return false }
        guard let backends else { return true }
        guard let backend = row.backend else { return false }
        return SessionMatch.contains(backends, backend)
    }

    /// Thousands of services may have a backend of the same name.
    private static func contains<Record: ~Copyable>(
        _ records: UnsafeBufferPointer<UnsafeMutablePointer<Record>>, _ wanted: UnsafeMutablePointer<Record>
    ) -> Bool {
        var (low, high) = (0, records.count)
        while low < high {
            let middle = (low + high) / 2
            if records[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low < records.count && records[low] == wanted
    }

    func matches(_ client: SocketAddress?) -> Bool {
        guard let clients else { return true }
        guard let client, !client.isUnix else { return false }
        let (high, low) = client.hostWords
        return clients.contains(UInt128(high) << 64 | UInt128(low))
    }
}

/// One session as its worker sees it.
struct SessionRow {
    var target: SessionTarget
    var isOfDatagrams: Bool
    var state: SessionState
    var service: UnsafeMutablePointer<ServiceRecord>
    var backend: UnsafeMutablePointer<BackendRecord>?
    /// Nil where it is not known, or nobody wants to know.
    var client: SocketAddress?
    /// The worker's clock at the look, in milliseconds.
    var now: UInt64
    var ageMilliseconds: UInt64
    var idleMilliseconds: UInt64
    var sentBytes: UInt64
    var receivedBytes: UInt64
}

/// A session of one worker.
struct SessionTarget: Hashable {
    /// The slot of a connection, and behind those that of a datagram session: as timers have them.
    var place: UInt32
    var generation: UInt32
}

/// A question to one worker. It belongs to the worker from when it is put into its mailbox until `isDone`.
struct SessionInspection: ~Copyable {
    enum Work {
        /// Rows of the sessions that match, from a place on, as many as there is room for.
        case list
        /// Rows of the targets that are still there.
        case look
        /// Ends the targets that are still there.
        case end
    }

    let work: Work
    let match: SessionMatch
    let wantsClients: Bool
    let targets: UnsafeMutableBufferPointer<SessionTarget>
    /// Where rows go.
    let rows: UnsafeMutableBufferPointer<SessionRow>

    // Written by the worker; read by others once `isDone`.
    /// The next place of a list, or the next target.
    var next: UInt32
    var rowCount = 0
    /// Sessions that were ended.
    var endedCount = 0
    /// Everything has been looked at, and not only as much as there was room for.
    var isComplete = false

    /// Set by the worker, which does not touch this any more.
    let isDone = Atomic<Bool>(false)

    init(
        _ work: Work, match: SessionMatch = SessionMatch(), wantsClients: Bool = false, targets: [SessionTarget] = [],
        from first: UInt32 = 0, rowCapacity: Int
    ) {
        self.work = work
        self.match = match
        self.wantsClients = wantsClients
        self.targets = .allocate(capacity: targets.count)
        _ = self.targets.initialize(from: targets)
        rows = .allocate(capacity: rowCapacity)
        next = first
    }

    deinit {
        targets.deallocate()
        rows.deallocate()
    }

    mutating func append(_ row: SessionRow) {
        rows.initializeElement(at: rowCount, to: row)
        rowCount += 1
    }
}
