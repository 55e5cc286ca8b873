// Owns finding services of one configuration that cannot listen at the same time.
// Leaves to others: addresses that other programs have taken (the engine finds out when it binds).

import Glibc
import ShuttleEngine

enum ListenConflicts {
    /// Everything that `next` says twice, compared as socket addresses: `:80` takes `127.0.0.1:80` as well, and
    /// `localhost:80` is the same as `127.0.0.1:80`; UDP has
    /// addresses of its own. `services` are the services of `next`, in its order.
    static func issues(in services: [AppliedService], of next: NextConfiguration) -> [ConfigurationIssue] {
        // The first two that answer to each key: one of them is not the service that asks. No service is compared with
        // every other, for there may be thousands on one port.
        var firstTwo: [Network: [Key: [Int]]] = [:]
        for (index, service) in services.enumerated() {
            guard let address = service.resolved.listenAddress else {
                continue
            }
            let network = service.configuration.network
            for key in Key.of(address) where firstTwo[network, default: [:]][key, default: []].count < 2 {
                firstTwo[network, default: [:]][key, default: []].append(index)
            }
        }
        var issues: [ConfigurationIssue] = []
        for index in services.indices where issues.count < ConfigurationIssue.countMax {
            guard let address = services[index].resolved.listenAddress else {
                continue
            }
            let rivals = Key.standingInTheWay(of: address)
                .compactMap { firstTwo[services[index].configuration.network]?[$0]?.first { $0 != index } }
            let other = rivals.first.map { services[$0] }
            if let other, let issue = issue(services[index], other, next) {
                issues.append(issue)
            }
        }
        return issues
    }

    /// What a listening address answers to.
    private enum Key: Hashable {
        case exactly(ShuttleEngine.SocketAddress)
        case anything(port: UInt16)
        case ipv4(port: UInt16)

        static func of(_ address: ShuttleEngine.SocketAddress) -> [Key] {
            if address.isUnix { return [.exactly(address)] }
            let keys: [Key] = [.exactly(address), .anything(port: address.port)]
            return address.family == AF_INET ? keys + [.ipv4(port: address.port)] : keys
        }

        /// What the kernel refuses beside `address`. A listener on `[::]` takes IPv4 connections as well.
        static func standingInTheWay(of address: ShuttleEngine.SocketAddress) -> [Key] {
            if address.isUnix { return [.exactly(address)] }
            let port = address.port
            switch (address.isWildcard, address.family == AF_INET) {
            case (true, false): return [.anything(port: port)]
            case (true, true): return [.ipv4(port: port), .exactly(.anyIPv6(port: port))]
            case (false, true):
                return [.exactly(address), .exactly(.anyIPv4(port: port)), .exactly(.anyIPv6(port: port))]
            case (false, false): return [.exactly(address), .exactly(.anyIPv6(port: port))]
            }
        }
    }

    private static func issue(
        _ service: AppliedService, _ other: AppliedService, _ next: NextConfiguration
    ) -> ConfigurationIssue? {
        guard let pointer = next.pointer(toService: service.configuration.name) else {
            // It is not in the body; the one in its way is, and is told.
            return nil
        }
        let use = ConfigurationIssue.AddressUse(
            pointer: "\(pointer)/address", service: service.configuration.name,
            address: service.configuration.address
        )
        if let otherPointer = next.pointer(toService: other.configuration.name) {
            return .sharedAddress(
                use,
                with: ConfigurationIssue.AddressUse(
                    pointer: "\(otherPointer)/address", service: other.configuration.name,
                    address: other.configuration.address
                )
            )
        }
        return ConfigurationIssue(
            pointer: use.pointer,
            detail: "\"address\" is \(Quoted(use.address)), which service \(Quoted(other.configuration.name)) of the "
                + "live configuration listens on already (its \"address\" is \(Quoted(other.configuration.address))); "
                + "choose another address, or change that service first"
        )
    }
}
