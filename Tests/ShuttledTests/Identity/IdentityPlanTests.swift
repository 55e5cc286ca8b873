// Owns what -user and -group may say, and which processes may become that.

import Testing

@testable import shuttled

@Suite struct IdentityPlanTests {
    private static let users = [
        Accounts.User(name: "root", number: 0, group: 0), Accounts.User(name: "shuttle", number: 120, group: 130),
    ]
    private static let groups = [
        Accounts.Group(name: "root", number: 0), Accounts.Group(name: "shuttle", number: 130),
        Accounts.Group(name: "web", number: 140),
    ]

    private static func wanted(_ user: String, _ group: String? = nil) throws(IdentityRefusal) -> WantedIdentity {
        try WantedIdentity(
            user: user, group: group,
            users: { name in users.first { $0.name == name || "\($0.number)" == name } },
            groups: { name in groups.first { $0.name == name || "\($0.number)" == name } })
    }

    private static func refusal(_ user: String, _ group: String? = nil) -> String? {
        do throws(IdentityRefusal) {
            _ = try wanted(user, group)
            return nil
        } catch {
            return error.text
        }
    }

    @Test func namesAndNumbers() throws {
        let shuttle = WantedIdentity(user: 120, userName: "shuttle", group: 130, groupName: "shuttle")
        #expect(try Self.wanted("shuttle") == shuttle)
        #expect(try Self.wanted("120") == shuttle)
        #expect(try Self.wanted("shuttle", "web").group == 140)
        #expect(try Self.wanted("shuttle", "140").groupName == "web")
        #expect(try Self.wanted("shuttle", "0").group == 0)
        #expect(
            try Self.wanted("4000", "5000")
                == WantedIdentity(user: 4000, userName: "4000", group: 5000, groupName: "5000"))
    }

    @Test(arguments: ["nobdy", "", "-1", "+1", "4294967295", "4294967296", "1 2", "shuttle\u{0}"])
    func aUserThatThereIsNot(name: String) {
        let text = Self.refusal(name) ?? ""
        #expect(text.contains("-user is ") && text.contains("getent passwd"), "\(text)")
        #expect(text.utf8.count < 400)
    }

    @Test(arguments: ["staf", "", "4294967295", "99999999999999999999"])
    func aGroupThatThereIsNot(name: String) {
        let text = Self.refusal("shuttle", name) ?? ""
        #expect(text.contains("-group is ") && text.contains("getent group"), "\(text)")
    }

    @Test func rootIsNoUserToChangeTo() {
        for name in ["root", "0", "00"] {
            #expect(Self.refusal(name)?.contains("nothing would be given up") == true)
        }
    }

    @Test func aNumberWithoutAUserNeedsAGroup() {
        #expect(Self.refusal("4000")?.contains("name one with -group") == true)
    }

    private static func process(
        _ user: UInt32, _ group: UInt32, _ capabilities: Capabilities, saved: UInt32? = nil
    ) -> Privileges {
        Privileges(
            users: [user, user, saved ?? user], groups: [group, group, group], supplementaryGroups: [],
            permitted: capabilities, effective: capabilities, inheritable: [], ambient: [], bounding: capabilities,
            hasNoNewPrivileges: true, seccompMode: 0, unprivilegedPortStart: 1024)
    }

    @Test func whoMayBecomeIt() throws {
        let wanted = try Self.wanted("shuttle")
        let all = Capabilities(rawValue: .max)
        #expect(try IdentityPlan(for: wanted, being: Self.process(0, 0, all)) == .change(keepingPorts: true))
        #expect(
            try IdentityPlan(for: wanted, being: Self.process(0, 0, [.setUser, .setGroup]))
                == .change(keepingPorts: false))
        #expect(
            try IdentityPlan(for: wanted, being: Self.process(1000, 1000, [.setUser, .setGroup, .bindService]))
                == .change(keepingPorts: true))
        #expect(try IdentityPlan(for: wanted, being: Self.process(120, 130, [])) == .isAlready)
        // Its saved user would let it back.
        #expect(throws: IdentityRefusal.self) {
            try IdentityPlan(for: wanted, being: Self.process(120, 130, [], saved: 0))
        }
    }

    @Test(arguments: [
        (process(1000, 1000, []), "this process has no"), (process(1000, 1000, [.setUser]), "this process has no"),
        (process(0, 0, [.setGroup, .bindService]), "root here has no"), (process(120, 0, []), "this process has no"),
    ])
    func whoMayNot(present: Privileges, said: String) throws {
        let wanted = try Self.wanted("shuttle")
        do throws(IdentityRefusal) {
            _ = try IdentityPlan(for: wanted, being: present)
            Issue.record("it may not")
        } catch {
            #expect(error.text.contains("-user is \"shuttle\", and \(said)") && error.text.contains("User="))
        }
    }

    @Test func namesOfCapabilities() {
        #expect(Capabilities([]).text == "none")
        #expect(Capabilities.bindService.text == "net_bind_service")
        #expect(Capabilities([.changeOwner, .setUser]).text == "chown, setuid")
        #expect(Capabilities(rawValue: 1 << 63 | 1 << 40).text == "checkpoint_restore, 63")
        #expect(Capabilities.count == 41)
    }

    @Test func whatIsSaidOfAProcess() {
        var process = Self.process(120, 130, .bindService)
        #expect(process.lines[1] == "capabilities: net_bind_service; ports below 1024 can be listened on")
        process.effective = []
        #expect(
            process.lines[1]
                == "capabilities: none (permitted: net_bind_service); ports below 1024 cannot be listened on")
        process.unprivilegedPortStart = 0
        #expect(process.canBindLowPorts)
        process.unprivilegedPortStart = 80
        #expect(process.lines[1].hasSuffix("ports below 80 cannot be listened on"))
        process.supplementaryGroups = [130, 4_000_001]
        #expect(process.lines[0].hasSuffix("supplementary groups: 4000001"))
        process.hasNoNewPrivileges = false
        process.seccompMode = 2
        #expect(process.lines[2].hasPrefix("no new privileges: not set, seccomp: a filter is active"))
        process.users = [0, 4_000_001, 0]
        #expect(process.lines[0].contains("(effective 4000001, saved root (0))"))
    }

    /// What the kernel says of this very thread, whoever runs the tests.
    @Test func thisThread() {
        let now = Privileges.ofThisThread()
        #expect(now.users.count == 3 && now.groups.count == 3)
        #expect(now.permitted.isSuperset(of: now.effective))
        #expect(now.lines.count == 3)
    }

    @Test func accountsOfThisMachine() {
        #expect(Accounts.user(named: "root") == Accounts.User(name: "root", number: 0, group: 0))
        #expect(Accounts.user(numbered: 0)?.name == "root")
        #expect(Accounts.group(named: "root")?.number == 0)
        #expect(Accounts.group(numbered: 0)?.name == "root")
        #expect(Accounts.user(named: "no-such-user") == nil && Accounts.group(named: "no-such-group") == nil)
        #expect(Accounts.user(numbered: 4_000_001) == nil && Accounts.group(numbered: 4_000_001) == nil)
    }
}
