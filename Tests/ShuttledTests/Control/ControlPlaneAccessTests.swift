// What the control plane does with who asks: judging a change by what it would do now, and telling who made it.

import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ControlPlaneAccessTests {
    private typealias Stage = ControlPlaneStage

    private static func origin(_ role: AccessRole) -> ChangeOrigin {
        ChangeOrigin(peer: "127.0.0.1:4000", request: "PUT /web", caller: Caller(name: "who", role: role))
    }

    private static func refusal(
        _ change: ConfigurationChange, _ role: AccessRole, _ stage: Stage, isPreview: Bool = false
    ) async -> ChangeRefusal? {
        do throws(ChangeRefusal) {
            if isPreview {
                _ = try await stage.plane.preview(change, origin: origin(role), if: .none)
            } else {
                _ = try await stage.plane.apply(change, origin: origin(role), if: .none)
            }
            return nil
        } catch {
            return error
        }
    }

    private static func isPermitted(_ refusal: ChangeRefusal?) -> Bool {
        if case .notPermitted = refusal { false } else { true }
    }

    /// The same body is within the role or not by what is live when its turn comes.
    @Test func aChangeIsJudgedByWhatIsLive() async throws {
        try await Stage.run { stage in
            try await stage.plane.start(with: [Stage.web, Stage.db], isFromState: false, origin: Stage.origin)
            var other = Stage.web
            other.backends[0].weight = 7
            #expect(await Self.refusal(.putService(other), .operate, stage) == nil)
            var moved = Stage.web
            moved.backends[0].address = "10.0.0.9:80"
            moved.backends[0].weight = 7
            #expect(await Self.refusal(.putService(moved), .write, stage) == nil)
            // What it was a moment ago would now move the backend back.
            let refusal = await Self.refusal(.putService(other), .operate, stage)
            guard case .notPermitted(let caller, .write, let excess) = refusal else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            #expect(caller.name == "who" && excess.contains("10.0.0.9:80"))
            #expect(await stage.plane.configuration().services.last == moved, "nothing has changed")
            moved.backends[0].state = .drain
            #expect(await Self.refusal(.putService(moved), .operate, stage) == nil)
        }
    }

    /// Nothing is looked up, and nothing bound, for who may not change it; a preview says the same.
    @Test func whatIsNotPermittedAsksNobody() async throws {
        let questions = LogCollector.Texts()
        let answers = ControlTesting.lookup([:])
        let lookup: NameLookup = { names in
            questions.add("\(names)")
            return await answers(names)
        }
        try await Stage.run(lookup: lookup) { stage in
            try await stage.plane.start(with: [Stage.web], isFromState: false, origin: Stage.origin)
            let named = ControlTesting.service("new", "127.0.0.1:81", backends: ["secret.example:80"])
            for isPreview in [false, true] {
                let refusal = await Self.refusal(.putService(named), .operate, stage, isPreview: isPreview)
                #expect(!Self.isPermitted(refusal))
            }
            #expect(questions.all.isEmpty, "\(questions.all)")
            #expect(!Self.isPermitted(await Self.refusal(.deleteService(name: "web"), .read, stage)))
        }
    }

    @Test func whoChangedItIsTold() async throws {
        try await Stage.run { stage in
            try await stage.plane.start(with: [Stage.web], isFromState: false, origin: Stage.origin)
            #expect(await Self.refusal(.deleteService(name: "web"), .write, stage) == nil)
            _ = try await stage.apply(.putService(Stage.web))
            let tokens = await stage.plane.history(before: nil, limit: 2).entries.map(\.entry.token)
            #expect(tokens == [nil, "who"])
            #expect(stage.log.lines.contains { $0.contains("configuration changed") && $0.contains("token=who") })
            let changes = try #require(stage.plane.events.events(after: 0, limit: 10)).filter { $0.kind == .change }
            let names = changes.map { change in change.fields.first { $0.name == "token" }?.value }
            #expect(names == [.text("who"), nil])
        }
    }
}
