/**
 * The port to a bare machine: one authenticated connection that runs commands. Two guarantees: the
 * host key is always checked as the caller chose, and every call ends with a result, at its
 * deadline, or within about 15 s after the peer is gone.
 *
 * A deadline ends the channel, not the remote processes: `bootstrap/run/` ends their session over a
 * second channel.
 */

/** How the machine's host key is checked. */
export type HostKeyCheck =
  /** One of these, base64 of the wire form; an empty list accepts nothing. */
  | { kind: "pinned"; keys: readonly string[] }
  /** Any key; the caller stores the one that is answered and pins it from then on. */
  | { kind: "first-use" }
  /** Any key, each time; must be configured explicitly. */
  | { kind: "insecure" };

export type SshTarget = {
  host: string;
  port: number;
  user: string;
  /** The text of an OpenSSH or PEM private key without passphrase; never a path. */
  privateKey: string;
  hostKey: HostKeyCheck;
};

export type ConnectRequest = SshTarget & {
  /** A machine in between, with a user, key and host key of its own. */
  jump: SshTarget | null;
  /** For one try, from the first packet to the accepted user key; the jump has as much before. */
  timeoutMs: number;
  signal?: AbortSignal;
};

export type ConnectAnswer =
  /** `hostKey` is the accepted key, base64 of the wire form. */
  | { kind: "ok"; shell: Shell; hostKey: string }
  /** No TCP, no SSH banner, a broken handshake, a time-out: the next try may succeed. */
  | { kind: "unreachable"; message: string }
  /** The user's key is refused: unless `isFinal`, cloud-init may not have placed it yet. */
  | { kind: "denied"; message: string; isFinal?: true }
  /** Unexpected host key: nothing is sent, and the bootstrap stops. */
  | { kind: "host_key"; message: string; offered: string }
  /** Our own private key cannot be used (encrypted, damaged, unknown kind): retries do not help. */
  | { kind: "bad_key"; message: string };

/** Never rejects. */
export type Connect = (request: ConnectRequest) => Promise<ConnectAnswer>;

export type StreamName = "stdout" | "stderr";

export type ExecOptions = {
  /** Ends the call, not the remote processes. */
  timeoutMs: number;
  /** Standard input; absent = end of file. Read only as fast as it is sent. */
  stdin?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Called in order, as it arrives; the chunk is not kept by the shell. */
  onData?: (stream: StreamName, chunk: Uint8Array) => void;
  signal?: AbortSignal;
};

export type ExecAnswer =
  /** `code` is `null` if a signal ended it, whose name without SIG is `signal`. */
  | { kind: "exited"; code: number | null; signal: string | null }
  | { kind: "timeout" }
  | { kind: "aborted" }
  /** The connection ended first; the command may still be running. */
  | { kind: "lost"; message: string };

export type Shell = {
  /** Runs `command` with the user's login shell, without a terminal. Never rejects. */
  exec(command: string, options: ExecOptions): Promise<ExecAnswer>;
  /** Ends the connection and every call on it; idempotent. */
  close(): void;
};
