// Owns reading the file of tokens again: on SIGHUP, and as it changes.
// Leaves to others: its form (TokenFile), what comes of a new list (AccessTokens), noticing a change (FileWatch).

import Logging

struct TokenReload: Sendable {
    let tokens: AccessTokens
    let path: String
    /// Whether the admin endpoint is one.
    let onUnixSocket: Bool
    let thread: FileThread
    let events: EventLog
    let logger: Logger

    /// Why it is read again: what the log and events call it.
    enum Trigger: String, Sendable {
        case signal = "SIGHUP"
        case watch = "file-change"
    }

    /// What became of it, in events.
    private enum Outcome: String {
        case applied
        case refused
    }

    /// Puts what the file says now in the place of the tokens in force. A file that cannot be used leaves those as they are.
    func run(for trigger: Trigger) async {
        // Read and put in force at one go, on the one thread: whoever reads later puts in force later.
        let result = await thread.run { [tokens, path, onUnixSocket] () -> Result<String, TokenFileError> in
            do throws(TokenFileError) {
                let list = try TokenFile.read(path, onUnixSocket: onUnixSocket)
                return .success("\(list.changes(since: tokens.replace(with: list))); tokens: \(list.summary)")
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let detail)?:
            logger.info(
                "tokens read again",
                metadata: ["file": "\(path)", "trigger": "\(trigger.rawValue)", "detail": "\(detail)"]
            )
            tell(.applied, trigger, detail)
        case .failure(let error)?:
            for line in error.lines {
                logger.warning(
                    "tokens not read again, those that were in force still are", metadata: ["problem": "\(line)"]
                )
            }
            let first = error.lines.first ?? "it cannot be read"
            let count = error.lines.count
            tell(.refused, trigger, count > 1 ? "\(first) (\(count) problems, see the log)" : first)
        case nil:
            // The thread is gone: the process ends.
            return
        }
    }

    private func tell(_ outcome: Outcome, _ trigger: Trigger, _ detail: String) {
        events.post(
            .tokenReload,
            [
                "trigger": .text(trigger.rawValue), "file": .text(path), "outcome": .text(outcome.rawValue),
                "detail": .text(detail),
            ]
        )
    }
}
