// Owns what can be asked of the control plane, who asked, and the ways in which it can say no.
// Leaves to others: carrying a change out (ControlPlane), and turning refusals into HTTP answers (Admin).

import ShuttleEngine

/// A change of the configuration, complete in itself: it is applied whole or not at all.
enum ConfigurationChange: Sendable {
    case replaceAll([ServiceConfiguration])
    /// Creates the service or replaces it; its backends are the ones given here.
    case putService(ServiceConfiguration)
    case deleteService(name: String)
    /// Creates the backend or replaces it at its place in the order.
    case putBackend(service: String, BackendConfiguration)
    case deleteBackend(service: String, name: String)
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
    case shuttingDown
    /// The state file could not be written; the text says which call failed and why.
    case notDurable(String)
}

/// Who asked for a change: for the log line, and for pointers into what they sent.
struct ChangeOrigin: Sendable {
    /// Where the change came from: the client's address, `unix`, or the name of a file.
    var peer: String
    /// What was asked, such as `PUT /web`.
    var request: String
    /// JSON pointer of the changed object within the body: `/services` where a list was sent inside an object.
    var pointerPrefix: String

    init(peer: String, request: String, pointerPrefix: String = "") {
        self.peer = peer
        self.request = request
        self.pointerPrefix = pointerPrefix
    }
}
