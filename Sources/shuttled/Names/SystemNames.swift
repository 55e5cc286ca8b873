// Owns asking the machine for names: `/etc/hosts`, DNS, then what else it is set up for. Off the loop, a few at a time,
// never longer than a limit.
// Leaves to others: which names are needed and what a failure means (AddressResolver, NameWatch), the bytes of DNS
// (DNSClient).

import Glibc
import NIOCore
import NIOPosix
import ShuttleEngine
import Synchronization

/// Looks names up.
///
/// The calls block and cannot be interrupted. They run on a few threads of their own, started when the first name
/// comes: the thread for files must not wait for DNS. A lookup that takes too long is given up, not waited for.
final class SystemNames: Sendable {
    /// Lookups at the same time. Those given up still hold a thread until the resolver returns.
    static let threadCount = 4
    /// How long all names of one question may take together.
    static let limit: TimeAmount = .seconds(10)

    typealias Answer = Result<NameAnswer, NameFailure>

    private let loop: any EventLoop
    private let limit: TimeAmount
    private let source: NameSource
    private let threads = NIOThreadPool(numberOfThreads: threadCount)
    private let isStarted = Atomic<Bool>(false)

    /// `server` takes the place of the DNS servers that the machine is set up for.
    init(loop: any EventLoop, server: ShuttleEngine.SocketAddress? = nil, limit: TimeAmount = SystemNames.limit) {
        self.loop = loop
        self.limit = limit
        source = NameSource(client: DNSClient(server: server))
    }

    func answers(to questions: [NameQuestion]) async -> [NameQuestion: Answer] {
        if !isStarted.exchange(true, ordering: .relaxed) {
            threads.start()
        }
        let deadline = NIODeadline.now() + limit
        let pending = questions.map { ($0, ask($0, deadline: deadline)) }
        var result: [NameQuestion: Answer] = [:]
        for (question, future) in pending {
            do {
                result[question] = try await future.get()
            } catch {
                result[question] = .failure(NameFailure(reason: "could not be looked up: \(error)"))
            }
        }
        return result
    }

    private func ask(_ question: NameQuestion, deadline: NIODeadline) -> EventLoopFuture<Answer> {
        let tooLate = NameFailure(
            reason:
                "could not be resolved within \(limit.nanoseconds / 1_000_000) ms; check the machine's DNS servers, "
                + "or write a numeric address"
        )
        let promise = loop.makePromise(of: Answer.self)
        let timer = loop.scheduleTask(deadline: deadline) { promise.succeed(.failure(tooLate)) }
        let lookup = threads.runIfActive(eventLoop: loop) { [source] () -> Answer in
            // Nobody waits any more for a name whose turn comes after the deadline.
            NIODeadline.now() < deadline ? source.answer(to: question) : .failure(tooLate)
        }
        // Whichever comes second finds the promise kept; that has no effect on a promise, by its definition here.
        lookup.whenComplete { outcome in
            timer.cancel()
            promise.completeWith(outcome)
        }
        return promise.futureResult
    }
}

/// The sources of names in their order. Everything here blocks.
struct NameSource: Sendable {
    /// Targets of one SRV name at most; those that come first in the order of their use.
    static let targetsMax = 256

    var client: DNSClient
    var hostsPath = HostsFile.path

    func answer(to question: NameQuestion) -> Result<NameAnswer, NameFailure> {
        switch question {
        case .host(let host):
            return addresses(of: host).map { found in
                let target = NameTarget(
                    host: host, addresses: found.addresses, familiesUnknown: found.familiesUnknown
                )
                return NameAnswer(targets: [target], timeToLiveSeconds: found.timeToLiveSeconds)
            }
        case .service(let name):
            return servers(of: name)
        }
    }

    private struct Found {
        var addresses: [ShuttleEngine.SocketAddress]
        var timeToLiveSeconds: Int?
        var familiesUnknown: Set<Int32> = []
    }

    private func addresses(of host: String, searches: Bool = true) -> Result<Found, NameFailure> {
        var ownTable = HostsFile.addresses(of: host, path: hostsPath)
        if ownTable.isEmpty, host == "localhost" || host.hasSuffix(".localhost") {
            // RFC 6761: never a matter of DNS.
            ownTable = ["127.0.0.1", "::1"].compactMap { NumericHost.address($0) }
        }
        if !ownTable.isEmpty {
            return .success(Found(addresses: AddressPreference.sorted(ownTable)))
        }
        do throws(DNSFailure) {
            var found = try addressesInDNS(of: host, searches: searches)
            found.addresses = AddressPreference.sorted(found.addresses)
            return .success(found)
        } catch {
            // Other DNS servers than the one that was named are not to be asked.
            if error == .nonexistent, client.server == nil, let addresses = SystemResolver.addresses(of: host) {
                return .success(Found(addresses: AddressPreference.sorted(addresses)))
            }
            return .failure(NameFailure(reason: error.reason))
        }
    }

