// Owns what a backend that was written comes to in the engine: which addresses, under which names, with which shares. Pure.
// Leaves to others: what names stand for (NameMemory), finding it out (AddressResolver).

import ShuttleEngine

/// What one written backend stands for: itself, or one backend for each target of its SRV records.
struct BackendExpansion: Sendable, Equatable {
    struct Member: Sendable, Equatable {
        var configuration: BackendConfiguration
        var address: ShuttleEngine.SocketAddress
        var checkAddress: ShuttleEngine.SocketAddress?
    }

    var members: [Member] = []
    var names: Set<NameQuestion> = []
}

/// Where an address leads.
enum BackendTarget: Sendable, Equatable {
    case fixed(ShuttleEngine.SocketAddress)
    case host(String, port: UInt16)
    /// The targets of SRV records.
    case service(String)
    /// Each of those, at a port of its own: for checks.
    case targets(port: UInt16)

    /// What it asks of DNS.
    var question: NameQuestion? {
        switch self {
        case .fixed, .targets: return nil
        case .host(let host, _): return .host(host)
        case .service(let name): return .service(name)
        }
    }
}

extension BackendExpansion {
    /// `targets` says what a name stands for.
    init(
        of backend: BackendConfiguration, at target: BackendTarget, checkedAt checkTarget: BackendTarget?,
        targets: (NameQuestion) -> [ResolvedTarget]
    ) {
        names = Set([target.question, checkTarget?.question].compactMap(\.self))
        func address(of target: BackendTarget) -> ShuttleEngine.SocketAddress? {
            switch target {
            case .fixed(let address): return address
            case .host(let host, let port): return targets(.host(host)).first?.address.with(port: port)
            case .service, .targets: return nil
            }
        }
        switch target {
        case .service(let name):
            members = BackendExpansion.members(of: backend, targets(.service(name)), checkedAt: checkTarget)
        default:
            if let address = address(of: target) {
                let checkAddress = checkTarget.flatMap(address(of:))
                members = [Member(configuration: backend, address: address, checkAddress: checkAddress)]
            }
        }
    }

    /// A backend for each target, named `backend@host:port`, with everything else of the one that was written. Those of
    /// the lowest priority serve; the others are backups, whatever their priorities are among each other.
    private static func members(
        of backend: BackendConfiguration, _ targets: [ResolvedTarget], checkedAt checkTarget: BackendTarget?
    ) -> [Member] {
        let first = targets.map(\.priority).min()
        var weightsMax: [Int: Int] = [:]
        for target in targets {
            weightsMax[target.priority] = max(weightsMax[target.priority] ?? 0, target.weight)
        }
        return targets.map { target in
            let address = target.address.with(port: target.port)
            var configuration = backend
            configuration.address = "\(target.host):\(target.port)"
            configuration.name = "\(backend.name)@\(configuration.address)"
            configuration.weight = weight(
                of: target.weight, amongUpTo: weightsMax[target.priority] ?? 0, times: backend.weight
            )
            configuration.isBackup = backend.isBackup || target.priority != first
            let checkAddress: ShuttleEngine.SocketAddress?
            switch checkTarget {
            case .service: checkAddress = address
            case .targets(let port): checkAddress = target.address.with(port: port)
            default: checkAddress = nil
            }
            return Member(configuration: configuration, address: address, checkAddress: checkAddress)
        }
    }

    /// The record's weight times the backend's. Where the largest is more than a weight may be, all are scaled down;
    /// none falls to 0, which would take the target out: in SRV records 0 means little, not nothing.
    static func weight(of recordWeight: Int, amongUpTo largest: Int, times factor: Int) -> Int {
        guard factor > 0 else {
            return 0
        }
        let limit = ConfigurationRanges.weight.upperBound
        let product = max(recordWeight, 1) * factor
        let largestProduct = max(largest, 1) * factor
        return max(1, largestProduct > limit ? product * limit / largestProduct : product)
    }
}
