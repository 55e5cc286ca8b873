// Owns the change of user that a start makes: decided first, made later, both before there are threads.
// Leaves to others: what the flags mean (IdentityPlan), the calls (Identity).

/// Becoming the user of -user.
struct IdentityChange: Equatable, Sendable {
    let wanted: WantedIdentity
    let plan: IdentityPlan

    /// Nil without -user.
    init?(user: String?, group: String?, being present: Privileges) throws(IdentityRefusal) {
        guard let user else {
            return nil
        }
        wanted = try WantedIdentity(user: user, group: group)
        plan = try IdentityPlan(for: wanted, being: present)
    }

    /// Who is still to be become.
    var changed: WantedIdentity? { plan == .isAlready ? nil : wanted }

    /// Makes it, for good.
    func make() throws(IdentityRefusal) {
        guard case .change(let keepsPorts) = plan else {
            return
        }
        guard Identity.isOnlyThread else {
            throw IdentityRefusal(
                text: "-user cannot be followed: there are threads already, which would keep what is given up")
        }
        try Identity.change(to: wanted, keepingPorts: keepsPorts)
    }
}
