// Owns the printed form of what would become of a client, and its words. Leaves to others: finding it out (ShuttleEngine).

import ShuttleEngine

enum ExplanationEncoder {
    /// `asked` is the service that was asked for, `client` what was given for it.
    static func bytes(of explained: ServiceExplanation, asked: String, client: String) -> [UInt8] {
        let explanation = explained.explanation
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("service", asked)
            writer.member("client", client)
            writer.member("outcome", explanation.outcome.rawValue)
            writer.member("detail", detail(explanation, explained))
            writer.member("certain", explanation.isCertain)
            if let route = explanation.route {
                writer.member("route", route)
                writer.member("pool", explanation.service.name)
            }
            writer.name("backend")
            if let chosen = explanation.chosen {
                writer.value(explanation.backends[chosen].configuration.name)
            } else {
                writer.null()
            }
            writer.member("balance", explanation.service.balance.rawValue)
            if explanation.backends.contains(where: { $0.probabilityThousandths != nil }) {
                writer.member("probabilities", explanation.areProbabilitiesExact ? "exact" : "estimated")
            }
            writer.member("active", explanation.occupied)
            writer.member("queued", explanation.queued)
            writer.list("backends") { writer in
                for backend in explanation.backends {
                    write(backend, explanation, to: &writer)
                }
                for backend in explained.unresolved {
                    writer.object { writer in
                        writer.member("name", backend.name)
                        writer.member("address", backend.address)
                        writer.member("verdict", "unresolved")
                        writer.member("detail", "its name stands for no address now")
                    }
                }
            }
        }
        return writer.finish(trailingNewline: true)
    }

    private static func write(
        _ backend: ExplainedBackend, _ explanation: Explanation, to writer: inout JSONWriter
    ) {
        let configuration = backend.configuration
        writer.object { writer in
            writer.member("name", configuration.name)
            writer.member("address", configuration.address)
            writer.member("verdict", name(of: backend))
            writer.member("detail", detail(of: backend, explanation))
            writer.member("active", backend.active)
            writer.member("weight", configuration.weight)
            writer.member("effective_weight", backend.effectiveWeight)
            writer.member("slow_start_percent", backend.slowStartPercent)
            if let thousandths = backend.probabilityThousandths {
                writer.name("probability")
                writer.value(thousandths: thousandths)
            }
        }
    }

    // MARK: Words

    /// Names of verdicts on the wire, the one for what the engine does not know included.
    static let verdicts = [
        "chosen", "candidate", "drain", "maintenance", "weight-zero", "down", "ejected", "backup-not-needed", "full",
        "not-its-turn", "more-active", "equally-active", "other-hash-owner", "slow-start", "unresolved",
    ]

    static func name(of backend: ExplainedBackend) -> String {
        switch backend.verdict {
        case .chosen: return "chosen"
        case .candidate: return "candidate"
        case .noWeight:
            switch backend.configuration.state {
            case .drain: return "drain"
            case .maintenance: return "maintenance"
            case .ready: return "weight-zero"
            }
        case .notUp: return backend.isEjected ? "ejected" : "down"
        case .backupNotNeeded: return "backup-not-needed"
        case .full: return "full"
        case .notItsTurn: return "not-its-turn"
        case .moreActive: return "more-active"
        case .equallyActive: return "equally-active"
        case .otherHashOwner: return "other-hash-owner"
        case .takesNotAllYet: return "slow-start"
        }
    }

    private static func detail(of backend: ExplainedBackend, _ explanation: Explanation) -> String {
        let load = "\(backend.active) sessions at an effective weight of \(backend.effectiveWeight)"
        switch backend.verdict {
        case .chosen: return "it gets the next session"
        case .candidate: return "it is drawn by chance, or loses against another that is"
        case .noWeight:
            switch backend.configuration.state {
            case .drain: return "its state is drain: it gets nothing new"
            case .maintenance: return "its state is maintenance: it gets nothing new"
            case .ready: return "its weight is 0: it gets nothing new"
            }
        case .notUp:
            if backend.isEjected {
                return "its traffic has taken it out: \(backend.lastFailure?.reason ?? "it failed")"
            }
            return "checks call it down: \(backend.lastCheck?.reason ?? "the last one failed")"
        case .backupNotNeeded: return "it is a backup, and a backend that is none can be used"
        case .full:
            return "it has \(backend.active) sessions, and max_connections is \(backend.configuration.connectionsMax)"
        case .notItsTurn(let after):
            return "its turn comes with the \(ordinal(after + 1)) session from now"
        case .moreActive:
            return "another has fewer sessions for its weight; this one has \(load)"
        case .equallyActive:
            return "another with as few sessions for its weight comes first this time; this one has \(load)"
        case .otherHashOwner: return "the hash of the client's address leads to another"
        case .takesNotAllYet:
            return "it has come up a while ago and takes only some of its clients yet (\(backend.slowStartPercent) %)"
        }
    }

    private static func ordinal(_ number: Int) -> String {
        switch number {
        case 2: "second"
        case 3: "third"
        default: "\(number)th"
        }
    }

    private static func detail(_ explanation: Explanation, _ explained: ServiceExplanation) -> String {
        let service = explanation.service
        switch explanation.outcome {
        case .backend:
            let name = explanation.chosen.map { explanation.backends[$0].configuration.name } ?? ""
            return explanation.isCertain
                ? "it gets the backend \(Quoted(name))"
                : "it gets the backend \(Quoted(name)), unless another client comes before"
        case .drawn: return "it gets one of the candidates, by chance"
        case .queued:
            return "it waits for a place: \(explanation.occupied) sessions have one, \(explanation.queued) wait, and "
                + "queue_limit is \(service.queueLimit)"
        case .delayed: return "it comes too early for rate_limit, and waits for its time before it gets a backend"
        case .denied: return "it is closed at once: allow and deny do not let its address in"
        case .maintenance: return "it is closed at once: the service is in maintenance"
        case .rateLimited: return "it is closed at once: it comes too early for rate_limit"
        case .clientLimit:
            return "it is closed at once: its address has as many sessions as max_connections_per_client lets it have "
                + "(\(service.connectionsPerClientMax))"
        case .full:
            return
                "it is closed at once: every place is taken (\(explanation.occupied) sessions), and there is no place in "
                + "a queue (queue_limit is \(service.queueLimit), \(explanation.queued) wait)"
        case .noBackend:
            let count = explanation.backends.count + explained.unresolved.count
            return count == 0
                ? "it is closed at once: the service has no backends"
                : "it is closed at once: none of the \(count) backends can be used"
        }
    }
}
