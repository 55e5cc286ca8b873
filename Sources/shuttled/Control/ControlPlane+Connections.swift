// Owns listing connections and ending them: the order in which rings are asked, what is made of two looks, and the pace of
// jobs. Leaves to others: the rings' part (ShuttleEngine), when the next one of a job is due (DisconnectPace).

import NIOCore
import ShuttleEngine

extension ControlPlane {
    /// Sessions that a ring is asked for at a time where all are wanted: a few milliseconds of its turns, so that others who
    /// ask come in between.
    private static let scanLimit = 1024

    /// Asks one ring, when those who asked before have their answers.
    private func ask(_ query: SessionQuery, ring: Int) async -> SessionAnswer {
        await questions.enter()
        defer { questions.leave() }
        dataPlane.ask(query, ring: ring)
        var pause: TimeAmount = .microseconds(50)
        while true {
            if let answer = dataPlane.sessionAnswer() {
                return answer
            }
            await loop.pause(pause)
            pause = min(.milliseconds(1), pause * 2)
        }
    }

    // MARK: Looking

    func hasConnections(ofService service: String?, backend: String?) -> Bool {
        dataPlane.hasSessions(ofService: service, backend: backend)
    }

    func connections(_ query: ConnectionQuery) async -> ConnectionPage {
        let (sessions, next) = await scan(
            query.filter, from: query.after ?? ConnectionCursor(ring: 0, place: 0), limit: query.limit,
            wantsClients: true
        )
        return ConnectionPage(connections: await observed(sessions, over: query.interval), next: next)
    }

    func connection(_ identifier: SessionIdentifier, interval: TimeAmount) async -> ConnectionReport? {
        guard (0..<dataPlane.ringCount).contains(identifier.ring) else {
            return nil
        }
        let found = await ask(.look([identifier]), ring: identifier.ring).sessions
        return await observed(found, over: interval).first
    }

    func countConnections(_ filter: SessionFilter) async -> Int {
        await all(filter).count
    }

    /// At most `limit` of those that match, and where to go on.
    private func scan(
        _ filter: SessionFilter, from start: ConnectionCursor, limit: Int, wantsClients: Bool
    ) async -> (sessions: [SessionReport], next: ConnectionCursor?) {
        var sessions: [SessionReport] = []
        var cursor = start
        while cursor.ring < dataPlane.ringCount, sessions.count < limit {
            let query = SessionQuery.list(
                filter, from: cursor.place, limit: limit - sessions.count, wantsClients: wantsClients)
            let answer = await ask(query, ring: cursor.ring)
            sessions += answer.sessions
            if let next = answer.next {
                cursor.place = next
            } else {
                cursor = ConnectionCursor(ring: cursor.ring + 1, place: 0)
            }
        }
        return (sessions, cursor.ring < dataPlane.ringCount ? cursor : nil)
    }

    /// All that match, each once.
    private func all(_ filter: SessionFilter) async -> [SessionIdentifier] {
        var found: [SessionIdentifier] = []
        var cursor: ConnectionCursor? = ConnectionCursor(ring: 0, place: 0)
        while let start = cursor {
            let (sessions, next) = await scan(
                filter, from: start, limit: ControlPlane.scanLimit, wantsClients: false)
            // Those come to their end anyway.
            found += sessions.filter { $0.state != .closing }.map(\.identifier)
            cursor = next
        }
        return found
    }

    /// Looks a second time at those that are still there, and says what has come of them since.
    private func observed(_ first: [SessionReport], over interval: TimeAmount) async -> [ConnectionReport] {
        guard interval > .zero, !first.isEmpty else {
            return first.map { ControlPlane.report($0, before: nil) }
        }
        await loop.pause(interval)
        var second: [SessionIdentifier: SessionReport] = [:]
        for (ring, sessions) in Dictionary(grouping: first, by: \.identifier.ring) {
            for session in await ask(.look(sessions.map(\.identifier)), ring: ring).sessions {
                second[session.identifier] = session
            }
        }
        return first.compactMap { before in
            second[before.identifier].map { ControlPlane.report($0, before: before) }
        }
    }

