// Changes that wait to be confirmed, as the control plane keeps them: what may come beside them, how they end, and what a
// restart makes of them.

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct ControlPlaneConfirmationTests {
    private typealias Stage = ControlPlaneStage
    private static let start = ChangeOrigin(peer: "state.json", request: "start")

    private static func waiting(_ limit: TimeAmount = .hours(1)) -> ChangeOrigin {
        ChangeOrigin(peer: "127.0.0.1:4000", request: "PUT /web", confirmWithin: limit)
    }

    private static func slow(_ service: ServiceConfiguration) -> ServiceConfiguration {
        var service = service
        service.connectTimeoutMilliseconds = 9000
        return service
    }

    private func services(_ stage: Stage) async -> [ServiceConfiguration] {
        await stage.plane.configuration().services
    }

    private func requests(_ stage: Stage) async -> [String] {
        await stage.plane.history(before: nil, limit: 100).entries.map(\.entry.request)
    }

    private func started(_ stage: Stage, _ services: [ServiceConfiguration]) async throws {
        try await stage.plane.start(with: services, isFromState: true, origin: Self.start)
    }

    private func put(
        _ stage: Stage, _ service: ServiceConfiguration, _ origin: ChangeOrigin = waiting()
    ) async throws -> LiveConfiguration {
        try await stage.plane.apply(.putService(service), origin: origin)
    }

    private func refusal(_ body: () async throws -> Void) async -> ChangeRefusal? {
        do {
            try await body()
            return nil
        } catch {
            return error as? ChangeRefusal
        }
    }

    @Test func aConfirmedChangeStays() async throws {
        try await Stage.run { stage in
            try await started(stage, [Stage.web])
            let pending = try #require(try await put(stage, Self.slow(Stage.web)).pending)
            #expect(pending.id == 2 && pending.services == ["web"] && pending.limitMilliseconds == 3_600_000)
            #expect(await stage.plane.pendingChange() == pending)
            _ = try await stage.plane.confirm(2, origin: Stage.origin, if: .none)
            #expect(await stage.plane.pendingChange() == nil)
            #expect(await services(stage) == [Self.slow(Stage.web)])
            // The answer may have been lost.
            _ = try await stage.plane.confirm(2, origin: Stage.origin, if: .none)
            let late = await refusal { _ = try await stage.plane.revert(2, origin: Stage.origin, if: .none) }
            #expect(late == .notPending(id: 2, end: .confirmed))
            let unknown = await refusal { _ = try await stage.plane.confirm(3, origin: Stage.origin, if: .none) }
            #expect(unknown == .notPending(id: 3, end: nil))
        }
    }

    @Test func aChangeThatNobodyConfirmsIsTakenBackAlone() async throws {
        try await Stage.run { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Self.slow(Stage.web), Self.waiting(.milliseconds(50)))
            _ = try await put(stage, Stage.db, Stage.origin)
            try await ControlTesting.eventually("taken back") { await stage.plane.pendingChange() == nil }
            #expect(await services(stage) == [Stage.db, Stage.web])
            #expect(await requests(stage) == ["confirm-timeout", "PUT /web", "PUT /web", "start"])
            let late = await refusal { _ = try await stage.plane.confirm(2, origin: Stage.origin, if: .none) }
            #expect(late == .notPending(id: 2, end: .reverted))
        }
    }

    @Test func aServiceThatWasAddedOrRemovedIsTakenBack() async throws {
        try await Stage.run { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Stage.db)
            #expect(try await stage.plane.revert(2, origin: Stage.origin, if: .none).services == [Stage.web])
            _ = try await stage.plane.apply(.deleteService(name: "web"), origin: Self.waiting())
            #expect(await services(stage) == [])
            #expect(try await stage.plane.revert(4, origin: Stage.origin, if: .none).services == [Stage.web])
        }
    }

    @Test func whatWouldBarTheWayBackIsRefused() async throws {
        try await Stage.run { stage in
            try await started(stage, [Stage.web])
            var moved = Stage.web
            moved.address = "127.0.0.1:81"
            _ = try await put(stage, moved)
            let before = await services(stage)
            // Its own service; a second one that is to wait; the address that it goes back to.
            let same = await refusal { _ = try await put(stage, Self.slow(moved), Stage.origin) }
            guard case .awaitsConfirmation(2, "PUT /web", _, ["web"])? = same else {
                Issue.record("\(String(describing: same))")
                return
            }
            let second = await refusal { _ = try await put(stage, Stage.db) }
            guard case .awaitsConfirmation(2, _, _, [])? = second else {
                Issue.record("\(String(describing: second))")
                return
            }
            var taker = Stage.db
            taker.address = Stage.web.address
            for _ in 0..<2 {
                let address = await refusal { _ = try await put(stage, taker, Stage.origin) }
                guard case .barsWayBack(2, _, let issues)? = address else {
                    Issue.record("\(String(describing: address))")
                    return
                }
                #expect(issues.first?.detail.contains("127.0.0.1:80") == true)
            }
            let tried = await refusal {
                _ = try await stage.plane.preview(.putService(taker), origin: Stage.origin, if: .none)
            }
            guard case .barsWayBack? = tried else {
                Issue.record("\(String(describing: tried))")
                return
            }
            #expect(await services(stage) == before)
            _ = try await stage.plane.revert(2, origin: Stage.origin, if: .none)
            #expect(await services(stage) == [Stage.web])
            _ = try await put(stage, taker.renamed("db", address: "127.0.0.1:5432"), Stage.origin)
        }
    }

    @Test func aChangeThatIsNoneDoesNotWait() async throws {
        try await Stage.run { stage in
            try await started(stage, [Stage.web])
            #expect(try await put(stage, Stage.web).pending == nil)
            #expect(await stage.plane.pendingChange() == nil)
        }
    }

    @Test func whoMayNotMakeItMayNotKeepIt() async throws {
        try await Stage.run { stage in
            try await started(stage, [Stage.web])
            var origin = Self.waiting()
            origin.caller = Caller(name: "deploy", role: .write)
            let pending = try #require(try await put(stage, Self.slow(Stage.web), origin).pending)
            #expect(pending.token == "deploy")
            var operate = Stage.origin
            operate.caller = Caller(name: "night", role: .operate)
            for isConfirmed in [true, false] {
                let failed = await refusal {
                    _ =
                        isConfirmed
                        ? try await stage.plane.confirm(2, origin: operate, if: .none)
                        : try await stage.plane.revert(2, origin: operate, if: .none)
                }
                guard case .notPermitted? = failed else {
                    Issue.record("\(String(describing: failed))")
                    return
                }
            }
            #expect(await stage.plane.pendingChange()?.id == 2)
            _ = try await stage.plane.confirm(2, origin: origin, if: .none)
        }
    }

    // MARK: Restarts

    @Test func itGoesOnWaitingAfterARestart() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Self.slow(Stage.web))
        }
        #expect(try folder.read("state.json.pending") != nil)
        try await Stage.run(state: state) { stage in
            try await started(stage, [Self.slow(Stage.web)])
            let pending = try #require(await stage.plane.pendingChange())
            #expect(pending.id == 2 && pending.before.map(\.after) == [Stage.web])
            let left = pending.remainingMilliseconds(at: ControlPlane.millisecondsNow())
            #expect(left > 3_000_000 && left <= 3_600_000)
            _ = try await stage.plane.confirm(2, origin: Stage.origin, if: .none)
        }
        #expect(try folder.read("state.json.pending") == nil)
        try await Stage.run(state: state) { stage in
            try await started(stage, [Self.slow(Stage.web)])
            #expect(await stage.plane.pendingChange() == nil)
        }
    }

    @Test func itIsTakenBackAtTheStartWhenItsTimeIsOver() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Self.slow(Stage.web))
        }
        let record = try #require(try RecordFile.content(of: folder.read("state.json.pending") ?? []).records.first)
        var old = try #require(PendingRecords.pending(record))
        old.milliseconds -= 3_600_001
        try folder.write(
            "state.json.pending", String(decoding: RecordFile.frame(PendingRecords.record(old)), as: UTF8.self)
        )
        try await Stage.run(state: state) { stage in
            try await started(stage, [Self.slow(Stage.web)])
            #expect(await services(stage) == [Stage.web])
            #expect(await stage.plane.pendingChange() == nil)
            #expect(await requests(stage) == ["confirm-timeout", "PUT /web", "start"])
            #expect(try folder.read("state.json") == ConfigurationEncoder.bytes(of: [Stage.web]))
            #expect(stage.log.lines.contains { $0.contains("change taken back") })
        }
        #expect(try folder.read("state.json.pending") == nil)
    }

    /// A crash between the record and the state, or between a state that was taken back and the end of the record.
    @Test func aRecordWhoseChangeIsNotThereIsForgotten() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Self.slow(Stage.web))
        }
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            #expect(await stage.plane.pendingChange() == nil)
            #expect(await services(stage) == [Stage.web])
        }
        #expect(try folder.read("state.json.pending") == nil)
    }

    @Test func aDamagedRecordIsToldAndGoesWithTheNextChange() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        try folder.write("state.json.pending", "#record 3 0\nxyz\n")
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            #expect(stage.log.lines.contains { $0.contains("is damaged") })
            _ = try await put(stage, Stage.db, Stage.origin)
        }
        #expect(try folder.read("state.json.pending") == nil)
    }

    // MARK: Disks that fail

    @Test func whatCannotBeWrittenDownIsNotMade() async throws {
        let folder = try TemporaryFolder()
        let isBroken = Mutex(true)
        var state = Stage.State(path: folder.path("state.json"))
        state.historyCalls.write = { descriptor, bytes in
            isBroken.withLock { $0 } ? ENOSPC : FileCalls.system.write(descriptor, bytes)
        }
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            let failed = await refusal { _ = try await put(stage, Self.slow(Stage.web)) }
            guard case .notDurable? = failed else {
                Issue.record("\(String(describing: failed))")
                return
            }
            #expect(await services(stage) == [Stage.web])
            #expect(await stage.plane.pendingChange() == nil)
            isBroken.withLock { $0 = false }
            #expect(try await put(stage, Self.slow(Stage.web)).pending != nil)
        }
    }

    @Test func aStateThatCannotBeWrittenLeavesNoRecord() async throws {
        let folder = try TemporaryFolder()
        var state = Stage.State(path: folder.path("state.json"))
        state.calls.write = { _, _ in EIO }
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            let failed = await refusal { _ = try await put(stage, Self.slow(Stage.web)) }
            guard case .notDurable? = failed else {
                Issue.record("\(String(describing: failed))")
                return
            }
            #expect(await stage.plane.pendingChange() == nil)
            #expect(try folder.read("state.json.pending") == nil)
        }
    }

    /// Else a crash would take back what was confirmed.
    @Test func aConfirmationCountsOnlyWhenItIsDurable() async throws {
        let folder = try TemporaryFolder()
        let isBroken = Mutex(false)
        var state = Stage.State(path: folder.path("state.json"))
        state.historyCalls.syncFolder = { isBroken.withLock { $0 } ? EIO : FileCalls.system.syncFolder($0) }
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Self.slow(Stage.web))
            isBroken.withLock { $0 = true }
            let failed = await refusal { _ = try await stage.plane.confirm(2, origin: Stage.origin, if: .none) }
            guard case .notDurable? = failed else {
                Issue.record("\(String(describing: failed))")
                return
            }
            #expect(await stage.plane.pendingChange()?.id == 2)
            isBroken.withLock { $0 = false }
        }
        // Who was told that it failed finds it waiting, also after a restart.
        try await Stage.run(state: state) { stage in
            try await started(stage, [Self.slow(Stage.web)])
            #expect(await stage.plane.pendingChange()?.id == 2)
            _ = try await stage.plane.confirm(2, origin: Stage.origin, if: .none)
        }
    }

    /// What it leads away from runs on, and could not be applied again.
    @Test func whatHasNoWayBackDoesNotWait() async throws {
        let isSilent = Mutex(false)
        let known = ControlTesting.lookup(["front.example": .ipv4(0x7f00_0001, port: 0)])
        let unknown = ControlTesting.lookup([:])
        let lookup: NameLookup = { await (isSilent.withLock { $0 } ? unknown : known)($0) }
        try await Stage.run(lookup: lookup) { stage in
            var named = Stage.web
            named.address = "front.example:80"
            try await started(stage, [named])
            isSilent.withLock { $0 = true }
            let failed = await refusal { _ = try await put(stage, Stage.web) }
            guard case .hasNoWayBack(let issues)? = failed else {
                Issue.record("\(String(describing: failed))")
                return
            }
            #expect(issues.first?.detail.contains("front.example") == true)
            #expect(await services(stage) == [named])
            #expect(try await put(stage, Stage.web, Stage.origin).services == [Stage.web])
        }
    }

    @Test func noChangeHasTheIdOfTheOneThatWaits() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            _ = try await put(stage, Stage.db, Stage.origin)
            #expect(try await put(stage, Self.slow(Stage.web)).pending?.id == 3)
        }
        try folder.write("state.json.history", "")
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.db, Self.slow(Stage.web)])
            #expect(await stage.plane.pendingChange()?.id == 3)
            _ = try await put(stage, Self.slow(Stage.db), Stage.origin)
            #expect(await stage.plane.history(before: nil, limit: 9).entries.map(\.entry.id).allSatisfy { $0 > 3 })
        }
    }

    @Test func itIsTriedAgainToTakeAChangeBack() async throws {
        let folder = try TemporaryFolder()
        let isBroken = Mutex(false)
        var state = Stage.State(path: folder.path("state.json"))
        state.calls.write = { isBroken.withLock { $0 } ? EIO : FileCalls.system.write($0, $1) }
        try await Stage.run(state: state) { stage in
            try await started(stage, [Stage.web])
            isBroken.withLock { $0 = false }
            _ = try await put(stage, Self.slow(Stage.web))
            isBroken.withLock { $0 = true }
            await stage.plane.expire(2)
            #expect(stage.log.lines.contains { $0.contains("could not be taken back") })
            #expect(await stage.plane.pendingChange()?.id == 2)
            #expect(await services(stage) == [Self.slow(Stage.web)])
            isBroken.withLock { $0 = false }
            await stage.plane.expire(2)
            #expect(await services(stage) == [Stage.web])
        }
    }
}

extension ServiceConfiguration {
    fileprivate func renamed(_ name: String, address: String) -> ServiceConfiguration {
        var service = self
        service.name = name
        service.address = address
        return service
    }
}
