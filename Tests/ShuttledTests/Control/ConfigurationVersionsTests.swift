// Owns versions of parts of the configuration, and conditions on them.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ConfigurationVersionsTests {
    private static let parts: [ConfigurationPart] = [
        .whole, .service("db"), .service("web"), .backend(service: "web", name: "b0"),
        .backend(service: "web", name: "b1"),
    ]
    private static let old = [
        ControlTesting.service("db", ":5432"),
        ControlTesting.service("web", ":80", backends: ["10.0.0.1:80", "10.0.0.2:80"]),
    ]

    private func versions() -> ConfigurationVersions {
        var versions = ConfigurationVersions(process: 35)
        versions.update(from: [], to: Self.old)
        return versions
    }

    /// The parts whose tags differ after a change.
    private func changed(_ change: (inout [ServiceConfiguration]) -> Void) -> [ConfigurationPart] {
        let before = versions()
        var after = before
        var services = Self.old
        change(&services)
        after.update(from: Self.old, to: services)
        return Self.parts.filter { before.tag(of: $0) != after.tag(of: $0) }
    }

    @Test func aPartHasTheVersionOfTheLastChangeThatAlteredIt() {
        #expect(changed { _ in } == [])
        #expect(changed { $0[0].fall = 9 } == [.whole, .service("db")])
        #expect(
            changed { $0[1].backends[1].weight = 9 }
                == [.whole, .service("web"), .backend(service: "web", name: "b1")])
        #expect(changed { $0[1].backends.swapAt(0, 1) } == [.whole, .service("web")])
        #expect(
            changed { $0[1].backends.removeLast() }
                == [.whole, .service("web"), .backend(service: "web", name: "b1")])
        #expect(changed { $0.removeLast() } == [.whole] + Self.parts.suffix(3))
    }

    @Test func whatIsNotThereHasNoVersion() {
        let versions = versions()
        #expect(versions.tag(of: .service("nobody")) == nil)
        #expect(versions.tag(of: .backend(service: "db", name: "b0")) == nil)
        #expect(versions.tag(of: .backend(service: "nobody", name: "b0")) == nil)
        #expect(ConfigurationVersions().tag(of: .whole) != nil, "an empty configuration is one")
    }

    /// What is gone and comes back as it was is another one; and tags of another process never hold.
    @Test func noTagIsGivenTwice() {
        var versions = versions()
        let before = versions.tag(of: .service("db"))
        versions.update(from: Self.old, to: [Self.old[1]])
        versions.update(from: [Self.old[1]], to: Self.old)
        #expect(versions.tag(of: .service("db")) != before)
        #expect(ConfigurationVersions().tag(of: .whole) != ConfigurationVersions().tag(of: .whole))
        #expect(before == VersionTag(text: "z-1"))
    }

    @Test func conditionsHoldOrSayWhyNot() {
        let (one, two) = (VersionTag(text: "1"), VersionTag(text: "2"))
        let listed = ChangeCondition.Tags.listed([two, one])
        #expect(ChangeCondition.none.failure(nil) == nil && ChangeCondition.none.failure(one) == nil)
        #expect(ChangeCondition(match: listed).failure(one) == nil)
        #expect(ChangeCondition(match: .listed([two])).failure(one) == .otherVersion(one))
        #expect(ChangeCondition(match: .listed([])).failure(one) == .otherVersion(one))
        #expect(ChangeCondition(match: .any).failure(one) == nil)
        #expect(ChangeCondition(match: .any).failure(nil) == .missing)
        #expect(ChangeCondition(match: listed).failure(nil) == .missing)
        #expect(ChangeCondition(noneMatch: .any).failure(nil) == nil)
        #expect(ChangeCondition(noneMatch: .any).failure(one) == .present(one))
        #expect(ChangeCondition(noneMatch: listed).failure(one) == .present(one))
        #expect(ChangeCondition(noneMatch: .listed([two])).failure(one) == nil)
        #expect(ChangeCondition(match: .any, noneMatch: listed).failure(one) == .present(one))
    }
}