    static func report(_ session: SessionReport, before: SessionReport?) -> ConnectionReport {
        var report = ConnectionReport(
            session: session,
            startedMilliseconds: ControlPlane.millisecondsNow() - Int(clamping: session.ageMilliseconds)
        )
        guard let before, session.lookedAtMilliseconds > before.lookedAtMilliseconds else {
            return report
        }
        let elapsed = session.lookedAtMilliseconds - before.lookedAtMilliseconds
        report.sentPerSecond = (session.sentBytes &- before.sentBytes) * 1000 / elapsed
        report.receivedPerSecond = (session.receivedBytes &- before.receivedBytes) * 1000 / elapsed
        return report
    }

    // MARK: Ending

    func disconnect(
        _ identifier: SessionIdentifier, origin: ChangeOrigin
    ) async throws(DisconnectRefusal) -> ConnectionReport {
        guard let report = await connection(identifier, interval: .zero),
            await ask(.end([identifier]), ring: identifier.ring).endedCount == 1
        else {
            throw .unknownConnection
        }
        told.disconnected(report.session, origin)
        logger.info(
            "connection ended",
            metadata: [
                "service": "\(report.session.service)", "backend": "\(report.session.backend ?? "")",
                "client": "\(report.session.client.map { "\($0)" } ?? "")", "from": "\(origin.peer)",
            ]
        )
        return report
    }

    func disconnect(
        _ request: DisconnectRequest, origin: ChangeOrigin
    ) async throws(DisconnectRefusal) -> DisconnectReport {
        guard acceptsChanges else {
            throw .shuttingDown
        }
        guard disconnects.runningCount < Disconnects.runningMax else {
            throw .tooMany(running: disconnects.runningCount)
        }
        // In no order, so that they go evenly from all rings and backends.
        let targets = await all(request.filter).shuffled()
        let report = disconnects.begin(
            request, matched: targets.count, peer: origin.peer, token: origin.caller?.name,
            milliseconds: ControlPlane.millisecondsNow()
        )
        told.disconnecting(report, origin)
        logger.info(
            "ending connections",
            metadata: [
                "id": "\(report.id)", "matched": "\(report.matched)", "rate": "\(request.rate.text)",
                "from": "\(origin.peer)",
            ]
        )
        Task(executorPreference: ControlLoopExecutor(loop: loop)) { await self.run(report, targets) }
        return report
    }

    func disconnectJobs() -> [DisconnectReport] { disconnects.reports.reversed() }

    func cancelDisconnect(_ id: Int, origin: ChangeOrigin) -> DisconnectReport? {
        let wasRunning = disconnects.report(id)?.state == .running
        let report = disconnects.remove(id, milliseconds: ControlPlane.millisecondsNow())
        if let report, wasRunning {
            tell(report)
        }
        return report
    }

    private func tell(_ report: DisconnectReport) {
        told.hasDisconnected(report)
        logger.info(
            "connections ended",
            metadata: [
                "id": "\(report.id)", "state": "\(report.state.rawValue)", "ended": "\(report.ended)",
                "gone": "\(report.gone)", "remaining": "\(report.remaining)",
            ]
        )
    }

    /// Ends the targets at the job's pace, until there are none left or it is cancelled.
    private func run(_ job: DisconnectReport, _ targets: [SessionIdentifier]) async {
        /// How long it may take until a job notices that it was cancelled.
        let patience: TimeAmount = .milliseconds(100)
        var rest = targets[...]
        var pace = DisconnectPace(
            interval: job.request.rate.interval, jitterPercent: job.request.jitterPercent,
            start: NIODeadline.now().uptimeNanoseconds, draw: .random(in: 0...UInt64.max)
        )
        while !rest.isEmpty, disconnects.report(job.id)?.state == .running {
            let now = NIODeadline.now().uptimeNanoseconds
            let count = pace.take(at: now, limit: rest.count) { .random(in: 0...UInt64.max) }
            guard count > 0 else {
                await loop.pause(min(patience, .nanoseconds(Int64(clamping: pace.due - now))))
                continue
            }
            var ended = 0
            for (ring, targets) in Dictionary(grouping: rest.prefix(count), by: \.ring) {
                ended += await ask(.end(targets), ring: ring).endedCount
            }
            rest = rest.dropFirst(count)
            disconnects.progressed(job.id, ended: ended, gone: count - ended)
        }
        disconnects.end(job.id, as: .finished, milliseconds: ControlPlane.millisecondsNow())
        // Whoever has cancelled it was told.
        if let report = disconnects.report(job.id) {
            tell(report)
        }
    }
}
