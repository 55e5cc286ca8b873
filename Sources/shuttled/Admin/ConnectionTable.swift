// Owns who has a place at the admin endpoint, and who gives one up for a newcomer.
// Leaves to others: how useful a connection is (ConnectionState), accepting (AdmissionHandler).

import NIOCore

/// A connection as the table sees it.
protocol TableMember: AnyObject {
    /// See `ConnectionState.expendability`.
    func expendability(now: NIODeadline) -> (rank: Int, since: NIODeadline)?
    /// Closes at once, without a word.
    func evict()
    /// Finishes what is under way and takes nothing more.
    func finish()
}

/// The connections there are, of bounded number. Used on one event loop.
///
/// Whoever can connect can also connect and stay silent, often. So the newest always gets a place while another is of
/// no use: first of those whose last answer is out, then of those that have never completed a request's header, then
/// of idle ones, then of those that have stalled in sending or taking; the oldest of each. Only when every place is in
/// real use do further clients wait in the kernel's queue.
final class ConnectionTable {
    private let connectionsMax: Int
    private var members: [ObjectIdentifier: any TableMember] = [:]
    /// Called when a place has become free.
    var onRoom: (() -> Void)?

    init(connectionsMax: Int) {
        precondition(connectionsMax > 0)
        self.connectionsMax = connectionsMax
    }

    var count: Int { members.count }

    /// Whether a newcomer would get a place.
    func hasRoom(now: NIODeadline) -> Bool {
        members.count < connectionsMax || mostExpendable(now: now) != nil
    }

    /// Gives `member` a place, at another's expense where there is no free one; false when there is none at all.
    func admit(_ member: any TableMember, now: NIODeadline) -> Bool {
        guard members.count < connectionsMax || evictOne(now: now) else {
            return false
        }
        members[ObjectIdentifier(member)] = member
        return true
    }

    /// Frees the place of the most expendable member; false when there is none.
    func evictOne(now: NIODeadline) -> Bool {
        guard let leaving = mostExpendable(now: now) else {
            return false
        }
        members[ObjectIdentifier(leaving)] = nil
        leaving.evict()
        return true
    }

    func leave(_ member: any TableMember) {
        if members.removeValue(forKey: ObjectIdentifier(member)) != nil {
            onRoom?()
        }
    }

    /// Lets every connection finish.
    func finishAll() {
        for member in Array(members.values) {
            member.finish()
        }
    }

    func evictAll() {
        let all = Array(members.values)
        members.removeAll()
        for member in all {
            member.evict()
        }
    }

    private func mostExpendable(now: NIODeadline) -> (any TableMember)? {
        var best: (member: any TableMember, rank: Int, since: NIODeadline)?
        for member in members.values {
            guard let (rank, since) = member.expendability(now: now) else {
                continue
            }
            if best == nil || (rank, since) < (best!.rank, best!.since) {
                best = (member, rank, since)
            }
        }
        return best?.member
    }
}
