// Owns what events say of connections that somebody ends. Leaves to others: ending them (ControlPlane+Connections).

import ShuttleEngine

extension ControlEvents {
    /// One connection.
    func disconnected(_ session: SessionReport, _ origin: ChangeOrigin) {
        log.post(
            .disconnect,
            [
                "phase": .text("ended"), "from": .text(origin.peer), "token": origin.caller.map { .text($0.name) },
                "service": .text(session.service), "backend": session.backend.map { .text($0) },
                "client": session.client.map { .text("\($0)") }, "ended": .number(1),
            ]
        )
    }

    /// A job begins.
    func disconnecting(_ report: DisconnectReport, _ origin: ChangeOrigin) {
        log.post(
            .disconnect,
            [
                "phase": .text("started"), "id": .number(report.id), "from": .text(origin.peer),
                "token": origin.caller.map { .text($0.name) }, "request": .text(origin.request),
                "matched": .number(report.matched), "rate": .text(report.request.rate.text),
            ]
        )
    }

    /// A job is over.
    func hasDisconnected(_ report: DisconnectReport) {
        log.post(
            .disconnect,
            [
                "phase": .text(report.state.rawValue), "id": .number(report.id), "from": .text(report.peer),
                "token": report.token.map { .text($0) }, "matched": .number(report.matched),
                "ended": .number(report.ended), "gone": .number(report.gone),
            ]
        )
    }
}
