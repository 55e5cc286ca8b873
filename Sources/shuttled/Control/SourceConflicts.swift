// Owns finding source addresses that cannot be used: that this machine does not have, or from which no backend can be
// reached. Leaves to others: their form (ConfigurationValidator), and using them (ShuttleEngine).

import Glibc
import ShuttleEngine

enum SourceConflicts {
    /// Of the services that are other than before: one whose address went away since runs on, and takes the others of its
    /// list; `services` are the services of `next`, in its order.
    static func issues(
        in services: [AppliedService], of next: NextConfiguration, live: [String: AppliedService],
        failure: (ShuttleEngine.SocketAddress) -> Int32? = { $0.failureAsSource() }
    ) -> [ConfigurationIssue] {
        var issues: [ConfigurationIssue] = []
        for service in services where issues.count < ConfigurationIssue.countMax {
            guard !service.configuration.sourceAddresses.isEmpty, live[service.configuration.name] != service else {
                continue
            }
            let pointer = "\(next.pointer(toService: service.configuration.name) ?? "")/source_address"
            let unusable = service.configuration.sourceAddresses.compactMap { text in
                ShuttleEngine.SocketAddress(source: text).flatMap(failure).map { (text, $0) }
            }
            issues += unusable.map { text, code in
                ConfigurationIssue(
                    pointer: pointer, detail: "\"source_address\" is \(Quoted(text)); \(explanation(code))")
            }
            if unusable.isEmpty, let detail = mismatch(service) {
                issues.append(ConfigurationIssue(pointer: pointer, detail: detail))
            }
        }
        return issues
    }

    private static func mismatch(_ service: AppliedService) -> String? {
        let families = Set(
            service.configuration.sourceAddresses.compactMap { ShuttleEngine.SocketAddress(source: $0)?.family })
        let backends = service.resolved.backendAddresses.filter { !$0.isUnix }
        guard !backends.isEmpty, !backends.contains(where: { families.contains($0.family) }) else { return nil }
        let (own, theirs) = families.contains(AF_INET) ? ("IPv4", "IPv6") : ("IPv6", "IPv4")
        return
            "\"source_address\" has \(own) addresses only, and every backend has an \(theirs) address, which cannot be "
            + "reached from them; add an \(theirs) address of this machine, or leave the field out"
    }

    private static func explanation(_ code: Int32) -> String {
        switch code {
        case EADDRNOTAVAIL:
            return "no network interface of this machine has this address; choose one that it has (`ip address` lists "
                + "them), or leave the field out"
        case EAFNOSUPPORT:
            return "this machine has no addresses of this family (IPv6 may be turned off); choose another address"
        default:
            return "connections cannot come from there: \(String(cString: strerror(code))) (errno \(code))"
        }
    }
}
