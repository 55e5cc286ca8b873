// Owns what a backend that was written comes to in the engine: which addresses, under which name. Pure.
// Leaves to others: what names stand for (NameMemory), finding it out (AddressResolver).

import ShuttleEngine

/// What one written backend stands for.
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

    var question: NameQuestion? {
        switch self {
        case .fixed: return nil
        case .host(let host, _): return .host(host)
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
            }
        }
        if let address = address(of: target) {
            members = [
                Member(
                    configuration: backend, address: address,
                    checkAddress: checkTarget.flatMap(address(of:))
                )
            ]
        }
    }
}
