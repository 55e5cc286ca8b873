// Owns what can be asked of the control plane, who asked, and the ways in which it can say no.
// Leaves to others: carrying a change out (ControlPlane), and turning refusals into HTTP answers (Admin).

import NIOCore
import ShuttleEngine

/// A change of the configuration, complete in itself: it is applied whole or not at all.
enum ConfigurationChange: Sendable {
    case replaceAll([ServiceConfiguration])
    /// Creates the service or replaces it; its backends are the ones given here.
    case putService(ServiceConfiguration)
    /// Merges a patch into the service.
    case patchService(name: String, JSONDocument)
    case deleteService(name: String)
    /// Creates the backend or replaces it at its place in the order.
    case putBackend(service: String, BackendConfiguration)
    /// Merges a patch into the backend.
    case patchBackend(service: String, name: String, JSONDocument)
    case deleteBackend(service: String, name: String)
}

extension ConfigurationChange {
    /// What is changed: what conditions are about.
    var part: ConfigurationPart {
        switch self {
        case .replaceAll: .whole
        case .putService(let service): .service(service.name)
        case .patchService(let name, _), .deleteService(let name): .service(name)
        case .putBackend(let service, let backend): .backend(service: service, name: backend.name)
        case .patchBackend(let service, let name, _), .deleteBackend(let service, let name):
            .backend(service: service, name: name)
        }
    }
}

/// Why a change was not made. Nothing has changed then, and nothing has stopped listening.
enum ChangeRefusal: Error, Sendable, Equatable {
    /// Something in the body cannot be applied; pointers lead into the body that was sent.
    case invalid([ConfigurationIssue])
    case unknownService(String)
    case unknownBackend(service: String, name: String)
    /// Another program listens on the address.
    case addressInUse([ConfigurationIssue])
    /// The machine does not let us listen on the address for another reason; the detail says what would help.
    case cannotListen([ConfigurationIssue])
    /// What the request says must be so is not so.
    case conditionFailed(ConditionFailure)
    case shuttingDown
    /// The state file could not be written; the text says which call failed and why.
    case notDurable(String)
    /// Another change waits to be confirmed, and this one is about the same services or is to wait as well.
    case awaitsConfirmation(id: Int, request: String, untilMilliseconds: Int, services: [String])
    /// The change that waits to be confirmed could not be taken back any more.
    case barsWayBack(id: Int, request: String, [ConfigurationIssue])
    /// It is to wait to be confirmed, and could not be taken back: what it leads away from could not be applied now.
    case hasNoWayBack([ConfigurationIssue])
    /// No change of this id waits to be confirmed; `end` says how it ended where that is known.
    case notPending(id: Int, end: ConfirmationKeeper.End?)
    /// Who asks may not make it; `excess` is a line of what goes beyond that.
    case notPermitted(Caller, needed: AccessRole, excess: String)
}

/// Who asked for a change, and how: for the log line, for what they may change, and for pointers into what they sent.
struct ChangeOrigin: Sendable {
    /// Where the change came from: the client's address, `unix`, or the name of a file.
    var peer: String
    /// What was asked, such as `PUT /web`.
    var request: String
    /// JSON pointer of the changed object within the body: `/services` where a list was sent inside an object.
    var pointerPrefix: String
    /// Who it is by name, and what they may do; nil where nobody is asked, and everything may be done.
    var caller: Caller?
    /// What its request is called in the log.
    var identifier: String?
    /// The change is taken back unless it is confirmed within so long.
    var confirmWithin: TimeAmount?

    init(
        peer: String, request: String, pointerPrefix: String = "", caller: Caller? = nil,
        identifier: String? = nil, confirmWithin: TimeAmount? = nil
    ) {
        self.peer = peer
        self.request = request
        self.pointerPrefix = pointerPrefix
        self.caller = caller
        self.identifier = identifier
        self.confirmWithin = confirmWithin
    }
}
