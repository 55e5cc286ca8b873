// Owns which list of callers is in force, and ending what goes on for those who are on it no more.
// Leaves to others: the list (Access), when there is a new one (Process/TokenReload), asking it (Admin/AccessGuard).

import Synchronization

/// The list in force. May be used from anywhere; it is replaced as a whole.
final class AccessTokens: Sendable {
    private struct Attended {
        var proof: AccessList.Proof
        weak var presence: ClientPresence?
    }

    private struct State {
        var list: AccessList
        /// Clients whose answers take long. They are few: there are few places for them.
        var attended: [Attended] = []
    }
    private let state: Mutex<State>

    init(_ list: AccessList) {
        state = Mutex(State(list: list))
    }

    var list: AccessList { state.withLock { $0.list } }

    /// Puts a list in the place of the one that is in force, for the next request on, and returns that one. Answers under
    /// way to those who are let in no more end.
    @discardableResult
    func replace(with list: AccessList) -> AccessList {
        let (earlier, ended) = state.withLock { state in
            let earlier = state.list
            state.list = list
            let ended = state.attended.filter { !list.contains($0.proof) }.compactMap(\.presence)
            state.attended.removeAll { $0.presence == nil || !list.contains($0.proof) }
            return (earlier, ended)
        }
        for presence in ended {
            presence.end(.revoked)
        }
        return earlier
    }

    /// Ends a presence when `proof` is on the list no more, at once where it is not.
    func attend(_ presence: ClientPresence, of proof: AccessList.Proof) {
        let isListed = state.withLock { state in
            state.attended.removeAll { $0.presence == nil }
            state.attended.append(Attended(proof: proof, presence: presence))
            return state.list.contains(proof)
        }
        if !isListed {
            presence.end(.revoked)
        }
    }
}
