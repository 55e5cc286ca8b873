// Owns looking up host names with the system's resolver: off the loop, a few at a time, never longer than a limit.
// Leaves to others: which names a change needs and what a failure means for it (AddressResolver).

import Glibc
import NIOCore
import NIOPosix
import ShuttleEngine
import Synchronization

/// Why a host name has no address.
struct HostLookupFailure: Error, Equatable, Sendable {
    /// The end of a sentence that starts with the name.
    var reason: String
}

/// Finds the address of each host name, port 0, or says why there is none. Every name is in the answer.
typealias HostLookup =
    @Sendable (
        _ names: [String]
    ) async -> [String: Result<ShuttleEngine.SocketAddress, HostLookupFailure>]

/// Looks names up with getaddrinfo(3): `/etc/hosts`, DNS, whatever the machine is set up for.
///
/// getaddrinfo blocks and cannot be interrupted. It runs on a few threads of its own, started when the first name
/// comes: the thread for files must not wait for DNS. A lookup that takes too long is given up, not waited for.
final class SystemHostLookup: Sendable {
    /// Lookups at the same time. Those given up still hold a thread until the resolver returns.
    static let threadCount = 4

    private let loop: any EventLoop
    private let limit: TimeAmount
    private let threads = NIOThreadPool(numberOfThreads: threadCount)
    private let isStarted = Atomic<Bool>(false)

    /// `limit` is how long all names of one change may take together.
    init(loop: any EventLoop, limit: TimeAmount = .seconds(10)) {
        self.loop = loop
        self.limit = limit
    }

    func addresses(of names: [String]) async -> [String: Result<ShuttleEngine.SocketAddress, HostLookupFailure>] {
        if !isStarted.exchange(true, ordering: .relaxed) {
            threads.start()
        }
        let deadline = NIODeadline.now() + limit
        let pending = names.map { ($0, lookUp($0, deadline: deadline)) }
        var result: [String: Result<ShuttleEngine.SocketAddress, HostLookupFailure>] = [:]
        for (name, future) in pending {
            do {
                result[name] = try await future.get()
            } catch {
                result[name] = .failure(HostLookupFailure(reason: "could not be looked up: \(error)"))
            }
        }
        return result
    }

    private func lookUp(
        _ name: String, deadline: NIODeadline
    ) -> EventLoopFuture<Result<ShuttleEngine.SocketAddress, HostLookupFailure>> {
        let tooLate = HostLookupFailure(
            reason:
                "could not be resolved within \(limit.nanoseconds / 1_000_000) ms; check the machine's DNS servers, "
                + "or write a numeric address"
        )
        let promise = loop.makePromise(of: Result<ShuttleEngine.SocketAddress, HostLookupFailure>.self)
        let timer = loop.scheduleTask(deadline: deadline) { promise.succeed(.failure(tooLate)) }
        let lookup = threads.runIfActive(eventLoop: loop) {
            () -> Result<ShuttleEngine.SocketAddress, HostLookupFailure> in
            // Nobody waits any more for a name whose turn comes after the deadline.
            NIODeadline.now() < deadline ? SystemHostLookup.resolve(name) : .failure(tooLate)
        }
        // Whichever comes second finds the promise kept; that has no effect on a promise, by its definition here.
        lookup.whenComplete { outcome in
            timer.cancel()
            promise.completeWith(outcome)
        }
        return promise.futureResult
    }

    /// Blocks.
    static func resolve(_ name: String) -> Result<ShuttleEngine.SocketAddress, HostLookupFailure> {
        var hints = addrinfo()
        // Without AI_ADDRCONFIG a machine without IPv6 would be given IPv6 addresses.
        hints.ai_flags = AI_ADDRCONFIG
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        let errnoAfter = errno
        defer { list.map(freeaddrinfo) }
        guard code == 0 else {
            return .failure(HostLookupFailure(reason: reason(code: code, errno: errnoAfter)))
        }
        var addresses: [ShuttleEngine.SocketAddress] = []
        var next = list
        while let info = next {
            if let address = info.pointee.ai_addr,
                let copy = ShuttleEngine.SocketAddress(copying: address, length: Int(info.pointee.ai_addrlen))
            {
                addresses.append(copy.unmapped)
            }
            next = info.pointee.ai_next
        }
        return preferred(addresses).map { .success($0) }
            ?? .failure(HostLookupFailure(reason: "has no IPv4 or IPv6 address"))
    }

    /// The first address, as the system sorted them (RFC 6724). Of loopback addresses the first IPv4 one: `localhost`
    /// sorts ::1 first, while most programs listen on 127.0.0.1 only.
    static func preferred(_ addresses: [ShuttleEngine.SocketAddress]) -> ShuttleEngine.SocketAddress? {
        if addresses.allSatisfy(\.isLoopback), let ipv4 = addresses.first(where: { $0.family == AF_INET }) {
            return ipv4
        }
        return addresses.first
    }

    private static func reason(code: Int32, errno: Int32) -> String {
        // A GNU extension, hence not among the names that Glibc's module has.
        let noData: Int32 = -5
        switch code {
        case EAI_NONAME, noData:
            return "does not resolve to an address; check its spelling, or write a numeric address"
        case EAI_AGAIN:
            return "could not be resolved now (the machine's DNS servers do not answer); try again later, "
                + "or write a numeric address"
        case EAI_SYSTEM:
            return "could not be resolved: \(String(cString: strerror(errno)))"
        default:
            return "could not be resolved: \(String(cString: gai_strerror(code)))"
        }
    }
}