    /// Both families. That one of them has no address is as good as an answer; so is it that servers do not know what
    /// to make of a question for IPv6, which happens.
    private func addressesInDNS(of host: String, searches: Bool) throws(DNSFailure) -> Found {
        var found = Found(addresses: [])
        // The name that a search ended at: the other family must not be found in another domain.
        var fullName: String?
        do throws(DNSFailure) {
            let records = try client.records(.ipv4, of: host, searches: searches)
            fullName = records.question
            found.addresses = NameSource.addresses(in: records)
            found.timeToLiveSeconds = records.timeToLiveSeconds
        } catch .unanswered {
            // A server that is silent would have us wait twice.
            throw .unanswered
        } catch {
            // There may be IPv6 addresses.
        }
        do throws(DNSFailure) {
            let records = try client.records(.ipv6, of: fullName ?? host, searches: searches && fullName == nil)
            found.addresses += NameSource.addresses(in: records)
            found.timeToLiveSeconds = min(found.timeToLiveSeconds ?? .max, records.timeToLiveSeconds)
        } catch {
            if found.addresses.isEmpty {
                throw error
            }
            if error == .unanswered {
                found.familiesUnknown = [AF_INET6]
            }
        }
        return found
    }

    private static func addresses(in records: DNSRecords) -> [ShuttleEngine.SocketAddress] {
        records.contents.compactMap { content in
            if case .address(let address) = content { address } else { nil }
        }
    }

    private func servers(of name: String) -> Result<NameAnswer, NameFailure> {
        let records: DNSRecords
        do throws(DNSFailure) {
            records = try client.records(.server, of: name)
        } catch {
            let reason =
                error == .nonexistent
                ? "has no SRV records; check its spelling, or write an address with a port" : error.reason
            return .failure(NameFailure(reason: reason))
        }
        var timeToLive = records.timeToLiveSeconds
        var targets: [NameTarget] = []
        for content in records.contents {
            // An empty target (the root) says that the service is not offered; port 0 cannot be connected to.
            if case .server(let priority, let weight, let port, let target) = content, !target.isEmpty, port > 0,
                (try? Endpoint(parsing: "\(target):\(port)")) != nil
            {
                targets.append(
                    NameTarget(host: target, port: port, priority: priority, weight: weight, addresses: [])
                )
            }
        }
        targets.sort { ($0.priority, $0.host, $0.port) < ($1.priority, $1.host, $1.port) }
        targets = Array(targets.prefix(NameSource.targetsMax))
        guard !targets.isEmpty else {
            return .failure(NameFailure(reason: "is an SRV name without usable targets: the service is not offered"))
        }
        var known: [String: Result<Found, NameFailure>] = [:]
        for index in targets.indices {
            let host = targets[index].host
            let outcome = known[host] ?? targetAddresses(of: host)
            known[host] = outcome
            switch outcome {
            case .success(let found):
                targets[index].addresses = found.addresses
                targets[index].familiesUnknown = found.familiesUnknown
                timeToLive = min(timeToLive, found.timeToLiveSeconds ?? .max)
            case .failure:
                targets[index].familiesUnknown = [AF_INET, AF_INET6]
            }
        }
        guard targets.contains(where: { !$0.addresses.isEmpty }) else {
            return .failure(NameFailure(reason: "has SRV records, but none of their targets resolves to an address"))
        }
        return .success(NameAnswer(targets: targets, timeToLiveSeconds: timeToLive))
    }

    /// Targets are full names, hence not searched for. Some servers put addresses there, which the standard forbids.
    private func targetAddresses(of host: String) -> Result<Found, NameFailure> {
        if let address = NumericHost.address(host) {
            return .success(Found(addresses: [address]))
        }
        return addresses(of: host, searches: false)
    }
}

/// getaddrinfo(3): every other source that the machine is set up for, such as multicast DNS.
enum SystemResolver {
    /// Nil when the name does not resolve. Blocks.
    static func addresses(of name: String) -> [ShuttleEngine.SocketAddress]? {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else {
            return nil
        }
        defer { list.map(freeaddrinfo) }
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
        return addresses.isEmpty ? nil : addresses
    }
}
