// Owns which version each part of the configuration is at, and whether a condition on one holds; pure.
// Leaves to others: what a change is (NextConfiguration), when conditions are asked (ControlPlane), how they are written
// in requests (Admin/RequestConditions).

import ShuttleEngine

/// A part of the configuration that can be read and changed by itself.
enum ConfigurationPart: Equatable, Sendable {
    case whole
    case service(String)
    case backend(service: String, name: String)
}

/// The version of a part, as clients are told it: whoever names it in a condition means just this one.
struct VersionTag: Equatable, Hashable, Sendable {
    /// Without quotes.
    var text: String
}

/// The versions of all parts.
///
/// A part has the number of the last change that altered it. Numbers begin anew with the process, so tags begin with
/// something that is another one in every process: a tag from before a restart never holds after it.
struct ConfigurationVersions: Equatable, Sendable {
    private struct Service: Equatable, Sendable {
        var version: UInt64
        var backends: [String: UInt64]
    }

    private let process: UInt64
    private var version: UInt64 = 0
    private var services: [String: Service] = [:]

    init(process: UInt64 = .random(in: .min ... .max)) {
        self.process = process
    }

    /// Nil for a part that is not there.
    func tag(of part: ConfigurationPart) -> VersionTag? {
        let version: UInt64?
        switch part {
        case .whole: version = self.version
        case .service(let name): version = services[name]?.version
        case .backend(let service, let name): version = services[service]?.backends[name]
        }
        return version.map { VersionTag(text: "\(String(process, radix: 36))-\($0)") }
    }

    /// Of everything, which is always there.
    var whole: VersionTag { tag(of: .whole)! }

    /// A change has been made.
    mutating func update(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) {
        guard old != new else {
            return
        }
        version += 1
        let before = Dictionary(uniqueKeysWithValues: old.map { ($0.name, $0) })
        var next: [String: Service] = [:]
        next.reserveCapacity(new.count)
        for service in new {
            guard let earlier = before[service.name], let known = services[service.name] else {
                next[service.name] = Service(version: version, backends: all(service.backends))
                continue
            }
            next[service.name] =
                earlier == service
                ? known
                : Service(version: version, backends: changed(service.backends, earlier.backends, known.backends))
        }
        services = next
    }

    private func all(_ backends: [BackendConfiguration]) -> [String: UInt64] {
        Dictionary(uniqueKeysWithValues: backends.map { ($0.name, version) })
    }

    private func changed(
        _ new: [BackendConfiguration], _ old: [BackendConfiguration], _ known: [String: UInt64]
    ) -> [String: UInt64] {
        let before = Dictionary(uniqueKeysWithValues: old.map { ($0.name, $0) })
        return Dictionary(
            uniqueKeysWithValues: new.map { backend in
                let isSame = before[backend.name] == backend
                return (backend.name, isSame ? known[backend.name] ?? version : version)
            }
        )
    }
}

/// What must be true of a part for a change of it to be made (RFC 9110, 13.1).
struct ChangeCondition: Equatable, Sendable {
    enum Tags: Equatable, Sendable {
        /// `*`: any version, as long as there is one.
        case any
        case listed([VersionTag])

        fileprivate func hold(_ tag: VersionTag?) -> Bool {
            guard let tag else {
                return false
            }
            switch self {
            case .any: return true
            case .listed(let tags): return tags.contains(tag)
            }
        }
    }

    /// `If-Match`: it is one of these.
    var match: Tags?
    /// `If-None-Match`: it is none of these.
    var noneMatch: Tags?

    static let none = ChangeCondition()

    /// Why the condition does not hold for a part at `tag`, which is nil where there is none; nil where it holds.
    func failure(_ tag: VersionTag?) -> ConditionFailure? {
        if let match, !match.hold(tag) {
            return tag.map { .otherVersion($0) } ?? .missing
        }
        if let noneMatch, noneMatch.hold(tag), let tag {
            return .present(tag)
        }
        return nil
    }
}

/// Why a condition did not hold.
enum ConditionFailure: Equatable, Sendable {
    /// `If-Match`: it is at this version.
    case otherVersion(VersionTag)
    /// `If-Match`: there is no such part.
    case missing
    /// `If-None-Match`: it is there, at this version.
    case present(VersionTag)
}

/// The configuration that is live, sorted by name, and the versions it is at.
struct LiveConfiguration: Equatable, Sendable {
    var services: [ServiceConfiguration]
    var versions: ConfigurationVersions
    /// The change that led here and waits to be confirmed.
    var pending: PendingChange?
}

/// What every service has done, sorted by name, and the versions of the configuration that it was asked under.
struct LiveStatistics: Sendable {
    var services: [ServiceReport]
    var versions: ConfigurationVersions
}
