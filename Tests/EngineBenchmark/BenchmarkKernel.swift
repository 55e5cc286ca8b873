// Owns the other side of the benchmark's ring: clients and backends that answer always the same, one turn later, and a
// clock that follows the turns. What happens here is not counted; it only has to be the same every time.
// Leaves to others: which peers there are and what they do (Scenario).

import Glibc

/// Memory that ring and kernel share.
struct KernelQueues {
    static let submissionsMax = 4096
    static let completionsMax = 4096

    let submissions = UnsafeMutablePointer<Submission>.allocate(capacity: submissionsMax)
    let completions = UnsafeMutablePointer<Completion>.allocate(capacity: completionsMax)
    let provided = UnsafeMutablePointer<BufferID>.allocate(capacity: BenchmarkRing.providedCapacity)
    /// Buffers ever provided.
    let providedEnd = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    /// Nanoseconds.
    let clock = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    let accepted = UnsafeMutablePointer<RawAddress>.allocate(capacity: 1)
    let hasOverflowed = UnsafeMutablePointer<Bool>.allocate(capacity: 1)

    init() {
        providedEnd.initialize(to: 0)
        clock.initialize(to: 1_000_000_000)
        accepted.initialize(to: RawAddress())
        hasOverflowed.initialize(to: false)
    }
}

// The ways in. Callgrind stops counting in what is named `enterKernel…`, so these must not call each other.

@inline(never)
func enterKernelToWait(
    _ kernel: UnsafeMutablePointer<BenchmarkKernel>,
    _ count: Int,
    _ deadlineMilliseconds: UInt64,
    for batch: WaitBatch
) -> Int {
    kernel.pointee.wait(count, deadlineMilliseconds, for: batch)
}

@inline(never)
func enterKernelToOpenSocket(_ kernel: UnsafeMutablePointer<BenchmarkKernel>) -> Int32 {
    kernel.pointee.open(isClient: false)
}

@inline(never)
func enterKernelToShutDown(_ kernel: UnsafeMutablePointer<BenchmarkKernel>, _ socket: Int32) {
    kernel.pointee.shutDown(socket)
}

@inline(never)
func enterKernelToSpliceIn(_ kernel: UnsafeMutablePointer<BenchmarkKernel>, _ socket: Int32) -> Int32 {
    kernel.pointee.spliceIn(socket)
}

@inline(never)
func enterKernelToSpliceOut(_ kernel: UnsafeMutablePointer<BenchmarkKernel>, _ socket: Int32, _ count: Int) -> Int32 {
    kernel.pointee.spliceOut(count, to: socket)
}

@inline(never)
func enterKernelToCountReadable(_ kernel: UnsafeMutablePointer<BenchmarkKernel>, _ socket: Int32) -> Int {
    kernel.pointee.readable(socket)
}

struct BenchmarkKernel {
    static let listener: Int32 = 3
    private static let nanosecondsPerTurn: UInt64 = 62_500
    private static let pipeBytes = 512 << 10

    /// A socket of the proxy with the peer behind it.
    private struct Endpoint {
        var isClient: Bool
        var receive: OperationTag?
        var receiveLeft = 0
        var readiness: OperationTag?
        var awaitsSink = false
        /// Bytes from the peer that were not received yet, and whether its end comes after them.
        var input = 0
        var hasEnded = false
        /// Bytes the peer has of the message that it waits for.
        var got = 0
    }

    let queues = KernelQueues()
    let scenario: Scenario
    /// Requests, buffers or connections so far, by what the scenario counts.
    private(set) var units = 0

    private var endpoints: [Endpoint?] = Array(repeating: nil, count: 4)
    private var freeSockets: [Int32] = []
    private var clientsToCome: Int
    private var accept: OperationTag?
    /// Sockets with something to receive: now, and from the next turn on.
    private var ready: [Int32] = []
    private var later: [Int32] = []
    private var completionCount = 0
    private var providedBegin = 0

    init(_ scenario: Scenario) {
        self.scenario = scenario
        clientsToCome = scenario.connections
    }

    // MARK: Calls

    fileprivate mutating func open(isClient: Bool) -> Int32 {
        let endpoint = Endpoint(isClient: isClient)
        guard let socket = freeSockets.popLast() else {
            endpoints.append(endpoint)
            return Int32(endpoints.count - 1)
        }
        endpoints[Int(socket)] = endpoint
        return socket
    }

    fileprivate mutating func shutDown(_ socket: Int32) {
        // The peer has nothing more to say either.
        endpoints[Int(socket)]!.hasEnded = true
        later.append(socket)
    }

    private mutating func close(_ socket: Int32) {
        if endpoints[Int(socket)]!.isClient {
            if scenario.unit == .connection { units += 1 }
            clientsToCome += 1
        }
        endpoints[Int(socket)] = nil
        freeSockets.append(socket)
    }

    fileprivate mutating func spliceIn(_ socket: Int32) -> Int32 {
        let count = min(readable(socket), BenchmarkKernel.pipeBytes)
        endpoints[Int(socket)]!.input -= count
        if scenario.unit == .splice { units += 1 }
        return Int32(count)
    }

    fileprivate mutating func spliceOut(_ count: Int, to socket: Int32) -> Int32 {
        arrived(count, at: socket)
        return Int32(count)
    }

    fileprivate func readable(_ socket: Int32) -> Int { endpoints[Int(socket)]!.input }

    // MARK: A turn

