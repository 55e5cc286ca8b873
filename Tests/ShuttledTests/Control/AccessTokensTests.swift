// The list in force: replaced as a whole, and what ends with the entries that are on it no more.

import Testing

@testable import shuttled

@Suite struct AccessTokensTests {
    private static func entry(_ name: String, _ text: String, _ role: AccessRole = .read) -> AccessList.Entry {
        .init(name: name, role: role, proof: .token(BearerToken(bytes: Array(text.utf8))))
    }

    private static let (ci, ops) = (entry("ci", "one"), entry("ops", "two"))

    @Test func whoIsRemovedIsNotAttendedAnyMore() {
        let tokens = AccessTokens(AccessList([Self.ci, Self.ops]))
        let (first, second) = (ClientPresence(), ClientPresence())
        tokens.attend(first, of: Self.ci.proof)
        tokens.attend(second, of: Self.ops.proof)
        // Neither another role nor another name ends what goes on.
        tokens.replace(with: AccessList([Self.entry("renamed", "one", .write), Self.ops]))
        #expect(first.hasEnded == nil && second.hasEnded == nil)
        let earlier = tokens.replace(with: AccessList([Self.ops]))
        #expect(earlier.entries.map(\.name) == ["renamed", "ops"])
        #expect(first.hasEnded == .revoked && second.hasEnded == nil)
        #expect(tokens.list.entries == [Self.ops])
    }

    /// Between its being let in and its being attended the list may have been replaced.
    @Test func whoComesTooLateIsToldAtOnce() {
        let tokens = AccessTokens(AccessList([Self.ops]))
        let presence = ClientPresence()
        tokens.attend(presence, of: Self.ci.proof)
        #expect(presence.hasEnded == .revoked)
    }
}
