// Owns completing the names of services and backends in a shell, by asking the server.
// Leaves to others: the script of the shell (swift-argument-parser), which calls this.

import ArgumentParser
import NIOCore
import NIOPosix
import ShuttleEngine

enum PathCompletion {
    /// A shell that hangs is worse than one that knows no names.
    static let patience: TimeAmount = .milliseconds(500)

    static let kind = CompletionKind.custom { words, _, prefix in
        names(words: words, prefix: prefix)
    }

    /// What may stand where `prefix` does. No names where nobody answers at once.
    static func names(words: [String], prefix: String) -> [String] {
        guard let address = address(words: words) else {
            return []
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let token = try? ConnectionOptions.environment(ConnectionOptions.tokenVariable).map {
            try ConnectionOptions.token($0, from: ConnectionOptions.tokenVariable)
        }
        let client = AdminClient(address: address, token: token ?? nil, timeout: patience, group: group)
        guard let answer = try? client.success(of: ClientRequest(.GET, "/config")),
            let services = ServiceView.all(in: answer)
        else {
            return []
        }
        return candidates(services, prefix: prefix)
    }

    /// Services, and once one is written out, its backends too: all of them at once would be a wall.
    ///
    /// Only what can be a name: bash expands what it is offered, and whoever answers could have it run commands.
    static func candidates(_ services: [ServiceView], prefix: String) -> [String] {
        let all = services.filter { ConfigurationNames.isWellFormed($0.name) }.flatMap { service in
            let backends = service.backends.filter { ConfigurationNames.isWellFormed($0.name) }
            return [service.name]
                + (prefix.hasPrefix(service.name) ? backends.map { RateBook.key(service, $0) } : [])
        }
        return all.filter { $0.hasPrefix(prefix) }
    }

    /// The server that the words so far are about.
    static func address(words: [String]) -> AdminAddress? {
        var text = ConnectionOptions.environment(ConnectionOptions.addressVariable)
        for (index, word) in words.enumerated() {
            let isFlag = word == "-http" || word == "--http"
            if isFlag, index + 1 < words.count {
                text = words[index + 1]
            } else if let value = ["-http=", "--http="].first(where: word.hasPrefix).map({ word.dropFirst($0.count) }) {
                text = String(value)
            }
        }
        return text.map { try? AdminAddress(parsing: $0) } ?? .standard
    }
}