    /// A wait for several that is limited in time contents itself with what there is.
    fileprivate mutating func wait(_ count: Int, _ deadlineMilliseconds: UInt64, for batch: WaitBatch) -> Int {
        queues.clock.pointee += BenchmarkKernel.nanosecondsPerTurn
        completionCount = 0
        for index in 0..<count { start(queues.submissions[index]) }
        if let tag = accept, clientsToCome > 0 {
            accept = nil
            clientsToCome -= 1
            let socket = open(isClient: true)
            send(from: socket, scenario.requestBytes)
            complete(Completion(tag: tag, result: socket))
        }
        deliver()
        let needed = batch.microseconds > 0 ? 1 : Int(batch.completions)
        if completionCount < needed { deliver() }
        if completionCount < needed {
            guard deadlineMilliseconds != .max else {
                fatalError("\(scenario.name): the worker waits and nothing will come")
            }
            queues.clock.pointee = max(queues.clock.pointee, deadlineMilliseconds * 1_000_000)
        }
        return completionCount
    }

    private mutating func start(_ submission: Submission) {
        let socket = Int(submission.socket)
        switch submission.operation {
        case .accept:
            accept = submission.tag
        case .connect:
            complete(Completion(tag: submission.tag, result: 0))
        case .receive:
            precondition(endpoints[socket]!.receive == nil)
            endpoints[socket]!.receive = submission.tag
            endpoints[socket]!.receiveLeft = submission.count
            ready.append(submission.socket)
        case .send:
            complete(Completion(tag: submission.tag, result: Int32(submission.count)))
            arrived(submission.count, at: submission.socket)
        case .readable, .writable:
            precondition(endpoints[socket]!.readiness == nil)
            endpoints[socket]!.readiness = submission.tag
            endpoints[socket]!.awaitsSink = submission.operation == .writable
            ready.append(submission.socket)
        case .close:
            close(submission.socket)
        case .cancel:
            cancel(submission.tag)
        }
    }

    private mutating func cancel(_ target: OperationTag) {
        if let socket = endpoints.firstIndex(where: { $0?.receive == target }) {
            endpoints[socket]!.receive = nil
            complete(Completion(tag: target, result: -ECANCELED))
        } else if let socket = endpoints.firstIndex(where: { $0?.readiness == target }) {
            endpoints[socket]!.readiness = nil
            complete(Completion(tag: target, result: -ECANCELED))
        }
    }

    private mutating func complete(_ completion: Completion) {
        precondition(completionCount < KernelQueues.completionsMax)
        (queues.completions + completionCount).initialize(to: completion)
        completionCount += 1
    }

    // MARK: Peers

    /// What the proxy sent has reached the peer, which answers when it has the whole message.
    private mutating func arrived(_ count: Int, at socket: Int32) {
        let isClient = endpoints[Int(socket)]!.isClient
        endpoints[Int(socket)]!.got += count
        let message = isClient ? scenario.responseBytes : scenario.requestBytes
        guard endpoints[Int(socket)]!.got >= message else { return }
        endpoints[Int(socket)]!.got -= message
        if !isClient { return send(from: socket, scenario.responseBytes) }
        if scenario.unit == .request { units += 1 }
        if scenario.unit == .connection {
            endpoints[Int(socket)]!.hasEnded = true
            later.append(socket)
        } else {
            send(from: socket, scenario.requestBytes)
        }
    }

    private mutating func send(from socket: Int32, _ count: Int) {
        endpoints[Int(socket)]!.input += count
        later.append(socket)
    }

    /// Completes the receives for which something is there; what comes of it is there from the next time on.
    private mutating func deliver() {
        for socket in ready { deliver(to: socket) }
        ready.removeAll(keepingCapacity: true)
        swap(&ready, &later)
    }

    private mutating func deliver(to socket: Int32) {
        guard let endpoint = endpoints[Int(socket)] else { return }
        if let tag = endpoint.readiness, endpoint.awaitsSink || endpoint.input > 0 || endpoint.hasEnded {
            endpoints[Int(socket)]!.readiness = nil
            complete(Completion(tag: tag, result: 1))
        }
        guard let tag = endpoint.receive else { return }
        if endpoint.input > 0 {
            receive(endpoint, socket, tag)
            if endpoints[Int(socket)]!.input > 0 { later.append(socket) }
        } else if endpoint.hasEnded {
            endpoints[Int(socket)]!.receive = nil
            complete(Completion(tag: tag, result: 0))
        }
    }

    /// One completion with as many buffers as the scenario has for it.
    private mutating func receive(_ endpoint: Endpoint, _ socket: Int32, _ tag: OperationTag) {
        let count = min(endpoint.input, BenchmarkRing.bufferSize * scenario.buffersPerReceive)
        let buffers = (count + BenchmarkRing.bufferSize - 1) / BenchmarkRing.bufferSize
        precondition(providedBegin + buffers <= queues.providedEnd.pointee, "the worker lets buffers run out")
        let first = queues.provided[providedBegin % BenchmarkRing.providedCapacity]
        providedBegin += buffers
        let left = endpoint.receiveLeft - count
        endpoints[Int(socket)]!.input -= count
        endpoints[Int(socket)]!.receiveLeft = left
        if left <= 0 { endpoints[Int(socket)]!.receive = nil }
        complete(Completion(tag: tag, result: Int32(count), buffer: first, hasMore: left > 0))
        if scenario.unit == .buffer, !endpoint.isClient { units += buffers }
    }
}
