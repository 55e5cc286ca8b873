// Owns what the client knows of a service and its backends: taken out of the statistics that the server prints.
// Leaves to others: showing it (StatisticsTables), rates (RateBook).

/// What traffic has done, ever since.
struct TrafficView: Equatable, Sendable {
    var connections = 0
    var active = 0
    var errors = 0
    var sent = 0
    var received = 0

    /// Takes a member where it is one of these.
    mutating func take(_ name: String, _ value: JSONValue) {
        switch name {
        case "connections": connections = value.integer ?? 0
        case "active": active = value.integer ?? 0
        case "errors": errors = value.integer ?? 0
        case "sent": sent = value.integer ?? 0
        case "received": received = value.integer ?? 0
        default: break
        }
    }
}

struct BackendView: Equatable, Sendable {
    var name = ""
    var address = ""
    var state = "ready"
    var weight = 1
    var isUp = true
    var isEjected = false
    var isBackup = false
    var traffic = TrafficView()
    /// Why the last check failed, or the last failure of traffic.
    var checkReason = ""
    var lastFailure = ""

    init() {}

    /// What is not there, as of another version of the server, is as if it were not in use.
    init(_ value: JSONValue) {
        for member in value.children {
            let name = member.name ?? ""
            switch name {
            case "name": self.name = member.string ?? ""
            case "address": address = member.string ?? ""
            case "state": state = member.string ?? ""
            case "weight": weight = member.integer ?? 1
            case "up": isUp = member.bool ?? true
            case "ejected": isEjected = member.bool ?? false
            case "backup": isBackup = member.bool ?? false
            case "check_reason": checkReason = member.string ?? ""
            case "last_failure": lastFailure = member.string ?? ""
            default: traffic.take(name, member)
            }
        }
    }

    /// Whether it may get new connections.
    var isUsable: Bool { isUp && state == "ready" && weight > 0 }

    /// In a word or two, readable without colour: what is wrong is in capitals.
    var status: TextCell {
        switch (state, isUp) {
        case ("ready", true) where weight == 0: TextCell("no weight", .warning)
        case ("ready", true): TextCell(isBackup ? "up (backup)" : "up", .good)
        case ("ready", false): TextCell(isEjected ? "EJECTED" : "DOWN", .bad)
        case ("drain", _) where traffic.active == 0: TextCell("drained", .warning)
        case (_, false): TextCell("\(state), DOWN", .bad)
        default: TextCell(state, .warning)
        }
    }

    /// Why it is not up.
    var reason: String { isUp ? "" : isEjected && checkReason.isEmpty ? lastFailure : checkReason }
}

struct ServiceView: Equatable, Sendable {
    var name = ""
    var address = ""
    var network = "tcp"
    var isMaintenance = false
    var hasRoutes = false
    var queued = 0
    var traffic = TrafficView()
    var backends: [BackendView] = []

    init() {}

    init(_ value: JSONValue) {
        for member in value.children {
            let name = member.name ?? ""
            switch name {
            case "name": self.name = member.string ?? ""
            case "address": address = member.string ?? ""
            case "network": network = member.string ?? ""
            case "maintenance": isMaintenance = member.bool ?? false
            case "routes": hasRoutes = true
            case "queued": queued = member.integer ?? 0
            case "backends": backends = member.children.map(BackendView.init)
            default: traffic.take(name, member)
            }
        }
    }

    /// The services of an answer to `GET /` or `GET /{service}`; nil where it is neither.
    static func all(in answer: ClientAnswer) -> [ServiceView]? {
        guard let root = answer.document?.root else {
            return nil
        }
        switch root.kind {
        case .list: return root.children.map(ServiceView.init)
        case .object: return [ServiceView(root)]
        default: return nil
        }
    }

    var usableCount: Int { backends.count { $0.isUsable } }

    /// How it stands as a whole.
    var status: TextCell {
        if isMaintenance {
            return TextCell("maintenance", .warning)
        }
        if backends.isEmpty {
            return hasRoutes ? TextCell("routes") : TextCell("no backends", .warning)
        }
        if usableCount == 0 {
            return TextCell("DOWN", .bad)
        }
        return backends.contains { !$0.isUp && $0.state == "ready" }
            ? TextCell("degraded", .warning) : TextCell("up", .good)
    }

    /// Whether somebody should look at it: a backend that is to be up is down, or nothing can be used. What is down in
    /// maintenance is as somebody wants it.
    var isTroubled: Bool { !["up", "routes"].contains(status.text) }

    /// Where it listens, as people say it.
    var place: String { address.isEmpty ? "(pool)" : network == "tcp" ? address : "\(address) \(network)" }
}
