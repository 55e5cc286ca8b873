// Owns the words in which names are asked for and answered: questions, answers, failures. Pure.
// Leaves to others: asking (SystemNames), what is kept of answers (NameMemory), when to ask again (NameWatch).

import Glibc
import ShuttleEngine

/// What is asked of the machine.
enum NameQuestion: Hashable, Sendable {
    /// The addresses of a host.
    case host(String)
    /// The servers of a service, as SRV records list them.
    case service(String)

    /// The name itself.
    var name: String {
        switch self {
        case .host(let name), .service(let name):
            return name
        }
    }
}

extension NameQuestion: CustomStringConvertible {
    /// As the beginning of a sentence about it: `the host "db.example.org"`.
    var description: String {
        switch self {
        case .host(let name): return "the host \(Quoted(name))"
        case .service(let name): return "the SRV name \(Quoted(name))"
        }
    }
}

/// Why a question has no usable answer.
struct NameFailure: Error, Equatable, Sendable {
    /// The end of a sentence that starts with the name.
    var reason: String
}

/// One server that a name stands for: the host itself, or a target of an SRV record.
struct NameTarget: Equatable, Sendable {
    var host: String
    /// Of an SRV record; a host's port is the user's to say.
    var port: UInt16 = 0
    /// Lower ones are to be used first.
    var priority = 0
    /// Its share among those of the same priority.
    var weight = 1
    /// With port 0, the preferred one first. Empty when its lookup failed.
    var addresses: [ShuttleEngine.SocketAddress]
    /// Families that could not be asked about: their addresses may exist all the same.
    var familiesUnknown: Set<Int32> = []
}

/// What a name stands for now.
struct NameAnswer: Equatable, Sendable {
    /// At least one, with an address.
    var targets: [NameTarget]
    /// How long the answer may be used; nil where its source does not say, such as `/etc/hosts`.
    var timeToLiveSeconds: Int?
}

/// Asks every question, and answers every one. Several at a time, within a limit.
typealias NameLookup =
    @Sendable (
        _ questions: [NameQuestion]
    ) async -> [NameQuestion: Result<NameAnswer, NameFailure>]
